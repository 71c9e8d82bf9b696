/** Several callers that wait for one piece of work. It is cancelled when the last of them has left. */
import { cancelledError } from "../managers/errors.ts";
import type { LineSink } from "../managers/manager.ts";
import type { Progress, ProgressSink } from "../progress.ts";

/** Someone who waits. */
export interface Waiter {
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
  readonly onLog?: LineSink;
}

/** Tells all waiters. */
export interface Announcer {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressSink;
  readonly onLine: LineSink;
}

/** One piece of work and those who wait for it. */
export class Flight {
  readonly #controller = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #last: Progress | undefined;
  /** Resolves or rejects when the work has ended, including what has to be cleared away. */
  readonly done: Promise<void>;

  /** Starts the work. */
  constructor(work: (announcer: Announcer) => Promise<void>) {
    this.done = work({
      signal: this.#controller.signal,
      onProgress: (progress) => {
        this.#last = progress;
        for (const waiter of this.#waiters) waiter.onProgress?.(progress);
      },
      onLine: (line) => {
        for (const waiter of this.#waiters) waiter.onLog?.(line);
      },
    });
    // Whoever waits sees the error; when nobody does any more it has been said enough.
    this.done.catch(() => {});
  }

  /** Whether the work was cancelled; then nobody may join any more. */
  get cancelled(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Cancels the work whoever waits. */
  cancel(): void {
    this.#controller.abort();
  }

  /**
   * Waits for the work. Leaves early when the waiter's signal fires, and cancels the work, and waits until
   * it has been cleared away, when nobody else waits.
   *
   * @throws WorkerError `environment_cancelled`, or what the work throws
   */
  async join(waiter: Waiter): Promise<void> {
    const { signal } = waiter;
    this.#waiters.add(waiter);
    if (this.#last !== undefined && this.#waiters.size > 1) waiter.onProgress?.(this.#last);
    const left = Promise.withResolvers<void>();
    const leave = () => {
      this.#waiters.delete(waiter);
      if (this.#waiters.size > 0) return left.reject(cancelledError());
      this.cancel();
      this.done.catch(() => {}).then(() => left.reject(cancelledError()));
    };
    signal?.addEventListener("abort", leave, { once: true });
    if (signal?.aborted) leave();
    try {
      await Promise.race([this.done, left.promise]);
    } finally {
      signal?.removeEventListener("abort", leave);
      this.#waiters.delete(waiter);
    }
    if (signal?.aborted) throw cancelledError();
  }
}
