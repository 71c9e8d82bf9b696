/**
 * Environments of this machine that this worker did not make: how a manifest names them, and where they are.
 *
 * They are used as they are: never written to, never removed. Which of them may be used is the operator's
 * choice (`policy.ts`).
 */
import { basename, dirname, isAbsolute, join } from "@std/path";
import { WorkerError } from "../errors.ts";
import { invalidEntry, textProblem } from "./entry.ts";

/** An environment of this machine that was not made by this worker: by its name, or by its absolute path. */
export type ExistingEnvironment = { readonly name: string } | { readonly prefix: string };

/** Options of {@linkcode resolveExisting}. */
export interface ResolveOptions {
  /** Variables of this program: they say where the managers keep environments. */
  readonly environment: (name: string) => string | undefined;
  /** Directories whose content others may write: no environment is used that is below one. @default none */
  readonly forbidden?: readonly string[];
}

/**
 * Reads `{name: …}` or `{prefix: …}`.
 *
 * @throws WorkerError `invalid_spec` that names the field
 */
export function parseExisting(
  fields: ReadonlyMap<string, unknown>,
  entry: string,
): ExistingEnvironment {
  const name = fields.get("name");
  const prefix = fields.get("prefix");
  if (name !== undefined && prefix !== undefined) {
    throw invalidEntry(entry, "it has a name and a prefix; one says which environment is meant");
  }
  if (name !== undefined) {
    if (typeof name === "string" && isEnvironmentName(name)) return { name };
    throw invalidEntry(`${entry}.name`, "it is not the name of an environment");
  }
  const path = typeof prefix === "string" ? prefix.replace(/(?<=.)\/+$/, "") : "";
  if (textProblem(path) !== undefined || !isAbsolute(path) || path !== join(path)) {
    throw invalidEntry(`${entry}.prefix`, "it is not an absolute path without . and ..");
  }
  return { prefix: path };
}

/** Whether a text can be the name of an environment: never a path. */
export function isEnvironmentName(text: string): boolean {
  return text.length <= 128 && /^[A-Za-z0-9_][\w.+-]*$/.test(text) && !text.includes("..");
}

/**
 * The absolute path of an existing environment, without links. No manager is asked: names are looked up where
 * managers keep environments (`MAMBA_ROOT_PREFIX`, `CONDA_ROOT`, `CONDA_ENVS_DIRS`, …), then in the list they keep in
 * `~/.conda/environments.txt`.
 *
 * @throws WorkerError `environment_not_found` when there is none, or nothing that can be used
 */
export async function resolveExisting(
  existing: ExistingEnvironment,
  options: ResolveOptions,
): Promise<string> {
  const label = "name" in existing ? existing.name : existing.prefix;
  const candidates = "name" in existing
    ? await candidatesOf(existing.name, options.environment)
    : [existing.prefix];
  let reason = "there is none of this name where the package managers keep them";
  for (const candidate of candidates) {
    const found = await inspect(candidate);
    if (typeof found === "string") {
      reason = found;
      continue;
    }
    for (const directory of options.forbidden ?? []) {
      const real = await Deno.realPath(directory).catch(() => directory);
      if (found.path === real || found.path.startsWith(`${real}/`)) {
        throw notFound(label, `${found.path} is below ${directory}, where others may write`);
      }
    }
    return found.path;
  }
  throw notFound(label, reason);
}

function notFound(label: string, reason: string): WorkerError {
  return new WorkerError(
    "environment_not_found",
    `Cannot use the existing environment ${label}: ${reason}`,
    {
      context: { environment: label },
      suggestion: "Check the environment's name or path on the worker's machine.",
    },
  );
}

/** The environment at a path, or why there is none. */
async function inspect(path: string): Promise<{ path: string } | string> {
  let real;
  try {
    real = await Deno.realPath(path);
  } catch {
    return `there is nothing at ${path}`;
  }
  const isFile = (file: string) => Deno.stat(file).then((info) => info.isFile, () => false);
  if (!await isFile(join(real, "conda-meta", "history"))) {
    return `${path} is not a conda environment (it has no conda-meta/history)`;
  }
  if (!await isFile(join(real, "bin", "python"))) {
    return `${path} has no Python (bin/python)`;
  }
  return { path: real };
}

/** Where an environment of a name may be, the most likely place first. */
async function candidatesOf(
  name: string,
  environment: (name: string) => string | undefined,
): Promise<string[]> {
  const program = environment("CONDA_EXE");
  const home = environment("HOME");
  const roots = [
    environment("MAMBA_ROOT_PREFIX"),
    environment("CONDA_ROOT"),
    environment("CONDA_ROOT_PREFIX"),
    program === undefined ? undefined : dirname(dirname(program)),
  ].filter((root) => root !== undefined && isAbsolute(root)) as string[];
  if (name === "base") return roots;
  const directories = (environment("CONDA_ENVS_DIRS") ?? environment("CONDA_ENVS_PATH") ?? "")
    .split(":").filter((directory) => isAbsolute(directory));
  const listed = home === undefined ? [] : await listedEnvironments(home);
  return [
    ...directories.map((directory) => join(directory, name)),
    ...roots.map((root) => join(root, "envs", name)),
    ...(home === undefined ? [] : [join(home, ".conda", "envs", name)]),
    ...listed.filter((path) => basename(path) === name),
  ];
}

async function listedEnvironments(home: string): Promise<string[]> {
  try {
    const text = await Deno.readTextFile(join(home, ".conda", "environments.txt"));
    return text.split("\n").map((line) => line.trim()).filter((line) => isAbsolute(line));
  } catch {
    return [];
  }
}
