/** What must hold for the objects of every job, whatever was asked for. */
import { assert, assertEquals } from "@std/assert";
import {
  isDnsLabel,
  isLabelValue,
  isObjectName,
  isQualifiedName,
} from "../../../lib/kubernetes/jobs/names.ts";
import { matchesAny } from "../../../lib/kubernetes/jobs/pattern.ts";
import { quantityValue } from "../../../lib/kubernetes/jobs/quantity.ts";
import type { JobSettings } from "../../../lib/kubernetes/jobs/settings.ts";
import type { BuiltJob, JobRequest } from "../../../lib/kubernetes/jobs/types.ts";

/** Every key that may be in the objects, wherever; a new one must be thought about. */
const KEYS = new Set(
  ("apiVersion kind metadata name namespace labels annotations spec parallelism completions backoffLimit " +
    "ttlSecondsAfterFinished activeDeadlineSeconds template restartPolicy automountServiceAccountToken " +
    "enableServiceLinks securityContext seccompProfile type runAsNonRoot runAsUser runAsGroup fsGroup " +
    "serviceAccountName imagePullSecrets nodeSelector tolerations key operator value effect tolerationSeconds " +
    "volumes emptyDir medium sizeLimit persistentVolumeClaim claimName readOnly configMap secret secretName items " +
    "path containers image imagePullPolicy command args workingDir env valueFrom secretKeyRef configMapKeyRef " +
    "resources requests limits volumeMounts mountPath subPath terminationMessagePolicy " +
    "allowPrivilegeEscalation capabilities drop readOnlyRootFilesystem immutable data").split(" "),
);
/** Mappings whose keys are names from outside. */
const FREE = new Set(["labels", "annotations", "nodeSelector", "requests", "limits", "data"]);

function* keysOf(value: unknown): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (!Array.isArray(value)) yield key;
    if (!FREE.has(key)) yield* keysOf(inner);
  }
}

/** Fails unless the objects hold nothing but what the operator allows. */
export function assertHarmless(built: BuiltJob, request: JobRequest, settings: JobSettings): void {
  const { job, secret } = built;
  const foreign = [...keysOf(job), ...keysOf(secret)].filter((key) => !KEYS.has(key));
  assertEquals(foreign, []);
  const spec = job.spec!;
  const pod = spec.template.spec!;
  assertEquals(pod.containers.length, 1);
  const container = pod.containers[0]!;
  for (const object of [job, secret]) {
    if (object === undefined) continue;
    assertEquals(object.metadata!.namespace, settings.namespace);
    assertEquals(object.metadata!.name, request.name);
  }
  assertEquals(spec.template.metadata!.namespace, undefined);
  assert(isDnsLabel(request.name));

  // Rights.
  assertEquals(pod.automountServiceAccountToken, false);
  assertEquals(container.securityContext!.allowPrivilegeEscalation, false);
  assertEquals(container.securityContext!.capabilities, { drop: ["ALL"] });
  assertEquals(container.securityContext!.seccompProfile, { type: "RuntimeDefault" });

  // Other objects of the namespace.
  const allowed = (patterns: readonly string[], name: string) =>
    matchesAny(patterns, name, request.workspace) && !name.startsWith("hypha-") &&
    name !== settings.agentSecret;
  const ofType = {
    "k8s-job": [request.name],
    "claude-agent": [settings.agentSecret],
    "conda-worker": [settings.condaToken.name],
  }[built.type];
  const read = (container.env ?? []).flatMap((one) => one.valueFrom?.secretKeyRef?.name ?? []);
  for (const name of read) {
    assert(ofType.includes(name) || allowed(settings.allowedSecrets, name!), `secret ${name}`);
  }
  if (read.includes(request.name)) assert(secret !== undefined);
  for (const one of container.env ?? []) {
    const map = one.valueFrom?.configMapKeyRef?.name;
    if (map !== undefined) assert(allowed(settings.allowedConfigMaps, map));
    if (built.type !== "k8s-job" && one.value !== undefined) assert(!one.value.includes("$"));
  }
  for (const volume of pod.volumes ?? []) {
    assert(isDnsLabel(volume.name));
    const { secret, configMap, persistentVolumeClaim: claim } = volume;
    if (secret) assert(allowed(settings.allowedSecrets, secret.secretName!));
    if (configMap) assert(allowed(settings.allowedConfigMaps, configMap.name!));
    if (claim) assert(allowed(settings.allowedClaims, claim.claimName));
    if (volume.emptyDir?.sizeLimit !== undefined) {
      assert(quantityValue(volume.emptyDir.sizeLimit) !== undefined);
    }
  }
  for (const { name } of pod.imagePullSecrets ?? []) {
    assert(allowed(settings.allowedSecrets, name!));
  }
  if (pod.serviceAccountName !== undefined) {
    assert(allowed(settings.allowedServiceAccounts, pod.serviceAccountName));
  }
  for (const mount of container.volumeMounts ?? []) {
    assert(mount.mountPath.startsWith("/") && !mount.mountPath.includes(".."));
    assert(!/secrets\/kubernetes\.io|^\/(proc|sys)?$/.test(mount.mountPath));
    assert(!(mount.subPath ?? "").split("/").includes(".."));
    assert(pod.volumes!.some(({ name }) => name === mount.name));
  }
  for (const { key } of pod.tolerations ?? []) {
    assert(key !== undefined && !key.startsWith("node-role."));
  }

  // Marks and names.
  for (const meta of [job.metadata!, spec.template.metadata!]) {
    assertEquals(meta.labels!["app.kubernetes.io/managed-by"], "hypha-conda-worker");
    for (const [key, value] of Object.entries(meta.labels!)) {
      assert(isQualifiedName(key) && isLabelValue(value), `${key}=${value}`);
    }
    for (const key of Object.keys(meta.annotations!)) assert(isQualifiedName(key));
    assertEquals(meta.annotations!["hypha.amun.ai/session-id"], request.sessionId);
  }
  const names = [
    ...read,
    ...(pod.volumes ?? []).flatMap(({ configMap, secret, persistentVolumeClaim }) =>
      [
        configMap?.name ?? [],
        secret?.secretName ?? [],
        persistentVolumeClaim?.claimName ?? [],
      ].flat()
    ),
  ];
  for (const name of names) assert(isObjectName(name));

  // Amounts and sizes.
  for (const amounts of Object.values(container.resources ?? {})) {
    for (const [name, amount] of Object.entries<string>(amounts)) {
      const value = quantityValue(amount);
      assert(value !== undefined, amount);
      const ceiling = settings.maxResources[name];
      if (ceiling !== undefined) assert(value <= quantityValue(ceiling)!, `${name}: ${amount}`);
    }
  }
  for (const name of Object.keys(settings.maxResources)) {
    if (["cpu", "memory"].includes(name)) {
      assert(container.resources?.limits?.[name] !== undefined, `${name} has no limit`);
    }
  }
  assert((container.env ?? []).length <= 210 && (pod.volumes ?? []).length <= 16);
  assert([...container.command ?? [], ...container.args ?? []].join("").length <= 128 * 1024);
  assert(JSON.stringify(job).length < 512 * 1024);
}
