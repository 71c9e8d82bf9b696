/** What each type of app becomes. */
import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { build, containerOf, podOf, refusal, settings } from "./support.ts";

const SESSION = "ws-tenant/_rapp_brave-fox-12345678__rlb";
const NAME = "hypha-job-ws-tenant-rapp-brave-fox-12345678-rlb-523ad4072a";
const CLIENT = "_rapp_brave-fox-12345678__rlb";

Deno.test("a k8s-job is one container with the standard variables and as few rights as possible", () => {
  const built = build({ image: "python:3.11", command: ["python", "-c", "1"], env: { A: "b" } });
  const labels = {
    "app.kubernetes.io/managed-by": "hypha-conda-worker",
    "app.kubernetes.io/component": "k8s-job",
    "hypha.amun.ai/worker": "hypha-agents-k8s-1-k8s-worker-8c5256f703",
    "hypha.amun.ai/session": "523ad4072a25685bd7ed127e699d4265",
  };
  const annotations = {
    "hypha.amun.ai/session-id": SESSION,
    "hypha.amun.ai/workspace": "ws-tenant",
    "hypha.amun.ai/owner": "user-1",
    "hypha.amun.ai/app-id": "my-app",
    "hypha.amun.ai/client-id": CLIENT,
    "hypha.amun.ai/manifest-type": "k8s-job",
    "hypha.amun.ai/started-by": "hypha-agents/k8s-1:k8s-worker",
    "hypha.amun.ai/started-at": "2026-01-02T03:04:05.000Z",
    "hypha.amun.ai/container": "main",
  };
  const metadata = { name: NAME, namespace: "hypha", labels, annotations };
  assertEquals(built, {
    type: "k8s-job",
    container: "main",
    workspace: "ws-tenant",
    waitForService: undefined,
    serviceTimeout: 120,
    startTimeout: undefined,
    operatorSecrets: false,
    warnings: [],
    secret: {
      apiVersion: "v1",
      kind: "Secret",
      type: "Opaque",
      metadata,
      immutable: true,
      data: { HYPHA_TOKEN: Buffer.from("session-token").toString("base64") },
    },
    job: {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata,
      spec: {
        parallelism: 1,
        completions: 1,
        backoffLimit: 3,
        ttlSecondsAfterFinished: 3600,
        activeDeadlineSeconds: 3600,
        template: {
          metadata: { labels, annotations },
          spec: {
            restartPolicy: "Never",
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            securityContext: { seccompProfile: { type: "RuntimeDefault" } },
            containers: [{
              name: "main",
              image: "python:3.11",
              imagePullPolicy: "IfNotPresent",
              command: ["python", "-c", "1"],
              env: [
                { name: "HYPHA_SERVER_URL", value: "https://hypha.example.org" },
                { name: "HYPHA_WORKSPACE", value: "ws-tenant" },
                { name: "HYPHA_CLIENT_ID", value: CLIENT },
                { name: "HYPHA_APP_ID", value: "my-app" },
                {
                  name: "HYPHA_TOKEN",
                  valueFrom: { secretKeyRef: { name: NAME, key: "HYPHA_TOKEN" } },
                },
                { name: "A", value: "b" },
              ],
              terminationMessagePolicy: "FallbackToLogsOnError",
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ["ALL"] },
                seccompProfile: { type: "RuntimeDefault" },
              },
            }],
          },
        },
      },
    },
  });
});

Deno.test("every field of a k8s-job goes where it belongs", () => {
  const built = build(
    {
      type: "k8s-job",
      image: "ghcr.io/acme/tool:1",
      args: ["-v"],
      env: {
        N: 1,
        F: 0.5,
        T: true,
        HYPHA_APP_ID: null,
        KEY: { secret: "keys", key: "k" },
        SET: { config_map: "conf", key: "a.b" },
      },
      working_dir: "/data",
      resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { memory: "2Gi" } },
      gpu: 2,
      volumes: [
        { mount_path: "/a", claim: "data", sub_path: "x/y", read_only: true },
        { name: "conf", mount_path: "/b", config_map: "conf", files: [{ key: "k", path: "d/f" }] },
        { mount_path: "/c", secret: "keys" },
        { mount_path: "/dev/shm", empty_dir: { medium: "Memory" }, size_limit: "64Mi" },
        { mount_path: "/e", empty_dir: true },
      ],
      service_account: "sa",
      image_pull_secrets: ["keys"],
      image_pull_policy: "Always",
      restart_policy: "OnFailure",
      backoff_limit: 0,
      timeout: 60,
      ttl: 5,
      start_timeout: 7,
      node_selector: { disk: "ssd", "example.com/zone": "" },
      tolerations: [
        { key: "gpu" },
        { key: "spot", value: "yes", effect: "NoExecute", toleration_seconds: 9 },
      ],
      labels: { team: "growth" },
      annotations: { "example.com/note": "two\nlines" },
      wait_for_service: "my-service",
      service_timeout: 11,
    },
    {
      allowedSecrets: ["keys"],
      allowedConfigMaps: ["conf"],
      allowedClaims: ["data"],
      allowedServiceAccounts: ["sa"],
      imagePullSecrets: ["registry"],
      nodeSelector: { pool: "jobs" },
      labels: { "example.com/site": "one" },
    },
  );
  assertEquals(built.waitForService, "ws-tenant/my-service");
  assertEquals([built.serviceTimeout, built.startTimeout], [11, 7]);
  const { spec, metadata } = built.job;
  assertEquals(spec!.backoffLimit, 0);
  assertEquals(spec!.ttlSecondsAfterFinished, 5);
  assertEquals(spec!.activeDeadlineSeconds, 60);
  assertEquals(metadata!.labels!.team, "growth");
  assertEquals(metadata!.labels!["example.com/site"], "one");
  assertEquals(metadata!.annotations!["example.com/note"], "two\nlines");
  assertEquals(spec!.template.metadata!.labels!.team, undefined);
  assertEquals(spec!.template.metadata!.annotations!["example.com/note"], undefined);
  const pod = podOf(built);
  assertEquals(pod.restartPolicy, "OnFailure");
  assertEquals(pod.serviceAccountName, "sa");
  assertEquals(pod.imagePullSecrets, [{ name: "registry" }, { name: "keys" }]);
  assertEquals(pod.nodeSelector, { disk: "ssd", "example.com/zone": "", pool: "jobs" });
  assertEquals(pod.tolerations, [
    { key: "gpu", operator: "Exists" },
    { key: "spot", operator: "Equal", value: "yes", effect: "NoExecute", tolerationSeconds: 9 },
  ]);
  assertEquals(pod.volumes, [
    { name: "volume-1", persistentVolumeClaim: { claimName: "data", readOnly: true } },
    { name: "conf", configMap: { name: "conf", items: [{ key: "k", path: "d/f" }] } },
    { name: "volume-3", secret: { secretName: "keys" } },
    { name: "volume-4", emptyDir: { medium: "Memory", sizeLimit: "64Mi" } },
    { name: "volume-5", emptyDir: {} },
  ]);
  const container = containerOf(built);
  assertEquals(container.volumeMounts, [
    { name: "volume-1", mountPath: "/a", readOnly: true, subPath: "x/y" },
    { name: "conf", mountPath: "/b" },
    { name: "volume-3", mountPath: "/c" },
    { name: "volume-4", mountPath: "/dev/shm" },
    { name: "volume-5", mountPath: "/e" },
  ]);
  assertEquals(container.args, ["-v"]);
  assertEquals(container.command, undefined);
  assertEquals(container.workingDir, "/data");
  assertEquals(container.imagePullPolicy, "Always");
  assertEquals(container.resources, {
    requests: { cpu: "500m", memory: "1Gi", "nvidia.com/gpu": "2" },
    limits: { memory: "2Gi", "nvidia.com/gpu": "2" },
  });
  assertEquals(container.env!.slice(4), [
    { name: "N", value: "1" },
    { name: "F", value: "0.5" },
    { name: "T", value: "true" },
    { name: "KEY", valueFrom: { secretKeyRef: { name: "keys", key: "k" } } },
    { name: "SET", valueFrom: { configMapKeyRef: { name: "conf", key: "a.b" } } },
  ]);
  assertEquals(container.env!.some(({ name }) => name === "HYPHA_APP_ID"), false);
});

Deno.test("the session's token reaches a pod through its secret only, and only where it is wanted", () => {
  const image = "python:3.11";
  const plain = build({ image });
  assertEquals(JSON.stringify(plain.job).includes("session-token"), false);
  for (
    const [built, value] of [
      [build({ image }, { sessionTokens: false }), undefined],
      [build({ image, env: { HYPHA_TOKEN: "mine" } }), "mine"],
      [build({ image, env: { HYPHA_TOKEN: null } }), undefined],
    ] as const
  ) {
    assertEquals(built.secret, undefined);
    assertEquals(containerOf(built).env!.find(({ name }) => name === "HYPHA_TOKEN")?.value, value);
  }
});

Deno.test("variables of a start go before those of the manifest", () => {
  const built = build({ image: "a:1", env: { A: "1", B: "2" } }, {}, {
    envOverrides: { A: "3", B: null },
  });
  assertEquals(containerOf(built).env!.slice(5), [{ name: "A", value: "3" }]);
  assertEquals(
    refusal({ image: "a:1" }, {}, { envOverrides: { A: { secret: "s", key: "k" } } }).code,
    "permission_denied",
  );
});

Deno.test("a claude-agent has the variables, secrets and defaults that its users know", () => {
  const built = build({ type: "claude-agent" });
  assertEquals([built.container, built.waitForService, built.serviceTimeout, built.workspace], [
    "claude-agent",
    undefined,
    120,
    "hypha-agents",
  ]);
  assertEquals([built.secret, built.operatorSecrets], [undefined, true]);
  const pod = podOf(built);
  assertEquals(pod.restartPolicy, "OnFailure");
  assertEquals(pod.securityContext, {
    runAsNonRoot: true,
    runAsUser: 1000,
    runAsGroup: 1000,
    fsGroup: 1000,
    seccompProfile: { type: "RuntimeDefault" },
  });
  assertEquals(pod.volumes, [{ name: "workspace", emptyDir: {} }]);
  const container = containerOf(built);
  assertEquals(container.image, "oeway/deno-claude-code:0.1.2");
  assertEquals(container.volumeMounts, [{ name: "workspace", mountPath: "/workspace" }]);
  assertEquals(container.resources, {
    requests: { cpu: "500m", memory: "512Mi" },
    limits: { cpu: "2", memory: "2Gi" },
  });
  const secret = (key: string) => ({
    name: key,
    valueFrom: { secretKeyRef: { name: "deno-claude-code-config", key } },
  });
  assertEquals(container.env, [
    { name: "HYPHA_SERVER_URL", value: settings().serverUrl },
    { name: "HYPHA_WORKSPACE", value: "hypha-agents" },
    { name: "HYPHA_CLIENT_ID", value: CLIENT },
    { name: "SERVICE_ID", value: "claude-agents" },
    { name: "SERVICE_VISIBILITY", value: "protected" },
    { name: "AGENT_BASE_DIRECTORY", value: "/workspace" },
    { name: "AGENT_MAX_COUNT", value: "1" },
    secret("ANTHROPIC_API_KEY"),
    secret("HYPHA_TOKEN"),
  ]);
  assertEquals(built.job.spec!.activeDeadlineSeconds, undefined);
});

Deno.test("every field of a claude-agent is honoured", () => {
  const built = build(
    {
      type: "claude-agent",
      service_id: "my-agent",
      workspace: "ws-tenant",
      visibility: "public",
      secret_name: "my-keys",
      wait_for_service: true,
      service_timeout: 30,
      timeout: 100,
      resources: { limits: { memory: "4Gi" } },
    },
    { allowedSecrets: ["my-*"] },
  );
  assertEquals([built.waitForService, built.serviceTimeout], ["ws-tenant/my-agent", 30]);
  assertEquals(built.job.spec!.activeDeadlineSeconds, 100);
  const { env, resources } = containerOf(built);
  const value = (name: string) => env!.find((one) => one.name === name);
  assertEquals(value("HYPHA_WORKSPACE")!.value, "ws-tenant");
  assertEquals(value("SERVICE_ID")!.value, "my-agent");
  assertEquals(value("SERVICE_VISIBILITY")!.value, "public");
  assertEquals(value("HYPHA_TOKEN")!.valueFrom!.secretKeyRef!.name, "my-keys");
  assertEquals(resources!.limits, { cpu: "2", memory: "4Gi" });
});

Deno.test("a conda-worker is this program, which gets its token from the operator's secret", () => {
  const operator = { operator: true, workspace: "hypha-agents" };
  const built = build({ type: "conda-worker" }, {}, operator);
  assertEquals(built.waitForService, `hypha-agents/${CLIENT}:conda-worker-523ad407`);
  assertEquals([built.container, built.operatorSecrets], ["conda-worker", true]);
  const pod = podOf(built);
  assertEquals(pod.restartPolicy, "Never");
  assertEquals(pod.securityContext!.runAsUser, 8877);
  assertEquals(pod.securityContext!.runAsGroup, 8877);
  assertEquals(pod.volumes!.map(({ name, emptyDir }) => [name, emptyDir]), [
    ["cache", {}],
    ["work", {}],
    ["tmp", {}],
  ]);
  const container = containerOf(built);
  assertEquals(container.args, ["start"]);
  assertEquals(container.securityContext!.readOnlyRootFilesystem, true);
  assertEquals(container.env, [
    { name: "HYPHA_SERVER_URL", value: settings().serverUrl },
    { name: "HYPHA_WORKSPACE", value: "hypha-agents" },
    { name: "HYPHA_CLIENT_ID", value: CLIENT },
    { name: "HYPHA_SERVICE_ID", value: "conda-worker-523ad407" },
    { name: "HYPHA_VISIBILITY", value: "protected" },
    { name: "HYPHA_VERBOSE", value: "true" },
    {
      name: "HYPHA_TOKEN",
      valueFrom: { secretKeyRef: { name: "hypha-secrets", key: "HYPHA_AGENTS_TOKEN" } },
    },
  ]);
  const chosen = build(
    {
      type: "conda-worker",
      service_id: "w",
      visibility: "public",
      workspace: "other",
      cache: { claim: "envs", sub_path: "w" },
      gpu: 1,
      verbose: false,
      wait_for_service: false,
    },
    { allowedClaims: ["envs"] },
    operator,
  );
  assertEquals(chosen.waitForService, undefined);
  assertEquals(podOf(chosen).volumes![0], {
    name: "cache",
    persistentVolumeClaim: { claimName: "envs" },
  });
  assertEquals(containerOf(chosen).resources!.limits, { "nvidia.com/gpu": "1" });
  assertEquals(containerOf(chosen).env!.slice(1, 6).map(({ value }) => value), [
    "other",
    CLIENT,
    "w",
    "public",
    "false",
  ]);
});

Deno.test("only those whom the operator trusts start conda workers", () => {
  const manifest = { type: "conda-worker" };
  assertEquals(refusal(manifest).code, "permission_denied");
  assertEquals(refusal(manifest, { trustedWorkspaces: ["*"] }).code, "permission_denied");
  build(manifest, { trustedWorkspaces: ["ws-tenant"] });
  build(manifest, {}, { workspace: "hypha-agents" });
});

Deno.test("only the operator names another workspace than his own", () => {
  const manifest = { type: "claude-agent", workspace: "hypha-agents" };
  assertEquals(refusal(manifest).code, "permission_denied");
  build(manifest, {}, { operator: true });
  build({ ...manifest, workspace: "ws-tenant" });
});

Deno.test("pods with secrets of the operator connect to his server, whatever the caller says", () => {
  const evil = { serverUrl: "https://evil.example.org", operator: true };
  for (const type of ["claude-agent", "conda-worker"]) {
    const text = JSON.stringify(build({ type }, {}, evil).job);
    assertEquals(text.includes("evil.example.org"), false);
  }
});

Deno.test("the service that is waited for is one of the job's workspace", () => {
  const awaited = (wait_for_service: unknown) =>
    build({ image: "a:1", wait_for_service }).waitForService;
  assertEquals(awaited(true), `ws-tenant/${CLIENT}:default`);
  assertEquals(awaited("client:svc"), "ws-tenant/client:svc");
  assertEquals(awaited("ws-tenant/svc"), "ws-tenant/svc");
  assertEquals(awaited(false), undefined);
  const error = refusal({ image: "a:1", wait_for_service: "hypha-agents/svc" });
  assertEquals(error.code, "permission_denied");
});
