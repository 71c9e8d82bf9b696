/** Keeps progress to a few messages a second. */
import type { Progress, ProgressSink } from "../progress.ts";

/** The least time between two messages of one phase, in milliseconds. */
const PAUSE_MS = 250;

/**
 * Passes progress on, of each phase at most one message in a while. What comes meanwhile replaces what waits, so
 * the last word is always told. A new phase is told at once.
 */
export class ProgressThrottle implements Disposable {
  readonly #sink: ProgressSink | undefined;
  readonly #pauseMs: number;
  #phase: string | undefined;
  #waiting: Progress | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Passes on to a sink; messages of one phase are at least so many milliseconds apart. */
  constructor(sink: ProgressSink | undefined, pauseMs = PAUSE_MS) {
    this.#sink = sink;
    this.#pauseMs = pauseMs;
  }

  /** Tells a message now or a little later. */
  tell(progress: Progress): void {
    if (this.#sink === undefined) return;
    if (progress.phase !== this.#phase) {
      // What waits is of the phase before, whose end is news too.
      this.#flush();
      this.#phase = progress.phase;
    }
    this.#waiting = progress;
    if (this.#timer !== undefined) return;
    this.#flush();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const next = this.#waiting;
      if (next !== undefined) this.tell(next);
    }, this.#pauseMs);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const progress = this.#waiting;
    this.#waiting = undefined;
    if (progress !== undefined) this.#sink?.(progress);
  }

  /** Tells what still waits. */
  [Symbol.dispose](): void {
    this.#flush();
  }
}
