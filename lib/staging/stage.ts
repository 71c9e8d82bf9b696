/** Brings the files of an app into its session's directory. */
import { createHash } from "node:crypto";
import { WorkerError } from "../errors.ts";
import type { ProgressSink } from "../progress.ts";
import type { StageEntry } from "./entries.ts";
import { forEachLimited } from "./pool.ts";
import type { StageSource } from "./source.ts";
import { DamagedError, StageTarget } from "./target.ts";
import { formatBytes, TransferReporter } from "./transfer_reporter.ts";

/** Options of {@linkcode stageFiles}. */
export interface StageOptions {
  /** Stops the work; its reason is thrown, and no temporary file stays. */
  signal?: AbortSignal | undefined;
  /** Receives progress: at the start, at most four times a second, and at the end. */
  onProgress?: ProgressSink | undefined;
  /** How many files are transferred, or folders listed, at a time. @default 4 */
  concurrency?: number;
  /** Most bytes of all files together. @default no limit */
  maxBytes?: number | undefined;
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
  /** Size in bytes, when the source has told it. */
  readonly size?: number;
}

/** Deeper than any real tree, shallower than a link that leads to its own parent. */
const MAX_DEPTH = 64;

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
        else {
          const { size } = item;
          plan.jobs.set(inner.target, size === undefined ? inner : { ...inner, size });
        }
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
  const { signal, concurrency = 4, maxBytes = Infinity, onProgress: report = () => {} } = options;
  signal?.throwIfAborted();
  if (entries.length === 0) return [];
  report({ type: "info", message: `Staging files from ${source.name}`, phase: "stage" });
  const target = await StageTarget.open(directory);
  const { jobs, folders } = await makePlan(entries, source, concurrency, signal);
  for (const folder of folders) await target.makeFolder(folder);

  const budget = new Budget(maxBytes);
  const all = [...jobs.values()];
  const sized = all.every((job) => job.size !== undefined);
  const known = all.reduce((sum, job) => sum + (job.size ?? 0), 0);
  budget.check(known);
  const reporter = new TransferReporter({
    verbs: ["Staging", "Staged"],
    phase: "stage",
    files: all.length,
    bytes: sized ? known : undefined,
    report,
  });
  const listed = new Map<string, number>();
  for (const { source, size } of all) if (size !== undefined && size > 0) listed.set(source, size);
  if (listed.size > 1) await source.announce?.(listed, { signal });
  const staged = new Map<string, number>();
  await forEachLimited(all, concurrency, signal, async (job, signal) => {
    const onBytes = (count: number) => {
      budget.spend(count);
      reporter.moved(count);
    };
    staged.set(job.target, await transfer(job, source, target, onBytes, signal));
    reporter.fileDone();
  });
  reporter.finished();
  return [...jobs.keys()].map((path) => ({ path, bytes: staged.get(path) ?? 0 }));
}

/** The bytes that may be staged. */
class Budget {
  readonly #limit: number;
  #spent = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  spend(count: number): void {
    this.#spent += count;
    this.check(this.#spent);
  }

  /** @throws {WorkerError} `staging_failed` when so many bytes are too many */
  check(bytes: number): void {
    if (bytes <= this.#limit) return;
    throw new WorkerError(
      "staging_failed",
      `Cannot stage files: they have more than ${
        formatBytes(this.#limit)
      }, the most of one session`,
      {
        context: { limit: this.#limit },
        suggestion: "Stage less, or ask the operator to raise --max-stage-size.",
      },
    );
  }
}

/**
 * Copies one file.
 *
 * A checksum that is wrong is asked for again. Storage that encrypts tells something else that looks like one, so
 * content that has arrived twice the same is right.
 */
async function transfer(
  job: Job,
  source: StageSource,
  target: StageTarget,
  onBytes: (count: number) => void,
  signal: AbortSignal,
): Promise<number> {
  if (job.size === 0) return await target.write(job.target, new Blob().stream(), { signal });
  for (let previous: string | undefined;;) {
    const file = await source.open(job.source, { signal });
    const expected = /^"?([0-9a-f]{32})"?$/.exec(file.etag ?? "")?.[1];
    const hash = expected === undefined ? undefined : createHash("md5");
    const look = (piece: Uint8Array) => {
      onBytes(piece.byteLength);
      hash?.update(piece);
    };
    let digest: string | undefined;
    const verify = () => {
      digest = hash?.digest("hex");
      if (digest !== expected && digest !== previous) throw new DamagedError();
    };
    try {
      return await target.write(job.target, file.body, { size: file.size, look, verify, signal });
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      if (previous !== undefined) {
        throw new WorkerError(
          "staging_failed",
          `Cannot stage ${
            JSON.stringify(job.target)
          }: it does not arrive as it is, by its checksum`,
          { context: { path: job.target, source: source.name }, suggestion: "Try again later." },
        );
      }
      previous = digest;
    }
  }
}
