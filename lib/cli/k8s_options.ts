/** Options of `k8s`. */
import type { Option } from "./option.ts";
import { START_OPTIONS } from "./options.ts";

/** An option of `start`, perhaps with another default. */
function shared(name: string, changes: Partial<Option> = {}): Option {
  return { ...START_OPTIONS.find((option) => option.name === name)!, ...changes };
}

/** An option about Kubernetes. Its variable says so: `HYPHA_K8S_NAMESPACE`. */
function own(option: Omit<Option, "type"> & { type?: Option["type"] }): Option {
  return { type: "text", variable: `k8s-${option.name}`, ...option };
}

function pattern(name: string, what: string, initial = "none"): Option {
  return own({
    name,
    group: "Permission",
    value: "A,B",
    help: `Patterns of ${what}`,
    default: initial,
  });
}

function permission(name: string, help: string): Option {
  return own({ name, type: "flag", group: "Permission", help });
}

/** Options of `k8s`. */
export const K8S_OPTIONS: readonly Option[] = [
  shared("server-url"),
  shared("workspace"),
  shared("token"),
  shared("token-file"),
  shared("service-id", { default: "k8s-worker" }),
  shared("client-id"),
  shared("visibility"),
  shared("authorized-workspaces"),
  shared("use-local-url"),
  own({
    name: "pod-server-url",
    group: "Server",
    value: "URL",
    help: "Hypha server as pods reach it",
    default: "what the starter says, or --server-url",
  }),
  shared("heartbeat"),
  shared("reconnect-timeout"),
  shared("orphan-timeout", {
    help: "Time unused jobs are kept that the server has forgotten",
    default: "until they end",
  }),
  own({
    name: "namespace",
    group: "Kubernetes",
    value: "NAME",
    help: "Namespace of the jobs",
    default: "the pod's own, or that of the kubeconfig",
  }),
  own({
    name: "kubeconfig",
    group: "Kubernetes",
    value: "FILE",
    help: "How Kubernetes is reached",
    default: "KUBECONFIG, the pod's service account, or ~/.kube/config",
  }),
  own({
    name: "context",
    group: "Kubernetes",
    value: "NAME",
    help: "Context of the kubeconfig",
    default: "its current one",
  }),
  own({
    name: "worker-id",
    group: "Kubernetes",
    value: "ID",
    help: "Marks the jobs, so that they are found again",
    default: "workspace and service id",
  }),
  own({
    name: "types",
    group: "Job",
    value: "A,B",
    help: "Types of apps that may be started",
    default: "k8s-job,claude-agent,conda-worker",
  }),
  own({
    name: "default-timeout",
    group: "Job",
    value: "SECONDS",
    help: "Time a k8s-job may run when its manifest does not say",
    default: "3600",
  }),
  own({
    name: "max-timeout",
    group: "Job",
    value: "SECONDS",
    help: "Longest time a job may ask for",
    default: "none",
  }),
  own({
    name: "start-timeout",
    group: "Job",
    value: "SECONDS",
    help: "Time a pod may take to start when its manifest does not say",
    default: "300",
  }),
  own({
    name: "image-pull-policy",
    group: "Job",
    value: "POLICY",
    help: "When nodes fetch an image: Always, IfNotPresent or Never",
    default: "IfNotPresent",
  }),
  own({
    name: "image-pull-secrets",
    group: "Job",
    value: "A,B",
    help: "Secrets with credentials of registries, for all pods",
    default: "none",
  }),
  own({
    name: "session-tokens",
    group: "Job",
    value: "true|false",
    help: "Give every k8s-job the token of its session, in a secret of its own",
    default: "true",
  }),
  own({
    name: "node-selector",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "Labels of nodes that jobs run on, whatever else they ask for",
    default: "none",
  }),
  own({
    name: "labels",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "Further labels of every object",
    default: "none",
  }),
  own({
    name: "default-requests",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "What a k8s-job asks for that does not say: cpu=500m,memory=1Gi",
    default: "nothing",
  }),
  own({
    name: "default-limits",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "What a k8s-job may use that does not say",
    default: "nothing",
  }),
  own({
    name: "max-resources",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "The most a container may ask for: cpu=8,memory=32Gi",
    default: "no ceilings",
  }),
  own({
    name: "agent-image",
    group: "Job",
    value: "IMAGE",
    help: "Image of claude-agent",
    default: "oeway/deno-claude-code:0.1.2",
  }),
  own({
    name: "agent-secret",
    group: "Job",
    value: "NAME",
    help: "Secret with the keys of agents that name none",
    default: "deno-claude-code-config",
  }),
  own({
    name: "agent-limits",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "What an agent may use that asks for nothing",
    default: "cpu=2,memory=2Gi",
  }),
  own({
    name: "conda-image",
    group: "Job",
    value: "IMAGE",
    help: "Image of conda-worker",
    default: "that of this release",
  }),
  own({
    name: "conda-token",
    group: "Job",
    value: "SECRET/KEY",
    help: "Where conda workers get their token from",
    default: "hypha-secrets/HYPHA_AGENTS_TOKEN",
  }),
  own({
    name: "conda-limits",
    group: "Job",
    value: "KEY=VALUE,…",
    help: "What a conda worker may use that asks for nothing",
    default: "nothing",
  }),
  pattern("allowed-images", "images of k8s-job", "*"),
  pattern("allowed-secrets", "secrets that manifests may name"),
  pattern("allowed-config-maps", "config maps that manifests may name"),
  pattern("allowed-claims", "persistent volume claims that manifests may name"),
  pattern("allowed-service-accounts", "service accounts that manifests may name"),
  pattern("allowed-tolerations", "keys of taints that manifests may tolerate", "*"),
  own({
    name: "own-names",
    group: "Permission",
    value: "A,B",
    help: "Secrets and service accounts that no pattern with * reaches",
    default: "none",
  }),
  own({
    name: "trusted-workspaces",
    group: "Permission",
    value: "A,B",
    help: "Workspaces that may start conda workers, besides the worker's own",
    default: "none",
  }),
  permission("allow-privileged", "Let manifests ask for the rights of the node"),
  permission("allow-host-path", "Let manifests mount directories of the node"),
  permission("allow-host-network", "Let manifests use the network of the node"),
  permission("run-as-non-root", "Refuse images of k8s-job that run as root"),
  shared("max-sessions"),
  shared("max-workspace-sessions"),
  shared("metrics-port"),
  shared("metrics-host"),
  shared("log-format"),
  START_OPTIONS.find((option) => option.name === "config")!,
  shared("verbose"),
];
