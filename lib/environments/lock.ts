/**
 * Locks between processes, on files that are never deleted (a deleted lock file would let two in).
 *
 * They are the kernel's (flock), so the death of a process releases its locks. Waiting is by trying again:
 * a blocked wait could not be cancelled. Two locks of one process exclude each other like those of two.
 */
import { delay } from "../delay.ts";
import { isReadOnly } from "./files.ts";

/** The longest pause between two tries, in milliseconds. */
const MAX_PAUSE_MS = 100;

/** A lock that is held. */
export class FileLock {
  #file: Deno.FsFile | undefined;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Takes a lock if it is free at this moment. A shared one can be had of a file that is read-only. */
  static async try(path: string, mode: "shared" | "exclusive"): Promise<FileLock | undefined> {
    const file = await open(path, mode);
    try {
      if (await file.tryLock(mode === "exclusive")) return new FileLock(file);
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
    return undefined;
  }

  /**
   * Takes a lock, waiting for it.
   *
   * @throws the signal's reason when it fires while waiting
   */
  static async wait(
    path: string,
    mode: "shared" | "exclusive",
    options: { signal?: AbortSignal; onWait?: () => void } = {},
  ): Promise<FileLock> {
    let waited = false;
    for (let pause = 5;; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
      options.signal?.throwIfAborted();
      const lock = await FileLock.try(path, mode);
      if (lock !== undefined) return lock;
      if (!waited) options.onWait?.();
      waited = true;
      await delay(pause, options.signal);
    }
  }

  /** Gives the lock back; does nothing the second time. */
  release(): void {
    // Closing the file releases the lock.
    this.#file?.close();
    this.#file = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

async function open(path: string, mode: "shared" | "exclusive"): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { read: true, write: true, create: true });
  } catch (error) {
    if (mode === "exclusive" || !isReadOnly(error)) throw error;
    // What is not there cannot be used; the error of the first try says why it cannot be made.
    return await Deno.open(path, { read: true }).catch(() => {
      throw error;
    });
  }
}
