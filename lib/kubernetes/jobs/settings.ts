/** What the operator of a Kubernetes worker decides about the jobs it starts. */
import type { JobType } from "./types.ts";

/** Amounts of resources by name, in Kubernetes' notation (`500m`, `2Gi`). */
export type Amounts = Readonly<Record<string, string>>;

/** What a container asks for and what it may use at most. */
export interface ResourceAmounts {
  readonly requests?: Amounts;
  readonly limits?: Amounts;
}

/** One entry of a Kubernetes secret. */
export interface SecretKey {
  readonly name: string;
  readonly key: string;
}

/**
 * The operator's decisions.
 *
 * Patterns are texts in which `*` stands for any text (slashes too) and `{workspace}` for the workspace of whoever
 * starts the job: `data-{workspace}` lets every tenant use a claim of its own. Text behind `{workspace}` makes names
 * ambiguous where one workspace's name begins with another's, so put it last.
 */
export interface JobSettings {
  /** Namespace of all objects; no manifest can choose another. */
  readonly namespace: string;
  /** Id of the worker, which its objects are marked with, so that it finds them again. */
  readonly workerId: string;
  /** Workspace the worker is registered in. */
  readonly workspace: string;
  /** Workspaces the operator trusts as its own: they may start conda workers. `*` is nobody here. @default none */
  readonly trustedWorkspaces: readonly string[];
  /**
   * Address of the Hypha server as pods reach it. Pods that hold secrets of the operator get this one, whatever
   * address the caller names.
   */
  readonly serverUrl: string;
  /** Types that may be started. @default all */
  readonly types: readonly JobType[];
  /** Time a `k8s-job` may run when it does not say (seconds). @default 3600 */
  readonly defaultTimeout: number;
  /** Longest time a job may ask for (seconds). @default none */
  readonly maxTimeout?: number;
  /** When nodes fetch an image; `Always` cannot be weakened by a manifest. @default "IfNotPresent" */
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never";
  /** Patterns of images of `k8s-job`. @default ["*"] */
  readonly allowedImages: readonly string[];
  /** Patterns of secrets that manifests may name. @default none */
  readonly allowedSecrets: readonly string[];
  /** Patterns of config maps that manifests may name. @default none */
  readonly allowedConfigMaps: readonly string[];
  /** Patterns of persistent volume claims that manifests may name. @default none */
  readonly allowedClaims: readonly string[];
  /** Patterns of service accounts that manifests may name. @default none */
  readonly allowedServiceAccounts: readonly string[];
  /** Patterns of keys of taints that manifests may tolerate. @default ["*"] */
  readonly allowedTolerations: readonly string[];
  /** Secrets and service accounts of the worker itself: only a pattern without wildcards names them. @default none */
  readonly ownNames: readonly string[];
  /** Whether containers may have the rights of the node. @default false */
  readonly allowPrivileged: boolean;
  /** Whether directories of the node may be mounted. @default false */
  readonly allowHostPath: boolean;
  /** Whether pods may use the network of the node. @default false */
  readonly allowHostNetwork: boolean;
  /** Whether images of `k8s-job` that run as root are refused by the node. @default false */
  readonly runAsNonRoot: boolean;
  /** What a `k8s-job` gets that asks for nothing. @default nothing */
  readonly defaultResources: ResourceAmounts;
  /** The most a container may ask for; the limit of one that asks for none. @default no ceilings */
  readonly maxResources: Amounts;
  /** Whether a `k8s-job` gets the token of its session, in a secret of its own. @default true */
  readonly sessionTokens: boolean;
  /** Labels of nodes that jobs run on, whatever else they ask for. @default none */
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** Secrets with credentials of registries, for all pods. @default none */
  readonly imagePullSecrets: readonly string[];
  /** Further labels of every object. @default none */
  readonly labels: Readonly<Record<string, string>>;
  /** Image of `claude-agent`. */
  readonly agentImage: string;
  /** Secret with `ANTHROPIC_API_KEY` and `HYPHA_TOKEN` of agents that name none. */
  readonly agentSecret: string;
  /** What an agent gets that asks for nothing. */
  readonly agentResources: ResourceAmounts;
  /** Image of `conda-worker`. */
  readonly condaImage: string;
  /** Where conda workers get their token from. */
  readonly condaToken: SecretKey;
  /** What a conda worker gets that asks for nothing. @default nothing */
  readonly condaResources: ResourceAmounts;
}

/** What holds where the operator says nothing; the rest has no default. */
export const DEFAULT_JOB_SETTINGS = {
  trustedWorkspaces: [],
  types: ["k8s-job", "claude-agent", "conda-worker"],
  defaultTimeout: 3600,
  imagePullPolicy: "IfNotPresent",
  allowedImages: ["*"],
  allowedSecrets: [],
  allowedConfigMaps: [],
  allowedClaims: [],
  allowedServiceAccounts: [],
  allowedTolerations: ["*"],
  ownNames: [],
  allowPrivileged: false,
  allowHostPath: false,
  allowHostNetwork: false,
  runAsNonRoot: false,
  defaultResources: {},
  maxResources: {},
  sessionTokens: true,
  nodeSelector: {},
  imagePullSecrets: [],
  labels: {},
  agentImage: "oeway/deno-claude-code:0.1.2",
  agentSecret: "deno-claude-code-config",
  agentResources: {
    requests: { cpu: "500m", memory: "512Mi" },
    limits: { cpu: "2", memory: "2Gi" },
  },
  condaImage: "ghcr.io/amun-ai/hypha-conda-worker:0.1.0",
  condaToken: { name: "hypha-secrets", key: "HYPHA_AGENTS_TOKEN" },
  condaResources: {},
} as const satisfies Partial<JobSettings>;
