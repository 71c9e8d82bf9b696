/** The start of a session: its objects are created, and followed until its pod runs or cannot. */
import { delay, settledWithin } from "../../delay.ts";
import { messageOf, WorkerError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { ProgressSink } from "../../progress.ts";
import type { KubernetesClient } from "../api/client.ts";
import { hasReason, KubernetesError } from "../api/errors.ts";
import { jobs, secrets } from "../api/resource_path.ts";
import type { Job, Secret } from "../api/types.ts";
import { ANNOTATIONS } from "../jobs/marks.ts";
import { jobName } from "../jobs/names.ts";
import type { BuiltJob } from "../jobs/types.ts";
import { clusterError } from "./cluster_errors.ts";
import { watchRefusals } from "./pod_refusals.ts";
import { situationOf } from "./reasons.ts";
import { type KubernetesSession, sentence } from "./session.ts";
import { type FindService, serviceBefore, waitForService } from "./service_wait.ts";

/** What {@linkcode StartProcedure} needs. */
export interface StartOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly session: KubernetesSession;
  /** Makes the objects; the job's name may have to be chosen twice. */
  readonly build: (name: string) => BuiltJob;
  /** Called with the name a job is about to get. */
  readonly onName: (name: string) => void;
  /** Called with the job when it was created. */
  readonly onJob: (job: Job) => void;
  readonly find: FindService;
  /** How long the pod may take to start when the manifest does not say (milliseconds). */
  readonly startTimeout: number;
  /** How long to wait for what may pass by itself, such as a failed pull (milliseconds). */
  readonly patience: number;
  readonly onProgress: ProgressSink;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Names that are tried when the first is taken. */
const MAX_NAMES = 3;
/** How long a job may be without a pod before it is looked why (milliseconds). */
const POD_PATIENCE = 3000;
const MIN_POD_PATIENCE = 50;
/** Lines and characters of output that an error shows. */
const TAIL_LINES = 20;
const TAIL_CHARACTERS = 2000;
const TAIL_TIME = 5000;
const DELETE_TRIES = 4;

/** One start. */
export class StartProcedure {
  readonly #options: StartOptions;

  /** Nothing is done yet. */
  constructor(options: StartOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the pod runs or has succeeded, and the service that is waited for is there. When it throws, nothing
   * is left in the cluster.
   */
  async run(built: BuiltJob): Promise<void> {
    const { session, find, onProgress, signal } = this.#options;
    const { waitForService: service } = built;
    try {
      const before = await serviceBefore(service, find);
      signal.throwIfAborted();
      const made = await this.#create(built);
      onProgress({ type: "info", message: `Job ${session.jobName} was created`, phase: "create" });
      await this.#untilRunning(made);
      if (service === undefined) return;
      await waitForService({
        session,
        service,
        before,
        timeout: built.serviceTimeout * 1000,
        find,
        onProgress,
        signal,
      });
    } catch (error) {
      throw await this.#fail(error);
    }
  }

  /** Creates the job, then what it needs: the secret belongs to the job from its first moment, and goes with it. */
  async #create(first: BuiltJob): Promise<BuiltJob> {
    const { client, namespace, session, build, onName, onJob, signal } = this.#options;
    let built = first;
    for (let attempt = 1;; attempt++) {
      onName(built.job.metadata!.name!);
      try {
        const job = await client.create<Job>(jobs(namespace), built.job, { signal });
        onJob(job);
        break;
      } catch (error) {
        if (!hasReason(error, "AlreadyExists") || attempt === MAX_NAMES) throw error;
        await this.#checkTaken(built.job);
        built = build(jobName(session.id, crypto.randomUUID()));
      }
    }
    if (built.secret !== undefined) await this.#createSecret(built.secret, session.job!);
    return built;
  }

  /** A name may be taken by this very session, which another process of the worker has just started. */
  async #checkTaken({ metadata }: Job): Promise<void> {
    const { client, namespace, session, signal } = this.#options;
    let taken: Job;
    try {
      taken = await client.get<Job>(jobs(namespace, metadata!.name!), { signal });
    } catch (error) {
      if (hasReason(error, "NotFound")) return;
      throw error;
    }
    const same = [ANNOTATIONS.sessionId, ANNOTATIONS.startedBy].every((key) =>
      taken.metadata?.annotations?.[key] === metadata!.annotations?.[key]
    );
    const { phase } = situationOf(taken, [], session.facts.container);
    const ended = taken.metadata?.deletionTimestamp !== undefined || phase === "failed" ||
      phase === "succeeded";
    if (!same || ended) return;
    throw new WorkerError("session_exists", `Session ${session.id} already exists`);
  }

  async #createSecret(secret: Secret, { metadata }: Job): Promise<void> {
    const { client, namespace, signal } = this.#options;
    await client.create<Secret>(secrets(namespace), {
      ...secret,
      metadata: {
        ...secret.metadata,
        ownerReferences: [{
          apiVersion: "batch/v1",
          kind: "Job",
          name: metadata!.name!,
          uid: metadata!.uid!,
        }],
      },
    }, { signal });
  }

  async #untilRunning(built: BuiltJob): Promise<void> {
    const { client, namespace, session, startTimeout, patience, onProgress, signal } =
      this.#options;
    const limit = built.startTimeout === undefined ? startTimeout : built.startTimeout * 1000;
    const until = performance.now() + limit;
    // Not from the start: almost always the pod is there in a moment.
    const podPatience = Math.max(MIN_POD_PATIENCE, Math.min(POD_PATIENCE, patience));
    let noPodSince = performance.now();
    await using watches = new AsyncDisposableStack();
    let watching = false;
    let told = "";
    let hopelessSince: number | undefined;
    for (;;) {
      const { revision } = session;
      const { phase, message, reason, hopeless } = session.situation;
      if (session.gone) throw new WorkerError("job_failed", "its job was deleted");
      if (message !== told) {
        onProgress({ type: "info", message: sentence(message), phase: "pod" });
        told = message;
      }
      if (phase === "running" || phase === "succeeded") return;
      if (phase === "failed") throw failure(message, reason);
      // The secret is created right behind the job; a very quick node may look for it too early.
      const early = built.secret !== undefined && reason === "CreateContainerConfigError" &&
        message.includes(built.secret.metadata!.name!);
      if (hopeless === "now" && !early) throw failure(message, reason);
      if (session.refused !== undefined && session.pods.length === 0) {
        throw new WorkerError("job_refused", `the cluster refuses its pod: ${session.refused}`, {
          context: { reason: "FailedCreate" },
        });
      }
      const now = performance.now();
      hopelessSince = hopeless === "no" ? undefined : hopelessSince ?? now;
      if (hopelessSince !== undefined && now - hopelessSince >= patience) {
        throw failure(message, reason);
      }
      if (now >= until) {
        throw new WorkerError(
          "start_timeout",
          `its pod does not run after ${limit / 1000} s: ${message}`,
          { context: { reason } },
        );
      }
      const times = [until - now];
      if (hopelessSince !== undefined) times.push(hopelessSince + patience - now);
      if (session.pods.length > 0) {
        noPodSince = now;
      } else if (now - noPodSince < podPatience) {
        times.push(noPodSince + podPatience - now);
      } else if (!watching) {
        watching = true;
        watches.use(watchRefusals(client, namespace, session));
      }
      await session.changedWithin(Math.max(1, Math.min(...times)), revision, signal);
    }
  }

  /** Cleans up after a start that failed; gives the error to throw. */
  async #fail(error: unknown): Promise<Error> {
    const { session, signal, namespace, client, log } = this.#options;
    const reason = signal.aborted ? signal.reason : error;
    const { job } = session;
    let tail = "";
    if (job !== undefined && !signal.aborted) {
      await settledWithin(session.catchUp(), TAIL_TIME);
      tail = tailOf(session);
    }
    const name = session.jobName;
    // What got no answer may have been done all the same.
    const perhaps = job === undefined && name !== "" && !isRefusal(error);
    if (job !== undefined || perhaps) {
      const removed = await removeJob(client, namespace, name, session, perhaps);
      if (!removed) {
        log.error("Cannot delete the job of a session that did not start", { job: name });
      }
    }
    return startError(session.id, reason, tail);
  }
}

/** Whether the API has answered, and said no. */
function isRefusal(error: unknown): boolean {
  return error instanceof KubernetesError && error.status >= 400 && error.status < 500;
}

/** Deletes the job of a session, if it is the session's. Throws when that cannot be done. */
export async function deleteJob(
  client: KubernetesClient,
  namespace: string,
  name: string,
  uid: string | undefined,
): Promise<void> {
  try {
    await client.delete(jobs(namespace, name), {
      propagationPolicy: "Background",
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    });
  } catch (error) {
    // Another job of that name is not this session's.
    if (!hasReason(error, "NotFound", "Conflict")) throw error;
  }
}

/** Deletes the job of a start that failed; whether it is gone. Never throws. */
async function removeJob(
  client: KubernetesClient,
  namespace: string,
  name: string,
  session: KubernetesSession,
  perhaps: boolean,
): Promise<boolean> {
  for (let attempt = 1; attempt <= DELETE_TRIES; attempt++) {
    try {
      let uid = session.job?.metadata?.uid;
      if (perhaps) {
        const job = await client.get<Job>(jobs(namespace, name));
        const started = job.metadata?.annotations?.[ANNOTATIONS.startedAt];
        if (started !== session.facts.createdAt.toISOString()) return true;
        uid = job.metadata?.uid;
      }
      await deleteJob(client, namespace, name, uid);
      return true;
    } catch (error) {
      if (hasReason(error, "NotFound")) return true;
      if (hasReason(error, "Closed")) break;
      await delay(500 * attempt);
    }
  }
  return false;
}

function failure(message: string, reason: string | undefined): WorkerError {
  return new WorkerError("job_failed", message, { context: { reason } });
}

/** The last lines of a session's output. */
export function tailOf(session: KubernetesSession): string {
  const { total } = session.log.page("stdout", 0, 0);
  const { items } = session.log.page("stdout", Math.max(0, total - TAIL_LINES), undefined);
  return items.map((item) => item.content).join("").trimEnd().slice(-TAIL_CHARACTERS);
}

function startError(id: string, reason: unknown, tail: string): Error {
  const error = clusterError(reason, `start session ${id}`);
  if (!(error instanceof WorkerError)) return error;
  const message = error.message.startsWith("Cannot ")
    ? error.message
    : `Cannot start session ${id}: ${error.message}`;
  const output = tail === "" ? "" : `\nLast output:\n${tail}`;
  const { code, context, suggestion } = error;
  return new WorkerError(code, message + output, { context, suggestion, cause: error });
}

/** What is said of a session that did not start, in its log: without the output, which stands there already. */
export function reasonOf(error: unknown): string {
  return messageOf(error).split("\nLast output:\n")[0]!;
}
