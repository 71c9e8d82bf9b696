/** How often something may happen. */

/** Options of {@linkcode RateLimiter}. */
export interface RateLimiterOptions {
  /** Events per second in the long run. */
  rate: number;
  /** Events at once after a rest. @default 1 */
  burst?: number;
  /** Milliseconds on a clock that never goes back. @default `performance.now` */
  now?: () => number;
}

/** A token bucket that hands out times instead of refusals: first come, first served, without a queue. */
export class RateLimiter {
  readonly #interval: number;
  readonly #tolerance: number;
  readonly #now: () => number;
  #next = -Infinity;

  /** Makes a full bucket. */
  constructor(options: RateLimiterOptions) {
    this.#interval = 1000 / options.rate;
    this.#tolerance = ((options.burst ?? 1) - 1) * this.#interval;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Takes `cost` events from the budget; answers how many milliseconds to wait before they may happen. */
  reserve(cost = 1): number {
    const now = this.#now();
    const start = Math.max(this.#next, now);
    this.#next = start + cost * this.#interval;
    return Math.max(0, start - this.#tolerance - now);
  }
}
