/**
 * The functions of `@std/fs` this project uses, under their names and with their meaning.
 *
 * The npm carrier of the standard library has no `fs`; moving to JSR means deleting this file and changing
 * the import map.
 */

/** Makes a directory and its parents; does nothing when it exists. */
export async function ensureDir(dir: string | URL): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
}

/** Whether something exists at a path. Errors other than "not found" are thrown. */
export async function exists(path: string | URL): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}
