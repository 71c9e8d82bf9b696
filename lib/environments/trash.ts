/** Getting rid of directories: out of the way at once, deleted when there is time. */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { delay } from "../delay.ts";

/** How often deleting is tried; a process that still writes lets it fail. */
const TRIES = 5;

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
    const target = join(this.#directory, crypto.randomUUID());
    await ensureDir(this.#directory);
    try {
      await Deno.rename(path, target);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    this.#delete(target);
  }

  /** Starts to delete what earlier processes threw away. */
  async empty(): Promise<void> {
    try {
      for await (const entry of Deno.readDir(this.#directory)) {
        this.#delete(join(this.#directory, entry.name));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Resolves when nothing is being deleted. */
  async settled(): Promise<void> {
    await Promise.all(this.#deletions);
  }

  #delete(path: string): void {
    const deletion = this.#remove(path).finally(() => this.#deletions.delete(deletion));
    this.#deletions.add(deletion);
  }

  async #remove(path: string): Promise<void> {
    for (let attempt = 1;; attempt++) {
      try {
        return await Deno.remove(path, { recursive: true });
      } catch (error) {
        // Another worker may be deleting the same.
        if (error instanceof Deno.errors.NotFound) return;
        if (attempt === TRIES) {
          this.#log.warning("cannot delete", { path, reason: messageOf(error) });
          return;
        }
      }
      await delay(100 * attempt);
    }
  }
}
