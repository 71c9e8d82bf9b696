/**
 * Sessions as jobs of Kubernetes, with no transport.
 *
 * The worker keeps nothing on disk: jobs carry labels that say whose they are and annotations that say which session
 * they are, so that a worker that was restarted, under the same worker id, goes on with the sessions it finds. One
 * watch of the jobs and one of the pods tell all that happens (`registry.ts`).
 */
import { settledWithin } from "../../delay.ts";
import { messageOf, WorkerError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { ProgressSink } from "../../progress.ts";
import type { KubernetesClient } from "../api/client.ts";
import { buildJob } from "../jobs/build.ts";
import { jobName } from "../jobs/names.ts";
import type { JobSettings } from "../jobs/settings.ts";
import { clusterError } from "./cluster_errors.ts";
import { type CommandOptions, type CommandResult, runCommand } from "./command.ts";
import type { FindService } from "./service_wait.ts";
import { SessionRegistry } from "./registry.ts";
import type { KubernetesSession } from "./session.ts";
import type { KubernetesStart } from "./start_request.ts";
import { deleteJob, reasonOf, StartProcedure } from "./starting.ts";

/** What {@linkcode KubernetesWorker} needs. Times are in milliseconds. */
export interface KubernetesWorkerOptions {
  readonly client: KubernetesClient;
  readonly settings: JobSettings;
  readonly log: Logger;
  /** Finds services of the Hypha server, with the worker's own rights. */
  readonly find: FindService;
  /** Sessions at once that have not finished. @default 200 */
  readonly maxSessions?: number | undefined;
  /** The same of one workspace. @default no limit but that of all */
  readonly maxWorkspaceSessions?: number | undefined;
  /** How long a pod may take to start. @default 300000 */
  readonly startTimeout?: number | undefined;
  /** How long something like a failed pull may last before it counts. @default 20000 */
  readonly patience?: number;
  /** How long the end of a session is waited for. @default 30000 */
  readonly stopTimeout?: number;
  /** @default the system's */
  readonly now?: () => Date;
}

/** Hooks of a start. */
export interface StartHooks {
  readonly onProgress: ProgressSink;
  readonly signal?: AbortSignal | undefined;
}

const LAST_OUTPUT_TIME = 3000;
/** Commands of one session at once. */
const MAX_COMMANDS = 32;

/** Sessions of a Kubernetes worker. */
export class KubernetesWorker implements AsyncDisposable {
  readonly #options: KubernetesWorkerOptions;
  readonly #registry: SessionRegistry;
  readonly #starts = new Map<KubernetesSession, AbortController>();
  readonly #stops = new Map<string, Promise<void>>();
  readonly #background = new Set<Promise<unknown>>();
  #stopping = false;

  private constructor(options: KubernetesWorkerOptions) {
    this.#options = options;
    const { client, settings, log } = options;
    this.#registry = new SessionRegistry({
      client,
      namespace: settings.namespace,
      workerId: settings.workerId,
      log,
      now: options.now ?? (() => new Date()),
      attended: (session) => this.#starts.has(session) || this.#stops.has(session.id),
    });
  }

  /**
   * A worker with the sessions it finds.
   *
   * @throws WorkerError `kubernetes_unavailable` or `kubernetes_forbidden`
   */
  static async open(options: KubernetesWorkerOptions): Promise<KubernetesWorker> {
    const worker = new KubernetesWorker(options);
    try {
      await worker.#registry.ready();
    } catch (error) {
      await worker[Symbol.asyncDispose]();
      throw clusterError(error, "find the sessions of this worker");
    }
    const { sessions, activeSessions } = worker;
    if (sessions.length > 0) {
      options.log.info("Found sessions of this worker", {
        sessions: sessions.length,
        running: activeSessions.length,
      });
    }
    return worker;
  }

  /** Sessions whose jobs are there, also finished ones. */
  get sessions(): readonly KubernetesSession[] {
    return this.#registry.sessions;
  }

  /** Sessions that run, or will. */
  get activeSessions(): readonly KubernetesSession[] {
    return this.sessions.filter((session) => !session.finished);
  }

  /** How full the worker is, from 0 to 1 and beyond. */
  get load(): number {
    return this.activeSessions.length / this.#maxSessions;
  }

  /** Why what is known of sessions may be old; `undefined` when all is well. */
  get problem(): string | undefined {
    return this.#registry.problem;
  }

  get #maxSessions(): number {
    return this.#options.maxSessions ?? 200;
  }

  /** A session, also one that ended a while ago. Throws `session_not_found`. */
  anySession(id: string): KubernetesSession {
    const session = this.#registry.get(id) ?? this.#registry.ended(id);
    if (session !== undefined) return session;
    throw new WorkerError("session_not_found", `Kubernetes session ${id} not found`, {
      context: { session: id },
    });
  }

  /** Starts a session. When it throws, nothing is left of it but its log. */
  async start(start: KubernetesStart, hooks: StartHooks): Promise<KubernetesSession> {
    const { client, settings, log } = this.#options;
    const { request } = start;
    const id = request.sessionId;
    const build = (name: string) => buildJob({ ...request, name }, settings);
    const built = build(jobName(id));
    const old = this.#registry.get(id);
    // From here to where the session is entered there must be no turn of the event loop.
    this.#checkRoom(id, request.workspace, old);
    hooks.signal?.throwIfAborted();
    const session = this.#registry.add({
      id,
      workspace: request.workspace,
      owner: request.owner,
      appId: request.appId ?? request.clientId,
      clientId: request.clientId,
      type: built.type,
      container: built.container,
      operatorSecrets: built.operatorSecrets,
      createdAt: request.now,
      controlled: start.controlled,
    });
    // The id of a session that has finished is free; its job makes room for the new one.
    if (old !== undefined) this.#inBackground(this.#delete(old));
    const stop = new AbortController();
    this.#starts.set(session, stop);
    const onAbort = () => stop.abort(hooks.signal?.reason);
    hooks.signal?.addEventListener("abort", onAbort, { once: true });
    const onProgress: ProgressSink = (progress) => {
      if (progress.phase !== "pod") session.log.add("progress", progress.message);
      hooks.onProgress(progress);
    };
    log.info("Starting session", { session: id, app: request.appId, type: built.type });
    onProgress({ type: "info", message: `Starting ${built.type} session`, phase: "start" });
    for (const message of built.warnings) onProgress({ type: "warning", message });
    try {
      await new StartProcedure({
        client,
        namespace: settings.namespace,
        session,
        build,
        onName: (name) => this.#registry.name(session, name),
        onJob: (job) => this.#registry.attach(session, job),
        find: this.#options.find,
        startTimeout: this.#options.startTimeout ?? 300_000,
        patience: this.#options.patience ?? 20_000,
        onProgress,
        signal: stop.signal,
        log,
      }).run(built);
      onProgress({ type: "success", message: `Session ${id} started successfully` });
      log.info("Session started", { session: id, job: session.jobName });
      return session;
    } catch (error) {
      const reason = reasonOf(error);
      session.log.add("error", reason);
      session.setFailed(session.situation.reason ?? "", reason);
      this.#registry.retire(session);
      log.warning("Session did not start", { session: id, reason });
      throw error;
    } finally {
      this.#starts.delete(session);
      hooks.signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Whether there is room for a session. */
  #checkRoom(id: string, workspace: string, old: KubernetesSession | undefined): void {
    if (this.#stopping) {
      throw new WorkerError("worker_stopping", "Cannot start session: the worker is shutting down");
    }
    if (old !== undefined && !old.finished) {
      throw new WorkerError("session_exists", `Session ${id} already exists`);
    }
    const active = this.activeSessions;
    if (active.length >= this.#maxSessions) {
      throw new WorkerError(
        "too_many_sessions",
        `Cannot start session: the worker runs ${active.length} sessions already`,
      );
    }
    const share = this.#options.maxWorkspaceSessions ?? Infinity;
    if (active.filter((one) => one.facts.workspace === workspace).length >= share) {
      throw new WorkerError(
        "too_many_sessions",
        `Cannot start session: workspace ${workspace} runs ${share} sessions already`,
      );
    }
  }

  /**
   * Runs a command in the container of a session.
   *
   * @throws WorkerError `session_not_ready`, `session_dead`, `queue_full`, or what the cluster says
   */
  async execute(
    session: KubernetesSession,
    command: Pick<CommandOptions, "command" | "timeout" | "onOutput" | "signal">,
  ): Promise<CommandResult> {
    const { client, settings } = this.#options;
    const pod = session.runningPod;
    if (pod === undefined) throw notRunning(session);
    if (session.pendingExecutions >= MAX_COMMANDS) {
      throw new WorkerError(
        "queue_full",
        `Cannot execute: ${MAX_COMMANDS} commands run in session ${session.id} already`,
      );
    }
    session.pendingExecutions++;
    session.touch();
    try {
      return await runCommand({
        ...command,
        client,
        namespace: settings.namespace,
        pod: pod.metadata!.name!,
        container: session.facts.container,
      });
    } finally {
      session.pendingExecutions--;
      session.touch();
    }
  }

  /** Ends a session. Resolves when its pods are gone or are ending; one that has ended is no error. */
  stop(id: string): Promise<void> {
    const session = this.#registry.get(id);
    const running = this.#stops.get(id);
    if (running !== undefined) return running;
    if (session === undefined) return Promise.resolve();
    const stopped = this.#stop(session).finally(() => this.#stops.delete(id));
    this.#stops.set(id, stopped);
    return stopped;
  }

  async #stop(session: KubernetesSession): Promise<void> {
    const { log, stopTimeout = 30_000 } = this.#options;
    const starting = this.#starts.get(session);
    if (starting !== undefined) {
      session.setStopping();
      // The start cleans up after itself.
      starting.abort(
        new WorkerError(
          "start_cancelled",
          `Cannot start session ${session.id}: it was stopped while it was starting`,
        ),
      );
      await settledWithin(aborted(session.signal), stopTimeout);
      return;
    }
    if (!session.finished) session.setStopping();
    await settledWithin(session.catchUp(), LAST_OUTPUT_TIME);
    try {
      await this.#delete(session);
    } catch (error) {
      session.setStopping(false);
      throw error;
    }
    const deadline = AbortSignal.timeout(stopTimeout);
    while (session.staying.length > 0 && !deadline.aborted) {
      await session.changedWithin(stopTimeout, session.revision, deadline).catch(() => {});
    }
    if (session.staying.length > 0) {
      log.warning("The pods of a stopped session are still there", { session: session.id });
    }
    session.setGone();
    this.#registry.retire(session);
    log.info("Session stopped", { session: session.id });
  }

  async #delete(session: KubernetesSession): Promise<void> {
    const { client, settings } = this.#options;
    try {
      const uid = session.job?.metadata?.uid;
      await deleteJob(client, settings.namespace, session.jobName, uid);
    } catch (error) {
      throw clusterError(error, `stop session ${session.id}`);
    }
  }

  #inBackground(work: Promise<unknown>): void {
    const done = work.catch((error) =>
      this.#options.log.warning("Cannot finish what was begun", { reason: messageOf(error) })
    ).finally(() => this.#background.delete(done));
    this.#background.add(done);
  }

  /** Ends this process' part: jobs go on, but for those whose start nobody waits for any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    const starts = [...this.#starts];
    for (const [, stop] of starts) {
      stop.abort(
        new WorkerError("worker_stopping", "Cannot start session: the worker is shutting down"),
      );
    }
    await settledWithin(Promise.all(starts.map(([session]) => aborted(session.signal))), 10_000);
    await settledWithin(Promise.all([...this.#background]), 5000);
    await this.#registry[Symbol.asyncDispose]();
  }
}

function notRunning(session: KubernetesSession): WorkerError {
  const { state, situation } = session;
  const ended = session.finished || state === "stopping";
  return new WorkerError(
    ended ? "session_dead" : "session_not_ready",
    `Cannot execute: session ${session.id} is ${state}: ${situation.message}`,
    ended ? { suggestion: "Start the session again. get_logs shows its output." } : {},
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
