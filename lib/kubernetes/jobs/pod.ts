/** What all pods of this worker have in common: as few rights as their work allows. */
import type { Container, Job, PodSpec, Volume } from "../api/types.ts";
import { annotationsOf, labelsOf, type MarkFacts } from "./marks.ts";
import type { Values } from "./fields.ts";
import type { JobSettings } from "./settings.ts";
import type { JobRequest } from "./types.ts";

const BACKOFF_LIMIT = 3;
const TTL_SECONDS = 3600;

/** What a type of app decides about its pod. */
export interface PodPlan {
  readonly container: Container;
  readonly volumes: readonly Volume[];
  readonly restartPolicy: "Never" | "OnFailure";
  /** User and group of the container's processes. @default the image's */
  readonly user?: number;
  readonly serviceAccount?: string;
  readonly imagePullSecrets?: readonly string[];
  readonly privileged?: boolean;
  readonly hostNetwork?: boolean;
  /** Whether only its own directories can be written. @default false */
  readonly readOnlyRoot?: boolean;
  /** How long the job may run (seconds). @default no end */
  readonly deadline?: number;
}

function securityOf(plan: PodPlan): NonNullable<Container["securityContext"]> {
  // Kubernetes refuses a privileged container that may not get more rights than it has.
  if (plan.privileged === true) return { privileged: true };
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    ...(plan.readOnlyRoot === true ? { readOnlyRootFilesystem: true } : {}),
    seccompProfile: { type: "RuntimeDefault" },
  };
}

function podSpec(plan: PodPlan, values: Values, settings: JobSettings): PodSpec {
  const { user } = plan;
  const pullSecrets = new Set([...settings.imagePullSecrets, ...plan.imagePullSecrets ?? []]);
  const nodeSelector = {
    ...Object.fromEntries(values.node_selector ?? []),
    ...settings.nodeSelector,
  };
  const nonRoot = user !== undefined || (settings.runAsNonRoot && plan.privileged !== true);
  return {
    restartPolicy: plan.restartPolicy,
    // The rights of the cluster are never a job's.
    automountServiceAccountToken: false,
    // The namespace's other services are none of its business.
    enableServiceLinks: false,
    securityContext: {
      ...(nonRoot ? { runAsNonRoot: true } : {}),
      ...(user === undefined ? {} : { runAsUser: user, runAsGroup: user, fsGroup: user }),
      ...(plan.privileged === true ? {} : { seccompProfile: { type: "RuntimeDefault" as const } }),
    },
    ...(plan.serviceAccount === undefined ? {} : { serviceAccountName: plan.serviceAccount }),
    ...(plan.hostNetwork === true
      ? { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" }
      : {}),
    ...(pullSecrets.size === 0
      ? {}
      : { imagePullSecrets: [...pullSecrets].map((name) => ({ name })) }),
    ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    ...((values.tolerations ?? []).length === 0 ? {} : { tolerations: values.tolerations! }),
    ...(plan.volumes.length === 0 ? {} : { volumes: [...plan.volumes] }),
    containers: [{
      ...plan.container,
      // The last lines of a program that failed say why.
      terminationMessagePolicy: "FallbackToLogsOnError",
      securityContext: securityOf(plan),
    }],
  };
}

/** The job of a plan, with its marks. */
export function jobOf(
  plan: PodPlan,
  values: Values,
  request: JobRequest,
  settings: JobSettings,
  facts: MarkFacts,
): Job {
  const labels = { ...settings.labels, ...labelsOf(request, facts) };
  const annotations = annotationsOf(request, facts);
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: request.name,
      namespace: settings.namespace,
      labels: { ...Object.fromEntries(values.labels ?? []), ...labels },
      annotations: { ...Object.fromEntries(values.annotations ?? []), ...annotations },
    },
    spec: {
      parallelism: 1,
      completions: 1,
      backoffLimit: values.backoff_limit ?? BACKOFF_LIMIT,
      ttlSecondsAfterFinished: values.ttl_seconds_after_finished ?? TTL_SECONDS,
      ...(plan.deadline === undefined ? {} : { activeDeadlineSeconds: plan.deadline }),
      template: {
        metadata: { labels, annotations },
        spec: podSpec(plan, values, settings),
      },
    },
  };
}
