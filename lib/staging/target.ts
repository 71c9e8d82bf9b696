/**
 * A directory that files are written into from outside, and never beyond.
 *
 * Links inside of the directory may exist already; one that leads out is never followed. A file is written under a
 * temporary name that nothing else uses, then renamed, so that a half-written file is never seen under its name.
 */
import { join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";

/** Whether a path is a folder or something below it; both absolute and without links. */
export function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** What arrived is not what was sent. */
export class DamagedError extends Error {
  override readonly name = "DamagedError";
}

/** Writes files below one directory. */
export class StageTarget {
  readonly #root: string;
  readonly #parents = new Map<string, Promise<string>>();

  private constructor(root: string) {
    this.#root = root;
  }

  /** Opens an existing directory. */
  static async open(directory: string): Promise<StageTarget> {
    return new StageTarget(await Deno.realPath(directory));
  }

  /**
   * Writes one file.
   *
   * @param path Relative path, already checked.
   * @param body Its content; read to the end, or cancelled.
   * @param options `size` in bytes, when known, is verified; so is what `verify` looks at, which throws when the content
   * is not right; `look` sees each piece first, and ends the work by throwing; `signal` stops the work.
   * @returns Number of bytes written.
   * @throws {WorkerError} `staging_failed`, `disk_full`; the signal's reason; what the body threw, or what was thrown
   * at it.
   */
  async write(
    path: string,
    body: ReadableStream<Uint8Array<ArrayBuffer>>,
    options: {
      size?: number | undefined;
      look?: (piece: Uint8Array) => void;
      verify?: () => void;
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<number> {
    const slash = path.lastIndexOf("/");
    let temporary: string | undefined;
    try {
      const parent = await this.#parent(slash < 0 ? "" : path.slice(0, slash));
      const target = join(parent, path.slice(slash + 1));
      temporary = join(parent, `.stage-${crypto.randomUUID()}`);
      // createNew never follows a link, and rename replaces a link instead of following it.
      const file = await Deno.open(temporary, { write: true, createNew: true });
      const size = await fill(file, body, options);
      if (options.size !== undefined && size !== options.size) {
        throw this.#failure(path, `${size} instead of ${options.size} bytes arrived`);
      }
      options.verify?.();
      await Deno.rename(temporary, target);
      temporary = undefined;
      return size;
    } catch (error) {
      if (temporary !== undefined) await Deno.remove(temporary).catch(() => {});
      await body.cancel(error).catch(() => {});
      options.signal?.throwIfAborted();
      throw this.#typed(path, error);
    }
  }

  /** Makes a folder, also when it stays empty. @throws {WorkerError} `staging_failed` */
  async makeFolder(path: string): Promise<void> {
    await this.#parent(path);
  }

  /** The real path of a folder below the root, made when missing. */
  #parent(path: string): Promise<string> {
    let known = this.#parents.get(path);
    if (known === undefined) {
      known = this.#enter(path);
      this.#parents.set(path, known);
    }
    return known;
  }

  async #enter(path: string): Promise<string> {
    if (path === "") return this.#root;
    const slash = path.lastIndexOf("/");
    const parent = await this.#parent(slash < 0 ? "" : path.slice(0, slash));
    const folder = join(parent, path.slice(slash + 1));
    try {
      await Deno.mkdir(folder);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    const real = await Deno.realPath(folder);
    if (!isInside(this.#root, real)) {
      throw this.#failure(path, "it is a link that leads out of the session's directory");
    }
    if (!(await Deno.stat(real)).isDirectory) throw this.#failure(path, "a file is in the way");
    return real;
  }

  #typed(path: string, error: unknown): unknown {
    if (error instanceof WorkerError || error instanceof DamagedError) return error;
    const message = messageOf(error);
    if (/no space left|disk quota exceeded|os error (28|122)/i.test(message)) {
      return new WorkerError("disk_full", `Cannot stage ${JSON.stringify(path)}: ${message}`, {
        suggestion: "Free space on the disk of the working directory, or stage less.",
        cause: error,
      });
    }
    return this.#failure(path, message);
  }

  #failure(path: string, reason: string): WorkerError {
    return new WorkerError("staging_failed", `Cannot stage ${JSON.stringify(path)}: ${reason}`, {
      context: { path },
    });
  }
}

/**
 * Copies a body into a file, and closes the file. Pipes between streams cost a tenth of the speed.
 *
 * @returns Number of bytes
 */
async function fill(
  file: Deno.FsFile,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  { look, signal }: { look?: (piece: Uint8Array) => void; signal?: AbortSignal | undefined },
): Promise<number> {
  using _file = file;
  const reader = body.getReader();
  const stop = () => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener("abort", stop);
  try {
    let size = 0;
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      look?.(value);
      for (let at = 0; at < value.length;) at += await file.write(value.subarray(at));
      size += value.length;
    }
    // A body that is cancelled ends as if it were complete.
    signal?.throwIfAborted();
    return size;
  } finally {
    signal?.removeEventListener("abort", stop);
    reader.releaseLock();
  }
}
