/** Where the managers' own files are, and the programs that run in environments. */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { isReadOnly } from "../environments/files.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { makeSubstituteDirectory } from "./places.ts";

/**
 * The directory in the cache; or, when the cache is one that cannot be written to and has environments, a temporary
 * one.
 *
 * @param temporary takes note of a directory that is to be removed at the end
 * @throws WorkerError `usage` when there can be none
 */
export async function makeRuntimeDirectory(
  cacheDir: string,
  environment: (name: string) => string | undefined,
  temporary: (directory: string) => string | Promise<string>,
): Promise<string> {
  const directory = join(cacheDir, "runtime");
  try {
    await ensureDir(directory);
    const probe = join(directory, `.probe-${crypto.randomUUID()}`);
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
    return directory;
  } catch (error) {
    if (isReadOnly(error) && await exists(join(cacheDir, "envs"))) {
      return await temporary(await makeSubstituteDirectory(environment));
    }
    throw new WorkerError("usage", `Cannot use cache directory ${cacheDir}: ${messageOf(error)}`, {
      suggestion: "Choose a directory you may write to with --cache-dir.",
    });
  }
}
