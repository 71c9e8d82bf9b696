/**
 * What exactly an environment consists of, read from its files: nothing has to be started for it.
 *
 * Conda packages have a record each below `conda-meta`. What pip installed is told from what conda did by
 * comparing the directory of packages before and after, since both write the same `*.dist-info`.
 */
import { join } from "@std/path";
import { WorkerError } from "../errors.ts";
import type { PackageRecord } from "./meta.ts";

/** The beginning of a `METADATA` file that has its name and version, in bytes. */
const HEADER_BYTES = 8192;

/** Conda packages of an environment with where they came from, each after those it depends on. */
export async function readRecords(prefix: string): Promise<PackageRecord[]> {
  const directory = join(prefix, "conda-meta");
  const found = new Map<string, { record: PackageRecord; depends: string[] }>();
  for await (const entry of Deno.readDir(directory)) {
    if (!entry.name.endsWith(".json")) continue;
    const { name, version, build, url, md5, sha256, depends } = parseRecord(
      await Deno.readTextFile(join(directory, entry.name)),
      entry.name,
    );
    found.set(name, {
      record: {
        name,
        version,
        build,
        ...(url === undefined ? {} : { url: withoutCredentials(url) }),
        ...(md5 === undefined ? {} : { md5 }),
        ...(sha256 === undefined ? {} : { sha256 }),
      },
      depends: (depends ?? []).map((spec) => spec.split(/[\s=<>!~[]/, 1)[0]!),
    });
  }
  const ordered = new Map<string, PackageRecord>();
  const visited = new Set<string>();
  const visit = (name: string): void => {
    const package_ = found.get(name);
    // Packages may depend on each other in a circle, as python and pip do.
    if (package_ === undefined || visited.has(name)) return;
    visited.add(name);
    for (const other of package_.depends.toSorted()) visit(other);
    ordered.set(name, package_.record);
  };
  for (const name of [...found.keys()].sort()) visit(name);
  return [...ordered.values()];
}

function parseRecord(
  text: string,
  name: string,
): PackageRecord & { depends?: readonly string[] } {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WorkerError(
      "environment_failed",
      `Cannot use the environment: conda-meta/${name} cannot be read`,
      { cause },
    );
  }
}

/** A URL as it may be shown: without user, password and token. */
function withoutCredentials(url: string): string {
  return url.replace(/:\/\/[^/@\s]+@/, "://").replace(/\/t\/[^/]+\//, "/");
}

/** The distributions for Python that an environment has: paths of their `*.dist-info` directories in it. */
export async function listDistributions(prefix: string): Promise<Set<string>> {
  const paths = new Set<string>();
  for (const python of await list(join(prefix, "lib"), (name) => /^python\d/.test(name))) {
    const site = `lib/${python}/site-packages`;
    for (const name of await list(join(prefix, site), (name) => name.endsWith(".dist-info"))) {
      paths.add(`${site}/${name}`);
    }
  }
  return paths;
}

/** Names of the directories in a directory, links to others left out. */
async function list(directory: string, wanted: (name: string) => boolean): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      if (entry.isDirectory && wanted(entry.name)) names.push(entry.name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}

/** The requirements, with exact versions, of distributions that were not there before. */
export async function freeze(prefix: string, before: ReadonlySet<string>): Promise<string[]> {
  const requirements: string[] = [];
  for (const path of await listDistributions(prefix)) {
    if (before.has(path)) continue;
    const requirement = await readRequirement(join(prefix, path));
    if (requirement !== undefined) requirements.push(requirement);
  }
  return requirements.sort();
}

async function readRequirement(directory: string): Promise<string | undefined> {
  const header = await readHeader(join(directory, "METADATA"));
  const name = /^Name:[ \t]*(\S+)/mi.exec(header)?.[1];
  const version = /^Version:[ \t]*(\S+)/mi.exec(header)?.[1];
  if (name === undefined || version === undefined) return undefined;
  const origin = await readOrigin(join(directory, "direct_url.json"));
  return origin === undefined ? `${name}==${version}` : `${name} @ ${origin}`;
}

async function readHeader(path: string): Promise<string> {
  try {
    using file = await Deno.open(path, { read: true });
    const buffer = new Uint8Array(HEADER_BYTES);
    const count = await file.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, count ?? 0)).split(/\r?\n\r?\n/, 1)[0]!;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** Where something that did not come from an index came from (PEP 610). */
async function readOrigin(path: string): Promise<string | undefined> {
  try {
    const origin = JSON.parse(await Deno.readTextFile(path)) as {
      url: string;
      archive_info?: { hash?: string };
      vcs_info?: { vcs: string; commit_id: string };
    };
    const url = withoutCredentials(origin.url);
    if (origin.vcs_info !== undefined) {
      return `${origin.vcs_info.vcs}+${url}@${origin.vcs_info.commit_id}`;
    }
    const hash = origin.archive_info?.hash;
    return hash === undefined ? url : `${url}#${hash}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
