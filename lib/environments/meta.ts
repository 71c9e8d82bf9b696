/** Facts about an environment, beside it in `<key>.json`. Only for people: nothing is decided by them. */
import type { ManagerKind } from "../managers/manager.ts";
import { writeDurably } from "./files.ts";
import type { EnvironmentSpec } from "./spec.ts";

/** A conda package of an environment, as the manager wrote it down. */
export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  readonly build: string;
  /** Where it came from, without credentials. */
  readonly url?: string;
  /** Hexadecimal digits. */
  readonly md5?: string;
  /** Hexadecimal digits. */
  readonly sha256?: string;
}

/** Facts about an environment. When it was last used is the modification time of the file. */
export interface EnvironmentMeta {
  readonly schema: 1;
  /** Name of the environment in the cache. */
  readonly key: string;
  /** What was asked for, but for the variables: they may be secrets of who asked. */
  readonly spec: EnvironmentSpec;
  /** ISO 8601. */
  readonly created: string;
  readonly manager: { readonly kind: ManagerKind; readonly version: string };
  /** Version of the worker that built it. */
  readonly worker: string;
  /** Such as `linux-x86_64`. */
  readonly platform: string;
  /** Version of its Python, such as `3.11.7`. */
  readonly python: string;
  /** Conda packages, each after those it depends on; pip's are not among them. */
  readonly packages: readonly PackageRecord[];
  /** What pip installed, as requirements with exact versions. */
  readonly pip: readonly string[];
  /** How long the build took, in milliseconds. */
  readonly buildMs: number;
  /**
   * Bytes on disk, known a little after the build: `own` has no other links, `shared` is also in the package
   * cache or other environments.
   */
  readonly bytes?: { readonly own: number; readonly shared: number };
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
    const meta = JSON.parse(text) as EnvironmentMeta | null;
    if (meta?.schema !== 1 || !Array.isArray(meta.packages)) return undefined;
    return { ...meta, lastUsed: mtime };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
