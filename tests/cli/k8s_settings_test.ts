/** Options of `k8s`: flags, variables, defaults, and what is wrong. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DEFAULT_JOB_SETTINGS } from "../../lib/kubernetes/jobs/settings.ts";
import { K8S_OPTIONS } from "../../lib/cli/k8s_options.ts";
import { readK8sSettings } from "../../lib/cli/k8s_settings.ts";
import { environmentNames, readOptions } from "../../lib/cli/option.ts";
import { WorkerError } from "../../lib/errors.ts";

const SERVER = {
  HYPHA_SERVER_URL: "https://hypha.test/",
  HYPHA_WORKSPACE: "hypha-agents",
  HYPHA_TOKEN: "token-of-the-worker",
};

function settings(args: string[], variables: Record<string, string> = {}) {
  const all: Record<string, string> = { ...SERVER, ...variables };
  return readK8sSettings(args, (name) => all[name]);
}

Deno.test("k8s: without options the documented defaults hold", async () => {
  const { jobs, ...rest } = await settings([]);
  assertEquals(
    [rest.serverUrl, rest.workspace, rest.serviceId, rest.visibility, rest.namespace],
    ["https://hypha.test", "hypha-agents", "k8s-worker", "protected", undefined],
  );
  assertEquals(jobs, {
    ...DEFAULT_JOB_SETTINGS,
    workerId: "hypha-agents/k8s-worker",
    workspace: "hypha-agents",
    serverUrl: "https://hypha.test",
  });
  // What the help says is what holds.
  const told = (name: string) => K8S_OPTIONS.find((option) => option.name === name)!.default;
  assertEquals(told("default-timeout"), String(jobs.defaultTimeout));
  assertEquals(told("image-pull-policy"), jobs.imagePullPolicy);
  assertEquals(told("types"), jobs.types.join(","));
  assertEquals(told("agent-image"), jobs.agentImage);
  assertEquals(told("agent-secret"), jobs.agentSecret);
  assertEquals(told("conda-token"), `${jobs.condaToken.name}/${jobs.condaToken.key}`);
  assertEquals(
    told("agent-limits"),
    Object.entries(DEFAULT_JOB_SETTINGS.agentResources.limits).map((one) => one.join("=")).join(
      ",",
    ),
  );
});

Deno.test("k8s: the variables of the chart are read", async () => {
  const { jobs, ...rest } = await settings([], {
    HYPHA_SERVICE_ID: "my-worker",
    HYPHA_VISIBILITY: "public",
    HYPHA_K8S_NAMESPACE: "hypha",
    HYPHA_K8S_DEFAULT_TIMEOUT: "60",
    HYPHA_K8S_IMAGE_PULL_POLICY: "Always",
    HYPHA_K8S_ALLOWED_IMAGES: "python:*, ghcr.io/my-org/*",
    HYPHA_K8S_POD_SERVER_URL: "http://hypha-server.hypha.svc.cluster.local:9520/",
    HYPHA_K8S_SESSION_TOKENS: "false",
    HYPHA_K8S_ALLOW_HOST_NETWORK: "1",
  });
  assertEquals([rest.serviceId, rest.visibility, rest.namespace], ["my-worker", "public", "hypha"]);
  assertEquals(rest.podServerUrl, "http://hypha-server.hypha.svc.cluster.local:9520");
  assertEquals(
    [jobs.defaultTimeout, jobs.imagePullPolicy, jobs.sessionTokens, jobs.serverUrl],
    [60, "Always", false, rest.podServerUrl],
  );
  assertEquals(jobs.allowedImages, ["python:*", "ghcr.io/my-org/*"]);
  assertEquals([jobs.allowHostNetwork, jobs.allowHostPath, jobs.allowPrivileged], [
    true,
    false,
    false,
  ]);
});

Deno.test("k8s: every option reaches the settings", async () => {
  const args = Object.entries({
    "max-timeout": "100",
    "allowed-secrets": "s-*",
    "allowed-config-maps": "c-*",
    "allowed-claims": "data-{workspace}",
    "allowed-service-accounts": "sa",
    "allowed-tolerations": "gpu",
    "own-names": "hypha-secrets",
    "trusted-workspaces": "ws-1",
    "node-selector": "pool=jobs,zone=a",
    "labels": "team=x",
    "image-pull-secrets": "registry",
    "default-requests": "cpu=100m",
    "default-limits": "memory=1Gi",
    "max-resources": "cpu=8,nvidia.com/gpu=1",
    "agent-image": "a:1",
    "agent-secret": "b",
    "agent-limits": "cpu=1",
    "conda-image": "c:1",
    "conda-token": "d/E",
    "conda-limits": "memory=2Gi",
    "types": "k8s-job",
    "worker-id": "w",
  }).map(([name, value]) => `--${name}=${value}`);
  const flags = ["--allow-privileged", "--allow-host-path", "--run-as-non-root"];
  const { jobs } = await settings([...args, ...flags]);
  assertEquals(jobs, {
    ...DEFAULT_JOB_SETTINGS,
    workerId: "w",
    workspace: "hypha-agents",
    serverUrl: "https://hypha.test",
    maxTimeout: 100,
    types: ["k8s-job"],
    allowedSecrets: ["s-*"],
    allowedConfigMaps: ["c-*"],
    allowedClaims: ["data-{workspace}"],
    allowedServiceAccounts: ["sa"],
    allowedTolerations: ["gpu"],
    ownNames: ["hypha-secrets"],
    trustedWorkspaces: ["ws-1"],
    nodeSelector: { pool: "jobs", zone: "a" },
    labels: { team: "x" },
    imagePullSecrets: ["registry"],
    defaultResources: { requests: { cpu: "100m" }, limits: { memory: "1Gi" } },
    maxResources: { cpu: "8", "nvidia.com/gpu": "1" },
    agentImage: "a:1",
    agentSecret: "b",
    agentResources: { requests: { memory: "512Mi" }, limits: { cpu: "1" } },
    condaImage: "c:1",
    condaToken: { name: "d", key: "E" },
    condaResources: { limits: { memory: "2Gi" } },
    allowPrivileged: true,
    allowHostPath: true,
    runAsNonRoot: true,
  });
});

Deno.test("k8s: what is wrong is named", async () => {
  for (
    const [arg, words] of [
      ["--namespace=Not/valid", "--namespace"],
      ["--types=k8s-pod", "--types may have k8s-job, claude-agent, conda-worker, received k8s-pod"],
      ["--image-pull-policy=always", "--image-pull-policy must be Always, IfNotPresent, Never"],
      ["--session-tokens=maybe", "--session-tokens"],
      ["--node-selector=pool", "--node-selector must be key=value"],
      ["--conda-token=only-a-name", "--conda-token must be SECRET/KEY"],
      ["--pod-server-url=ftp://x", "--pod-server-url"],
      ["--default-timeout=0", "--default-timeout must be a positive number"],
      ["--cache-dir=/x", "Unknown option --cache-dir"],
    ] as const
  ) {
    const error = await assertRejects(() => settings([arg]), WorkerError);
    assertEquals(error.code, "usage");
    assert(error.message.includes(words), `${arg}: ${error.message}`);
  }
});

Deno.test("k8s: options about Kubernetes have variables of their own, the others those of start", () => {
  const first = (name: string) =>
    environmentNames(K8S_OPTIONS.find((option) => option.name === name)!)[0];
  assertEquals(first("namespace"), "HYPHA_K8S_NAMESPACE");
  assertEquals(first("token"), "HYPHA_TOKEN");
  assertEquals(new Set(K8S_OPTIONS.map(({ name }) => name)).size, K8S_OPTIONS.length);
  for (const option of K8S_OPTIONS) {
    const [name] = environmentNames(option);
    const value = option.type === "flag" ? "1" : "x";
    const { values } = readOptions(K8S_OPTIONS, [], (asked) => asked === name ? value : undefined);
    assertEquals(values[option.name], option.type === "flag" ? true : "x", option.name);
  }
});
