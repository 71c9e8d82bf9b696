/** Small things about files that the tests of documents need. */
import { join } from "@std/path";

/** Whether there is something of that name. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Copies a file, or a folder with everything below it. */
export async function copy(from: string, to: string): Promise<void> {
  const info = await Deno.stat(from);
  if (info.isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.name !== "__pycache__") await copy(join(from, entry.name), join(to, entry.name));
  }
}

/** Markdown files below a folder, relative to it, in order. */
export async function markdownFiles(root: string, folder: string, deep = false): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(join(root, folder))) {
    const path = join(folder, entry.name);
    if (entry.isFile && entry.name.endsWith(".md")) found.push(path);
    if (entry.isDirectory && deep) found.push(...await markdownFiles(root, path, deep));
  }
  return found.sort();
}
