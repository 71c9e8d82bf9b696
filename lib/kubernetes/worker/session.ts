/**
 * One session: a job of Kubernetes, the pods it has had, and their output.
 *
 * What the session is doing is never kept here by itself: it follows from its objects in Kubernetes, so that a worker
 * that was restarted sees what the one before it saw.
 */
import { delay } from "../../delay.ts";
import type { Logger } from "../../log.ts";
import { SessionLog } from "../../worker/session_log.ts";
import type { KubernetesClient } from "../api/client.ts";
import type { Job, Pod } from "../api/types.ts";
import { ANNOTATIONS } from "../jobs/marks.ts";
import { JOB_TYPES, type JobType } from "../jobs/types.ts";
import { PodOutput } from "./output.ts";
import { containerOf, inOrder, type Phase, type Situation, situationOf } from "./reasons.ts";

/** What a session is doing. */
export type SessionState = Phase | "stopping" | "stopped";

/** What does not change about a session. */
export interface SessionFacts {
  readonly id: string;
  readonly workspace: string;
  /** Id of the user who started it. */
  readonly owner: string;
  readonly appId: string;
  readonly clientId: string;
  readonly type: JobType;
  /** Name of the container that counts. */
  readonly container: string;
  /** Whether the pod holds secrets of the operator. */
  readonly operatorSecrets: boolean;
  readonly createdAt: Date;
  /** Whether the app controller started it, and knows of it only while the worker stays connected. */
  readonly controlled: boolean;
}

/** The facts of a session as its job tells them; `undefined` for a job that is no session. */
export function factsOf(job: Job): SessionFacts | undefined {
  const { annotations = {}, creationTimestamp } = job.metadata ?? {};
  const id = annotations[ANNOTATIONS.sessionId];
  const workspace = annotations[ANNOTATIONS.workspace];
  const container = annotations[ANNOTATIONS.container];
  const type = JOB_TYPES.find((known) => known === annotations[ANNOTATIONS.manifestType]);
  if (!id || !workspace || !container || type === undefined) return undefined;
  const started = Date.parse(annotations[ANNOTATIONS.startedAt] ?? creationTimestamp ?? "");
  const clientId = annotations[ANNOTATIONS.clientId] ?? "";
  return {
    id,
    workspace,
    owner: annotations[ANNOTATIONS.owner] ?? "",
    appId: annotations[ANNOTATIONS.appId] ?? clientId,
    clientId,
    type,
    container,
    operatorSecrets: annotations[ANNOTATIONS.operatorSecrets] === "true",
    createdAt: new Date(Number.isNaN(started) ? 0 : started),
    controlled: false,
  };
}

/** What {@linkcode KubernetesSession} needs. */
export interface SessionOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly log: Logger;
  readonly now: () => Date;
}

/** Characters of output that are kept. */
const MAX_CHARACTERS = 2_000_000;
const WAITING: Situation = {
  phase: "starting",
  message: "the job is being created",
  reason: undefined,
  hopeless: "no",
  pod: undefined,
  terminated: undefined,
};

/** One session. */
export class KubernetesSession {
  readonly facts: SessionFacts;
  readonly log: SessionLog;
  readonly output: PodOutput;
  /** Name of the job; set before the job is created. */
  jobName = "";
  /** When something was last executed in it. */
  lastActive: Date;
  /** Commands that run. */
  pendingExecutions = 0;
  /** Counts changes. */
  revision = 0;
  /** Whether what happens is written to the log; off while what happened long ago is read. */
  noting = true;
  readonly #now: () => Date;
  readonly #ended = new AbortController();
  readonly #pods = new Map<string, Pod>();
  #job: Job | undefined;
  #lastPod: Pod | undefined;
  #refused: string | undefined;
  #situation = WAITING;
  #leaving: "stopping" | "stopped" | undefined;
  #gone = false;
  #changed = Promise.withResolvers<void>();

  /** A session without a job yet. */
  constructor(facts: SessionFacts, options: SessionOptions) {
    this.facts = facts;
    this.#now = options.now;
    this.lastActive = facts.createdAt;
    this.log = new SessionLog({ maxCharacters: MAX_CHARACTERS, now: options.now });
    this.output = new PodOutput({ ...options, container: facts.container, target: this.log });
  }

  /** Session id. */
  get id(): string {
    return this.facts.id;
  }

  /** Workspace it belongs to. */
  get workspace(): string {
    return this.facts.workspace;
  }

  /** The job; `undefined` before it is created. */
  get job(): Job | undefined {
    return this.#job;
  }

  /** Pods that are there, the oldest first. */
  get pods(): Pod[] {
    return inOrder(this.#pods.values());
  }

  /** What job and pods are doing. */
  get situation(): Situation {
    return this.#situation;
  }

  /** What the session is doing. */
  get state(): SessionState {
    return this.#leaving ?? this.#situation.phase;
  }

  /** Whether nothing runs any more, nor will. */
  get finished(): boolean {
    return ["succeeded", "failed", "stopped"].includes(this.state);
  }

  /** Whether its job is no longer there. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Fires when it has ended for good. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Why the cluster refuses its pod, as far as somebody watches. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** Pods that are not being deleted. */
  get staying(): Pod[] {
    return this.pods.filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
  }

  /** The pod commands run in: the newest whose container runs. */
  get runningPod(): Pod | undefined {
    return this.staying.findLast((pod) =>
      containerOf(pod, this.facts.container)?.state?.running !== undefined
    );
  }

  /** Somebody uses it. */
  touch(): void {
    this.lastActive = this.#now();
  }

  /**
   * Resolves when it has changed, or when time (milliseconds) is up. Throws the signal's reason.
   *
   * @param since The {@linkcode revision} that the caller has looked at: nothing that changed since is missed.
   */
  async changedWithin(milliseconds: number, since: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (since !== this.revision) return;
    const over = new AbortController();
    try {
      const time = delay(milliseconds, AbortSignal.any([signal, over.signal]));
      await Promise.race([this.#changed.promise, time]);
    } finally {
      over.abort();
    }
  }

  /** What is known of the job. */
  setJob(job: Job): void {
    // Answers and watch may overtake each other; a job's generation does not tell its status apart.
    if (this.#job !== undefined && this.#job.metadata?.uid !== job.metadata?.uid) return;
    this.#job = job;
    this.#update();
  }

  /** The cluster refuses its pod, and why. */
  setRefused(message: string): void {
    this.#refused = message;
    this.#tell();
  }

  /** What is known of one of its pods. */
  setPod(pod: Pod): void {
    const uid = pod.metadata?.uid ?? "";
    const before = this.#pods.get(uid);
    this.#pods.set(uid, pod);
    this.#lastPod = this.pods.at(-1);
    this.#update();
    if (before !== undefined && isLosing(before, pod, this.facts.container)) void this.catchUp();
  }

  /** A pod is no longer there. */
  removePod(uid: string): void {
    if (this.#pods.delete(uid)) this.#update();
  }

  /** Brings the log up to date with what the pods have written; never throws. */
  catchUp(): Promise<void> {
    return this.output.catchUp(() => this.#pods.values());
  }

  /** It is being stopped, or could not be. */
  setStopping(stopping = true): void {
    if (this.#gone) return;
    this.#leaving = stopping ? "stopping" : undefined;
    this.#tell();
  }

  /** Its job is gone, or it never got one. What had ended before keeps its state. */
  setGone(): void {
    if (this.#gone) return;
    this.#gone = true;
    const { phase } = this.#situation;
    this.#leaving = phase === "succeeded" || phase === "failed" ? undefined : "stopped";
    this.#ended.abort(new Error("the session has ended"));
    this.#tell();
  }

  /** It did not start, and why. */
  setFailed(reason: string, message: string): void {
    this.#situation = { ...this.#situation, phase: "failed", reason, message };
    this.setGone();
  }

  #update(): void {
    if (this.#job === undefined || this.#gone) return this.#tell();
    const before = this.#situation;
    const now = situationOf(this.#job, this.#pods.values(), this.facts.container);
    const ended = now.phase === "failed" || now.phase === "succeeded";
    // Of a job that has ended, the pod may be gone already; what is known of its end stays.
    this.#situation = ended && now.pod === undefined && this.#lastPod !== undefined
      ? situationOf(this.#job, [this.#lastPod], this.facts.container)
      : now;
    if (before.phase !== this.#situation.phase || before.message !== this.#situation.message) {
      if (this.noting) this.#note(before, this.#situation);
    }
    this.#tell();
  }

  #note(before: Situation, { phase, message, pod, reason }: Situation): void {
    const name = pod?.metadata?.name;
    if (name !== undefined && name !== before.pod?.metadata?.name) {
      this.log.add("info", `Pod ${name} was created`);
    }
    const bad = phase === "failed" || (phase === "starting" && reason !== undefined &&
      !["ContainerCreating", "PodInitializing"].includes(reason));
    const type = phase === "failed" ? "error" : bad || phase === "running" ? "info" : "progress";
    this.log.add(phase === "succeeded" ? "info" : type, sentence(message));
  }

  #tell(): void {
    this.revision++;
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}

/** A message as a sentence of its own. */
export function sentence(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}

/** Whether output will soon be out of reach. */
function isLosing(before: Pod, pod: Pod, container: string): boolean {
  const restarts = (one: Pod) => containerOf(one, container)?.restartCount ?? 0;
  if (restarts(pod) > restarts(before)) return true;
  if (pod.metadata?.deletionTimestamp === undefined) return false;
  const ended = (one: Pod) => containerOf(one, container)?.state?.terminated !== undefined;
  return before.metadata?.deletionTimestamp === undefined || ended(pod) && !ended(before);
}
