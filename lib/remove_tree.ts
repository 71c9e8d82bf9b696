/** Removal of a directory, whatever code that ran in it has made of it. */
import { join } from "@std/path";
import { delay } from "./delay.ts";

const ATTEMPTS = 6;

/**
 * Removes a directory that dying processes may still write to, and whose directories the code may have closed to
 * their owner. Resolves when it is gone; throws the system's error when it cannot be removed.
 */
export async function removeTree(directory: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      await Deno.remove(directory, { recursive: true });
      return;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (attempt === ATTEMPTS) throw error;
      if (error instanceof Deno.errors.PermissionDenied) await open(directory);
      else await delay(25 * 2 ** attempt);
    }
  }
}

/** Lets the owner into a directory and those below it. Links are not followed. */
async function open(directory: string): Promise<void> {
  const pending = [directory];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    try {
      await Deno.chmod(path, 0o700);
      for await (const entry of Deno.readDir(path)) {
        if (entry.isDirectory) pending.push(join(path, entry.name));
      }
    } catch {
      // Gone, or somebody else's: the removal tells.
    }
  }
}
