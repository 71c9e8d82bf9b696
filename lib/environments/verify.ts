/**
 * Whether an environment is complete. Managers say "success" and exit with 0 after interruptions that left
 * half an environment, or none, so only the prefix itself is believed.
 */
import { join } from "@std/path";
import { WorkerError } from "../errors.ts";
import type { Manager } from "../managers/manager.ts";
import { cancelledError, redactOutput } from "../managers/errors.ts";
import type { PackageRecord } from "./meta.ts";
import { type EnvironmentSpec, packageNames } from "./spec.ts";

const PROBE =
  "import sys, encodings, json; print('python', '.'.join(map(str, sys.version_info[:3])))";

/** The packages a prefix has records of, from the names of the records. */
export async function readPackages(prefix: string): Promise<PackageRecord[]> {
  const records: PackageRecord[] = [];
  try {
    for await (const entry of Deno.readDir(join(prefix, "conda-meta"))) {
      const match = /^(.+)-([^-]+)-([^-]+)\.json$/.exec(entry.name);
      const [, name, version, build] = match ?? [];
      if (name === undefined || version === undefined || build === undefined) continue;
      records.push({ name: name.toLowerCase(), version, build });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return records.sort((a, b) => a.name < b.name ? -1 : 1);
}

function incomplete(manager: Manager, reason: string, tail: readonly string[] = []): WorkerError {
  return new WorkerError(
    "environment_failed",
    `Cannot use the environment: ${manager.kind} reported success, but ${reason}`,
    {
      context: { manager: manager.kind, tail: tail.slice(-40).map(redactOutput) },
      suggestion: "Try again; if it stays, try the same packages with the manager by hand.",
    },
  );
}

/**
 * Checks that the manager has finished and that every package asked for is there; returns all packages.
 *
 * @throws WorkerError `environment_failed` that says what is missing
 */
export async function verifyPackages(
  prefix: string,
  spec: EnvironmentSpec,
  manager: Manager,
): Promise<PackageRecord[]> {
  // Created empty when the manager starts, and written when everything else is done.
  const history = await Deno.stat(join(prefix, "conda-meta", "history")).catch(() => undefined);
  if (history === undefined) throw incomplete(manager, "there is no environment");
  if (history.size === 0) {
    throw incomplete(manager, "the installation was not finished (its history is empty)");
  }
  const packages = await readPackages(prefix);
  const names = new Set(packages.map((record) => record.name));
  const missing = packageNames(spec).filter((name) => !names.has(name));
  if (missing.length > 0) {
    throw incomplete(manager, `these packages are missing: ${missing.join(", ")}`);
  }
  return packages;
}

/**
 * Runs the environment's Python once and returns its version, such as `3.11.7`.
 *
 * @throws WorkerError `environment_failed` when it does not run, `environment_cancelled`
 */
export async function probePython(
  prefix: string,
  manager: Manager,
  signal?: AbortSignal,
): Promise<string> {
  const probe = await manager.execute(
    prefix,
    ["python", "-I", "-c", PROBE],
    signal === undefined ? {} : { signal },
  );
  if (probe.cancelled) throw cancelledError();
  const version = probe.stdout.map((line) => /^python (\d+\.\d+\.\d+)$/.exec(line.trim())?.[1])
    .find((found) => found !== undefined);
  if (probe.code !== 0 || version === undefined) {
    throw incomplete(manager, `its Python does not run (exit code ${probe.code})`, probe.tail);
  }
  return version;
}
