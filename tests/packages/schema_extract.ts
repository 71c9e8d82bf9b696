/**
 * Writes `kubernetes_schema.json`: what Kubernetes and the Prometheus operator say about the kinds of objects the charts
 * make, without descriptions, so that tests need neither.
 *
 *     deno run --allow-all tests/packages/schema_extract.ts SWAGGER CRD
 *
 * SWAGGER is `api/openapi-spec/swagger.json` of the Go module k8s.io/kubernetes, CRD is
 * `example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml` of the module
 * github.com/prometheus-operator/prometheus-operator, in the versions of setup.sh.
 */
import { parse } from "@std/yaml";
import type { Schema } from "./schema.ts";

/** Kinds by API version, with their names in the document. */
const KINDS: Record<string, string> = {
  "apps/v1 Deployment": "io.k8s.api.apps.v1.Deployment",
  "apps/v1 StatefulSet": "io.k8s.api.apps.v1.StatefulSet",
  "autoscaling/v2 HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
  "networking.k8s.io/v1 NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
  "policy/v1 PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
  "rbac.authorization.k8s.io/v1 Role": "io.k8s.api.rbac.v1.Role",
  "rbac.authorization.k8s.io/v1 RoleBinding": "io.k8s.api.rbac.v1.RoleBinding",
  "v1 PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
  "v1 Secret": "io.k8s.api.core.v1.Secret",
  "v1 Service": "io.k8s.api.core.v1.Service",
  "v1 ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
};

const KEPT = new Set([
  ...["$ref", "type", "format", "properties", "required", "items", "additionalProperties"],
  ...["enum", "pattern", "minimum", "maximum", "x-kubernetes-int-or-string"],
  "x-kubernetes-preserve-unknown-fields",
]);

/** A copy without what is for people. Names of properties are no keywords. */
function bare(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bare);
  if (typeof schema !== "object" || schema === null) return schema;
  const kept = Object.entries(schema).filter(([name]) => KEPT.has(name));
  return Object.fromEntries(kept.map(([name, value]) => {
    if (name === "$ref") return [name, String(value).replace("#/definitions/", "")];
    if (name !== "properties") return [name, bare(value)];
    return [name, Object.fromEntries(Object.entries(value).map(([key, one]) => [key, bare(one)]))];
  }));
}

function references(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([name, value]) =>
    name === "$ref" ? [String(value)] : references(value)
  );
}

if (import.meta.main) {
  const [swagger, crd] = Deno.args;
  const all = JSON.parse(await Deno.readTextFile(swagger!)).definitions as Record<string, unknown>;
  const definitions: Record<string, Schema> = {};
  const wanted = Object.values(KINDS);
  while (wanted.length > 0) {
    const name = wanted.pop()!;
    if (name in definitions) continue;
    const schema = definitions[name] = bare(all[name]) as Schema;
    wanted.push(...references(schema));
  }
  const monitor = parse(await Deno.readTextFile(crd!)) as {
    spec: { versions: { name: string; schema: { openAPIV3Schema: unknown } }[] };
  };
  const own = bare(monitor.spec.versions.find((one) => one.name === "v1")!.schema.openAPIV3Schema);
  const metadata = { "$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" };
  Object.assign((own as Schema).properties!, { metadata });
  definitions["ServiceMonitor"] = own as Schema;
  const kinds = { ...KINDS, "monitoring.coreos.com/v1 ServiceMonitor": "ServiceMonitor" };
  const sorted = Object.fromEntries(Object.entries(definitions).sort(([a], [b]) => a < b ? -1 : 1));
  const file = new URL("kubernetes_schema.json", import.meta.url);
  await Deno.writeTextFile(file, JSON.stringify({ kinds, definitions: sorted }) + "\n");
}
