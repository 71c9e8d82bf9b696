/** `start`: joins a Hypha server and serves until it is told to stop. */
import { redact } from "../log.ts";
import { Metrics } from "../service/metrics.ts";
import { observeEnvironments, observeMethods } from "../service/observe.ts";
import { Orphans } from "../worker/orphans.ts";
import { workerMethods } from "../worker/methods.ts";
import { SUPPORTED_TYPES } from "../worker/start_request.ts";
import { VERSION } from "../version.ts";
import { assemble, type Assembly } from "./assemble.ts";
import type { CommandContext } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import {
  accessRules,
  GAVE_UP,
  joinServer,
  openLog,
  type ServedParts,
  serveStatus,
  Stopping,
} from "./serve.ts";
import { DashboardCorner } from "./start_dashboard.ts";
import { readSettings, type StartSettings } from "./start_settings.ts";

/** Runs the command. Returns the exit code: 3 when the server was away for longer than it may be. */
export async function start(args: readonly string[], context: CommandContext): Promise<number> {
  const settings = await readSettings(args, context.environment);
  const print = (line: string) => context.print(redact(line));
  const corner = new DashboardCorner(settings);
  const log = openLog(settings, (log) => corner.logger(log));
  const stopping = new Stopping();
  using _signals = context.onStop((signal) => stopping.stop(signal));
  const parts: Parts = { stopping: false };
  const metrics = new Metrics({
    manager: () => parts.assembly?.manager.kind ?? "",
    sessionStates: () => parts.assembly?.worker.sessions.map((session) => session.state) ?? [],
    load: () => parts.assembly?.worker.load ?? 0,
    connected: () => parts.connection?.state === "connected",
  });
  await using _status = serveStatus(settings, metrics, parts, log);
  await using _dashboard = corner.serve(parts, log, context.print);
  await using assembly = parts.assembly = await assemble({
    cacheDir: settings.cacheDir,
    manager: settings.manager,
    cacheLimits: settings.cacheLimits,
    workingDir: settings.workingDir,
    maxSessions: settings.maxSessions,
    maxStageSize: settings.maxStageSize,
    maxWorkspaceSessions: settings.maxWorkspaceSessions,
    maxBuilds: settings.maxBuilds,
    maxWorkspaceBuilds: settings.maxWorkspaceBuilds,
    environment: context.environment,
    isolation: { mode: settings.isolation, hidden: settings.secretFiles },
    observe: (environments) => corner.watch(observeEnvironments(environments, { metrics })),
    log,
  });
  const { manager, worker } = assembly;
  print(banner(settings, manager.kind));
  manager.prepare();
  const methods = observeMethods(
    workerMethods({
      worker,
      environments: assembly.environments,
      admin: assembly.admin,
      rules: accessRules(settings),
      serverUrl: settings.serverUrl,
      token: settings.token,
      disableSsl: settings.disableSsl,
      limits: settings.limits,
      policy: settings.policy,
      onShutdown: () => stopping.stop("shutdown"),
    }),
    { log, metrics },
  );
  using orphans = new Orphans({
    timeout: settings.orphanTimeout,
    stop: (id) => worker.stop(id),
    log,
  });
  const connection = await joinServer({
    settings,
    methods,
    info: {
      name: `Conda Worker (${manager.kind})`,
      description:
        `Runs Python in conda environments made on demand with ${manager.kind} ${manager.version} ` +
        `(hypha-conda-worker ${VERSION})`,
      supportedTypes: SUPPORTED_TYPES,
    },
    metrics,
    log,
    stopping,
    onLost: () => orphans.add(worker.sessions.filter((session) => session.request.controlled)),
  });
  if (connection === undefined) return 0;
  parts.connection = connection;
  print(registered(settings, manager.kind, connection.serviceId));
  const reason = await stopping.reason;
  parts.stopping = true;
  log.info("Stopping", { reason, sessions: worker.sessions.length });
  if (reason !== GAVE_UP) await worker.drain(settings.drainTimeout);
  // Sessions end first, so that callers of running cells still get an answer.
  await worker[Symbol.asyncDispose]();
  await connection.close();
  if (reason === GAVE_UP) return EXIT.serverAway;
  print("Worker stopped.");
  return 0;
}

/** Parts of the worker as they come, for those who ask meanwhile. */
interface Parts extends ServedParts {
  assembly?: Assembly;
}

function banner(settings: StartSettings, manager: string): string {
  return `Starting Hypha Conda Environment Worker...
  Package Manager: ${manager}
  Server URL: ${settings.serverUrl}
  Workspace: ${settings.workspace}
  Service ID: ${settings.serviceId}
  Visibility: ${settings.visibility}
  Cache Dir: ${settings.cacheDir}
`;
}

function registered(settings: StartSettings, manager: string, id: string): string {
  const types = SUPPORTED_TYPES.map((type) => `'${type}'`).join(", ");
  return `✅ Conda Environment Worker (using ${manager}) registered successfully!
   Service ID: ${id}
   Supported types: [${types}]
   Visibility: ${settings.visibility}

Worker is ready to process conda environment requests...
Press Ctrl+C to stop the worker.`;
}
