/** Files of the program itself, such as scripts, that have to lie somewhere to be run. */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";

/** Writes a file below a directory, named by its content, and returns its path. One that is there stays. */
export async function installFile(
  directory: string,
  stem: string,
  extension: string,
  text: string,
): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const hash = new Uint8Array(digest).toHex().slice(0, 12);
  const path = join(directory, `${stem}-${hash}${extension}`);
  if (await exists(path)) return path;
  await ensureDir(directory);
  // Renamed into place, so that another worker never runs half of it.
  const draft = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(draft, text);
  await Deno.rename(draft, path);
  return path;
}
