/**
 * Notices that a program does nothing any more.
 *
 * Output is progress, and so is work: a solver or an unpacking of packages can be silent for long. A program
 * that only waits uses a little processor time too, so work counts from a share of one processor on, or from
 * an amount of bytes on.
 */

/** What a program and its children have done so far. */
export interface Activity {
  /** Processor time in hundredths of a second. */
  readonly cpu: number;
  /** Bytes read and written. */
  readonly io: number;
}

/** The least share of one processor that is work. */
const CPU_SHARE = 0.01;
/** The least bytes since the last progress that are work. */
const IO_BYTES = 64 * 1024;
/** How often is looked, in parts of the limit. */
const LOOKS = 10;

/** Options of {@linkcode Watchdog}. */
export interface WatchdogOptions {
  /** How long nothing may happen, in milliseconds; `Infinity` is for ever. */
  readonly limitMs: number;
  /** Tells what has been done, `undefined` when that is unknown. Must not throw. */
  readonly activity: () => Promise<Activity | undefined>;
  /** Called once, when the limit is reached. */
  readonly onStall: () => void;
}

/** Watches one program until it is disposed of. */
export class Watchdog implements Disposable {
  readonly #options: WatchdogOptions;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #seen = performance.now();
  #mark: Activity | undefined;
  #looking = false;
  #over = false;

  /** Begins to watch. */
  constructor(options: WatchdogOptions) {
    this.#options = options;
    if (options.limitMs === Infinity) return;
    this.#timer = setInterval(() => void this.#look(), options.limitMs / LOOKS);
  }

  /** Notes a sign of life. */
  touch(): void {
    this.#seen = performance.now();
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const activity = await this.#options.activity();
    this.#looking = false;
    if (this.#over) return;
    const silent = performance.now() - this.#seen;
    if (this.#mark === undefined) this.#mark = activity;
    else if (activity !== undefined && hasWorked(this.#mark, activity, silent)) {
      this.#mark = activity;
      this.touch();
      return;
    }
    if (silent < this.#options.limitMs) return;
    this[Symbol.dispose]();
    this.#options.onStall();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    clearInterval(this.#timer);
  }
}

/** Whether there was enough work between two looks, a time in milliseconds apart. */
function hasWorked(before: Activity, now: Activity, ms: number): boolean {
  // Both go down too, when a child ends that nobody waits for.
  const cpuMs = Math.abs(now.cpu - before.cpu) * 10;
  return cpuMs > CPU_SHARE * ms || Math.abs(now.io - before.io) >= IO_BYTES;
}
