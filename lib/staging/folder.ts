/** A folder of this machine as a source, so that an app runs locally without a server. */
import { join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import {
  MAX_TEXT_BYTES,
  type OpenFile,
  type SourceOptions,
  type StageItem,
  type StageSource,
} from "./source.ts";
import { isInside } from "./target.ts";

/** Opens the files of a folder for reading. Links that lead out of the folder are refused. */
export function createFolderSource(folder: string): StageSource {
  return new FolderSource(folder);
}

class FolderSource implements StageSource {
  readonly name: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.name = `folder ${folder}`;
  }

  async readText(path: string, options: SourceOptions = {}): Promise<string> {
    const file = await this.open(path, options);
    if ((file.size ?? 0) > MAX_TEXT_BYTES) {
      await file.body.cancel();
      throw this.#failure(path, "it is too large for a text");
    }
    return await new Response(file.body).text();
  }

  async open(path: string, options: SourceOptions = {}): Promise<OpenFile> {
    options.signal?.throwIfAborted();
    const real = await this.#resolve(path);
    const info = await Deno.stat(real);
    if (info.isDirectory) throw this.#failure(path, `it is a folder; write "${path}/"`);
    // Opening a pipe or a device may wait for ever.
    if (!info.isFile) throw this.#failure(path, "it is not a regular file");
    try {
      const file = await Deno.open(real, { read: true });
      return { size: info.size, body: file.readable };
    } catch (error) {
      throw this.#failure(path, messageOf(error));
    }
  }

  async *list(path: string, options: SourceOptions = {}): AsyncGenerator<StageItem> {
    const real = await this.#resolve(path);
    const names: string[] = [];
    try {
      for await (const entry of Deno.readDir(real)) names.push(entry.name);
    } catch (error) {
      throw this.#failure(`${path}/`, messageOf(error));
    }
    for (const name of names.sort()) {
      options.signal?.throwIfAborted();
      const inner = path === "" ? name : `${path}/${name}`;
      const info = await Deno.stat(await this.#resolve(inner));
      if (info.isDirectory) yield { name, type: "directory" };
      else if (info.isFile) yield { name, type: "file", size: info.size };
    }
  }

  async #resolve(path: string): Promise<string> {
    try {
      const root = await Deno.realPath(this.#folder);
      const real = await Deno.realPath(join(root, path));
      if (isInside(root, real)) return real;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw this.#failure(path, messageOf(error));
      throw this.#failure(path, "it does not exist");
    }
    throw this.#failure(path, "it is a link that leads out of the folder");
  }

  #failure(path: string, reason: string): WorkerError {
    return new WorkerError(
      "staging_failed",
      `Cannot read ${JSON.stringify(path)} of ${this.name}: ${reason}`,
      {
        context: { path, source: this.name },
        suggestion: "Check files_to_stage against the files of the folder.",
      },
    );
  }
}
