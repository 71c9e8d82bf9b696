/** Values the chart is rendered with, and what must come of them; `chart_refused.ts` has those that are refused. */
import { assert, assertEquals } from "@std/assert";
import { only, workload } from "./chart.ts";
import { pod } from "./chart_checks.ts";
import { type Case, COMMON_CASES, kinds, volume } from "./chart_common_cases.ts";
import type { Manifest } from "./schema.ts";

const mounts = (manifests: readonly Manifest[]) =>
  pod(manifests).container.volumeMounts.map((one: { mountPath: string }) => one.mountPath);

/** Each is put into the least values. */
export const CASES: readonly Case[] = [
  ...COMMON_CASES,
  {
    name: "the least",
    values: {},
    check: (manifests) => {
      assertEquals(kinds(manifests), [
        "Deployment",
        "PersistentVolumeClaim",
        "Service",
        "ServiceAccount",
      ]);
      // The one volume can be mounted by one node at a time.
      assertEquals(workload(manifests).spec.strategy, { type: "Recreate" });
      assertEquals(pod(manifests).spec.terminationGracePeriodSeconds, 30);
      assertEquals(volume(manifests, "token").secret.secretName, "my-token");
    },
  },
  {
    name: "the values of Hypha's own chart",
    values: {
      condaWorker: {
        enabled: true,
        workingDir: "/tmp/conda-sessions",
        cacheDir: "/data/conda-cache",
        authorizedWorkspaces: "",
      },
      persistence: { enabled: true, size: "10Gi", accessModes: ["ReadWriteMany"] },
    },
    check: (manifests) => {
      const claim = only(manifests, "PersistentVolumeClaim");
      assertEquals(claim.spec.accessModes, ["ReadWriteMany"]);
      assertEquals(claim.spec.resources.requests.storage, "10Gi");
      assertEquals(workload(manifests).spec.strategy.type, "RollingUpdate");
      for (const path of ["/tmp", "/tmp/conda-sessions", "/data/conda-cache", "/work"]) {
        assert(mounts(manifests).includes(path), path);
      }
    },
  },
  {
    name: "nothing is kept",
    values: { persistence: { enabled: false }, replicaCount: 3, cacheSizeLimit: "5Gi" },
    check: (manifests) => {
      assert(!kinds(manifests).includes("PersistentVolumeClaim"));
      assertEquals(volume(manifests, "cache").emptyDir, { sizeLimit: "5Gi" });
      assertEquals(workload(manifests).spec.replicas, 3);
      assertEquals(workload(manifests).spec.strategy.type, "RollingUpdate");
    },
  },
  {
    name: "a volume for each of three workers",
    values: {
      replicaCount: 3,
      persistence: {
        perReplica: true,
        size: "50Gi",
        storageClass: "fast",
        keep: false,
        annotations: { a: "b" },
      },
    },
    check: (manifests) => {
      assert(!kinds(manifests).includes("PersistentVolumeClaim"));
      const set = only(manifests, "StatefulSet");
      const [claim] = set.spec.volumeClaimTemplates;
      assertEquals(claim.spec.storageClassName, "fast");
      assertEquals(claim.metadata.annotations, { a: "b" });
      assertEquals(set.spec.persistentVolumeClaimRetentionPolicy.whenDeleted, "Delete");
      const services = manifests.filter((one) => one.kind === "Service");
      assert(services.some((one) => one.metadata.name === set.spec.serviceName));
    },
  },
  {
    name: "one volume for many workers",
    values: {
      replicaCount: 5,
      persistence: { accessModes: ["ReadWriteMany"], storageClass: "-", keep: false },
    },
    check: (manifests) => {
      const claim = only(manifests, "PersistentVolumeClaim");
      assertEquals(claim.spec.storageClassName, "");
      assertEquals(claim.metadata.annotations, undefined);
    },
  },
  {
    name: "a claim that exists",
    values: { persistence: { existingClaim: "my-claim" } },
    check: (manifests) => {
      assert(!kinds(manifests).includes("PersistentVolumeClaim"));
      assertEquals(volume(manifests, "cache").persistentVolumeClaim.claimName, "my-claim");
    },
  },
  {
    name: "a secret of the chart's",
    values: { secret: { existingSecret: "", token: "the-token", key: "hypha.token" } },
    check: (manifests) => {
      const secret = only(manifests, "Secret");
      assertEquals(atob(secret.data["hypha.token"]), "the-token");
      const { secretName, items } = volume(manifests, "token").secret;
      assertEquals(secretName, secret.metadata.name);
      assertEquals(items, [{ key: "hypha.token", path: "token" }]);
      assert("checksum/token" in workload(manifests).spec.template.metadata.annotations);
    },
  },
  {
    name: "autoscaling",
    values: {
      autoscaling: {
        enabled: true,
        minReplicas: 2,
        maxReplicas: 9,
        targetMemoryUtilizationPercentage: 80,
        metrics: [{
          type: "Pods",
          pods: {
            metric: { name: "hypha_conda_worker_load" },
            target: { type: "AverageValue", averageValue: "700m" },
          },
        }],
      },
      persistence: { enabled: false },
    },
    check: (manifests) => {
      const scaler = only(manifests, "HorizontalPodAutoscaler");
      assertEquals(scaler.spec.scaleTargetRef.kind, "Deployment");
      assertEquals(scaler.spec.metrics.length, 3);
      // Two would fight about the number.
      assertEquals(workload(manifests).spec.replicas, undefined);
    },
  },
  {
    name: "autoscaling of a volume each, by memory only",
    values: {
      autoscaling: {
        enabled: true,
        targetCPUUtilizationPercentage: 0,
        targetMemoryUtilizationPercentage: 60,
        behavior: null,
      },
      persistence: { perReplica: true },
    },
    check: (manifests) => {
      const scaler = only(manifests, "HorizontalPodAutoscaler");
      assertEquals(scaler.spec.scaleTargetRef, {
        apiVersion: "apps/v1",
        kind: "StatefulSet",
        name: workload(manifests).metadata.name,
      });
      assertEquals(scaler.spec.metrics.length, 1);
      assertEquals(scaler.spec.behavior, undefined);
    },
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
      assertEquals(monitor.metadata.labels?.release, "prometheus");
      assertEquals(monitor.spec.namespaceSelector, { matchNames: ["hypha"] });
      const service = only(manifests, "Service");
      assertEquals(service.spec.ports[0].name, monitor.spec.endpoints[0].port);
      assertEquals(pod(manifests).container.ports[0].containerPort, 9100);
    },
  },
  {
    name: "no service",
    values: { metrics: { service: { enabled: false } }, serviceAccount: { create: false } },
    check: (manifests) => {
      assertEquals(kinds(manifests), ["Deployment", "PersistentVolumeClaim"]);
      assertEquals(pod(manifests).spec.serviceAccountName, "default");
    },
  },
  {
    name: "a disruption budget",
    values: { podDisruptionBudget: { enabled: true, maxUnavailable: 0 } },
    check: (manifests) => {
      const { spec } = only(manifests, "PodDisruptionBudget");
      assertEquals([spec.minAvailable, spec.maxUnavailable], [undefined, 0]);
    },
  },
  {
    name: "a disruption budget in percent",
    values: { podDisruptionBudget: { enabled: true, minAvailable: "50%", maxUnavailable: "" } },
    check: (manifests) => {
      const { spec } = only(manifests, "PodDisruptionBudget");
      assertEquals([spec.minAvailable, spec.maxUnavailable], ["50%", undefined]);
    },
  },
  {
    name: "a network policy",
    values: { networkPolicy: { enabled: true } },
    check: (manifests) => {
      const { spec } = only(manifests, "NetworkPolicy");
      assertEquals(spec.policyTypes, ["Ingress", "Egress"]);
      assertEquals(spec.ingress, [{ ports: [{ port: "metrics", protocol: "TCP" }] }]);
      assertEquals(spec.egress[0].to[0].ipBlock.except, ["169.254.0.0/16"]);
    },
  },
  {
    name: "a network policy of one's own",
    values: {
      networkPolicy: {
        enabled: true,
        metricsFrom: [{ namespaceSelector: { matchLabels: { name: "monitoring" } } }],
        egress: [{ to: [{ ipBlock: { cidr: "10.0.0.0/8" } }] }],
      },
    },
    check: (manifests) => {
      const { spec } = only(manifests, "NetworkPolicy");
      assertEquals(spec.egress, [{ to: [{ ipBlock: { cidr: "10.0.0.0/8" } }] }]);
      assertEquals(spec.ingress[0].from.length, 1);
    },
  },
  {
    name: "time to drain",
    values: { condaWorker: { drainTimeout: 300.5 } },
    check: (manifests) => assertEquals(pod(manifests).spec.terminationGracePeriodSeconds, 321),
  },
  {
    name: "as much time as is needed and no more",
    values: { condaWorker: { drainTimeout: 60 }, terminationGracePeriodSeconds: 65 },
    check: (manifests) => assertEquals(pod(manifests).spec.terminationGracePeriodSeconds, 65),
  },
  {
    name: "probes of one's own",
    values: {
      livenessProbe: { httpGet: null, exec: { command: ["hypha-conda-worker", "health"] } },
    },
    check: (manifests) => {
      const { livenessProbe } = pod(manifests).container;
      assertEquals(livenessProbe.exec.command, ["hypha-conda-worker", "health"]);
      assertEquals(livenessProbe.httpGet, undefined);
    },
  },
  {
    name: "everything of a pod",
    values: {
      commonLabels: { team: "imaging" },
      podAnnotations: { "example.org/a": "1" },
      podLabels: { tier: "workers" },
      nodeSelector: { "nvidia.com/gpu.present": "true" },
      tolerations: [{ key: "gpu", operator: "Exists", effect: "NoSchedule" }],
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [{
            weight: 1,
            podAffinityTerm: {
              topologyKey: "kubernetes.io/hostname",
              labelSelector: { matchLabels: { tier: "workers" } },
            },
          }],
        },
      },
      topologySpreadConstraints: [{
        maxSkew: 1,
        topologyKey: "zone",
        whenUnsatisfiable: "ScheduleAnyway",
      }],
      priorityClassName: "high",
      runtimeClassName: "nvidia",
      resources: { limits: { "nvidia.com/gpu": 1 } },
      updateStrategy: { type: "RollingUpdate" },
      persistence: { enabled: false },
      extraEnv: [
        { name: "HYPHA_MAX_SESSIONS", value: "10" },
        { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "a", key: "b" } } },
      ],
      extraEnvFrom: [{ configMapRef: { name: "more" } }],
      extraVolumes: [{ name: "data", hostPath: { path: "/data" } }],
      extraVolumeMounts: [{ name: "data", mountPath: "/data", readOnly: true }],
      initContainers: [{ name: "before", image: "busybox:1.36", command: ["true"] }],
      extraContainers: [{ name: "beside", image: "busybox:1.36", command: ["sleep", "1d"] }],
      serviceAccount: { name: "own", annotations: { "example.org/role": "r" } },
      global: { anything: true },
    },
    check: (manifests) => {
      const { spec } = pod(manifests);
      assertEquals(spec.containers.map((one: { name: string }) => one.name), ["worker", "beside"]);
      assertEquals(spec.containers[0].resources.limits, { memory: "8Gi", "nvidia.com/gpu": 1 });
      assertEquals(spec.runtimeClassName, "nvidia");
      assertEquals(spec.serviceAccountName, "own");
      assertEquals(only(manifests, "ServiceAccount").metadata.name, "own");
      for (const { metadata } of manifests) assertEquals(metadata.labels?.team, "imaging");
    },
  },
];
