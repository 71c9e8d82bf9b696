/** A folder of this machine that takes the files of a session, so that an app runs locally without a server. */
import { messageOf, WorkerError } from "../errors.ts";
import type { UploadFile, WriteOptions } from "./artifact_writer.ts";
import { StageTarget } from "./target.ts";
import type { UploadTarget } from "./upload.ts";

/** Puts files into a folder, made when it is needed: each as a whole, and at once. */
export function createFolderTarget(folder: string): UploadTarget {
  return new FolderTarget(folder);
}

class FolderTarget implements UploadTarget {
  readonly id: string;
  readonly title: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.id = folder;
    this.title = `folder ${folder}`;
  }

  staged(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async stage(): Promise<void> {
    try {
      await Deno.mkdir(this.#folder, { recursive: true });
    } catch (error) {
      throw new WorkerError(
        "upload_failed",
        `Cannot save files to ${this.title}: ${messageOf(error)}`,
        { suggestion: "Choose another folder." },
      );
    }
  }

  async put(path: string, file: UploadFile, { signal, onBytes }: WriteOptions): Promise<void> {
    let offset = 0;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        const piece = offset < file.size
          ? await file.read(offset, file.size - offset)
          : new Uint8Array(0);
        if (piece.byteLength === 0) return controller.close();
        offset += piece.byteLength;
        onBytes?.(piece.byteLength);
        controller.enqueue(piece.slice());
      },
    }, { highWaterMark: 0 });
    const target = await StageTarget.open(this.#folder);
    await target.write(path, body, { size: file.size, signal });
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  discard(): Promise<void> {
    return Promise.resolve();
  }
}
