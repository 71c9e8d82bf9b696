/** Writing files so that a crash leaves the old content or the new, never half. */
import { dirname } from "@std/path";
import { WorkerError } from "../errors.ts";

/** Whether something failed because nothing may be written there. */
export function isReadOnly(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable ||
    (error instanceof Error && "code" in error && error.code === "EROFS");
}

/** The error to report when the cache directory itself cannot be used; other errors are returned as they are. */
export function asCacheError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof WorkerError) return error;
  const code = "code" in error ? error.code : undefined;
  const message = `Cannot use the cache directory: ${error.message}`;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new WorkerError("disk_full", message, { cause: error });
  }
  if (isReadOnly(error) || code === "ENOTDIR") {
    return new WorkerError("cache_not_writable", message, { cause: error });
  }
  return error;
}

/** Replaces a file atomically and makes sure that it is on disk. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const draft = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    using file = await Deno.open(draft, { write: true, createNew: true });
    const writer = new TextEncoder().encode(text);
    for (let written = 0; written < writer.length;) {
      written += await file.write(writer.subarray(written));
    }
    await file.sync();
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
  // The name is in the directory, which some file systems write separately.
  try {
    using directory = await Deno.open(dirname(path), { read: true });
    await directory.sync();
  } catch {
    // Not every system can do this with a directory.
  }
}
