/**
 * What the worker does, with no transport: starts sessions in environments, runs code in them, ends them.
 *
 * Calls are serialised per session (its queue) and per environment (its build); everything else runs at once.
 */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import { delay, settledWithin } from "../delay.ts";
import { messageOf, WorkerError } from "../errors.ts";
import type { IsolationOptions } from "../interpreter/options.ts";
import type { Switchboard } from "../interpreter/switchboard.ts";
import type { Logger } from "../log.ts";
import { BuildLimits } from "./build_limits.ts";
import { checkDevices } from "./devices.ts";
import { EndedSessions } from "./ended_sessions.ts";
import type { Kernels } from "./kernels.ts";
import { Session } from "./session.ts";
import type { StartRequest } from "./start_request.ts";
import { type Environments, type StartHooks, startSteps } from "./starting.ts";

/** What a worker consists of. */
export interface WorkerOptions {
  environments: Environments;
  kernels: Kernels;
  switchboard: Switchboard;
  /** Sessions get directories below it. */
  workingDirectory: string;
  log: Logger;
  /** Sessions at once. @default 200 */
  maxSessions?: number;
  /** Most bytes of the files staged for one session. @default 50 GiB */
  maxStageSize?: number;
  /** Sessions at once of one workspace. @default no limit but that of all */
  maxWorkspaceSessions?: number;
  /** Environments in the making at once. @default 32 */
  maxBuilds?: number;
  /** Environments in the making at once for one workspace. @default no limit but that of all */
  maxWorkspaceBuilds?: number;
  /** Executions of one session that may wait. @default 64 */
  queueLimit?: number;
  /** Variables of the worker that sessions get too. @default none */
  passedVariables?: Readonly<Record<string, string>>;
  /** From what sessions are kept, besides each other's directories. @default nothing, they may do what the worker may */
  isolation?: Omit<IsolationOptions, "sessions">;
  /** The time. @default the system's */
  now?: () => Date;
}

/** `setTimeout` takes 31 bits of milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Longest time files are saved when the worker ends (milliseconds): those who end it do not wait much longer. */
const SHUTDOWN_SAVE_TIME = 20_000;

/** Sessions of this worker. */
export class Worker implements AsyncDisposable {
  /** Environments that workspaces wait for. */
  readonly builds: BuildLimits;
  readonly #options: WorkerOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #ended = new EndedSessions<Session>();
  readonly #now: () => Date;
  /** Workers may share a working directory. */
  readonly #salt = crypto.randomUUID();
  #stopping = false;

  /** A worker without sessions. */
  constructor(options: WorkerOptions) {
    this.#options = options;
    this.builds = new BuildLimits({
      total: options.maxBuilds,
      perWorkspace: options.maxWorkspaceBuilds,
    });
    this.#now = options.now ?? (() => new Date());
  }

  /** Sessions that have not ended. */
  get sessions(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  /** A session, also one that has ended a while ago. Throws `session_not_found`. */
  anySession(id: string): Session {
    const session = this.#sessions.get(id) ?? this.#ended.get(id);
    if (session === undefined) throw notFound(id);
    return session;
  }

  /** How full the worker is, from 0 to 1 and beyond. */
  get load(): number {
    return this.#sessions.size / this.#maxSessions;
  }

  get #maxSessions(): number {
    return this.#options.maxSessions ?? 200;
  }

  /** Names from outside never become paths: directories are named by hash, which differs in each worker. */
  async #directoryName(id: string): Promise<string> {
    const bytes = new TextEncoder().encode(`${this.#salt}/${id}`);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return `session-${digest.toHex().slice(0, 16)}`;
  }

  /**
   * Starts a session: environment, files, Python, entry script. When it throws, nothing is left but the log.
   */
  async start(request: StartRequest, hooks: StartHooks): Promise<Session> {
    const { id } = request;
    const passedVariables = this.#options.passedVariables ?? {};
    checkDevices(request.env, passedVariables, "config.manifest.env");
    const directory = join(this.#options.workingDirectory, await this.#directoryName(id));
    // From here to where the session is entered there must be no turn of the event loop.
    if (this.#stopping) {
      throw new WorkerError("worker_stopping", "Cannot start session: the worker is shutting down");
    }
    if (this.#sessions.has(id)) {
      throw new WorkerError("session_exists", `Session ${id} already exists`);
    }
    if (this.#sessions.size >= this.#maxSessions) {
      throw new WorkerError(
        "too_many_sessions",
        `Cannot start session: the worker runs ${this.#sessions.size} sessions already`,
      );
    }
    this.#checkShare(request.workspace);
    hooks.signal?.throwIfAborted();
    const session = new Session({
      request,
      directory,
      switchboard: this.#options.switchboard,
      log: this.#options.log,
      now: this.#now,
      queueLimit: this.#options.queueLimit ?? 64,
      passedVariables,
      isolation: {
        ...this.#options.isolation ?? { mode: "off", hidden: [], writable: [] },
        sessions: this.#options.workingDirectory,
      },
    });
    this.#sessions.set(id, session);
    const onProgress = session.reporter(hooks.onProgress);
    const { log } = this.#options;
    log.info("Starting session", { session: request.id, app: request.appId });
    const onAbort = () => void this.#end(session);
    hooks.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await ensureDir(this.#options.workingDirectory);
      await session.start(() =>
        startSteps(session, { ...this.#options, builds: this.builds }, { ...hooks, onProgress })
      );
      this.#limitLife(session);
      onProgress({ type: "success", message: `Session ${request.id} started successfully` });
      log.info("Session started", { session: request.id });
      return session;
    } catch (error) {
      session.log.add("error", messageOf(error));
      log.warning("Session did not start", { session: request.id, reason: messageOf(error) });
      this.#retire(session);
      throw error;
    } finally {
      hooks.signal?.removeEventListener("abort", onAbort);
    }
  }

  /** One tenant must not take all places. */
  #checkShare(workspace: string): void {
    const limit = this.#options.maxWorkspaceSessions ?? Infinity;
    let count = 0;
    for (const session of this.#sessions.values()) {
      if (session.request.workspace === workspace) count++;
    }
    if (count < limit) return;
    throw new WorkerError(
      "too_many_sessions",
      `Cannot start session: workspace ${workspace} has ${count} sessions here already`,
      {
        context: { workspace, limit },
        suggestion: "Stop sessions of your workspace that are not needed.",
      },
    );
  }

  /** Ends a session that lives too long, or in which nothing has been executed for too long. */
  #limitLife(session: Session): void {
    const { idleTimeout, maxLifetime } = session.request.limits;
    const end = (reason: string) => {
      session.log.add("info", `Session ended: ${reason}`);
      this.#options.log.info("Session ended", { session: session.id, reason });
      this.#end(session);
    };
    const later = (milliseconds: number, action: () => void) => {
      delay(Math.min(milliseconds, LONGEST_TIMER), session.signal).then(
        () => milliseconds > LONGEST_TIMER ? later(milliseconds - LONGEST_TIMER, action) : action(),
        () => {},
      );
    };
    if (maxLifetime !== undefined) later(maxLifetime, () => end("it has reached its greatest age"));
    if (idleTimeout === undefined) return;
    const check = () => {
      const idle = this.#now().getTime() - session.lastActive.getTime();
      if (session.pendingExecutions > 0) later(idleTimeout, check);
      else if (idle < idleTimeout) later(idleTimeout - idle, check);
      else end("nothing was executed for too long");
    };
    later(idleTimeout, check);
  }

  /**
   * Ends a session. Resolves when nothing of it is left; one that has ended is no error.
   *
   * @param saveTime How long saving its files may take (milliseconds). @default 600000
   */
  async stop(id: string, saveTime?: number): Promise<void> {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    try {
      await session.end(saveTime);
    } finally {
      this.#retire(session);
    }
    this.#options.log.info("Session stopped", { session: id });
  }

  /** Ends a session that nobody waits for; never rejects. */
  async #end(session: Session): Promise<void> {
    try {
      await session.end();
    } catch (error) {
      this.#options.log.error("Cannot end a session", { reason: messageOf(error) });
    }
    this.#retire(session);
  }

  #retire(session: Session): void {
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    this.#ended.add(session);
  }

  /**
   * Refuses new sessions and executions, and waits for those that run, but no longer than the time given
   * (milliseconds). Entry scripts that serve for ever are not waited for.
   */
  async drain(timeout: number): Promise<void> {
    this.#stopping = true;
    const drained = this.sessions.map((session) => {
      const idle = session.drain();
      return session.serving || session.state === "starting" ? undefined : idle;
    });
    await settledWithin(Promise.all(drained), timeout);
  }

  /** Lets go of environments that no session uses any more: one, or all. Otherwise they are kept for a while. */
  async endIdle(prefix?: string): Promise<void> {
    await this.#options.kernels.endIdle(prefix);
  }

  /** Ends all sessions and refuses new ones. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    const results = await Promise.allSettled(
      [...this.#sessions.keys()].map((id) => this.stop(id, SHUTDOWN_SAVE_TIME)),
    );
    for (const result of results) {
      if (result.status === "rejected") {
        this.#options.log.error("Cannot end a session", { reason: messageOf(result.reason) });
      }
    }
    await this.#options.kernels[Symbol.asyncDispose]();
  }
}

function notFound(id: string): WorkerError {
  return new WorkerError("session_not_found", `Conda environment session ${id} not found`, {
    context: { session: id },
  });
}
