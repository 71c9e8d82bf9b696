import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { K8S_OPTIONS } from "../../lib/cli/k8s_options.ts";
import { readK8sSettings } from "../../lib/cli/k8s_settings.ts";
import { DEFAULT_JOB_SETTINGS } from "../../lib/kubernetes/jobs/settings.ts";
import { neededRights } from "../../lib/kubernetes/worker/access_check.ts";
import { helm, merged, only, type Values } from "./chart.ts";
import {
  checkDescribed,
  checkObjects,
  checkRestricted,
  checkVersion,
  pod,
  variables,
} from "./chart_checks.ts";
import { k8sChartDirectory, renderK8s, renderRole, rightsOf } from "./k8s_chart.ts";
import { K8S_CASES, K8S_REFUSED, K8S_WRONG } from "./k8s_chart_cases.ts";
import type { Manifest } from "./schema.ts";
import { Folder, testWith } from "./support.ts";

const BINDING = "rbac.authorization.k8s.io";

/** Cases which helm's own linter looks at: the least and the most. */
const LINTED = ["nothing but the defaults", "everything of a pod"];

/** What must hold whatever the values are. */
function checkAlways(manifests: readonly Manifest[], name: string): void {
  checkObjects(manifests, K8S_OPTIONS, name);
  const { spec } = pod(manifests);
  // The pod has an account, and the rights are that account's.
  const account = spec.serviceAccountName as string;
  assert(account !== "default" && account !== "", name);
  assertEquals(spec.automountServiceAccountToken, true, name);
  const own = manifests.filter((one) => one.kind === "ServiceAccount");
  for (const { metadata, automountServiceAccountToken } of own) {
    assertEquals([metadata.name, automountServiceAccountToken], [account, false], name);
  }
  for (const binding of manifests.filter((one) => one.kind === "RoleBinding")) {
    const { metadata } = only(manifests, "Role");
    assertEquals(binding.subjects, [{ kind: "ServiceAccount", name: account, namespace: "hypha" }]);
    assertEquals(binding.roleRef, { apiGroup: BINDING, kind: "Role", name: metadata.name });
    assertEquals(binding.metadata.namespace, metadata.namespace, name);
    assertEquals(metadata.namespace, variables(manifests).HYPHA_K8S_NAMESPACE, name);
  }
  // Nothing that holds in the whole cluster.
  assert(!manifests.some(({ kind }) => kind.startsWith("Cluster")), name);
  // Patterns do not reach what the worker itself has.
  const { HYPHA_K8S_OWN_NAMES } = variables(manifests);
  const { secretName } = spec.volumes.find((one: { name: string }) => one.name === "token").secret;
  assertEquals(HYPHA_K8S_OWN_NAMES, [secretName, account].join(), name);
}

/** The settings that the program reads in the container. */
async function settingsOf(manifests: readonly Manifest[]) {
  await using folder = await Folder.make();
  const token = await folder.write("token", "secret-token\n");
  const env: Record<string, string> = { ...variables(manifests), HYPHA_TOKEN_FILE: token };
  const [command, ...args] = pod(manifests).container.args as string[];
  assertEquals(command, "k8s");
  return await readK8sSettings(args, (name) => env[name]);
}

testWith(
  "what the chart of the Kubernetes worker makes fits Kubernetes and the worker, whatever the values are",
  "helm",
  "packages",
  async (program) => {
    for (const { name, values, check } of K8S_CASES) {
      const { manifests } = await renderK8s(values);
      checkAlways(manifests, name);
      check?.(manifests);
      if (!LINTED.includes(name)) continue;
      const lint = ["lint", "--strict", "--quiet", k8sChartDirectory];
      const { code, stdout, stderr } = await helm(program, lint, values);
      assertEquals(code, 0, `${name}: ${stdout}${stderr}`);
    }
  },
);

testWith(
  "values of the Kubernetes worker that cannot work are refused with what to do",
  "helm",
  "packages",
  async () => {
    for (const { values, says } of K8S_REFUSED) {
      const error = await assertRejects(() => renderK8s(values), Error, undefined, says);
      assertStringIncludes(error.message, says);
    }
    const all = K8S_WRONG.reduce<Values>((sum, { values }) => merged(sum, values), {});
    const { message } = await assertRejects(() => renderK8s(all), Error);
    for (const { says } of K8S_WRONG) assertStringIncludes(message, says);
  },
);

testWith(
  "the role has the rights the Kubernetes worker uses, and no other",
  "helm",
  "packages",
  async () => {
    for (const sessionTokens of [true, false]) {
      const given = rightsOf(await renderRole({ kubernetes: { sessionTokens } }));
      const used = neededRights(sessionTokens).map(({ group, resource, subresource, verb }) => ({
        group,
        resource: subresource === undefined ? resource : `${resource}/${subresource}`,
        verb,
      }));
      assertEquals(inOrder(given), inOrder(used));
    }
  },
);

function inOrder(rights: readonly unknown[]): string[] {
  return rights.map((right) => JSON.stringify(right)).sort();
}

testWith(
  "the defaults of the chart are those of the Kubernetes worker",
  "helm",
  "packages",
  async () => {
    const { manifests } = await renderK8s({}, { release: "hypha-k8s-worker" });
    const settings = await settingsOf(manifests);
    const { jobs } = settings;
    for (const [name, value] of Object.entries(DEFAULT_JOB_SETTINGS)) {
      if (name === "ownNames") continue;
      assertEquals(jobs[name as keyof typeof jobs], value, name);
    }
    assertEquals(jobs.ownNames, ["hypha-secrets", "hypha-k8s-worker"]);
    assertEquals(
      [settings.serverUrl, settings.workspace, settings.serviceId, settings.visibility],
      [
        "http://hypha-server.hypha.svc.cluster.local:9520",
        "hypha-agents",
        "k8s-worker",
        "protected",
      ],
    );
    assertEquals([settings.token, settings.namespace], ["secret-token", "hypha"]);
    assertEquals(settings.metrics, { port: 9090, hostname: "0.0.0.0" });
    assertEquals(settings.logFormat, "json");
    assertEquals(jobs.workerId, "hypha-agents/k8s-worker");
    assertEquals([settings.orphanTimeout, settings.podServerUrl], [undefined, undefined]);
  },
);

testWith(
  "the Kubernetes worker takes every setting of the chart",
  "helm",
  "packages",
  async () => {
    const values: Values = {
      hypha: {
        serverUrl: "https://hypha.example.org",
        workspace: "my-workspace",
        serviceId: "jobs",
        clientId: "worker-1",
        visibility: "public",
        authorizedWorkspaces: ["a", "b"],
        existingSecret: "my-token",
        tokenKey: "token",
        podServerUrl: "https://inside.example.org/?a=1&b=<2>",
      },
      kubernetes: {
        namespace: "jobs",
        defaultTimeout: 2_000_000,
        imagePullPolicy: "Always",
        types: ["k8s-job"],
        workerId: "one",
        sessionTokens: false,
        maxTimeout: "3000000",
        startTimeout: 60,
        orphanTimeout: "90",
        maxSessions: 5,
        maxWorkspaceSessions: "2",
        defaultRequests: { cpu: "500m" },
        defaultLimits: { memory: 4_000_000_000 },
        maxResources: { cpu: 8, memory: "32Gi", "nvidia.com/gpu": "1" },
        imagePullSecrets: ["registry"],
        nodeSelector: { "example.org/pool": "jobs" },
        labels: { team: "imaging" },
        runAsNonRoot: true,
        trustedWorkspaces: ["ops"],
        ownNames: ["more"],
      },
      allowed: {
        images: ["python:*", "ghcr.io/my-org/*"],
        secrets: ["s-{workspace}"],
        configMaps: ["c"],
        claims: ["data-{workspace}", "shared"],
        serviceAccounts: ["reader"],
        tolerations: ["gpu"],
        privileged: true,
        hostPath: true,
        hostNetwork: true,
      },
      claudeAgent: { image: "agent:1", secret: "agents", limits: { cpu: 1 } },
      condaWorker: { image: "conda:1", secret: "conda", tokenKey: "t", limits: { memory: "8Gi" } },
      logFormat: "text",
      verbose: true,
      metrics: { port: 9100 },
      extraArgs: ["--heartbeat=10"],
    };
    const { manifests } = await renderK8s(values);
    const settings = await settingsOf(manifests);
    const { jobs, clientId, ...rest } = settings;
    assertEquals(clientId, "worker-1");
    assertEquals(rest, {
      serverUrl: "https://hypha.example.org",
      workspace: "my-workspace",
      token: "secret-token",
      serviceId: "jobs",
      visibility: "public",
      authorizedWorkspaces: ["a", "b"],
      useLocalUrl: false,
      disableSsl: false,
      verbose: true,
      configuration: undefined,
      heartbeat: 10_000,
      reconnectTimeout: undefined,
      logFormat: "text",
      metrics: { port: 9100, hostname: "0.0.0.0" },
      podServerUrl: "https://inside.example.org/?a=1&b=<2>",
      namespace: "jobs",
      kubeconfig: undefined,
      context: undefined,
      startTimeout: 60_000,
      orphanTimeout: 90_000,
      maxSessions: 5,
      maxWorkspaceSessions: 2,
    });
    assertEquals(jobs, {
      workerId: "one",
      workspace: "my-workspace",
      serverUrl: "https://inside.example.org/?a=1&b=<2>",
      trustedWorkspaces: ["ops"],
      types: ["k8s-job"],
      defaultTimeout: 2_000_000,
      maxTimeout: 3_000_000,
      imagePullPolicy: "Always",
      allowedImages: ["python:*", "ghcr.io/my-org/*"],
      allowedSecrets: ["s-{workspace}"],
      allowedConfigMaps: ["c"],
      allowedClaims: ["data-{workspace}", "shared"],
      allowedServiceAccounts: ["reader"],
      allowedTolerations: ["gpu"],
      ownNames: ["my-token", "release-hypha-k8s-worker", "more"],
      allowPrivileged: true,
      allowHostPath: true,
      allowHostNetwork: true,
      runAsNonRoot: true,
      defaultResources: { requests: { cpu: "500m" }, limits: { memory: "4000000000" } },
      maxResources: { cpu: "8", memory: "32Gi", "nvidia.com/gpu": "1" },
      sessionTokens: false,
      nodeSelector: { "example.org/pool": "jobs" },
      imagePullSecrets: ["registry"],
      labels: { team: "imaging" },
      agentImage: "agent:1",
      agentSecret: "agents",
      agentResources: { requests: { memory: "512Mi" }, limits: { cpu: "1" } },
      condaImage: "conda:1",
      condaToken: { name: "conda", key: "t" },
      condaResources: { limits: { memory: "8Gi" } },
    });
    // Every option of its own is among them, but for two that are about somewhere else than the pod.
    const env = Object.keys(variables(manifests));
    const left = K8S_OPTIONS.filter((option) => option.variable?.startsWith("k8s-"))
      .map((option) => `HYPHA_${option.variable!.toUpperCase().replaceAll("-", "_")}`)
      .filter((name) => !env.includes(name));
    assertEquals(left, ["HYPHA_K8S_KUBECONFIG", "HYPHA_K8S_CONTEXT"]);
  },
);

testWith("an empty list of images allows none of them", "helm", "packages", async () => {
  const { manifests } = await renderK8s({ allowed: { images: [], tolerations: [] } });
  const { jobs } = await settingsOf(manifests);
  assertEquals([jobs.allowedImages, jobs.allowedTolerations], [[], []]);
});

testWith(
  "the pod of the Kubernetes worker fits the restricted pod security standard",
  "helm",
  "packages",
  async () => {
    checkRestricted((await renderK8s()).manifests);
  },
);

testWith("notes say where the jobs and their secrets are", "helm", "packages", async () => {
  const { notes } = await renderK8s({ kubernetes: { namespace: "jobs" } });
  assertStringIncludes(notes, "jobs in the namespace jobs");
  assertStringIncludes(notes, "rollout status deployment/release-hypha-k8s-worker");
  assertStringIncludes(notes, "the key HYPHA_AGENTS_TOKEN of the secret hypha-secrets");
  assertStringIncludes(
    notes,
    "deno-claude-code-config (claude-agent), hypha-secrets (conda-worker)",
  );
  assertStringIncludes(notes, "may run any image");
  const few = await renderK8s({
    kubernetes: { types: ["k8s-job"] },
    allowed: { images: ["python:*"] },
    rbac: { create: false },
  });
  assert(!few.notes.includes("deno-claude-code-config"));
  assert(!few.notes.includes("any image"));
  assertStringIncludes(few.notes, "the rights you give it");
});

Deno.test("the chart of the Kubernetes worker is of this version", async () => {
  await checkVersion(k8sChartDirectory, "hypha-k8s-worker");
});

Deno.test("the README of the Kubernetes worker's chart has its values, and each is described", async () => {
  await checkDescribed(k8sChartDirectory);
});
