/** Pictures among the output of a script. */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import type { CommandContext } from "./command.ts";

const IMAGES: Readonly<Record<string, string>> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/svg+xml": "svg",
  "application/pdf": "pdf",
};

/** Saves pictures among the output and names them in their place. */
export class ImageSaver {
  readonly #directory: string;
  readonly #stem: string;
  #count = 0;

  /** Pictures go into a directory as `<stem>-1.png` and so on. */
  constructor(directory: string, stem: string) {
    this.#directory = directory;
    this.#stem = stem;
  }

  /** Shows a bundle: pictures as files, everything else as text. */
  async show(data: Record<string, unknown>, context: CommandContext): Promise<void> {
    const mime = Object.keys(IMAGES).find((type) => typeof data[type] === "string");
    if (mime === undefined) {
      context.write("stdout", `${data["text/plain"] ?? ""}\n`);
      return;
    }
    const content = data[mime] as string;
    const path = join(this.#directory, `${this.#stem}-${++this.#count}.${IMAGES[mime]}`);
    context.write("stdout", `[${mime} saved to ${path}]\n`);
    await ensureDir(this.#directory);
    const bytes = mime === "image/svg+xml"
      ? new TextEncoder().encode(content)
      : Uint8Array.fromBase64(content.replace(/\s/g, ""));
    await Deno.writeFile(path, bytes);
  }
}
