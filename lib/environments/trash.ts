/** Getting rid of directories: out of the way at once, deleted when there is time. */
import { dirname, join } from "@std/path";
import { ensureDir } from "@std/fs";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { removeTree } from "../remove_tree.ts";

/** How things begin that could not be moved to the trash because they are on another volume. */
const BESIDE = ".trash-";

/** Renames; `undefined` when there is nothing. */
async function move(path: string, target: string): Promise<string | undefined> {
  try {
    await Deno.rename(path, target);
    return target;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function isOtherFileSystem(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EXDEV";
}

/** A directory of things that are being deleted, on the same file system as what is thrown away. */
export class Trash {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #deletions = new Set<Promise<void>>();

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /** Moves something out of the way; it need not exist. It is deleted in the background. */
  async discard(path: string): Promise<void> {
    const name = crypto.randomUUID();
    await ensureDir(this.#directory);
    try {
      this.#delete(await move(path, join(this.#directory, name)));
    } catch (error) {
      if (!isOtherFileSystem(error)) throw error;
      // A volume may be mounted on what it is in.
      this.#delete(await move(path, join(dirname(path), `${BESIDE}${name}`)));
    }
  }

  /** Starts to delete what earlier processes threw away; of directories on other volumes, too. */
  async empty(...others: readonly string[]): Promise<void> {
    for (const directory of [this.#directory, ...others]) {
      try {
        for await (const { name } of Deno.readDir(directory)) {
          if (directory === this.#directory || name.startsWith(BESIDE)) {
            this.#delete(join(directory, name));
          }
        }
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  /** Resolves when nothing is being deleted. */
  async settled(): Promise<void> {
    await Promise.all(this.#deletions);
  }

  #delete(path: string | undefined): void {
    if (path === undefined) return;
    const deletion = this.#remove(path).finally(() => this.#deletions.delete(deletion));
    this.#deletions.add(deletion);
  }

  async #remove(path: string): Promise<void> {
    // Another worker may be deleting the same.
    await removeTree(path).catch((error) =>
      this.#log.warning("cannot delete", { path, reason: messageOf(error) })
    );
  }
}
