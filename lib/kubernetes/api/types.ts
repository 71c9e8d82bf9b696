/**
 * The objects of Kubernetes that this program makes and reads, as they stand in JSON: times are texts, `data` of a
 * secret is base64, and what the API leaves out is absent.
 *
 * Written by hand after the API reference (https://kubernetes.io/docs/reference/kubernetes-api/), and only as far as
 * it is used: the published package of types has times as `Date`, needs 68 packages and 85 MB, and those would be
 * embedded into the compiled program. Objects that are read may have more fields than stand here.
 */
import type { PodTemplateSpec } from "./pod_types.ts";

export type * from "./pod_types.ts";

/** What kind of thing an object is. */
export interface TypeMeta {
  /** For example `batch/v1`. */
  apiVersion?: string;
  /** For example `Job`. */
  kind?: string;
}

/** Name, place and marks of an object. */
export interface ObjectMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  /** Differs between two objects of the same name. */
  uid?: string;
  /** Changes with every change of the object; says nothing but equal or not. */
  resourceVersion?: string;
  generation?: number;
  /** RFC 3339. */
  creationTimestamp?: string;
  /** RFC 3339; there when deletion has begun. */
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
}

/** Another object with which this one is deleted. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Any object. */
export interface KubernetesObject extends TypeMeta {
  metadata?: ObjectMeta;
}

/** Where a list was read. */
export interface ListMeta {
  resourceVersion?: string;
  /** Token for the next page. */
  continue?: string;
  remainingItemCount?: number;
}

/** One page of objects; the items have neither `kind` nor `apiVersion`. */
export interface List<T> extends TypeMeta {
  metadata: ListMeta;
  items: T[];
}

/** One message of a watch. `BOOKMARK` objects have only a resource version; `ERROR` has a {@linkcode Status}. */
export type WatchEvent<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: T }
  | { type: "BOOKMARK"; object: KubernetesObject }
  | { type: "ERROR"; object: Status };

/** The API's answer when there is no object to answer with, mostly an error. */
export interface Status extends TypeMeta {
  metadata?: ListMeta;
  status?: "Success" | "Failure";
  message?: string;
  /** In one word: `NotFound`, `AlreadyExists`, `Forbidden`, `Expired`, … */
  reason?: string;
  details?: StatusDetails;
  /** The HTTP status. */
  code?: number;
}

/** More about a {@linkcode Status}. */
export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: { reason?: string; message?: string; field?: string }[];
  retryAfterSeconds?: number;
}

/** A job (`batch/v1`). */
export interface Job extends KubernetesObject {
  spec?: JobSpec;
  status?: JobStatus;
}

/** What a job shall do. */
export interface JobSpec {
  template: PodTemplateSpec;
  parallelism?: number;
  completions?: number;
  completionMode?: "NonIndexed" | "Indexed";
  /** Retries before the job has failed. */
  backoffLimit?: number;
  /** Seconds from the job's start. */
  activeDeadlineSeconds?: number;
  /** Seconds after its end. */
  ttlSecondsAfterFinished?: number;
  suspend?: boolean;
  podReplacementPolicy?: "TerminatingOrFailed" | "Failed";
  podFailurePolicy?: { rules: PodFailurePolicyRule[] };
  selector?: LabelSelector;
  manualSelector?: boolean;
}

/** Which failures of a pod count. */
export interface PodFailurePolicyRule {
  action: "FailJob" | "Ignore" | "Count" | "FailIndex";
  onExitCodes?: { containerName?: string; operator: "In" | "NotIn"; values: number[] };
  onPodConditions?: { type: string; status: string }[];
}

/** Which objects, by labels. */
export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: {
    key: string;
    operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
    values?: string[];
  }[];
}

/** What has become of a job. */
export interface JobStatus {
  active?: number;
  ready?: number;
  succeeded?: number;
  failed?: number;
  terminating?: number;
  startTime?: string;
  completionTime?: string;
  /** `Complete`, `Failed` (reason `BackoffLimitExceeded`, `DeadlineExceeded`, …), `Suspended`, `FailureTarget`, … */
  conditions?: Condition[];
}

/** One thing that is so, is not so, or is unknown. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  lastProbeTime?: string | null;
  lastTransitionTime?: string | null;
}

/** A secret (`v1`). */
export interface Secret extends KubernetesObject {
  type?: string;
  immutable?: boolean;
  /** Base64. */
  data?: Record<string, string>;
  /** Plain text; only for writing. */
  stringData?: Record<string, string>;
}

/** Something that happened to an object (`v1`). */
export interface Event extends KubernetesObject {
  involvedObject?: ObjectReference;
  /** In one word, for example `FailedScheduling`. */
  reason?: string;
  message?: string;
  type?: "Normal" | "Warning";
  count?: number;
  firstTimestamp?: string | null;
  lastTimestamp?: string | null;
  eventTime?: string | null;
  series?: { count?: number; lastObservedTime?: string };
  source?: { component?: string; host?: string };
  reportingComponent?: string;
}

/** Names another object. */
export interface ObjectReference extends TypeMeta {
  name?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  fieldPath?: string;
}

/** Asks whether the asking one may do something (`authorization.k8s.io/v1`). */
export interface SelfSubjectAccessReview extends KubernetesObject {
  spec: {
    resourceAttributes?: {
      namespace?: string;
      verb: string;
      group?: string;
      version?: string;
      resource: string;
      subresource?: string;
      name?: string;
    };
  };
  status?: { allowed: boolean; denied?: boolean; reason?: string; evaluationError?: string };
}
