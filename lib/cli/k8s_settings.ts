/** Settings of `k8s`, from flags and environment variables, checked. */
import { DEFAULT_JOB_SETTINGS, type JobSettings } from "../kubernetes/jobs/settings.ts";
import { JOB_TYPES, type JobType } from "../kubernetes/jobs/types.ts";
import { K8S_OPTIONS } from "./k8s_options.ts";
import { milliseconds, positive } from "./numbers.ts";
import { type Environment, readOptions, usage } from "./option.ts";
import { parts, readServerSettings, type ServerSettings } from "./server_settings.ts";

/** Settings of the Kubernetes worker. */
export interface K8sSettings extends ServerSettings {
  /** Address that pods reach the server at, if the operator says one. */
  podServerUrl: string | undefined;
  namespace: string | undefined;
  kubeconfig: string | undefined;
  context: string | undefined;
  /** What is decided about jobs; the namespace comes from Kubernetes' configuration when it is not given. */
  jobs: Omit<JobSettings, "namespace">;
  /** Milliseconds. */
  startTimeout: number | undefined;
  /** Time unused jobs are kept that the server has forgotten (milliseconds); for ever when `undefined`. */
  orphanTimeout: number | undefined;
  maxSessions: number | undefined;
  maxWorkspaceSessions: number | undefined;
}

const POLICIES = ["Always", "IfNotPresent", "Never"] as const;
const DNS_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

type Text = (name: string) => string | undefined;

/** Reads and checks the settings. Throws `usage` naming the option. */
export async function readK8sSettings(
  args: readonly string[],
  environment: Environment,
): Promise<K8sSettings> {
  const options = readOptions(K8S_OPTIONS, args, environment);
  const server = await readServerSettings(options, {
    serviceId: () => "k8s-worker",
    // The server matches sessions by substrings of client ids (Hypha contract), so it is long and has no other in it.
    clientId: () => `k8s-worker-${crypto.randomUUID().replaceAll("-", "")}`,
  });
  const text: Text = (name) => options.values[name] as string | undefined;
  const namespace = text("namespace");
  if (namespace !== undefined && !DNS_LABEL.test(namespace)) {
    throw usage(`--namespace must be the name of a namespace, received ${namespace}`);
  }
  const podServerUrl = text("pod-server-url")?.replace(/\/+$/, "");
  if (podServerUrl !== undefined && !/^https?:\/\/[^\s@]+$/.test(podServerUrl)) {
    throw usage(`--pod-server-url must be an http or https address, received ${podServerUrl}`);
  }
  return {
    ...server,
    podServerUrl,
    namespace,
    kubeconfig: text("kubeconfig"),
    context: text("context"),
    jobs: jobSettings(text, (name) => options.values[name] === true, server, podServerUrl),
    startTimeout: milliseconds("start-timeout", text("start-timeout")),
    orphanTimeout: milliseconds("orphan-timeout", text("orphan-timeout")),
    maxSessions: positive("max-sessions", text("max-sessions")),
    maxWorkspaceSessions: positive("max-workspace-sessions", text("max-workspace-sessions")),
  };
}

function jobSettings(
  text: Text,
  flag: (name: string) => boolean,
  server: ServerSettings,
  podServerUrl: string | undefined,
): K8sSettings["jobs"] {
  const defaults = DEFAULT_JOB_SETTINGS;
  const list = (name: string, initial: readonly string[]) => parts(text(name)) ?? initial;
  const amounts = (name: string) => pairs(name, text(name));
  const requests = amounts("default-requests");
  const limits = amounts("default-limits");
  const agentLimits = amounts("agent-limits");
  const condaLimits = amounts("conda-limits");
  const maxTimeout = positive("max-timeout", text("max-timeout"));
  return {
    ...defaults,
    workerId: text("worker-id") ?? `${server.workspace}/${server.serviceId}`,
    workspace: server.workspace,
    serverUrl: podServerUrl ?? server.serverUrl,
    trustedWorkspaces: list("trusted-workspaces", defaults.trustedWorkspaces),
    types: types(list("types", defaults.types)),
    defaultTimeout: positive("default-timeout", text("default-timeout")) ??
      defaults.defaultTimeout,
    ...(maxTimeout === undefined ? {} : { maxTimeout }),
    imagePullPolicy: oneOf("image-pull-policy", text("image-pull-policy"), POLICIES) ??
      defaults.imagePullPolicy,
    allowedImages: list("allowed-images", defaults.allowedImages),
    allowedSecrets: list("allowed-secrets", defaults.allowedSecrets),
    allowedConfigMaps: list("allowed-config-maps", defaults.allowedConfigMaps),
    allowedClaims: list("allowed-claims", defaults.allowedClaims),
    allowedServiceAccounts: list("allowed-service-accounts", defaults.allowedServiceAccounts),
    allowedTolerations: list("allowed-tolerations", defaults.allowedTolerations),
    ownNames: list("own-names", defaults.ownNames),
    allowPrivileged: flag("allow-privileged"),
    allowHostPath: flag("allow-host-path"),
    allowHostNetwork: flag("allow-host-network"),
    runAsNonRoot: flag("run-as-non-root"),
    defaultResources: {
      ...(requests === undefined ? {} : { requests }),
      ...(limits === undefined ? {} : { limits }),
    },
    maxResources: amounts("max-resources") ?? defaults.maxResources,
    sessionTokens: oneOf("session-tokens", text("session-tokens"), ["true", "false"]) !== "false",
    nodeSelector: pairs("node-selector", text("node-selector")) ?? defaults.nodeSelector,
    imagePullSecrets: list("image-pull-secrets", defaults.imagePullSecrets),
    labels: pairs("labels", text("labels")) ?? defaults.labels,
    agentImage: text("agent-image") ?? defaults.agentImage,
    agentSecret: text("agent-secret") ?? defaults.agentSecret,
    agentResources: agentLimits === undefined
      ? defaults.agentResources
      : { requests: lower(defaults.agentResources.requests, agentLimits), limits: agentLimits },
    condaImage: text("conda-image") ?? defaults.condaImage,
    condaToken: secretKey("conda-token", text("conda-token")) ?? defaults.condaToken,
    condaResources: condaLimits === undefined ? {} : { limits: condaLimits },
  };
}

/** Requests of resources that limits still name; Kubernetes refuses a request above its limit. */
function lower(
  requests: Readonly<Record<string, string>>,
  limits: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.keys(requests).filter((name) => limits[name] === undefined)
      .map((name) => [name, requests[name]!]),
  );
}

function types(given: readonly string[]): JobType[] {
  return given.map((name) => {
    const known = JOB_TYPES.find((type) => type === name);
    if (known !== undefined) return known;
    throw usage(`--types may have ${JOB_TYPES.join(", ")}, received ${name}`);
  });
}

function oneOf<const T extends string>(
  name: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw usage(`--${name} must be ${choices.join(", ")}, received ${value}`);
}

/** `key=value` with commas between them. */
function pairs(name: string, value: string | undefined): Record<string, string> | undefined {
  if (value === undefined) return undefined;
  const entries = (parts(value) ?? []).map((part) => {
    const [, key, text] = /^([^=\s]+)=(\S*)$/.exec(part) ?? [];
    if (key !== undefined && text !== undefined) return [key, text] as const;
    throw usage(`--${name} must be key=value,…, received ${part}`);
  });
  return Object.fromEntries(entries);
}

function secretKey(name: string, value: string | undefined) {
  if (value === undefined) return undefined;
  const [, secret, key] = /^([^/\s]+)\/([^/\s]+)$/.exec(value) ?? [];
  if (secret !== undefined && key !== undefined) return { name: secret, key };
  throw usage(`--${name} must be SECRET/KEY, received ${value}`);
}
