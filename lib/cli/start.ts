/** `start`: joins a Hypha server and serves until it is told to stop. */
import { createLogger, type Logger, redact } from "../log.ts";
import { connectWorker, type WorkerConnection } from "../service/connection.ts";
import { Metrics } from "../service/metrics.ts";
import { observeEnvironments, observeMethods } from "../service/observe.ts";
import type { Listening } from "../listen.ts";
import { startStatusServer } from "../service/status_server.ts";
import { registerWorker, type ServiceInfo } from "../service/register.ts";
import type { AccessRules } from "../worker/access.ts";
import { Orphans } from "../worker/orphans.ts";
import { workerMethods } from "../worker/methods.ts";
import { SUPPORTED_TYPES } from "../worker/start_request.ts";
import { VERSION } from "../version.ts";
import { assemble, type Assembly } from "./assemble.ts";
import type { CommandContext } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { DashboardCorner } from "./start_dashboard.ts";
import { readSettings, type StartSettings } from "./start_settings.ts";

const GAVE_UP = "the server was away for too long";

/** Runs the command. Returns the exit code: 3 when the server was away for longer than it may be. */
export async function start(args: readonly string[], context: CommandContext): Promise<number> {
  const settings = await readSettings(args, context.environment);
  const print = (line: string) => context.print(redact(line));
  const corner = new DashboardCorner(settings);
  const log = corner.logger(createLogger({
    level: settings.verbose ? "debug" : "info",
    format: settings.logFormat,
  }));
  if (settings.configuration !== undefined) {
    log.info("Configuration file", { path: settings.configuration });
  }
  const stopping = Promise.withResolvers<string>();
  using _signals = context.onStop((signal) => stopping.resolve(signal));
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
  const rules: AccessRules = {
    workspace: settings.workspace,
    public: settings.visibility === "public",
    authorizedWorkspaces: settings.authorizedWorkspaces,
  };
  const methods = observeMethods(
    workerMethods({
      worker,
      environments: assembly.environments,
      admin: assembly.admin,
      rules,
      serverUrl: settings.serverUrl,
      token: settings.token,
      disableSsl: settings.disableSsl,
      limits: settings.limits,
      policy: settings.policy,
      onShutdown: () => stopping.resolve("shutdown"),
    }),
    { log, metrics },
  );
  const info: ServiceInfo = {
    id: settings.serviceId,
    name: `Conda Worker (${manager.kind})`,
    description:
      `Runs Python in conda environments made on demand with ${manager.kind} ${manager.version} ` +
      `(hypha-conda-worker ${VERSION})`,
    visibility: settings.visibility,
    ...(settings.authorizedWorkspaces
      ? { authorizedWorkspaces: settings.authorizedWorkspaces }
      : {}),
    supportedTypes: SUPPORTED_TYPES,
    useLocalUrl: settings.useLocalUrl,
  };
  using orphans = new Orphans({
    timeout: settings.orphanTimeout,
    stop: (id) => worker.stop(id),
    log,
  });
  const connecting = new AbortController();
  stopping.promise.then((reason) => connecting.abort(new Error(reason)));
  let connection: WorkerConnection;
  try {
    connection = parts.connection = await connectWorker({
      serverUrl: settings.serverUrl,
      workspace: settings.workspace,
      token: settings.token,
      clientId: settings.clientId,
      log,
      signal: connecting.signal,
      onEvent: (event) => {
        metrics.connection(event);
        if (event.type === "gave_up") stopping.resolve(GAVE_UP);
        if (event.type === "lost") {
          orphans.add(worker.sessions.filter((session) => session.request.controlled));
        }
      },
      giveUpAfter: settings.reconnectTimeout,
      ...(settings.heartbeat === undefined ? {} : {
        checkInterval: settings.heartbeat,
        checkTimeout: Math.min(settings.heartbeat, 10_000),
      }),
      register: (server) => registerWorker(server, { methods, info, log }),
    });
  } catch (error) {
    if (connecting.signal.aborted) return 0;
    throw error;
  }
  print(registered(settings, manager.kind, connection.serviceId));
  const reason = await stopping.promise;
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
interface Parts {
  assembly?: Assembly;
  connection?: WorkerConnection;
  stopping: boolean;
}

/** Serves status and figures from the start on, when that is wanted. */
function serveStatus(
  settings: StartSettings,
  metrics: Metrics,
  parts: Parts,
  log: Logger,
): Listening | undefined {
  if (settings.metrics === undefined) return undefined;
  const notReady = () => {
    if (parts.stopping) return "the worker is shutting down";
    if (parts.connection?.state !== "connected") return "the Hypha server is not connected";
    return undefined;
  };
  return startStatusServer({ ...settings.metrics, metrics, notReady, log });
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
