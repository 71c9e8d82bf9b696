/** Rendering the chart with the real helm. */
import { join } from "@std/path";
import { parse } from "@std/yaml";
import { stackPaths } from "../stack/stack.ts";
import type { Manifest } from "./schema.ts";
import { type Ended, execute, Folder } from "./support.ts";

/** The folder of the chart. */
export const chartDirectory = join(stackPaths.root, "deploy", "helm", "hypha-conda-worker");

/** Values of the chart, as in a values file. */
export type Values = Record<string, unknown>;

/** The least that has to be given. */
export const LEAST: Values = {
  condaWorker: { serverUrl: "https://hypha.example.org", workspace: "my-workspace" },
  secret: { existingSecret: "my-token" },
};

/** Puts values into values, as helm does. */
export function merged(base: Values, more: Values): Values {
  const result = { ...base };
  for (const [key, value] of Object.entries(more)) {
    const old = result[key];
    const both = isMap(old) && isMap(value);
    result[key] = both ? merged(old, value) : value;
  }
  return result;
}

function isMap(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Runs helm with a values file, and with nothing of the user's own. */
export async function helm(
  program: string,
  command: readonly string[],
  values: Values,
): Promise<Ended> {
  await using folder = await Folder.make("helm-");
  // JSON is YAML.
  const file = await folder.write("values.yaml", JSON.stringify(values));
  return await execute(program, [...command, "--values", file], {
    env: {
      HELM_CACHE_HOME: join(folder.path, "cache"),
      HELM_CONFIG_HOME: join(folder.path, "config"),
      HELM_DATA_HOME: join(folder.path, "data"),
      KUBECONFIG: join(folder.path, "none"),
    },
  });
}

/** Renders the chart. Fails with helm's own words. */
export async function render(
  program: string,
  values: Values,
  release = "release",
): Promise<Manifest[]> {
  const command = ["template", release, chartDirectory, "--namespace", "hypha"];
  const { code, stdout, stderr } = await helm(program, command, values);
  if (code !== 0) throw new Error(stderr);
  return documents(stdout);
}

/** The documents of a YAML stream. */
export function documents(text: string): Manifest[] {
  return text.split(/^---$/m).map((one) => parse(one)).filter((one) => one !== null) as Manifest[];
}

/** The only object of a kind. */
export function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((one) => one.kind === kind);
  if (found.length !== 1) throw new Error(`${found.length} objects are a ${kind}`);
  return found[0]!;
}

/** Deployment or StatefulSet. */
export function workload(manifests: readonly Manifest[]): Manifest {
  return only(
    manifests,
    manifests.some((one) => one.kind === "StatefulSet") ? "StatefulSet" : "Deployment",
  );
}
