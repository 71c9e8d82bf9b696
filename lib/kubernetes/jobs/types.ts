/** What goes into the making of a job, and what comes out. */
import type { Job, Secret } from "../api/types.ts";

/** Types of apps that a Kubernetes worker runs; the first is the default. */
export const JOB_TYPES = ["k8s-job", "claude-agent", "conda-worker"] as const;

/** Type of an app. */
export type JobType = typeof JOB_TYPES[number];

/** A job that somebody asks for. All of it may come from outside; only the manifest may be of any shape. */
export interface JobRequest {
  /** Session id, unique in the worker. */
  readonly sessionId: string;
  /** Name of the job and of its secret; see {@linkcode jobName}. */
  readonly name: string;
  /** Workspace the session belongs to. */
  readonly workspace: string;
  /** Id of the user who starts it. */
  readonly owner: string;
  /** Whether the caller administers the worker's own workspace. */
  readonly operator: boolean;
  readonly appId?: string;
  /** Client id for the session's own connection. */
  readonly clientId: string;
  /** Address of the Hypha server that a `k8s-job` is told. */
  readonly serverUrl: string;
  /** Token for the session's own connection. */
  readonly token?: string;
  /** The app's manifest. */
  readonly manifest: unknown;
  /** Variables of this start, which go before those of the manifest; `k8s-job` only. */
  readonly envOverrides?: unknown;
  readonly now: Date;
}

/** The objects of a job, and what its starter needs to follow it. */
export interface BuiltJob {
  readonly type: JobType;
  readonly job: Job;
  /** Holds the session's token; created right after the job, which owns it. Absent when there is nothing to hold. */
  readonly secret?: Secret;
  /** Name of the container whose output is the session's. */
  readonly container: string;
  /** Workspace the pod connects to. */
  readonly workspace: string;
  /** Full id of the service that the start waits for, `workspace/name` or `workspace/client:name`. */
  readonly waitForService: string | undefined;
  /** How long it is waited for (seconds). */
  readonly serviceTimeout: number;
  /** How long the pod may take to start (seconds); `undefined` when the manifest does not say. */
  readonly startTimeout: number | undefined;
  /** Whether the pod holds secrets of the operator, so that only the operator may run commands in it. */
  readonly operatorSecrets: boolean;
  /** What the starter should be told, in words. */
  readonly warnings: readonly string[];
}
