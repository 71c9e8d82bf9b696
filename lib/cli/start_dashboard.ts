/** The dashboard of `start`: its settings, and what it shows and does. */
import { freeBytes } from "../environments/space.ts";
import { Builds } from "../dashboard/builds.ts";
import { type Dashboard, startDashboard } from "../dashboard/dashboard.ts";
import { bothLoggers, LogTail } from "../dashboard/log_tail.ts";
import type { DashboardActions, WorkerFacts } from "../dashboard/sources.ts";
import { WorkerError } from "../errors.ts";
import { addSecret, createLogger, type Logger } from "../log.ts";
import type { WorkerConnection } from "../service/connection.ts";
import { VERSION } from "../version.ts";
import type { Environments } from "../worker/starting.ts";
import type { Worker } from "../worker/worker.ts";
import type { Assembly } from "./assemble.ts";
import { portOption } from "./numbers.ts";
import { usage } from "./option.ts";
import type { StartSettings } from "./start_settings.ts";

/** Shorter tokens can be guessed (characters). */
const MIN_TOKEN = 16;

/** Where the dashboard is served, and what opens it. */
export interface DashboardSettings {
  readonly port: number;
  readonly hostname: string;
  /** Without one a random token is made at each start. */
  readonly token: string | undefined;
}

/** Reads the settings; `undefined` when there is to be none. Throws `usage`. */
export function readDashboardSettings(
  text: (name: string) => string | undefined,
): DashboardSettings | undefined {
  const port = text("dashboard-port");
  const token = text("dashboard-token");
  addSecret(token);
  if (port === undefined) return undefined;
  const number = portOption("dashboard-port", port);
  if (token !== undefined && !(/^[\x21-\x7e]+$/.test(token) && token.length >= MIN_TOKEN)) {
    throw usage(
      `--dashboard-token must have at least ${MIN_TOKEN} characters, ASCII without spaces`,
    );
  }
  return { port: number, hostname: text("dashboard-host") ?? "127.0.0.1", token };
}

/** Parts of the worker as they come. */
export interface WorkerParts {
  readonly assembly?: Assembly;
  readonly connection?: WorkerConnection;
  readonly stopping: boolean;
}

/** What `start` does for the dashboard, or nothing when there is to be none. */
export class DashboardCorner {
  readonly #settings: StartSettings;
  readonly #builds = new Builds();
  readonly #tail = new LogTail();
  readonly #started = new Date();

  /** Nothing is served yet. */
  constructor(settings: StartSettings) {
    this.#settings = settings;
  }

  /** The log; its end is kept when there is to be a dashboard. */
  logger(log: Logger): Logger {
    if (this.#settings.dashboard === undefined) return log;
    const level = this.#settings.verbose ? "debug" : "info";
    return bothLoggers(log, createLogger({ level, write: this.#tail.add }));
  }

  /** Environments, watched when there is to be a dashboard. */
  watch(environments: Environments): Environments {
    return this.#settings.dashboard === undefined ? environments : this.#builds.watch(environments);
  }

  /**
   * Serves the dashboard and prints how to open it. Throws `usage` when it cannot listen there.
   *
   * @param print writes a line as it is: the link that opens the dashboard is told here and nowhere else
   */
  serve(parts: WorkerParts, log: Logger, print: (line: string) => void): Dashboard | undefined {
    const { dashboard } = this.#settings;
    if (dashboard === undefined) return undefined;
    const token = dashboard.token ?? crypto.getRandomValues(new Uint8Array(24)).toHex();
    const served = startDashboard({
      port: dashboard.port,
      hostname: dashboard.hostname,
      token,
      hosts: [Deno.hostname()],
      sources: {
        worker: () => this.#facts(parts),
        sessions: () => parts.assembly?.worker.sessions ?? [],
        environments: () => parts.assembly?.admin.list() ?? Promise.resolve([]),
        freeBytes: () => freeBytes(this.#settings.cacheDir),
        builds: this.#builds,
        log: this.#tail,
      },
      actions: dashboardActions(parts),
      log,
    });
    // Behind the # it is never sent to a server, so it is in no log but this line.
    print(`Dashboard: ${served.url}${dashboard.token === undefined ? `#token=${token}` : ""}`);
    return served;
  }

  #facts({ assembly, connection, stopping }: WorkerParts): WorkerFacts {
    const settings = this.#settings;
    const state = stopping
      ? "stopping"
      : connection === undefined
      ? "starting"
      : connection.state === "connected"
      ? "connected"
      : "reconnecting";
    return {
      version: VERSION,
      manager: assembly === undefined
        ? null
        : `${assembly.manager.kind} ${assembly.manager.version}`,
      server_url: settings.serverUrl,
      workspace: settings.workspace,
      service_id: connection?.serviceId ?? settings.serviceId,
      client_id: settings.clientId,
      visibility: settings.visibility,
      state,
      reconnects: connection?.reconnects ?? 0,
      last_contact: connection === undefined
        ? null
        : new Date(connection.lastContact).toISOString(),
      started_at: this.#started.toISOString(),
      load: assembly?.worker.load ?? 0,
      max_sessions: settings.maxSessions ?? null,
      isolation: settings.isolation,
      cache_dir: settings.cacheDir,
    };
  }
}

/** What the operator can do; each throws what the worker throws. */
export function dashboardActions(parts: WorkerParts): DashboardActions {
  const assembly = (): Assembly => {
    if (parts.assembly !== undefined) return parts.assembly;
    throw new WorkerError("session_not_ready", "Cannot do that: the worker is starting");
  };
  const running = (worker: Worker, id: string) => {
    const session = worker.sessions.find((one) => one.id === id);
    if (session !== undefined) return session;
    throw new WorkerError("session_not_found", `Cannot find session ${id}: it has ended`);
  };
  return {
    stop: async (id) => {
      const { worker } = assembly();
      running(worker, id);
      await worker.stop(id);
    },
    interrupt: async (id) => await running(assembly().worker, id).interrupt(),
    remove: async (key) => {
      const { admin, worker } = assembly();
      const { prefix } = await admin.get(key);
      await worker.endIdle(prefix);
      await admin.remove(key);
    },
  };
}
