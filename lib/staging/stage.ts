/** Brings the files of an app into its session's directory. */
import { WorkerError } from "../errors.ts";
import type { ProgressSink } from "../progress.ts";
import type { StageEntry } from "./entries.ts";
import type { StageSource } from "./source.ts";
import { StageTarget } from "./target.ts";

/** Options of {@linkcode stageFiles}. */
export interface StageOptions {
  /** Stops the work; its reason is thrown, and no temporary file stays. */
  signal?: AbortSignal | undefined;
  /** Receives progress: at the start, at most four times a second, and at the end. */
  onProgress?: ProgressSink | undefined;
  /** How many files are transferred at a time. @default 4 */
  concurrency?: number;
}

/** A file that was staged. */
export interface StagedFile {
  /** Path below the session's directory. */
  readonly path: string;
  /** Size in bytes. */
  readonly bytes: number;
}

interface Job {
  readonly source: string;
  readonly target: string;
}

/** Deeper than any real tree, shallower than a link that leads to its own parent. */
const MAX_DEPTH = 64;
const PROGRESS_INTERVAL = 250;

function formatBytes(bytes: number): string {
  const units = ["bytes", "KB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function below(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** Everything the entries mean, by target: where two entries write the same file the later one wins. */
async function plan(
  entries: readonly StageEntry[],
  source: StageSource,
  signal: AbortSignal,
): Promise<{ jobs: Map<string, Job>; folders: Set<string> }> {
  const jobs = new Map<string, Job>();
  const folders = new Set<string>();
  const walk = async (from: string, to: string, entry: StageEntry, depth: number) => {
    if (depth > MAX_DEPTH) {
      throw new WorkerError(
        "staging_failed",
        `Cannot stage ${JSON.stringify(entry.text)}: its folders are more than ${MAX_DEPTH} deep`,
        { context: { entry: entry.text } },
      );
    }
    folders.add(to);
    for await (const item of source.list(from, { signal })) {
      const inner = below(from, item.name);
      const target = below(to, item.name);
      if (item.type === "directory") await walk(inner, target, entry, depth + 1);
      else jobs.set(target, { source: inner, target });
    }
  };
  for (const entry of entries) {
    if (entry.kind === "folder") await walk(entry.source, entry.target, entry, 1);
    else {
      jobs.set(entry.target, { source: entry.source, target: entry.target });
    }
  }
  return { jobs, folders };
}

class Reporter {
  #last = -Infinity;
  #files = 0;
  #bytes = 0;
  readonly #total: number;
  readonly #report: ProgressSink;

  constructor(total: number, report: ProgressSink) {
    this.#total = total;
    this.#report = report;
  }

  staged(bytes: number): void {
    this.#files++;
    this.#bytes += bytes;
    const now = performance.now();
    if (this.#files === this.#total || now - this.#last < PROGRESS_INTERVAL) return;
    this.#last = now;
    const done = `${this.#files} of ${this.#total} files`;
    this.#report({
      type: "info",
      message: `Staging files: ${done} (${formatBytes(this.#bytes)})`,
      phase: "stage",
      percent: Math.floor(100 * this.#files / this.#total),
    });
  }

  finished(): void {
    const files = this.#files === 1 ? "1 file" : `${this.#files} files`;
    this.#report({
      type: "info",
      message: `Staged ${files} (${formatBytes(this.#bytes)})`,
      phase: "stage",
      percent: 100,
    });
  }
}

/**
 * Copies what the entries name from a source into a directory, streamed, folders with everything below them.
 *
 * @param directory An existing directory; nothing is ever written outside of it.
 * @returns The staged files, in the order of the entries.
 * @throws {WorkerError} `staging_failed` or `disk_full` that names the file; the signal's reason. Files that were
 * complete by then stay, temporary ones do not.
 */
export async function stageFiles(
  entries: readonly StageEntry[],
  source: StageSource,
  directory: string,
  options: StageOptions = {},
): Promise<StagedFile[]> {
  options.signal?.throwIfAborted();
  if (entries.length === 0) return [];
  const report = options.onProgress ?? (() => {});
  const failed = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
  report({ type: "info", message: `Staging files from ${source.name}`, phase: "stage" });
  const target = await StageTarget.open(directory);
  const { jobs, folders } = await plan(entries, source, signal);
  for (const folder of folders) await target.makeFolder(folder);

  const reporter = new Reporter(jobs.size, report);
  const staged = new Map<string, number>();
  const queue = jobs.values();
  const work = async () => {
    for (const job of queue) {
      signal.throwIfAborted();
      const file = await source.open(job.source, { signal });
      const bytes = await target.write(job.target, file.body, { size: file.size, signal });
      staged.set(job.target, bytes);
      reporter.staged(bytes);
    }
  };
  const concurrency = Math.max(1, Math.min(options.concurrency ?? 4, jobs.size));
  let failure: { error: unknown } | undefined;
  await Promise.all(Array.from({ length: concurrency }, () =>
    work().catch((error) => {
      // The others stop at once, and are waited for: nothing is left behind that still writes.
      failure ??= { error };
      failed.abort(error);
    })));
  if (failure !== undefined) throw failure.error;
  reporter.finished();
  return [...jobs.keys()].map((path) => ({ path, bytes: staged.get(path) ?? 0 }));
}
