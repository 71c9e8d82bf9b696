/**
 * Whose a worker's directories are, and the clearing of those whose worker was killed.
 *
 * Each directory that a worker fills has a file `.lock`, shared-locked as long as the worker lives (flock, so that
 * the kernel gives it back however the worker ends). Whoever gets the exclusive lock knows that nobody is there.
 */
import { join } from "@std/path";
import { exists } from "@std/fs";
import { FileLock } from "../environments/lock.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { removeTree } from "../remove_tree.ts";

const LOCK = ".lock";
/** Temporary directories of workers, as `places.ts` names them. */
const TEMPORARY = /^hypha_(?:sessions|sockets|runtime)_/;
/** Directories of sessions, as the worker names them. */
const SESSION = /^session-[0-9a-f]{16}$/;

async function clear(directory: string, pattern: RegExp, log: Logger): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    if (!isDirectory || !pattern.test(name)) continue;
    await remove(join(directory, name), log);
  }
}

async function remove(directory: string, log: Logger): Promise<void> {
  log.info("removing what a killed worker has left", { directory });
  await removeTree(directory).catch((error) =>
    log.warning("cannot remove what a killed worker has left", {
      directory,
      reason: messageOf(error),
    })
  );
}

/**
 * Takes a directory of sessions. What killed workers have left of sessions there is removed, when no other worker
 * uses the directory now.
 */
export async function occupySessions(directory: string, log: Logger): Promise<Disposable> {
  const path = join(directory, LOCK);
  using alone = await FileLock.try(path, "exclusive");
  if (alone !== undefined) await clear(directory, SESSION, log);
  alone?.release();
  return await FileLock.wait(path, "shared");
}

/** Takes a directory that was made for this worker alone. */
export async function occupy(directory: string): Promise<Disposable> {
  const made = join(directory, `${LOCK}.new`);
  const lock = await FileLock.wait(made, "shared");
  // It gets its name when it is locked: between the two another worker would take the directory for one that was left.
  await Deno.rename(made, join(directory, LOCK));
  return lock;
}

/** Removes temporary directories of killed workers below some directories. What cannot be looked into is left. */
export async function clearTemporary(directories: Iterable<string>, log: Logger): Promise<void> {
  for (const directory of new Set(directories)) {
    try {
      for await (const { name, isDirectory } of Deno.readDir(directory)) {
        const path = join(directory, name);
        const lock = join(path, LOCK);
        // One without a lock is somebody's who is just making it, or no worker's.
        if (!isDirectory || !TEMPORARY.test(name) || !await exists(lock)) continue;
        using unused = await FileLock.try(lock, "exclusive").catch(() => undefined);
        if (unused !== undefined) await remove(path, log);
      }
    } catch (error) {
      log.debug("cannot look for what killed workers have left", {
        directory,
        reason: messageOf(error),
      });
    }
  }
}
