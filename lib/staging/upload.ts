/** Brings files of a session into an artifact: the way back of `stage.ts`. */
import { WorkerError } from "../errors.ts";
import { NotStagedError, type UploadFile, type WriteOptions } from "./artifact_writer.ts";
import type { ProgressSink } from "../progress.ts";
import { matchesPattern } from "./glob.ts";
import { forEachLimited } from "./pool.ts";
import type { SaveEntry } from "./save_entries.ts";
import { TransferReporter } from "./transfer_reporter.ts";

/** What a path of a source is. */
export type UploadKind = "file" | "directory" | "link" | "other";

/** Something below a folder of a source. */
export interface UploadItem {
  /** Path below that folder. */
  readonly path: string;
  readonly type: UploadKind;
  /** Size of a file in bytes. */
  readonly size?: number;
}

/** Where uploaded files come from. Paths are relative, the empty one is the root. */
export interface UploadSource {
  /** What a path is, with the size of a file; `undefined` when there is nothing. */
  look(path: string): Promise<{ type: UploadKind; size: number } | undefined>;
  /** Everything below a folder. @throws {WorkerError} when it is none */
  walk(folder: string): AsyncIterable<UploadItem>;
  /** Opens a file. @throws {WorkerError} */
  open(path: string): Promise<UploadFile>;
}

/** Where files go: an artifact, or a folder of this machine. */
export interface UploadTarget {
  /** Id, the same for what is the same. */
  readonly id: string;
  /** What it is called in messages. */
  readonly title: string;
  /** Whether it has changes that are not committed. */
  staged(options?: WriteOptions): Promise<boolean>;
  /** Begins changes. */
  stage(options?: WriteOptions): Promise<void>;
  /** Prepares for many files, all of which must be put then. @throws {NotStagedError} */
  announce?(paths: readonly string[], options?: WriteOptions): Promise<void>;
  /** Puts one file. @throws {NotStagedError} when somebody else has ended the changes */
  put(path: string, file: UploadFile, options: WriteOptions): Promise<void>;
  /** Makes the changes visible. @throws {NotStagedError} */
  commit(options?: WriteOptions): Promise<void>;
  /** Takes the changes back. @throws {NotStagedError} */
  discard(options?: WriteOptions): Promise<void>;
}

/** Options of {@linkcode uploadFiles}. */
export interface UploadOptions {
  /** Stops the work; its reason is thrown, and the artifact is as before. */
  signal?: AbortSignal | undefined;
  /** Receives progress: at the start, at most four times a second, and at the end. */
  onProgress?: ProgressSink | undefined;
  /** How many files are transferred at a time. @default 4 */
  concurrency?: number;
  /**
   * What becomes of entries that name nothing that can be uploaded: `refuse` throws before anything is uploaded,
   * `skip` uploads the others. @default "refuse"
   */
  missing?: "refuse" | "skip";
}

/** What has been uploaded. */
export interface UploadResult {
  /** Full id of the artifact. */
  artifact_id: string;
  /** Files by their path in the artifact; sizes in bytes. */
  files: { path: string; source: string; size: number }[];
  /** What was not uploaded, and why. */
  skipped: { path: string; reason: string }[];
  /** Bytes of all files. */
  bytes: number;
  /**
   * Whether the files are visible. They are not when the artifact had other changes that are not committed: those are
   * somebody else's to commit, and take the files along.
   */
  committed: boolean;
}

interface Job {
  readonly source: string;
  readonly target: string;
  readonly size: number;
}

interface Plan {
  /** Files by target. */
  readonly jobs: Map<string, Job>;
  readonly skipped: { path: string; reason: string }[];
}

/** Most files of one upload: the plan is held in memory. */
const MAX_FILES = 100_000;
/** How often an upload begins anew because somebody else has ended the staging. */
const ROUNDS = 3;
/** Time the artifact manager has to take changes back (milliseconds). */
const DISCARD_TIMEOUT = 20_000;

/** Ends of the last uploads, by artifact: two at once would commit each other's half. */
const turns = new Map<string, Promise<void>>();

function below(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

async function plan(
  entries: readonly SaveEntry[],
  source: UploadSource,
  missing: "refuse" | "skip",
  signal: AbortSignal | undefined,
): Promise<Plan> {
  const result: Plan = { jobs: new Map(), skipped: [] };
  const refuse = (entry: SaveEntry, reason: string) => {
    if (missing === "refuse") {
      throw new WorkerError(
        "file_not_found",
        `Cannot upload ${JSON.stringify(entry.text)}: ${reason}`,
        { context: { entry: entry.text } },
      );
    }
    result.skipped.push({ path: entry.text, reason });
  };
  const add = (job: Job) => {
    result.jobs.set(job.target, job);
    if (result.jobs.size > MAX_FILES) {
      throw new WorkerError(
        "invalid_argument",
        `Cannot upload: there are more than ${MAX_FILES} files`,
        { suggestion: "Pack them into an archive." },
      );
    }
  };
  for (const entry of entries) {
    signal?.throwIfAborted();
    const { kind, source: from, target } = entry;
    const found = from === "" ? { type: "directory" as const, size: 0 } : await source.look(from);
    if (found === undefined) {
      refuse(entry, kind === "pattern" ? "no file matches it" : "it does not exist");
    } else if (kind === "file") {
      if (found.type === "file") add({ source: from, target, size: found.size });
      else refuse(entry, REASONS[found.type](from));
    } else if (found.type !== "directory") {
      refuse(entry, kind === "pattern" ? "no file matches it" : "it is not a folder");
    } else {
      let matched = 0;
      for await (const item of source.walk(from)) {
        signal?.throwIfAborted();
        if (item.type === "directory") continue;
        if (kind === "pattern" && !matchesPattern(entry.pattern!, item.path)) continue;
        matched++;
        const path = below(from, item.path);
        if (item.type === "file") {
          add({ source: path, target: below(target, item.path), size: item.size ?? 0 });
        } else {
          result.skipped.push({ path, reason: REASONS[item.type](path) });
        }
      }
      // A pattern is also for what there may be; a folder may be empty.
      if (matched === 0 && kind === "pattern") {
        result.skipped.push({ path: entry.text, reason: "no file matches it" });
      }
    }
  }
  return result;
}

const REASONS: Record<Exclude<UploadKind, "file">, (path: string) => string> = {
  directory: (path) => `it is a folder; write "${path}/"`,
  link: () => "it is a link, and links are not followed",
  other: () => "it is not a regular file",
};

/**
 * Puts what the entries name into an artifact: all of it or nothing, and visible at once.
 *
 * @throws {WorkerError} `file_not_found`, `file_refused`, `upload_failed` that names the file, `invalid_argument`; the
 * signal's reason. The artifact is as before then, unless it had changes of somebody else.
 */
export async function uploadFiles(
  entries: readonly SaveEntry[],
  source: UploadSource,
  writer: UploadTarget,
  options: UploadOptions = {},
): Promise<UploadResult> {
  const { signal, onProgress = () => {}, missing = "refuse" } = options;
  const { jobs, skipped } = await plan(entries, source, missing, signal);
  for (const { path, reason } of skipped) {
    onProgress({
      type: "warning",
      message: `Not uploaded: ${JSON.stringify(path)}: ${reason}`,
      phase: "upload",
    });
  }
  const files = [...jobs.values()];
  let committed = true;
  if (files.length > 0) {
    committed = await inTurn(
      writer.id,
      signal,
      () => transfer(files, source, writer, { ...options, onProgress }),
    );
  }
  return {
    artifact_id: writer.id,
    files: files.map((job) => ({ path: job.target, source: job.source, size: job.size })),
    skipped,
    bytes: files.reduce((sum, job) => sum + job.size, 0),
    committed,
  };
}

/** Does something when all that came before has ended. Who gives up waiting does not let later ones pass. */
async function inTurn<T>(
  id: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const before = turns.get(id) ?? Promise.resolve();
  const own = Promise.withResolvers<void>();
  const turn = before.then(() => own.promise);
  turns.set(id, turn);
  turn.then(() => turns.get(id) === turn && turns.delete(id));
  const stop = Promise.withResolvers<never>();
  stop.promise.catch(() => {});
  const onAbort = () => stop.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    await Promise.race([before, stop.promise]);
    return await work();
  } finally {
    signal?.removeEventListener("abort", onAbort);
    own.resolve();
  }
}

/** Uploads until it is committed, or left to whoever commits. Whether it is committed. */
async function transfer(
  files: readonly Job[],
  source: UploadSource,
  writer: UploadTarget,
  options: UploadOptions & { onProgress: ProgressSink },
): Promise<boolean> {
  for (let round = 1;; round++) {
    options.signal?.throwIfAborted();
    const { signal } = options;
    const shared = await writer.staged({ signal });
    if (!shared) await writer.stage({ signal });
    try {
      // Files that somebody else may commit are not announced: one that failed would be in their way.
      const single = shared || files.length < 2;
      if (!single) await writer.announce?.(files.map((job) => job.target), { signal });
      await putAll(files, source, writer, options);
      if (shared) {
        options.onProgress({
          type: "warning",
          message: `${writer.title} has other changes that are not committed; the files become ` +
            "visible when those are",
          phase: "upload",
        });
      } else {
        await writer.commit({ signal });
      }
      return !shared;
    } catch (error) {
      if (error instanceof NotStagedError) {
        if (round < ROUNDS) continue;
        throw new WorkerError(
          "upload_failed",
          `Cannot upload to ${writer.title}: somebody else commits or discards its changes meanwhile`,
          { context: { artifact: writer.id }, cause: error },
        );
      }
      if (!shared) await takeBack(writer, options.onProgress);
      throw error;
    }
  }
}

/** Also when the upload was cancelled: changes that stay would be committed by the next one. */
async function takeBack(writer: UploadTarget, onProgress: ProgressSink): Promise<void> {
  try {
    await writer.discard({ signal: AbortSignal.timeout(DISCARD_TIMEOUT) });
  } catch (error) {
    if (error instanceof NotStagedError) return;
    onProgress({
      type: "warning",
      message: `The changes of ${writer.title} could not be taken back and stay uncommitted`,
      phase: "upload",
    });
  }
}

async function putAll(
  files: readonly Job[],
  source: UploadSource,
  writer: UploadTarget,
  { signal, onProgress, concurrency = 4 }: UploadOptions & { onProgress: ProgressSink },
): Promise<void> {
  const reporter = new TransferReporter({
    verbs: ["Uploading", "Uploaded"],
    phase: "upload",
    files: files.length,
    bytes: files.reduce((sum, job) => sum + job.size, 0),
    report: onProgress,
  });
  reporter.started(`to ${writer.title}`);
  await forEachLimited(files, concurrency, signal, async (job, signal) => {
    await using file = await source.open(job.source);
    await writer.put(job.target, file, { signal, onBytes: (count) => reporter.moved(count) });
    reporter.fileDone();
  });
  reporter.finished();
}
