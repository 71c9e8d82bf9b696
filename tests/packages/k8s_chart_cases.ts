/** Values the chart of the Kubernetes worker is rendered with: those that work, and those that are refused. */
import { assert, assertEquals } from "@std/assert";
import { pod, variables } from "./chart_checks.ts";
import { type Case, COMMON_CASES, DIGEST_IMAGE, kinds, volume } from "./chart_common_cases.ts";
import { only, type Values, workload } from "./chart.ts";
import { rightsOf } from "./k8s_chart.ts";

/** Values that work. */
export const K8S_CASES: readonly Case[] = [
  ...COMMON_CASES,
  {
    name: "nothing but the defaults",
    values: {},
    check: (manifests) => {
      const all = ["Deployment", "Role", "RoleBinding", "Service", "ServiceAccount"];
      assertEquals(kinds(manifests), all);
      const { spec, metadata } = workload(manifests);
      assertEquals(metadata.labels?.["app.kubernetes.io/name"], "hypha-k8s-worker");
      assertEquals([spec.replicas, spec.strategy], [1, { type: "Recreate" }]);
      const { secretName, items } = volume(manifests, "token").secret;
      assertEquals(secretName, "hypha-secrets");
      assertEquals(items, [{ key: "HYPHA_AGENTS_TOKEN", path: "token" }]);
      assertEquals(pod(manifests).container.resources, {
        limits: { cpu: "1000m", memory: "512Mi" },
        requests: { cpu: "100m", memory: "128Mi" },
      });
    },
  },
  {
    name: "jobs in a namespace of their own",
    values: { kubernetes: { namespace: "jobs" } },
    check: (manifests) => {
      for (const { kind, metadata } of manifests) {
        assertEquals(metadata.namespace, kind.startsWith("Role") ? "jobs" : "hypha", kind);
      }
      assertEquals(variables(manifests).HYPHA_K8S_NAMESPACE, "jobs");
    },
  },
  {
    name: "jobs in the namespace of the release",
    values: { kubernetes: { namespace: "" } },
    check: (manifests) => {
      for (const { kind, metadata } of manifests) assertEquals(metadata.namespace, "hypha", kind);
      assertEquals(variables(manifests).HYPHA_K8S_NAMESPACE, "hypha");
    },
  },
  {
    name: "sessions without tokens",
    values: { kubernetes: { sessionTokens: false } },
    check: (manifests) => {
      const rights = rightsOf(only(manifests, "Role"));
      assert(!rights.some(({ resource }) => resource === "secrets"));
    },
  },
  {
    name: "rights and an account of somebody else's making, no service",
    values: {
      rbac: { create: false },
      serviceAccount: { create: false, name: "mine" },
      metrics: { service: { enabled: false } },
    },
    check: (manifests) => {
      assertEquals(kinds(manifests), ["Deployment"]);
      assertEquals(pod(manifests).spec.serviceAccountName, "mine");
    },
  },
  {
    name: "an account of somebody else's making, with rights",
    values: { serviceAccount: { create: false, name: "mine" } },
  },
  {
    name: "monitoring",
    values: {
      serviceMonitor: {
        enabled: true,
        namespace: "monitoring",
        interval: "15s",
        labels: { release: "prometheus" },
        relabelings: [{ action: "labeldrop", regex: "pod" }],
        metricRelabelings: [{ sourceLabels: ["__name__"], regex: "process_.*", action: "drop" }],
      },
      metrics: { port: 9100, service: { annotations: { "example.org/a": "b" } } },
    },
    check: (manifests) => {
      const monitor = only(manifests, "ServiceMonitor");
      assertEquals(monitor.metadata.namespace, "monitoring");
      assertEquals(monitor.spec.namespaceSelector, { matchNames: ["hypha"] });
      const service = only(manifests, "Service");
      assertEquals(service.spec.ports[0].name, monitor.spec.endpoints[0].port);
      assertEquals(pod(manifests).container.ports[0].containerPort, 9100);
    },
  },
  {
    name: "an image, which conda workers have too",
    values: {
      image: { repository: "registry.example.org:5000/a/b", digest: `sha256:${"0a".repeat(32)}` },
    },
    check: (manifests) => {
      assertEquals(variables(manifests).HYPHA_K8S_CONDA_IMAGE, DIGEST_IMAGE);
    },
  },
  {
    name: "everything of a pod",
    values: {
      commonLabels: { team: "imaging" },
      podAnnotations: { "example.org/a": "1" },
      podLabels: { tier: "workers" },
      nodeSelector: { pool: "system" },
      tolerations: [{ key: "system", operator: "Exists", effect: "NoSchedule" }],
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [{
            weight: 1,
            preference: { matchExpressions: [{ key: "zone", operator: "In", values: ["a"] }] },
          }],
        },
      },
      priorityClassName: "high",
      runtimeClassName: "runc",
      resources: { limits: { cpu: null } },
      extraArgs: ["--reconnect-timeout=600"],
      extraEnv: [
        { name: "HYPHA_K8S_KUBECONFIG", value: "/kube/config" },
        { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "a", key: "b" } } },
      ],
      extraEnvFrom: [{ configMapRef: { name: "more" } }],
      extraVolumes: [{ name: "kube", secret: { secretName: "kubeconfig" } }],
      extraVolumeMounts: [{ name: "kube", mountPath: "/kube", readOnly: true }],
      serviceAccount: { name: "own", annotations: { "example.org/role": "r" } },
      global: { anything: true },
    },
    check: (manifests) => {
      const { spec, container } = pod(manifests);
      assertEquals(container.args, ["k8s", "--reconnect-timeout=600"]);
      assertEquals(container.resources.limits, { memory: "512Mi" });
      assertEquals([spec.runtimeClassName, spec.priorityClassName], ["runc", "high"]);
      assertEquals(spec.nodeSelector, { pool: "system" });
      assertEquals(only(manifests, "ServiceAccount").metadata.name, "own");
      for (const { metadata } of manifests) assertEquals(metadata.labels?.team, "imaging");
    },
  },
];

/** Values that cannot work, and part of what is said. */
export const K8S_REFUSED: readonly { values: Values; says: string }[] = [
  { values: { serviceAccount: { create: false } }, says: "serviceAccount.name is required" },
  {
    values: { serviceMonitor: { enabled: true }, metrics: { service: { enabled: false } } },
    says: "serviceMonitor needs metrics.service.enabled",
  },
  {
    values: { extraEnv: [{ name: "CONDA_TOKEN", value: "t" }] },
    says: "extraEnv must not have CONDA_TOKEN",
  },
];

/** Values that the schema refuses, with where it says they are. It tells of all at once. */
export const K8S_WRONG: readonly { values: Values; says: string }[] = [
  { values: { hypha: { serverURL: "https://a.b" } }, says: "serverURL" },
  { values: { replicaCount: 2 }, says: "replicaCount" },
  { values: { hypha: { serverUrl: "hypha.aicell.io" } }, says: "/hypha/serverUrl" },
  { values: { hypha: { existingSecret: "" } }, says: "/hypha/existingSecret" },
  { values: { hypha: { visibility: "private" } }, says: "/hypha/visibility" },
  { values: { kubernetes: { namespace: "Jobs" } }, says: "/kubernetes/namespace" },
  { values: { kubernetes: { defaultTimeout: "1h" } }, says: "/kubernetes/defaultTimeout" },
  { values: { kubernetes: { imagePullPolicy: "Sometimes" } }, says: "/imagePullPolicy" },
  { values: { kubernetes: { types: ["k8s-pod"] } }, says: "/kubernetes/types/0" },
  { values: { kubernetes: { maxResources: { memory: "8 GB" } } }, says: "/maxResources/memory" },
  // A comma would make two of one.
  { values: { kubernetes: { labels: { a: "b,c=d" } } }, says: "/kubernetes/labels/a" },
  { values: { allowed: { images: "python:*" } }, says: "/allowed/images" },
  { values: { allowed: { secrets: ["a,b"] } }, says: "/allowed/secrets/0" },
  { values: { terminationGracePeriodSeconds: 0 }, says: "/terminationGracePeriodSeconds" },
];
