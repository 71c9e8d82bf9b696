/**
 * The files in a session's working directory, for its owner: list, read, write, remove, upload.
 *
 * Everything goes through a process of its own (`file_process.ts`), never through the session's Python: so it works
 * while a cell runs and after a crash, and is out of reach of the session's code. The process is started when it is
 * needed, and ended when it has had nothing to do for a while.
 */
import { WorkerError } from "../errors.ts";
import { type FileProcess, FileRefusal, MAX_PIECE } from "../interpreter/file_process.ts";
import type { UploadFile } from "../staging/artifact_writer.ts";
import { relativePath } from "../staging/paths.ts";
import type { UploadItem, UploadKind, UploadSource } from "../staging/upload.ts";

/** One entry of a listing. */
export interface FileItem {
  /** Path below the listed folder. */
  path: string;
  /** What it is; links are not followed. */
  type: UploadKind;
  /** Size of a file in bytes. */
  size?: number;
  /** When it was last changed (seconds since 1970). */
  modified: number;
  /** Where a link leads, as it says. */
  target?: string;
}

/** A page of a listing. */
export interface FileListing {
  /** Path of the listed folder; empty for the working directory. */
  folder: string;
  items: FileItem[];
  /** Whether there are more entries. */
  more: boolean;
}

/** A part of a file. */
export interface FilePart {
  bytes: Uint8Array<ArrayBuffer>;
  /** Size of the whole file when it was opened. */
  size: number;
}

/** Options of {@linkcode SessionFiles}. */
export interface SessionFilesOptions {
  /** Id of the session, for messages. */
  session: string;
  /** Starts the process. @throws {WorkerError} */
  start: () => Promise<FileProcess>;
  /** Time after which a process without work is ended (milliseconds). @default 30000 */
  idleTime?: number;
}

const IDLE_TIME = 30_000;

/** Entries that are asked for at a time when everything is listed. */
const WALK_PAGE = 2000;

/** Most entries of one page of a listing. */
export const MAX_LISTED = 10_000;

/** Access to the files of one session. */
export class SessionFiles implements AsyncDisposable, UploadSource {
  readonly #session: string;
  readonly #start: () => Promise<FileProcess>;
  readonly #idleTime: number;
  #process: Promise<FileProcess> | undefined;
  #endings = new Set<Promise<void>>();
  #users = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** Starts without a process. */
  constructor({ session, start, idleTime = IDLE_TIME }: SessionFilesOptions) {
    this.#session = session;
    this.#start = start;
    this.#idleTime = idleTime;
  }

  /**
   * Lists a folder.
   *
   * @param path The folder; empty for the working directory itself.
   * @throws {WorkerError} `invalid_argument`, `file_not_found`, `file_refused`
   */
  async list(
    path: string,
    options: { recursive?: boolean; offset?: number; limit?: number } = {},
  ): Promise<FileListing> {
    const { recursive = false, offset = 0, limit = MAX_LISTED } = options;
    const folder = this.#checked("list", path);
    return await this.#use("list", folder, async (process) => {
      const { header } = await process.request({
        op: "list",
        path: folder,
        recursive,
        offset,
        limit,
      });
      return { folder, items: header.items as FileItem[], more: header.more as boolean };
    });
  }

  /** Reads a part of a file. @throws {WorkerError} as {@linkcode list} */
  async read(path: string, offset: number, length: number): Promise<FilePart> {
    await using file = await this.open(path);
    const wanted = Math.max(0, Math.min(length, file.size - offset));
    const bytes = new Uint8Array(wanted);
    let filled = 0;
    while (filled < wanted) {
      const piece = await file.read(offset + filled, wanted - filled);
      // Shortened meanwhile.
      if (piece.byteLength === 0) break;
      bytes.set(piece, filled);
      filled += piece.byteLength;
    }
    return { bytes: bytes.subarray(0, filled), size: file.size };
  }

  /**
   * Writes a file, with the folders it needs. Nobody sees it half-written unless it is appended to; a link that has
   * its name is replaced.
   *
   * @returns Its size (bytes).
   * @throws {WorkerError} as {@linkcode list}, and `disk_full`
   */
  async write(path: string, bytes: Uint8Array, append = false): Promise<number> {
    const checked = this.#checkedFile("write", path);
    return await this.#use("write", checked, async (process) => {
      const created = await process.request({ op: "create", path: checked, append });
      const { handle } = created.header;
      try {
        for (let at = 0; at < bytes.byteLength; at += MAX_PIECE) {
          await process.request({ op: "write", handle }, bytes.subarray(at, at + MAX_PIECE));
        }
        const { header } = await process.request({ op: "finish", handle });
        return header.size as number;
      } finally {
        await process.request({ op: "close", handle }).catch(() => {});
      }
    });
  }

  /** Removes a file or a link, or a folder. @throws {WorkerError} as {@linkcode list} */
  async remove(path: string, recursive = false): Promise<void> {
    const checked = this.#checkedFile("remove", path);
    await this.#use("remove", checked, async (process) => {
      await process.request({ op: "remove", path: checked, recursive });
    });
  }

  async look(path: string): Promise<{ type: UploadKind; size: number } | undefined> {
    const checked = this.#checked("read", path);
    return await this.#use("read", checked, async (process) => {
      try {
        const { header } = await process.request({ op: "stat", path: checked });
        return { type: header.type as UploadKind, size: (header.size as number | undefined) ?? 0 };
      } catch (error) {
        if (error instanceof FileRefusal && error.kind === "missing") return undefined;
        throw error;
      }
    });
  }

  async *walk(folder: string): AsyncGenerator<UploadItem> {
    const checked = this.#checked("list", folder);
    const process = await this.#enter("list", checked);
    let handle: unknown;
    try {
      handle = (await process.request({ op: "walk", path: checked })).header.handle;
      for (let more = true; more;) {
        const { header } = await process.request({ op: "next", handle, limit: WALK_PAGE });
        yield* header.items as FileItem[];
        more = header.more as boolean;
      }
    } catch (error) {
      throw this.#typed("list", checked, error);
    } finally {
      if (handle !== undefined) await process.request({ op: "close", handle }).catch(() => {});
      this.#leave();
    }
  }

  async open(path: string): Promise<UploadFile> {
    const checked = this.#checkedFile("read", path);
    const process = await this.#enter("read", checked);
    let left = false;
    const leave = () => {
      if (!left) this.#leave();
      left = true;
    };
    try {
      const { header } = await process.request({ op: "open", path: checked });
      const { handle } = header;
      return {
        size: header.size as number,
        read: async (offset, length) => {
          try {
            const asked = Math.min(length, MAX_PIECE);
            return (await process.request({ op: "read", handle, offset, length: asked })).blob;
          } catch (error) {
            throw this.#typed("read", checked, error);
          }
        },
        [Symbol.asyncDispose]: async () => {
          if (!left) await process.request({ op: "close", handle }).catch(() => {});
          leave();
        },
      };
    } catch (error) {
      leave();
      throw this.#typed("read", checked, error);
    }
  }

  #checked(action: string, path: string): string {
    const checked = relativePath(path);
    if ("path" in checked) return checked.path;
    throw new WorkerError(
      "invalid_argument",
      `Cannot ${action} ${JSON.stringify(path.slice(0, 200))}: ${checked.problem}`,
      {
        context: { argument: "path" },
        suggestion:
          'Write a path relative to the session\'s working directory, such as "data/a.csv".',
      },
    );
  }

  #checkedFile(action: string, path: string): string {
    const checked = this.#checked(action, path);
    if (checked !== "" && !path.endsWith("/")) return checked;
    if (checked !== "" && action === "remove") return checked;
    throw new WorkerError(
      "invalid_argument",
      `Cannot ${action} ${JSON.stringify(path)}: it names no file`,
      { context: { argument: "path" } },
    );
  }

  async #use<T>(
    action: string,
    path: string,
    work: (process: FileProcess) => Promise<T>,
  ): Promise<T> {
    const process = await this.#enter(action, path);
    try {
      return await work(process);
    } catch (error) {
      throw this.#typed(action, path, error);
    } finally {
      this.#leave();
    }
  }

  /** A process that stays until it is left. */
  async #enter(action: string, path: string): Promise<FileProcess> {
    if (this.#closed) throw this.#goneError(action, path);
    this.#users++;
    clearTimeout(this.#timer);
    try {
      for (;;) {
        const starting = this.#process ??= this.#start();
        const process = await starting.catch((error) => {
          if (this.#process === starting) this.#process = undefined;
          throw error;
        });
        if (this.#closed) throw this.#goneError(action, path);
        if (!process.ended) return process;
        if (this.#process === starting) this.#forget();
      }
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  #leave(): void {
    if (--this.#users > 0 || this.#closed) return;
    this.#timer = setTimeout(() => this.#forget(), this.#idleTime);
  }

  /** Ends the process; the next one who needs one starts another. */
  #forget(): void {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    const ending = process.then((one) => one[Symbol.asyncDispose]()).catch(() => {})
      .finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
  }

  #typed(action: string, path: string, error: unknown): unknown {
    if (this.#closed) return this.#goneError(action, path);
    if (!(error instanceof FileRefusal)) return error;
    const code = error.kind === "missing"
      ? "file_not_found"
      : error.kind === "full"
      ? "disk_full"
      : "file_refused";
    return new WorkerError(
      code,
      `Cannot ${action} ${JSON.stringify(path)} of session ${this.#session}: ${error.message}`,
      {
        context: { path, session: this.#session },
        ...(code === "disk_full"
          ? { suggestion: "Remove files of the session, or free space on the worker's disk." }
          : {}),
      },
    );
  }

  #goneError(action: string, path: string): WorkerError {
    return new WorkerError(
      "session_not_ready",
      `Cannot ${action} ${JSON.stringify(path)} of session ${this.#session}: ` +
        "it has ended, and its files are gone",
      {
        context: { path, session: this.#session },
        suggestion:
          "Files outlive a session only in an artifact: name them in the manifest's files_to_save, or call " +
          "upload_outputs before the session is stopped.",
      },
    );
  }

  /** Ends all access; what is under way fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#forget();
    await Promise.all(this.#endings);
  }
}
