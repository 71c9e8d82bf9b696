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

/** Options of {@linkcode prunePackages}. */
export interface PrunePackagesOptions {
  /** Packages unpacked later than this are kept, in milliseconds since 1970. @default none is kept */
  readonly before?: number;
  /** Only tells. @default false */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Removes packages that no environment has links to, with their archives, and returns how many bytes that
 * were. Where links cannot be made (another file system) those are all. Does nothing while somebody builds.
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
  for await (const path of unpacked(layout.packages)) {
    signal?.throwIfAborted();
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

/** Directories of unpacked packages; managers put them at different depths. */
async function* unpacked(directory: string, depth = 0): AsyncGenerator<string> {
  let children: string[];
  try {
    children = (await Array.fromAsync(Deno.readDir(directory)))
      .filter((entry) => entry.isDirectory)
      .map((entry) => join(directory, entry.name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  for (const path of children) {
    const found = await Deno.stat(join(path, "info", "index.json")).then(() => true, () => false);
    if (found) yield path;
    else if (depth < MAX_DEPTH) yield* unpacked(path, depth + 1);
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
