/** Progress of a transfer of files, in files and bytes. */
import type { ProgressSink } from "../progress.ts";

/** What is transferred, and how it is told. */
export interface TransferReporterOptions {
  /** What is being done, and what has been done: `["Staging", "Staged"]`. */
  verbs: readonly [string, string];
  /** Phase of the messages. */
  phase: string;
  /** How many files there are. */
  files: number;
  /** Bytes of all files, when they are known. */
  bytes: number | undefined;
  report: ProgressSink;
}

/** Shortest time between two messages (milliseconds). */
const INTERVAL = 250;

/** A number of bytes for people. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/** Reports at the start, at most four times a second, and at the end. */
export class TransferReporter {
  readonly #options: TransferReporterOptions;
  #last = performance.now();
  #files = 0;
  #bytes = 0;

  /** Starts at nothing. */
  constructor(options: TransferReporterOptions) {
    this.#options = options;
  }

  /** Says what is going to be done: `where` is its other end. */
  started(where: string): void {
    const { verbs, phase, report } = this.#options;
    report({ type: "info", message: `${verbs[0]} files ${where}`, phase });
  }

  /** Some bytes more have been transferred. */
  moved(count: number): void {
    this.#bytes += count;
    this.#tell();
  }

  /** A file is complete. */
  fileDone(): void {
    this.#files++;
    this.#tell();
  }

  #tell(): void {
    const now = performance.now();
    if (this.#files === this.#options.files || now - this.#last < INTERVAL) return;
    this.#last = now;
    const { verbs, phase, files, bytes, report } = this.#options;
    const size = bytes === undefined
      ? formatBytes(this.#bytes)
      : `${formatBytes(this.#bytes)} of ${formatBytes(bytes)}`;
    const share = bytes === undefined || bytes === 0 ? this.#files / files : this.#bytes / bytes;
    report({
      type: "info",
      message: `${verbs[0]} files: ${this.#files} of ${files} files (${size})`,
      phase,
      percent: Math.min(100, Math.floor(100 * share)),
      ...(bytes === undefined ? {} : { bytes: { done: this.#bytes, total: bytes } }),
    });
  }

  /** Everything is there. */
  finished(): void {
    const { verbs, phase, report } = this.#options;
    const files = this.#files === 1 ? "1 file" : `${this.#files} files`;
    report({
      type: "info",
      message: `${verbs[1]} ${files} (${formatBytes(this.#bytes)})`,
      phase,
      percent: 100,
      bytes: { done: this.#bytes, total: this.#bytes },
    });
  }
}
