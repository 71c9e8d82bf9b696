/** `k8s`: joins a Hypha server as a worker that starts Kubernetes jobs, and serves until it is told to stop. */
import { KubernetesClient } from "../kubernetes/api/client.ts";
import { loadConfiguration } from "../kubernetes/api/configuration.ts";
import type { JobSettings } from "../kubernetes/jobs/settings.ts";
import { checkAccess, neededRights } from "../kubernetes/worker/access_check.ts";
import { kubernetesMethods } from "../kubernetes/worker/methods.ts";
import { KubernetesWorker } from "../kubernetes/worker/worker.ts";
import { WorkerError } from "../errors.ts";
import { type Logger, redact } from "../log.ts";
import { findService } from "../service/find_service.ts";
import { Metrics } from "../service/metrics.ts";
import { observeMethods } from "../service/observe.ts";
import { VERSION } from "../version.ts";
import { Orphans } from "../worker/orphans.ts";
import type { CommandContext } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { type K8sSettings, readK8sSettings } from "./k8s_settings.ts";
import {
  accessRules,
  GAVE_UP,
  joinServer,
  openLog,
  type ServedParts,
  serveStatus,
  Stopping,
} from "./serve.ts";

/** Parts of the worker as they come, for those who ask meanwhile. */
interface Parts extends ServedParts {
  worker?: KubernetesWorker;
}

/** Runs the command. Returns the exit code: 3 when the server was away for longer than it may be. */
export async function k8s(args: readonly string[], context: CommandContext): Promise<number> {
  const settings = await readK8sSettings(args, context.environment);
  const print = (line: string) => context.print(redact(line));
  const log = openLog(settings);
  const stopping = new Stopping();
  using _signals = context.onStop((signal) => stopping.stop(signal));
  const parts: Parts = { stopping: false };
  const metrics = new Metrics({
    manager: () => "kubernetes",
    sessionStates: () => parts.worker?.sessions.map((session) => session.state) ?? [],
    load: () => parts.worker?.load ?? 0,
    connected: () => parts.connection?.state === "connected",
  });
  const problem = () => {
    const reason = parts.worker?.problem;
    return reason === undefined ? undefined : `Kubernetes cannot be watched: ${reason}`;
  };
  await using _status = serveStatus(settings, metrics, parts, log, problem);
  await using configuration = await loadConfiguration({
    kubeconfig: settings.kubeconfig,
    context: settings.context,
    env: { get: context.environment },
  });
  using client = new KubernetesClient(configuration);
  const jobs: JobSettings = {
    ...settings.jobs,
    namespace: settings.namespace ?? configuration.namespace,
  };
  print(banner(settings, jobs, configuration));
  try {
    const rights = neededRights(jobs.sessionTokens);
    await checkAccess(client, jobs.namespace, rights, log, stopping.signal);
  } catch (error) {
    if (stopping.signal.aborted) return EXIT.ok;
    throw error;
  }
  await using worker = parts.worker = await KubernetesWorker.open({
    client,
    settings: jobs,
    log,
    find: (id) => lookUp(parts, id),
    maxSessions: settings.maxSessions,
    maxWorkspaceSessions: settings.maxWorkspaceSessions,
    startTimeout: settings.startTimeout,
  });
  using orphans = orphansOf(settings, worker, log);
  const methods = observeMethods(
    kubernetesMethods({
      worker,
      rules: accessRules(settings),
      settings: jobs,
      serverUrl: settings.serverUrl,
      podServerUrl: settings.podServerUrl,
      onShutdown: () => stopping.stop("shutdown"),
    }),
    { log, metrics },
  );
  const connection = await joinServer({
    settings,
    methods,
    info: {
      name: "Kubernetes Worker",
      description:
        `Starts Kubernetes jobs in namespace ${jobs.namespace} (hypha-conda-worker ${VERSION})`,
      supportedTypes: jobs.types,
    },
    metrics,
    log,
    stopping,
    onLost: () => orphans?.add(worker.activeSessions.filter((one) => one.facts.controlled)),
  });
  if (connection === undefined) return EXIT.ok;
  parts.connection = connection;
  print(registered(settings, jobs, connection.serviceId));
  const reason = await stopping.reason;
  parts.stopping = true;
  log.info("Stopping", { reason, sessions: worker.activeSessions.length });
  const { length: left } = worker.activeSessions;
  await worker[Symbol.asyncDispose]();
  await connection.close();
  if (left > 0 && reason !== "shutdown") {
    log.info("Jobs go on; a worker with the same worker id finds them again", {
      sessions: left,
      worker_id: jobs.workerId,
    });
  }
  if (reason === GAVE_UP) return EXIT.serverAway;
  print("Worker stopped.");
  return EXIT.ok;
}

async function lookUp({ connection }: Parts, id: string): Promise<string | undefined> {
  if (connection !== undefined) return await findService(connection.server, id);
  throw new WorkerError("connection_failed", "Cannot look for a service: not connected yet");
}

function orphansOf(
  { orphanTimeout }: K8sSettings,
  worker: KubernetesWorker,
  log: Logger,
): Orphans | undefined {
  if (orphanTimeout === undefined) return undefined;
  return new Orphans({ timeout: orphanTimeout, stop: (id) => worker.stop(id), log });
}

function banner(
  settings: K8sSettings,
  jobs: JobSettings,
  kubernetes: { server: string; source: string },
): string {
  return `Starting Hypha Kubernetes Worker...
  Kubernetes: ${kubernetes.server} (${kubernetes.source})
  Namespace: ${jobs.namespace}
  Server URL: ${settings.serverUrl}
  Workspace: ${settings.workspace}
  Service ID: ${settings.serviceId}
  Visibility: ${settings.visibility}
  Worker ID: ${jobs.workerId}
`;
}

function registered(settings: K8sSettings, jobs: JobSettings, id: string): string {
  const types = jobs.types.map((type) => `'${type}'`).join(", ");
  return `✅ Kubernetes Worker registered successfully!
   Service ID: ${id}
   Supported types: [${types}]
   Visibility: ${settings.visibility}

Worker is ready to start jobs in namespace ${jobs.namespace}...
Press Ctrl+C to stop the worker; jobs go on.`;
}
