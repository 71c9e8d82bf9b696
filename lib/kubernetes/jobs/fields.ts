/**
 * The one table of a manifest's fields: validation, documents and the schema that programs read come from it.
 */
import {
  allowedFlag,
  awaitedService,
  command,
  image,
  jobType,
  pullPolicy,
  serviceId,
  timeout,
  workspaceName,
} from "./field_kinds.ts";
import { agentSecretName, granted } from "./grants.ts";
import { flag, integer, type Kind, listOf, oneOf } from "./kind.ts";
import { devices, resources } from "./resources.ts";
import { annotations, labels, nodeSelector, tolerations } from "./scheduling.ts";
import { DEFAULT_JOB_SETTINGS } from "./settings.ts";
import { JOB_TYPES, type JobType } from "./types.ts";
import { variables } from "./variables.ts";
import { cache, containerPath, volumes } from "./volumes.ts";

/** One field of a manifest. */
export interface Field<T = unknown> {
  /** What it may hold. */
  readonly kind: Kind<T>;
  readonly description: string;
  /** What holds without it, for people. */
  readonly default: string;
  readonly example: unknown;
  /** Types of apps that have it. */
  readonly types: readonly JobType[];
  /** Types of apps that cannot do without it. */
  readonly required?: readonly JobType[];
  /** Other names under which it may be written. */
  readonly also?: readonly string[];
  /** Names that it has elsewhere, and that are not taken here. */
  readonly elsewhere?: readonly string[];
  /** Where it goes in the job. */
  readonly target: string;
}

const POD = "spec.template.spec";
const CONTAINER = `${POD}.containers[0]`;

const JOB: readonly JobType[] = ["k8s-job"];
const SERVICES: readonly JobType[] = ["claude-agent", "conda-worker"];
const ALL: readonly JobType[] = JOB_TYPES;

const DAY = 24 * 3600;

function field<T>(record: Field<T>): Field<T> {
  return record;
}

/** The fields, in the order of the documents. */
export const FIELDS = {
  type: field({
    kind: jobType,
    description: "What is started: a job of your own, a Claude agent, or a worker for conda apps.",
    default: "`k8s-job`",
    example: "k8s-job",
    types: ALL,
    target: "a label",
  }),
  image: field({
    kind: image,
    description:
      "The container image. Its tag is wanted, because an image without one changes unseen.",
    default: "none",
    example: "python:3.11",
    types: JOB,
    required: JOB,
    target: `${CONTAINER}.image`,
  }),
  command: field({
    kind: command,
    description: "The program and its arguments, in place of the image's entry point.",
    default: "the image's",
    example: ["python", "-c", "print('Hello')"],
    types: JOB,
    elsewhere: ["cmd", "entrypoint", "script"],
    target: `${CONTAINER}.command`,
  }),
  args: field({
    kind: command,
    description: "Arguments of `command`, or of the image's entry point.",
    default: "the image's",
    example: ["--verbose"],
    types: JOB,
    target: `${CONTAINER}.args`,
  }),
  env: field({
    kind: variables,
    description:
      "Environment variables. `{secret: S, key: K}` and `{config_map: C, key: K}` take an entry of what the " +
      "operator allows (`--allowed-secrets`, `--allowed-config-maps`). They go before the standard variables; " +
      "`null` removes one. `$(NAME)` stands for another variable.",
    default: "`{}`",
    example: { OMP_NUM_THREADS: 4, KEY: { secret: "my-keys", key: "KEY" } },
    types: JOB,
    elsewhere: ["environment", "variables"],
    target: `${CONTAINER}.env`,
  }),
  working_dir: field({
    kind: containerPath,
    description: "Directory the program starts in.",
    default: "the image's",
    example: "/data",
    types: JOB,
    elsewhere: ["cwd", "workdir"],
    target: `${CONTAINER}.workingDir`,
  }),
  resources: field({
    kind: resources,
    description:
      "Processors, memory and devices. The operator may have defaults, and ceilings that nothing goes above.",
    default: "the operator's; `claude-agent`: 2 processors and 2 GiB",
    example: { requests: { cpu: "500m", memory: "1Gi" }, limits: { memory: "4Gi" } },
    types: ALL,
    elsewhere: ["cpu", "memory", "limits", "requests"],
    target: `${CONTAINER}.resources`,
  }),
  gpu: field({
    kind: devices,
    description: "GPUs: a number of `nvidia.com/gpu`, or how many of which device.",
    default: "`0`",
    example: { resource: "amd.com/gpu", count: 1 },
    types: ["k8s-job", "conda-worker"],
    elsewhere: ["gpus"],
    target: `${CONTAINER}.resources.limits`,
  }),
  volumes: field({
    kind: volumes,
    description:
      "Files of the job: each entry is one of `claim`, `config_map`, `secret` and `empty_dir`, at `mount_path`.",
    default: "`[]`",
    example: [{ mount_path: "/data", claim: "my-data" }],
    types: JOB,
    elsewhere: ["volume_mounts"],
    target: `${POD}.volumes, ${CONTAINER}.volumeMounts`,
  }),
  service_account: field({
    kind: granted("allowedServiceAccounts"),
    description:
      "Service account of the pod, for what the cluster ties to it. Its token is never put into the pod.",
    default: "`default`",
    example: "my-account",
    types: JOB,
    elsewhere: ["service_account_name"],
    target: `${POD}.serviceAccountName`,
  }),
  image_pull_secrets: field({
    kind: listOf(granted("allowedSecrets"), 8),
    description: "Names of secrets with credentials of registries.",
    default: "the operator's",
    example: ["my-registry"],
    types: JOB,
    target: `${POD}.imagePullSecrets`,
  }),
  image_pull_policy: field({
    kind: pullPolicy,
    description: "When a node fetches the image. Where the operator says `Always` it stays so.",
    default: "the operator's, `IfNotPresent`",
    example: "Always",
    types: JOB,
    target: `${CONTAINER}.imagePullPolicy`,
  }),
  restart_policy: field({
    kind: oneOf("Never", "OnFailure"),
    description:
      "`Never` makes another pod after a failure, `OnFailure` starts the container anew in the same pod.",
    default: "`Never`",
    example: "OnFailure",
    types: JOB,
    target: `${POD}.restartPolicy`,
  }),
  backoff_limit: field({
    kind: integer(0, 100),
    description: "Failures after which the job is given up.",
    default: "`3`",
    example: 0,
    types: ALL,
    also: ["backoff"],
    elsewhere: ["retries"],
    target: "spec.backoffLimit",
  }),
  timeout: field({
    kind: timeout,
    description: "How long the job may run, all its pods together; then it is ended.",
    default: "the operator's, `3600`; services: no end",
    example: 7200,
    types: ALL,
    also: ["active_deadline", "active_deadline_seconds"],
    target: "spec.activeDeadlineSeconds",
  }),
  ttl_seconds_after_finished: field({
    kind: integer(0, 30 * DAY, "seconds"),
    description: "How long the job and its logs are kept when it has ended.",
    default: "`3600`",
    example: 600,
    types: ALL,
    also: ["ttl"],
    target: "spec.ttlSecondsAfterFinished",
  }),
  start_timeout: field({
    kind: integer(1, DAY, "seconds"),
    description: "How long the pod may take to start, with the fetching of its image.",
    default: "the operator's, `300`",
    example: 900,
    types: ALL,
    target: "the worker",
  }),
  node_selector: field({
    kind: nodeSelector,
    description: "Labels that a node must have. Those of the operator hold, too.",
    default: "`{}`",
    example: { disk: "ssd" },
    types: ALL,
    target: `${POD}.nodeSelector`,
  }),
  tolerations: field({
    kind: tolerations,
    description:
      "Taints of nodes that are no hindrance. Which, the operator decides (`--allowed-tolerations`).",
    default: "`[]`",
    example: [{ key: "nvidia.com/gpu", effect: "NoSchedule" }],
    types: ALL,
    target: `${POD}.tolerations`,
  }),
  labels: field({
    kind: labels,
    description:
      "Labels of the job, for people. Its pods do not get them, since services and network rules choose pods by labels.",
    default: "`{}`",
    example: { team: "growth" },
    types: ALL,
    target: "metadata.labels",
  }),
  annotations: field({
    kind: annotations,
    description: "Annotations of the job, for people. Its pods do not get them.",
    default: "`{}`",
    example: { note: "run 12" },
    types: ALL,
    target: "metadata.annotations",
  }),
  privileged: field({
    kind: allowedFlag(
      "allowPrivileged",
      "a container with the rights of its node",
      "--allow-privileged",
    ),
    description: "Whether the container has all rights of its node.",
    default: "`false`",
    example: false,
    types: JOB,
    target: `${CONTAINER}.securityContext.privileged`,
  }),
  host_network: field({
    kind: allowedFlag("allowHostNetwork", "the network of nodes", "--allow-host-network"),
    description: "Whether the pod uses the network of its node.",
    default: "`false`",
    example: false,
    types: JOB,
    target: `${POD}.hostNetwork`,
  }),
  service_id: field({
    kind: serviceId,
    description: "Id under which the agent or worker registers its service.",
    default: "`claude-agents`; `conda-worker`: `conda-worker-` and 8 characters",
    example: "my-agent",
    types: SERVICES,
    elsewhere: ["service_name"],
    target: "SERVICE_ID; `conda-worker`: HYPHA_SERVICE_ID",
  }),
  workspace: field({
    kind: workspaceName,
    description: "Workspace it connects to: your own, or any for the operator.",
    default: "the worker's workspace",
    example: "my-workspace",
    types: SERVICES,
    target: "HYPHA_WORKSPACE",
  }),
  visibility: field({
    kind: oneOf("protected", "public"),
    description: "Who may find the service.",
    default: "`protected`",
    example: "public",
    types: SERVICES,
    target: "SERVICE_VISIBILITY; `conda-worker`: HYPHA_VISIBILITY",
  }),
  secret_name: field({
    kind: agentSecretName,
    description: "Secret with `ANTHROPIC_API_KEY` and `HYPHA_TOKEN`.",
    default: `the operator's, \`${DEFAULT_JOB_SETTINGS.agentSecret}\``,
    example: DEFAULT_JOB_SETTINGS.agentSecret,
    types: ["claude-agent"],
    target: "ANTHROPIC_API_KEY and HYPHA_TOKEN",
  }),
  cache: field({
    kind: cache,
    description:
      "Where environments are kept: a `claim`, or an `empty_dir` that goes with the pod.",
    default: "an `empty_dir`",
    example: { empty_dir: { size_limit: "20Gi" } },
    types: ["conda-worker"],
    target: `${POD}.volumes, at /cache`,
  }),
  verbose: field({
    kind: flag,
    description: "Whether the worker logs details.",
    default: "`true`",
    example: false,
    types: ["conda-worker"],
    target: "HYPHA_VERBOSE",
  }),
  wait_for_service: field({
    kind: awaitedService,
    description:
      "Whether the start is over only when a service is there. `true` is the service of `service_id`; for " +
      "`k8s-job` it is `default` of the session's own client. A text names another one.",
    default: "`false`; `conda-worker`: `true`",
    example: true,
    types: ALL,
    target: "the worker",
  }),
  service_timeout: field({
    kind: integer(1, DAY, "seconds"),
    description: "How long the service is waited for, from when the pod runs.",
    default: "`120`",
    example: 300,
    types: ALL,
    target: "the worker",
  }),
} as const;

/** Name of a field. */
export type FieldName = keyof typeof FIELDS;

/** The fields of a manifest that were given, read. */
export type Values = {
  -readonly [Name in FieldName]?: typeof FIELDS[Name] extends Field<infer T> ? T : never;
};

/** How a field may be written, for people. */
export function exampleOf(name: FieldName): string {
  return `${name}: ${JSON.stringify(FIELDS[name].example)}`;
}
