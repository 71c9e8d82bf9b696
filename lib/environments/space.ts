/** Whether there is room for another environment. */
import { statfs } from "node:fs/promises";
import { WorkerError } from "../errors.ts";

/** A Python alone takes more than this, so a build with less cannot succeed. */
export const MIN_FREE_BYTES = 256 * 1024 ** 2;

/** Bytes this process may still write to the file system of a directory; `undefined` when that is not known. */
export async function freeBytes(directory: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** The directory with the least room, and how much that is in bytes. Directories that are missing do not count. */
export async function leastFree(
  directories: readonly string[],
): Promise<{ directory: string; free: number }> {
  let least = { directory: "", free: Infinity };
  for (const directory of directories) {
    const free = await freeBytes(directory) ?? Infinity;
    if (free < least.free) least = { directory, free };
  }
  return least;
}

/** A number of bytes for people. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/**
 * Makes sure that there is room to build in, removing what can be spared when there is not.
 *
 * @param reclaim removes things until there is enough, as `Janitor.reclaim` does
 * @throws WorkerError `disk_full` that says how much there is and how much is needed
 */
export async function ensureSpace(
  directories: readonly string[],
  needed: number,
  reclaim: (enough: () => Promise<boolean>) => Promise<boolean>,
): Promise<void> {
  const enough = async () => (await leastFree(directories)).free >= needed;
  if (await enough() || await reclaim(enough)) return;
  const { directory, free } = await leastFree(directories);
  if (free >= needed) return;
  throw new WorkerError(
    "disk_full",
    `Cannot create the environment: only ${formatBytes(free)} are free for ${directory}, and ` +
      `${formatBytes(needed)} are needed; nothing more can be removed from the cache`,
    { context: { directory, free, needed } },
  );
}
