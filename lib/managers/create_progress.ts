/** The progress of one create: what the manager's lines tell, and how much is fetched. */
import type { ProgressSink } from "../progress.ts";
import { DownloadMeter } from "./download_meter.ts";
import { INITIAL_PROGRESS, type ProgressState, type ProgressStep } from "./progress.ts";
import { ProgressThrottle } from "./progress_throttle.ts";

/** How often the package cache is looked at while packages are fetched, in milliseconds. */
const LOOK_MS = 500;

/** Options of {@linkcode CreateProgress}. */
export interface CreateProgressOptions {
  /** The next step after a line. */
  readonly advance: (state: ProgressState, line: string) => ProgressStep;
  /** Absolute path. */
  readonly packageCache: string;
  /** Whether packages come from a lock file. */
  readonly explicit: boolean;
  readonly onProgress: ProgressSink | undefined;
}

/** Tells the progress of one create until it is disposed of. */
export class CreateProgress implements AsyncDisposable {
  readonly #options: CreateProgressOptions;
  readonly #throttle: ProgressThrottle;
  #state: ProgressState;
  #meter: Promise<DownloadMeter> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> | undefined;

  /** Begins before the manager starts. */
  constructor(options: CreateProgressOptions) {
    this.#options = options;
    this.#state = { ...INITIAL_PROGRESS, explicit: options.explicit };
    this.#throttle = new ProgressThrottle(options.onProgress);
    if (options.onProgress !== undefined) this.#meter = DownloadMeter.begin(options.packageCache);
  }

  /** Waits until everything there was before is noted. */
  async ready(): Promise<void> {
    await this.#meter;
  }

  /** Takes a line of the manager. */
  line(text: string): void {
    const step = this.#options.advance(this.#state, text);
    this.#state = step.state;
    if (step.progress !== undefined) this.#throttle.tell(step.progress);
    const fetching = this.#state.phase === "download" && (this.#state.bytes ?? 0) > 0;
    if (!fetching) this.#stop();
    else if (this.#meter !== undefined && this.#timer === undefined) {
      this.#timer = setInterval(() => this.#looking ??= this.#look(), LOOK_MS);
    }
  }

  async #look(): Promise<void> {
    const fetched = await (await this.#meter!).bytes();
    this.#looking = undefined;
    const { bytes: total = 0, phase } = this.#state;
    if (this.#timer === undefined || phase !== "download" || fetched === 0) return;
    const done = Math.min(fetched, total);
    this.#throttle.tell({
      type: "info",
      message: `Downloading packages: ${megabytes(done)} of ${megabytes(total)} MB`,
      phase,
      percent: Math.floor((100 * done) / total),
      bytes: { done, total },
    });
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    await this.#meter;
    await this.#looking;
    this.#throttle[Symbol.dispose]();
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
