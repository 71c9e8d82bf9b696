/** Brings the files of an app into its session's directory. */
import { WorkerError } from "../errors.ts";
import type { ProgressSink } from "../progress.ts";
import type { StageEntry } from "./entries.ts";
import { forEachLimited } from "./pool.ts";
import type { StageSource } from "./source.ts";
import { StageTarget } from "./target.ts";

/** Options of {@linkcode stageFiles}. */
export interface StageOptions {
  /** Stops the work; its reason is thrown, and no temporary file stays. */
  signal?: AbortSignal | undefined;
  /** Receives progress: at the start, at most four times a second, and at the end. */
  onProgress?: ProgressSink | undefined;
  /** How many files are transferred, or folders listed, at a time. @default 4 */
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

interface Folder {
  readonly source: string;
  readonly target: string;
}

interface Plan {
  /** Files by target. */
  readonly jobs: Map<string, Job>;
  /** Folders to make, parents first. */
  readonly folders: Set<string>;
}

/** Lists one folder entry level by level: a listing is a slow request, and the folders of a level are independent. */
async function planFolder(
  entry: StageEntry,
  source: StageSource,
  plan: Plan,
  concurrency: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let level: Folder[] = [{ source: entry.source, target: entry.target }];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      throw new WorkerError(
        "staging_failed",
        `Cannot stage ${JSON.stringify(entry.text)}: its folders are more than ${MAX_DEPTH} deep`,
        { context: { entry: entry.text } },
      );
    }
    const deeper: Folder[] = [];
    await forEachLimited(level, concurrency, signal, async (folder, signal) => {
      plan.folders.add(folder.target);
      for await (const item of source.list(folder.source, { signal })) {
        const inner = {
          source: below(folder.source, item.name),
          target: below(folder.target, item.name),
        };
        if (item.type === "directory") deeper.push(inner);
        else plan.jobs.set(inner.target, inner);
      }
    });
    level = deeper;
  }
}

/** Everything the entries mean: where two of them write the same file the later one wins. */
async function makePlan(
  entries: readonly StageEntry[],
  source: StageSource,
  concurrency: number,
  signal: AbortSignal | undefined,
): Promise<Plan> {
  const plan: Plan = { jobs: new Map(), folders: new Set() };
  for (const entry of entries) {
    if (entry.kind === "folder") await planFolder(entry, source, plan, concurrency, signal);
    else plan.jobs.set(entry.target, { source: entry.source, target: entry.target });
  }
  return plan;
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
 * @returns The staged files, each once.
 * @throws {WorkerError} `staging_failed` or `disk_full` that names the file; the signal's reason. Files that were
 * complete by then stay, temporary ones do not.
 */
export async function stageFiles(
  entries: readonly StageEntry[],
  source: StageSource,
  directory: string,
  options: StageOptions = {},
): Promise<StagedFile[]> {
  const { signal, concurrency = 4, onProgress: report = () => {} } = options;
  signal?.throwIfAborted();
  if (entries.length === 0) return [];
  report({ type: "info", message: `Staging files from ${source.name}`, phase: "stage" });
  const target = await StageTarget.open(directory);
  const { jobs, folders } = await makePlan(entries, source, concurrency, signal);
  for (const folder of folders) await target.makeFolder(folder);

  const reporter = new Reporter(jobs.size, report);
  const staged = new Map<string, number>();
  await forEachLimited(jobs.values(), concurrency, signal, async (job, signal) => {
    const file = await source.open(job.source, { signal });
    const bytes = await target.write(job.target, file.body, { size: file.size, signal });
    staged.set(job.target, bytes);
    reporter.staged(bytes);
  });
  reporter.finished();
  return [...jobs.keys()].map((path) => ({ path, bytes: staged.get(path) ?? 0 }));
}
