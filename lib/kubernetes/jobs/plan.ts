/** What a type of app makes of a manifest. */
import type { Scope } from "./kind.ts";
import type { Values } from "./fields.ts";
import type { PodPlan } from "./pod.ts";
import type { JobRequest } from "./types.ts";

/** What a plan is made of. */
export interface PlanInput {
  readonly request: JobRequest;
  readonly values: Values;
  readonly scope: Scope;
}

/** A pod, and what its starter must know. */
export interface Plan {
  readonly pod: PodPlan;
  /** Workspace the pod connects to. */
  readonly workspace: string;
  /** Full id of the service that `wait_for_service: true` means. */
  readonly ownService: string;
  /** `wait_for_service` of a manifest that does not say. */
  readonly waits: boolean;
  /** Whether the pod holds secrets of the operator. */
  readonly operatorSecrets: boolean;
  /** Token for the secret of the session. @default there is no secret */
  readonly token?: string;
}
