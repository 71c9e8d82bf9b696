/**
 * What `compile` does to an app's manifest before it is installed (Hypha contract): defaults are filled in, so
 * that the stored manifest says what will be installed.
 */
import { checkSpec, NOTHING_LOCAL, type SpecPolicy } from "../environments/policy.ts";
import { parseSpec } from "../environments/spec.ts";
import { isDescribedElsewhere } from "../environments/spec_files.ts";
import { WorkerError } from "../errors.ts";
import { parseStageEntries } from "../staging/entries.ts";
import { parseSaveEntries } from "../staging/save_entries.ts";

/** A manifest: whatever JSON an app brings. */
export type Manifest = Record<string, unknown>;

const DEFAULT_ENTRY_POINT = "main.py";
const DEFAULT_CHANNELS = ["conda-forge"];
/** Entry scripts connect to Hypha with it. */
const CLIENT_LIBRARY = "hypha-rpc";

/** Name a requirement of pip or conda asks for, in its normal form. */
function requirementName(requirement: string): string {
  const name = /^(?:[^:]*::)?\s*([\w.-]+)/.exec(requirement)?.[1] ?? "";
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}

/**
 * Fills in defaults and checks the manifest.
 *
 * @throws WorkerError `invalid_spec`, `permission_denied` or `staging_failed` naming the entry
 */
export function compileManifest(
  manifest: Manifest,
  policy: SpecPolicy = NOTHING_LOCAL,
): Manifest {
  const compiled: Manifest = { ...manifest };
  if (compiled.entry_point === undefined || compiled.entry_point === null) {
    compiled.entry_point = DEFAULT_ENTRY_POINT;
  }
  const described = isDescribedElsewhere(compiled);
  // Channels of an environment.yml come behind those of the manifest, so a default would win over them.
  const channels = compiled.channels ?? (described ? undefined : DEFAULT_CHANNELS);
  if (channels !== undefined) {
    compiled.channels = typeof channels === "string" ? [channels] : channels;
  }
  if (!described) {
    compiled.dependencies = completeDependencies(
      compiled.dependencies ?? compiled.dependency ?? [],
    );
  }
  checkSpec(parseSpec(compiled), policy);
  parseStageEntries(compiled.files_to_stage);
  parseSaveEntries(compiled.files_to_save);
  return compiled;
}

function completeDependencies(given: unknown): unknown[] {
  const dependencies: unknown[] = typeof given === "string"
    ? [given]
    : Array.isArray(given)
    ? [...given]
    : invalid(given);
  const names = new Set<string>();
  let pip: unknown[] | undefined;
  for (const [index, entry] of dependencies.entries()) {
    if (typeof entry === "string") names.add(requirementName(entry));
    const list = typeof entry === "object" && entry !== null && "pip" in entry
      ? entry.pip
      : undefined;
    if (Array.isArray(list)) {
      pip = [...list];
      dependencies[index] = { ...entry as object, pip };
      for (const item of list) if (typeof item === "string") names.add(requirementName(item));
    }
  }
  if (!names.has("pip")) dependencies.push("pip");
  if (!names.has(CLIENT_LIBRARY)) {
    if (pip === undefined) dependencies.push({ pip: [CLIENT_LIBRARY] });
    else pip.push(CLIENT_LIBRARY);
  }
  return dependencies;
}

function invalid(given: unknown): never {
  throw new WorkerError(
    "invalid_spec",
    `Cannot read dependencies: expected a list of package specs, received ${JSON.stringify(given)}`,
  );
}
