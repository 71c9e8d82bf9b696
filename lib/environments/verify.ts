/**
 * Whether an environment is complete. Managers say "success" and exit with 0 after interruptions that left
 * half an environment, or none, so only the prefix itself is believed.
 */
import { join } from "@std/path";
import { WorkerError } from "../errors.ts";
import type { Manager } from "../managers/manager.ts";
import { cancelledError, redactOutput } from "../managers/errors.ts";
import type { PythonFacts } from "./marker.ts";
import { parsePackageUrl } from "./package_url.ts";
import { type EnvironmentSpec, packageNames } from "./spec.ts";

/** What Python is told to find out whether it runs, and where it keeps packages. */
const PROBE_TEXT = "import sys, encodings, json, site; " +
  "print('python', '.'.join(map(str, sys.version_info[:3])), site.getsitepackages()[0])";

/** Arguments for Python whose output {@linkcode pythonFacts} reads. */
export const PROBE: readonly string[] = ["-I", "-c", PROBE_TEXT];

/** What Python told about itself; `undefined` when it told nothing. */
export function pythonFacts(prefix: string, lines: readonly string[]): PythonFacts | undefined {
  const [, version, site] = lines
    .map((line) => /^python (\d+\.\d+\.\d+) (.+)$/.exec(line.trim()))
    .find((found) => found !== null) ?? [];
  if (version === undefined || site === undefined) return undefined;
  const path = site.startsWith(`${prefix}/`) ? site.slice(prefix.length + 1) : undefined;
  return { version, site: path };
}

/** Package, version and build of the packages a prefix has records of, by the names of the records. */
async function readPackageNames(prefix: string): Promise<Map<string, string>> {
  const packages = new Map<string, string>();
  for await (const entry of Deno.readDir(join(prefix, "conda-meta"))) {
    const [, name, build] = /^(.+)-([^-]+-[^-]+)\.json$/.exec(entry.name) ?? [];
    if (name !== undefined && build !== undefined) packages.set(name.toLowerCase(), build);
  }
  return packages;
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
 * Checks that the manager has finished and that every package asked for is there.
 *
 * @throws WorkerError `environment_failed` that says what is missing
 */
export async function verifyPackages(
  prefix: string,
  spec: EnvironmentSpec,
  manager: Manager,
): Promise<void> {
  // Created empty when the manager starts, and written when everything else is done.
  const history = await Deno.stat(join(prefix, "conda-meta", "history")).catch(() => undefined);
  if (history === undefined) throw incomplete(manager, "there is no environment");
  if (history.size === 0) {
    throw incomplete(manager, "the installation was not finished (its history is empty)");
  }
  const packages = await readPackageNames(prefix);
  const missing = spec.explicit === undefined || spec.explicit.length === 0
    ? packageNames(spec).filter((name) => !packages.has(name))
    : spec.explicit.map(parsePackageUrl)
      .filter(({ name, version, build }) => packages.get(name) !== `${version}-${build}`)
      .map(({ name, version, build }) => `${name}-${version}-${build}`);
  if (missing.length > 0) {
    throw incomplete(manager, `these packages are missing: ${missing.join(", ")}`);
  }
}

/**
 * Runs the environment's Python once.
 *
 * @throws WorkerError `environment_failed` when it does not run, `environment_cancelled`
 */
export async function probePython(
  prefix: string,
  manager: Manager,
  signal?: AbortSignal,
): Promise<PythonFacts> {
  const probe = await manager.execute(
    prefix,
    ["python", ...PROBE],
    signal === undefined ? {} : { signal },
  );
  if (probe.cancelled) throw cancelledError();
  const facts = pythonFacts(prefix, probe.stdout);
  if (probe.code !== 0 || facts === undefined) {
    throw incomplete(manager, `its Python does not run (exit code ${probe.code})`, probe.tail);
  }
  return facts;
}
