/** Rendering the chart of the Kubernetes worker with the real helm. */
import { join } from "@std/path";
import { stackPaths } from "../stack/stack.ts";
import { documents, helm, only, type Values } from "./chart.ts";
import type { Manifest } from "./schema.ts";
import { tool } from "./support.ts";

/** The folder of the chart. */
export const k8sChartDirectory = join(stackPaths.root, "deploy", "helm", "hypha-k8s-worker");

/** What the chart makes. */
export interface Rendered {
  readonly manifests: readonly Manifest[];
  /** What is said to whoever installs it. */
  readonly notes: string;
}

const done = new Map<string, Promise<Rendered>>();

/**
 * Renders the chart in the namespace `hypha`, the same values only once. The defaults of its values are enough.
 *
 * @throws an error with helm's own words; one that says how to get helm when there is none
 */
export function renderK8s(values: Values = {}, { release = "release" } = {}): Promise<Rendered> {
  const key = JSON.stringify([values, release]);
  const rendered = done.get(key) ?? renderNow(values, release);
  done.set(key, rendered);
  return rendered;
}

async function renderNow(values: Values, release: string): Promise<Rendered> {
  const program = tool("helm");
  if (program === undefined) throw new Error("There is no helm: run scripts/setup.sh packages");
  // Gives the notes as well, which `helm template` does not.
  const command = [
    ...["install", release, k8sChartDirectory, "--namespace", "hypha"],
    ...["--dry-run=client", "--output=json"],
  ];
  const { code, stdout, stderr } = await helm(program, command, values);
  if (code !== 0) throw new Error(stderr);
  const { manifest, info } = JSON.parse(stdout) as { manifest: string; info: { notes: string } };
  return { manifests: documents(manifest), notes: info.notes };
}

/** The Role of the worker, as the chart makes it. */
export async function renderRole(values: Values = {}): Promise<Manifest> {
  return only((await renderK8s(values)).manifests, "Role");
}

/** A right that a Role gives. */
export interface GivenRight {
  readonly group: string;
  /** With its subresource: `pods/log`. */
  readonly resource: string;
  readonly verb: string;
}

/** The rights of a Role, one by one. */
export function rightsOf(role: Manifest): GivenRight[] {
  const rules = role.rules as { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => ({ group, resource, verb })))
    )
  );
}
