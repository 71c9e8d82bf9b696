/**
 * The sessions of a worker, as its jobs and pods in Kubernetes tell of them.
 *
 * Jobs carry labels that say whose they are, and annotations that say which session they are. One watch of the jobs and
 * one of the pods, by these labels, keep everything current: also what this process has not started itself.
 */
import type { Logger } from "../../log.ts";
import { EndedSessions } from "../../worker/ended_sessions.ts";
import type { KubernetesClient } from "../api/client.ts";
import { jobs, pods } from "../api/resource_path.ts";
import type { Job, OwnerReference, Pod } from "../api/types.ts";
import { type Change, Mirror } from "../api/watch.ts";
import { workerLabels } from "../jobs/marks.ts";
import { factsOf, KubernetesSession, type SessionFacts } from "./session.ts";

/** What {@linkcode SessionRegistry} needs. */
export interface RegistryOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Id of the worker, which marks its jobs. */
  readonly workerId: string;
  readonly log: Logger;
  readonly now: () => Date;
  /** Whether somebody takes care of a session: its end is left to them. */
  readonly attended: (session: KubernetesSession) => boolean;
}

/** The sessions of a worker. */
export class SessionRegistry implements AsyncDisposable {
  readonly #options: RegistryOptions;
  readonly #sessions = new Map<string, KubernetesSession>();
  readonly #ended = new EndedSessions<KubernetesSession>();
  /** By the name of the job; also sessions that have ended, as long as their pods are there. */
  readonly #byJob = new Map<string, KubernetesSession>();
  readonly #jobs: Mirror<Job>;
  readonly #pods: Mirror<Pod>;
  readonly #listening = new DisposableStack();

  /** Begins to watch. */
  constructor(options: RegistryOptions) {
    this.#options = options;
    const { client, namespace, workerId, log } = options;
    const labelSelector = Object.entries(workerLabels(workerId))
      .map(([key, value]) => `${key}=${value}`).join(",");
    this.#jobs = new Mirror<Job>(client, jobs(namespace), { labelSelector, log });
    this.#pods = new Mirror<Pod>(client, pods(namespace), { labelSelector, log });
  }

  /** Resolves when the sessions are known that are there. Throws what the API says. */
  async ready(): Promise<void> {
    await Promise.all([this.#jobs.ready, this.#pods.ready]);
    this.#listening.use(this.#jobs.changes((change) => this.#jobChanged(change)));
    this.#listening.use(this.#pods.changes((change) => this.#podChanged(change)));
    const age = ({ metadata }: Job) => metadata?.creationTimestamp ?? "";
    const all = this.#jobs.values().sort((a, b) => age(a) < age(b) ? -1 : 1);
    for (const job of all) this.#adopt(job);
  }

  /** Sessions whose jobs are there, or are being created. */
  get sessions(): KubernetesSession[] {
    return [...this.#sessions.values()];
  }

  /** Why what is known may be old; `undefined` when all is well. */
  get problem(): string | undefined {
    return this.#jobs.problem ?? this.#pods.problem;
  }

  /** A session whose job is there or is being created. */
  get(id: string): KubernetesSession | undefined {
    return this.#sessions.get(id);
  }

  /** One that ended a while ago. */
  ended(id: string): KubernetesSession | undefined {
    return this.#ended.get(id);
  }

  /** Enters a session in the place of one with its id that has finished. */
  add(facts: SessionFacts): KubernetesSession {
    const old = this.#sessions.get(facts.id);
    if (old !== undefined) this.retire(old);
    const session = new KubernetesSession(facts, this.#options);
    this.#sessions.set(facts.id, session);
    return session;
  }

  /** A session's job has this name, or is about to get it. */
  name(session: KubernetesSession, name: string): void {
    this.#forgetName(session);
    session.jobName = name;
    this.#byJob.set(name, session);
  }

  /** The job of a session is there; pods may have been known before. */
  attach(session: KubernetesSession, job: Job): void {
    // What the watch has told already is newer.
    if (session.job !== undefined) return;
    session.setJob(job);
    for (const pod of this.#pods.values()) {
      if (jobOf(pod)?.uid === job.metadata?.uid) session.setPod(pod);
    }
  }

  /** A session has ended for good; its log is kept for a while. */
  retire(session: KubernetesSession): void {
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    session.setGone();
    this.#ended.add(session);
    this.#forget(session);
  }

  /** Forgets whose pods they are, when there are none any more. */
  #forget(session: KubernetesSession): void {
    if (session.gone && session.pods.length === 0) this.#forgetName(session);
  }

  #forgetName(session: KubernetesSession): void {
    if (this.#byJob.get(session.jobName) === session) this.#byJob.delete(session.jobName);
  }

  /** Takes a job over that this process has not started. */
  #adopt(job: Job): void {
    const facts = factsOf(job);
    const name = job.metadata?.name;
    if (facts === undefined || name === undefined || job.metadata?.deletionTimestamp) return;
    const old = this.#sessions.get(facts.id);
    // An id belongs to the session that somebody starts or stops under it, or to the newest job.
    if (old !== undefined && this.#options.attended(old)) return;
    const session = this.add(facts);
    session.noting = false;
    this.name(session, name);
    this.attach(session, job);
    session.noting = true;
  }

  #jobChanged({ type, object }: Change<Job>): void {
    const session = this.#byJob.get(object.metadata?.name ?? "");
    const own = session !== undefined &&
      (session.job === undefined || session.job.metadata?.uid === object.metadata?.uid);
    if (type === "deleted") {
      if (!own || session.job === undefined) return;
      session.setJob(object);
      session.setGone();
      if (!this.#options.attended(session)) this.retire(session);
      return;
    }
    if (!own) return this.#adopt(object);
    if (session.job !== undefined) return session.setJob(object);
    // A name that is taken by somebody else's job is not this session's.
    const started = factsOf(object)?.createdAt.getTime();
    if (started === session.facts.createdAt.getTime()) this.attach(session, object);
  }

  #podChanged({ type, object }: Change<Pod>): void {
    const owner = jobOf(object);
    const session = owner && this.#byJob.get(owner.name);
    if (session === undefined || session.job?.metadata?.uid !== owner!.uid) return;
    session.setPod(object);
    if (type !== "deleted") return;
    session.removePod(object.metadata?.uid ?? "");
    this.#forget(session);
  }

  /** Watches no more; what is being read ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening.dispose();
    await Promise.all([this.#jobs[Symbol.asyncDispose](), this.#pods[Symbol.asyncDispose]()]);
    const open = new Set([...this.#sessions.values(), ...this.#byJob.values()]);
    await Promise.all([...open].map((session) => session.output.close()));
  }
}

/** The job that a pod belongs to. */
function jobOf(pod: Pod): OwnerReference | undefined {
  return pod.metadata?.ownerReferences?.find((one) => one.kind === "Job");
}
