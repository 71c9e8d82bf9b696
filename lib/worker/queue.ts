/** A first-in first-out queue of calls: one runs at a time, and only so many may wait. */
import { WorkerError } from "../errors.ts";

/** Calls of one session. */
export class CallQueue {
  readonly #limit: number;
  readonly #idle: (() => void)[] = [];
  readonly #waiting: { start: () => void; cancel: (reason: unknown) => void }[] = [];
  #running = false;

  /** At most `limit` calls wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Calls that wait or run. */
  get length(): number {
    return this.#waiting.length + (this.#running ? 1 : 0);
  }

  /**
   * Runs a call when its turn comes. Throws `queue_full` at once when too many wait, and the signal's reason when
   * it fires before the turn.
   */
  async run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running) await this.#turn(signal);
    this.#running = true;
    try {
      return await call();
    } finally {
      this.#running = false;
      const next = this.#waiting.shift();
      if (next !== undefined) {
        // Taken here, so that a call that arrives now cannot slip in between.
        this.#running = true;
        next.start();
      } else {
        for (const tell of this.#idle.splice(0)) tell();
      }
    }
  }

  /** Resolves when no call waits or runs. */
  async idle(): Promise<void> {
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Refuses all calls that wait. */
  cancelAll(reason: unknown): void {
    for (const call of this.#waiting.splice(0)) call.cancel(reason);
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.length >= this.#limit) {
      throw new WorkerError(
        "queue_full",
        `Cannot queue execution: ${this.#limit} executions of this session are waiting already`,
        { context: { limit: this.#limit } },
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = {
      start: () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      },
      cancel: (reason: unknown) => {
        signal?.removeEventListener("abort", stop);
        reject(reason);
      },
    };
    const stop = () => {
      const at = this.#waiting.indexOf(waiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", stop, { once: true });
    this.#waiting.push(waiting);
    return promise;
  }
}
