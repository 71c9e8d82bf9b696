/** Where staged files come from: the artifact manager of a server, or a folder of this machine. */

/** One item of a listing. */
export interface StageItem {
  /** Name without its folder. */
  readonly name: string;
  /** What it is. */
  readonly type: "file" | "directory";
  /** Size of a file in bytes, when the source knows it. */
  readonly size?: number;
}

/** A file that is being read. */
export interface OpenFile {
  /** Size in bytes, when the source knows it. */
  readonly size?: number;
  /** What identifies its content, when the source knows it. */
  readonly etag?: string;
  /** The content. Must be read to its end or cancelled. */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Options of the methods of a {@linkcode StageSource}. */
export interface SourceOptions {
  /** Stops the work; its reason is what is thrown then. */
  signal?: AbortSignal | undefined;
}

/** A tree of files. Paths are relative, with `/` between segments; the empty path is the root. */
export interface StageSource {
  /** What it is, for messages. */
  readonly name: string;
  /** The content of a small file as UTF-8 text. @throws {WorkerError} `staging_failed` */
  readText(path: string, options?: SourceOptions): Promise<string>;
  /** Prepares for many files that are going to be opened, with their sizes as listed. Never fails but by the signal. */
  announce?(files: ReadonlyMap<string, number>, options?: SourceOptions): Promise<void>;
  /** Starts to read a file. @throws {WorkerError} `staging_failed` */
  open(path: string, options?: SourceOptions): Promise<OpenFile>;
  /** The items of one folder, not of those below. @throws {WorkerError} `staging_failed` */
  list(path: string, options?: SourceOptions): AsyncIterable<StageItem>;
}

/** Greatest size of a text that {@linkcode StageSource.readText} reads, in bytes. */
export const MAX_TEXT_BYTES = 32 * 1024 * 1024;
