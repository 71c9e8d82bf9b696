/** Facts about an environment, beside it in `<key>.json`. Only for people: nothing is decided by them. */
import type { ManagerKind } from "../managers/manager.ts";
import { writeDurably } from "./files.ts";
import type { EnvironmentSpec } from "./spec.ts";

/** A package of an environment. */
export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  readonly build: string;
}

/** Facts about an environment. When it was last used is the modification time of the file. */
export interface EnvironmentMeta {
  readonly schema: 1;
  readonly key: string;
  readonly spec: EnvironmentSpec;
  /** ISO 8601. */
  readonly created: string;
  readonly manager: { readonly kind: ManagerKind; readonly version: string };
  /** Version of its Python, such as `3.11.7`. */
  readonly python: string;
  /** Conda packages; pip's are not among them. */
  readonly packages: readonly PackageRecord[];
  /** How long the build took, in milliseconds. */
  readonly buildMs: number;
  /** Sum of the sizes of its files in bytes, hard links counted in full; known a little after the build. */
  readonly size?: number;
}

/** Writes the facts. */
export async function writeMeta(path: string, meta: EnvironmentMeta): Promise<void> {
  await writeDurably(path, JSON.stringify(meta, null, 2) + "\n");
}

/** Reads the facts and when the environment was last used; `undefined` when they are missing or damaged. */
export async function readMeta(
  path: string,
): Promise<(EnvironmentMeta & { lastUsed: Date | null }) | undefined> {
  try {
    const [text, { mtime }] = await Promise.all([Deno.readTextFile(path), Deno.stat(path)]);
    return { ...JSON.parse(text) as EnvironmentMeta, lastUsed: mtime };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Sum of the sizes of all files below a directory, in bytes. Stops when the signal fires. */
export async function directorySize(directory: string, signal?: AbortSignal): Promise<number> {
  let size = 0;
  const pending = [directory];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    signal?.throwIfAborted();
    const stats: Promise<Deno.FileInfo | undefined>[] = [];
    for await (const entry of Deno.readDir(path)) {
      const child = `${path}/${entry.name}`;
      if (entry.isDirectory) pending.push(child);
      else stats.push(Deno.lstat(child).catch(() => undefined));
    }
    for (const stat of await Promise.all(stats)) size += stat?.size ?? 0;
  }
  return size;
}
