/** Joining a Hypha server and staying there: what the commands that serve as a worker share. */
import type { Listening } from "../listen.ts";
import { createLogger, type Logger } from "../log.ts";
import { connectWorker, type WorkerConnection } from "../service/connection.ts";
import type { Metrics } from "../service/metrics.ts";
import { registerWorker, type ServiceInfo } from "../service/register.ts";
import { startStatusServer } from "../service/status_server.ts";
import type { AccessRules } from "../worker/access.ts";
import type { Method } from "../worker/method.ts";
import type { ServerSettings } from "./server_settings.ts";

/** Why a worker stops whose server was away for longer than it may be. */
export const GAVE_UP = "the server was away for too long";

/** Whether and why a worker is to stop. */
export class Stopping {
  readonly #resolvers = Promise.withResolvers<string>();
  readonly #controller = new AbortController();

  /** The first reason. */
  get reason(): Promise<string> {
    return this.#resolvers.promise;
  }

  /** Fires as soon as there is one. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Has the worker stop; does nothing the second time. */
  stop(reason: string): void {
    this.#resolvers.resolve(reason);
    this.#controller.abort(new Error(reason));
  }
}

/** The connection as it comes, for those who ask meanwhile. */
export interface ServedParts {
  connection?: WorkerConnection;
  stopping: boolean;
}

/** The operator's log, as the settings want it. */
export function openLog(
  settings: ServerSettings,
  wrap: (log: Logger) => Logger = (log) => log,
): Logger {
  const level = settings.verbose ? "debug" : "info";
  const log = wrap(createLogger({ level, format: settings.logFormat }));
  if (settings.configuration !== undefined) {
    log.info("Configuration file", { path: settings.configuration });
  }
  return log;
}

/** Whom the worker serves. */
export function accessRules(settings: ServerSettings): AccessRules {
  return {
    workspace: settings.workspace,
    public: settings.visibility === "public",
    authorizedWorkspaces: settings.authorizedWorkspaces,
  };
}

/**
 * Serves status and figures from the start on, when that is wanted.
 *
 * @param problem why calls cannot be answered although the server is connected
 */
export function serveStatus(
  settings: ServerSettings,
  metrics: Metrics,
  parts: ServedParts,
  log: Logger,
  problem: () => string | undefined = () => undefined,
): Listening | undefined {
  if (settings.metrics === undefined) return undefined;
  const notReady = () => {
    if (parts.stopping) return "the worker is shutting down";
    if (parts.connection?.state !== "connected") return "the Hypha server is not connected";
    return problem();
  };
  return startStatusServer({ ...settings.metrics, metrics, notReady, log });
}

/** What {@linkcode joinServer} needs. */
export interface JoinOptions {
  readonly settings: ServerSettings;
  readonly methods: readonly Method[];
  readonly info: Pick<ServiceInfo, "name" | "description" | "supportedTypes">;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly stopping: Stopping;
  /** Called when the connection is lost: the server forgets what its app controller had started. */
  readonly onLost: () => void;
}

/**
 * Joins the server and registers the service; `undefined` when the worker is to stop before.
 *
 * @throws WorkerError `connection_failed`
 */
export async function joinServer(options: JoinOptions): Promise<WorkerConnection | undefined> {
  const { settings, methods, metrics, log, stopping } = options;
  const info: ServiceInfo = {
    ...options.info,
    id: settings.serviceId,
    visibility: settings.visibility,
    ...(settings.authorizedWorkspaces
      ? { authorizedWorkspaces: settings.authorizedWorkspaces }
      : {}),
    useLocalUrl: settings.useLocalUrl,
  };
  try {
    return await connectWorker({
      serverUrl: settings.serverUrl,
      workspace: settings.workspace,
      token: settings.token,
      clientId: settings.clientId,
      log,
      signal: stopping.signal,
      onEvent: (event) => {
        metrics.connection(event);
        if (event.type === "gave_up") stopping.stop(GAVE_UP);
        if (event.type === "lost") options.onLost();
      },
      giveUpAfter: settings.reconnectTimeout,
      ...(settings.heartbeat === undefined ? {} : {
        checkInterval: settings.heartbeat,
        checkTimeout: Math.min(settings.heartbeat, 10_000),
      }),
      register: (server) => registerWorker(server, { methods, info, log }),
    });
  } catch (error) {
    if (stopping.signal.aborted) return undefined;
    throw error;
  }
}
