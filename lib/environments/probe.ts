/**
 * Whether locks work where the cache is. On some network volumes everybody gets every lock, or nobody any:
 * then two workers would build in one place, and remove what the other uses.
 */
import { join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import { isReadOnly } from "./files.ts";
import { FileLock } from "./lock.ts";

/** How the names of files begin that locks are tried out with. */
export const PROBE_PREFIX = ".probe-";

/** Tries out the locks of a directory; says what is wrong with them. */
export type LockProbe = (directory: string) => Promise<string | undefined>;

/** Tries out the locks of a directory with a file of its own, by two descriptors as two workers would. */
export async function probeLocks(directory: string): Promise<string | undefined> {
  const path = join(directory, `${PROBE_PREFIX}${crypto.randomUUID()}`);
  try {
    using reader = await FileLock.try(path, "shared");
    using other = await FileLock.try(path, "shared");
    if (reader === undefined || other === undefined) return "a lock cannot be shared";
    using intruder = await FileLock.try(path, "exclusive");
    if (intruder !== undefined) return "a lock is given to one while another holds it";
    reader.release();
    other.release();
    using writer = await FileLock.try(path, "exclusive");
    if (writer === undefined) return "a lock is not given back";
    return undefined;
  } finally {
    await Deno.remove(path).catch(() => {});
  }
}

/**
 * Refuses a directory without working locks. One that cannot be written to is not tried: nothing will be built
 * or removed there.
 *
 * @throws WorkerError `cache_locks` with what is wrong
 */
export async function assertLocks(directory: string, probe: LockProbe = probeLocks): Promise<void> {
  let problem: string | undefined;
  try {
    problem = await probe(directory);
  } catch (error) {
    if (isReadOnly(error)) return;
    problem = messageOf(error);
  }
  if (problem === undefined) return;
  throw new WorkerError(
    "cache_locks",
    `Cannot use the cache directory ${directory}: file locks do not work there (${problem})`,
    { context: { directory, problem } },
  );
}
