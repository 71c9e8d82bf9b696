/**
 * The objects of Kubernetes that this program makes and reads, as they stand in JSON: times are texts, `data` of a
 * secret is base64, and what the API leaves out is absent.
 *
 * The types are made from the API's own description. (`@kubernetes/client-node` has times as `Date`, as only its own
 * client makes them, and needs 68 packages and 85 MB.)
 */
import type { ListMeta, ObjectMeta, Status } from "kubernetes-types/meta/v1";

export type { SelfSubjectAccessReview } from "kubernetes-types/authorization/v1";
export type { Job, JobSpec } from "kubernetes-types/batch/v1";
export type {
  Container,
  ContainerStateTerminated,
  ContainerStatus,
  EnvVar,
  Event,
  Pod,
  PodSpec,
  PodStatus,
  ResourceRequirements,
  Secret,
  Toleration,
  Volume,
  VolumeMount,
} from "kubernetes-types/core/v1";
export type {
  ListMeta,
  ObjectMeta,
  OwnerReference,
  Status,
  StatusDetails,
} from "kubernetes-types/meta/v1";

/** Any object. */
export interface KubernetesObject {
  /** For example `batch/v1`. */
  apiVersion?: string;
  /** For example `Job`. */
  kind?: string;
  metadata?: ObjectMeta;
}

/** One page of objects; the items have neither `kind` nor `apiVersion`. */
export interface List<T> {
  metadata: ListMeta;
  items: T[];
}

/** One message of a watch. `BOOKMARK` objects have only a resource version; `ERROR` has a {@linkcode Status}. */
export type WatchEvent<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED"; object: T }
  | { type: "BOOKMARK"; object: KubernetesObject }
  | { type: "ERROR"; object: Status };
