/**
 * Making the package cache smaller. Packages in it only make the next environments faster: one that is missing
 * is fetched again. Managers must not write to it meanwhile, so all of it happens under its lock.
 */
import { join } from "@std/path";
import type { CacheLayout } from "./layout.ts";
import { FileLock } from "./lock.ts";
import type { Trash } from "./trash.ts";
import { bytesOf, walkFiles } from "./usage.ts";

/** Layouts of managers have at most so many directories around a package's. */
const MAX_DEPTH = 12;
const ARCHIVES = [".conda", ".tar.bz2"];
/** The name of an archive, and what follows while it is fetched, such as `.part` or `.partial`. */
const ARCHIVE = /^(.+)\.(?:conda|tar\.bz2)((?:\.[\w-]+)*)$/;

/** Options of {@linkcode prunePackages}. */
export interface PrunePackagesOptions {
  /** Packages unpacked later than this are kept, in milliseconds since 1970. @default none is kept */
  readonly before?: number;
  /** Only tells. @default false */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Removes packages that no environment has links to, with their archives, and what builds left that failed while
 * they fetched or unpacked; returns how many bytes that were. Where links cannot be made (another file system) all
 * packages go. Does nothing while somebody builds.
 */
export async function prunePackages(
  layout: CacheLayout,
  trash: Trash,
  options: PrunePackagesOptions = {},
): Promise<number> {
  const { before = Infinity, dryRun = false, signal } = options;
  using lock = await FileLock.try(layout.packagesLock, "exclusive");
  if (lock === undefined) return 0;
  let freed = 0;
  for await (const { path, complete } of contents(layout.packages)) {
    signal?.throwIfAborted();
    if (!complete) {
      const info = await Deno.lstat(path);
      if ((info.ctime ?? info.mtime ?? new Date(0)).getTime() >= before) continue;
      if (info.isDirectory) await walkFiles(path, (file) => freed += bytesOf(file), signal);
      else freed += bytesOf(info);
      if (!dryRun) await trash.discard(path);
      continue;
    }
    const record = await Deno.stat(join(path, "info", "index.json"));
    // The time of modification is that of the archive's maker.
    if ((record.ctime ?? record.mtime ?? new Date(0)).getTime() >= before) continue;
    let linked = false;
    let bytes = 0;
    await walkFiles(path, (info) => {
      linked ||= (info.nlink ?? 1) > 1;
      bytes += bytesOf(info);
    }, signal);
    if (linked) continue;
    freed += bytes;
    if (!dryRun) await trash.discard(path);
    for (const suffix of ARCHIVES) {
      const archive = await Deno.stat(path + suffix).catch(() => undefined);
      if (archive === undefined) continue;
      freed += bytesOf(archive);
      if (!dryRun) await trash.discard(path + suffix);
    }
  }
  return freed;
}

/**
 * Unpacked packages, and what is left of others: archives and parts of them, and directories that were not filled.
 * Managers put them at different depths, and indexes of channels beside them.
 */
async function* contents(
  directory: string,
  depth = 0,
): AsyncGenerator<{ path: string; complete: boolean }> {
  let entries: Deno.DirEntry[];
  try {
    entries = await Array.fromAsync(Deno.readDir(directory));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const complete = new Set<string>();
  const others: string[] = [];
  for (const { name } of entries.filter((entry) => entry.isDirectory)) {
    const path = join(directory, name);
    const record = join(path, "info", "index.json");
    if (await Deno.stat(record).then(() => true, () => false)) {
      complete.add(name);
      yield { path, complete: true };
    } else others.push(name);
  }
  const stems: string[] = [];
  for (const { name } of entries.filter((entry) => entry.isFile)) {
    const [, stem, rest] = ARCHIVE.exec(name) ?? [];
    if (stem === undefined) continue;
    stems.push(stem);
    // An archive that is whole belongs to what was unpacked from it.
    if (rest !== "" || !complete.has(stem)) yield { path: join(directory, name), complete: false };
  }
  for (const name of others) {
    const path = join(directory, name);
    if (stems.some((stem) => name === stem || name.startsWith(`${stem}.`))) {
      yield { path, complete: false };
    } else if (depth < MAX_DEPTH) yield* contents(path, depth + 1);
  }
}

/** Removes what pip keeps of downloads and of wheels it built, unless pip is running. Returns the bytes. */
export async function prunePipCache(
  layout: CacheLayout,
  trash: Trash,
  signal?: AbortSignal,
): Promise<number> {
  using lock = await FileLock.try(layout.pipLock, "exclusive");
  if (lock === undefined) return 0;
  let bytes = 0;
  await walkFiles(layout.pip, (info) => bytes += bytesOf(info), signal);
  await trash.discard(layout.pip);
  return bytes;
}
