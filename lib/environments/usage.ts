/**
 * Bytes on disk. Environments share their files with the package cache by hard links, so a file is counted
 * once, by its inode, wherever and however often it is found.
 */
import type { CacheLayout } from "./layout.ts";

/** Bytes a cache takes on disk. */
export interface CacheUsage {
  /** Everything together. */
  readonly total: number;
  /** Environments, with what they share with the package cache. */
  readonly environments: number;
  /** Packages that no environment has links to, archives, and the index. */
  readonly packages: number;
  /** pip's cache. */
  readonly pip: number;
}

/** Calls back for each file below a directory, links not followed. Stops when the signal fires. */
export async function walkFiles(
  directory: string,
  visit: (info: Deno.FileInfo) => void,
  signal?: AbortSignal,
): Promise<void> {
  const pending = [directory];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    signal?.throwIfAborted();
    const found: Promise<Deno.FileInfo | undefined>[] = [];
    try {
      for await (const entry of Deno.readDir(path)) {
        const child = `${path}/${entry.name}`;
        if (entry.isDirectory) pending.push(child);
        else found.push(Deno.lstat(child).catch(() => undefined));
      }
    } catch (error) {
      // Somebody is deleting it.
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
        throw error;
      }
    }
    for (const info of await Promise.all(found)) if (info !== undefined) visit(info);
  }
}

/** Bytes a file takes on disk. */
export function bytesOf(info: Deno.FileInfo): number {
  return info.blocks === null ? info.size : info.blocks * 512;
}

/** Counts files, each once. */
class Tally {
  readonly #seen = new Map<number, Set<number>>();
  bytes = 0;

  readonly add = (info: Deno.FileInfo): void => {
    if ((info.nlink ?? 1) > 1 && info.ino !== null) {
      const inodes = this.#seen.get(info.dev) ?? new Set();
      this.#seen.set(info.dev, inodes);
      if (inodes.has(info.ino)) return;
      inodes.add(info.ino);
    }
    this.bytes += bytesOf(info);
  };
}

/** Bytes a cache takes on disk; what is being deleted does not count. */
export async function measureCache(layout: CacheLayout, signal?: AbortSignal): Promise<CacheUsage> {
  const tally = new Tally();
  const part = async (directory: string): Promise<number> => {
    const before = tally.bytes;
    await walkFiles(directory, tally.add, signal);
    return tally.bytes - before;
  };
  // In this order: what environments share with the package cache counts as theirs.
  const environments = await part(layout.environments);
  const packages = await part(layout.packages);
  const pip = await part(layout.pip);
  return { total: tally.bytes, environments, packages, pip };
}

/** Bytes of a directory: those that go away with it, and those of files that have links elsewhere. */
export async function measureDirectory(
  directory: string,
  signal?: AbortSignal,
): Promise<{ own: number; shared: number }> {
  const linked = new Map<string, { links: number; bytes: number }>();
  let own = 0;
  await walkFiles(directory, (info) => {
    const links = info.nlink ?? 1;
    if (links <= 1) {
      own += bytesOf(info);
      return;
    }
    const id = `${info.dev}:${info.ino}`;
    const file = linked.get(id) ?? { links, bytes: bytesOf(info) };
    file.links--;
    linked.set(id, file);
  }, signal);
  let shared = 0;
  for (const { links, bytes } of linked.values()) {
    if (links <= 0) own += bytes;
    else shared += bytes;
  }
  return { own, shared };
}
