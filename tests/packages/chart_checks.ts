/** What must hold for both charts, whatever their values are. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { parse } from "@std/yaml";
import { chartReadme } from "../../deploy/helm/readme.ts";
import { environmentNames, type Option } from "../../lib/cli/option.ts";
import { VERSION } from "../../lib/version.ts";
import { type Values, workload } from "./chart.ts";
import { type Manifest, mistakes } from "./schema.ts";

/** The pod of a workload and its container. */
export function pod(manifests: readonly Manifest[]) {
  const spec = workload(manifests).spec.template.spec;
  return {
    spec,
    container: spec.containers[0],
    metadata: workload(manifests).spec.template.metadata,
  };
}

/** Variables of the container that have a plain value. */
export function variables(manifests: readonly Manifest[]): Record<string, string> {
  const env = pod(manifests).container.env as { name: string; value?: string }[];
  return Object.fromEntries(
    env.flatMap(({ name, value }) => value === undefined ? [] : [[name, value]]),
  );
}

/** Objects that fit Kubernetes and each other, and variables that are options of the program. */
export function checkObjects(
  manifests: readonly Manifest[],
  options: readonly Option[],
  name: string,
): void {
  for (const manifest of manifests) {
    assertEquals(mistakes(manifest), [], `${name}: ${manifest.kind}`);
    assertEquals(manifest.metadata.labels?.["app.kubernetes.io/instance"], "release", name);
  }
  const names = manifests.map((one) => `${one.kind} ${one.metadata.name}`);
  assertEquals(new Set(names).size, names.length, name);
  const { spec, container, metadata } = pod(manifests);
  // What selects pods finds them.
  for (const manifest of manifests) {
    const selector = manifest.kind === "Service"
      ? manifest.spec.selector
      : manifest.spec?.selector?.matchLabels ?? manifest.spec?.podSelector?.matchLabels ?? {};
    for (const [label, value] of Object.entries(selector)) {
      assertEquals(metadata.labels[label], value, `${name}: ${manifest.kind}`);
    }
  }
  assertEquals(spec.enableServiceLinks, false, name);
  // Tokens are in files; one option names the secret of a token.
  const tokens = (container.env as { name: string }[]).filter(({ name }) => /_TOKEN$/.test(name));
  assert(tokens.every(({ name }) => name === "HYPHA_K8S_CONDA_TOKEN"), name);
  // Every mount has its volume, every volume its mount, and no two mounts one place.
  const templates = workload(manifests).spec.volumeClaimTemplates ?? [];
  const volumes = [
    ...spec.volumes.map((one: { name: string }) => one.name),
    ...templates.map((one: Manifest) => one.metadata.name),
  ];
  const mounts = container.volumeMounts as { name: string; mountPath: string }[];
  assertEquals(new Set(volumes), new Set(mounts.map((one) => one.name)), name);
  assertEquals(new Set(volumes).size, volumes.length, name);
  assertEquals(new Set(mounts.map((one) => one.mountPath)).size, mounts.length, name);
  // Variables are options of the worker, and set once.
  const known = new Set(options.flatMap(environmentNames));
  const set = (container.env as { name: string }[]).map((one) => one.name);
  for (const variable of set.filter((one) => /^(HYPHA|CONDA)_/.test(one))) {
    assert(known.has(variable), `${name}: ${variable} is no option`);
  }
  assertEquals(new Set(set).size, set.length, name);
  for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
    if (probe?.httpGet) assertEquals(probe.httpGet.port, "metrics", name);
  }
}

/** A README that has the values, and a schema that describes each of them and no other. */
export async function checkDescribed(directory: string): Promise<void> {
  assertEquals(await Deno.readTextFile(join(directory, "README.md")), await chartReadme(directory));
  const values = parse(await Deno.readTextFile(join(directory, "values.yaml"))) as Values;
  const schema = JSON.parse(await Deno.readTextFile(join(directory, "values.schema.json")));
  const compare = (value: unknown, part: { properties?: Values }, path: string) => {
    if (part.properties === undefined) return;
    const known = Object.keys(part.properties).filter((name) => name !== "global").sort();
    assertEquals(known, Object.keys(value as Values).sort(), path);
    for (const name of known) {
      compare((value as Values)[name], part.properties[name] as typeof part, `${path}.${name}`);
    }
  };
  compare(values, schema, "values");
}

/** What the restricted pod security standard asks for. */
export function checkRestricted(manifests: readonly Manifest[]): void {
  const { spec, container } = pod(manifests);
  assertEquals(spec.securityContext.runAsNonRoot, true);
  assertEquals(spec.securityContext.seccompProfile.type, "RuntimeDefault");
  assert(spec.securityContext.runAsUser > 0);
  assertEquals(container.securityContext, {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
  });
}

/** A chart of this version of the program. */
export async function checkVersion(directory: string, name: string): Promise<void> {
  const text = await Deno.readTextFile(join(directory, "Chart.yaml"));
  const chart = parse(text) as { name: string; version: string; appVersion: string };
  assertEquals([chart.name, chart.version, chart.appVersion], [name, VERSION, VERSION]);
}
