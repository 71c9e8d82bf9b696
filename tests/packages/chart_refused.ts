/** Values that the chart refuses. */
import type { Values } from "./chart.ts";

/** Values that cannot work, and part of what is said. `bare`: without the values that must be given. */
export const REFUSED: readonly { values: Values; bare?: boolean; says: string }[] = [
  { values: {}, bare: true, says: "condaWorker.serverUrl is required" },
  {
    values: { condaWorker: { serverUrl: "https://a.b" } },
    bare: true,
    says: "condaWorker.workspace is required",
  },
  { values: { secret: { existingSecret: "" } }, says: "secret.existingSecret is required" },
  { values: { replicaCount: 2 }, says: "2 workers cannot share a volume" },
  {
    values: { autoscaling: { enabled: true } },
    says: "4 workers cannot share a volume with accessModes [ReadWriteOnce]",
  },
  {
    values: {
      replicaCount: 2,
      condaWorker: { clientId: "one" },
      persistence: { enabled: false },
    },
    says: "condaWorker.clientId is for one worker",
  },
  {
    values: { persistence: { perReplica: true, existingClaim: "c" } },
    says: "persistence.existingClaim is one volume",
  },
  {
    values: { condaWorker: { drainTimeout: 60 }, terminationGracePeriodSeconds: 30 },
    says: "must be at least 5 more than condaWorker.drainTimeout (60)",
  },
  {
    values: {
      autoscaling: { enabled: true, minReplicas: 5 },
      persistence: { enabled: false },
    },
    says: "minReplicas is more than autoscaling.maxReplicas",
  },
  {
    values: {
      autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 },
      persistence: { enabled: false },
    },
    says: "autoscaling needs a target",
  },
  {
    values: { serviceMonitor: { enabled: true }, metrics: { service: { enabled: false } } },
    says: "serviceMonitor needs metrics.service.enabled",
  },
  {
    values: { podDisruptionBudget: { enabled: true, minAvailable: 1 } },
    says: "podDisruptionBudget needs one of",
  },
  {
    values: { condaWorker: { cacheDir: "/work/sessions/cache" } },
    says: "must not be within one another",
  },
  { values: { condaWorker: { workingDir: "/tmp/" } }, says: "directories of their own, not /tmp" },
  {
    values: { extraEnv: [{ name: "HYPHA_TOKEN", value: "t" }] },
    says: "extraEnv must not have HYPHA_TOKEN",
  },
  // By the schema.
  { values: { condaWorker: { cachedir: "/cache" } }, says: "cachedir" },
  { values: { replicas: 2 }, says: "replicas" },
  { values: { condaWorker: { visibility: "private" } }, says: "/condaWorker/visibility" },
  { values: { condaWorker: { cacheDir: "cache" } }, says: "/condaWorker/cacheDir" },
  { values: { condaWorker: { serverUrl: "hypha.aicell.io" } }, says: "/condaWorker/serverUrl" },
  { values: { persistence: { size: "20 GB" } }, says: "/persistence/size" },
  { values: { replicaCount: "two" }, says: "/replicaCount" },
  { values: { metrics: { port: 80 } }, says: "/metrics/port" },
];
