/** Values that are expensive to find out: at most one search at a time, and none while the last is still good. */
import { messageOf } from "../errors.ts";
import { settledWithin } from "../delay.ts";
import type { Logger } from "../log.ts";

/** Options of {@linkcode Refreshed}. */
export interface RefreshedOptions<T> {
  /** Finds the value. */
  find: () => Promise<T>;
  /** How long a value is good (milliseconds). */
  fresh: number;
  /** How long {@linkcode Refreshed.get} waits for a new one, while there is an old one (milliseconds). */
  wait: number;
  log: Logger;
  /** Milliseconds from any start. @default performance.now */
  now?: (() => number) | undefined;
}

/** A value that is found again when it is old. */
export class Refreshed<T> {
  readonly #options: RefreshedOptions<T>;
  readonly #now: () => number;
  #value: T | undefined;
  #found = -Infinity;
  #finding: Promise<void> | undefined;

  /** Nothing is found before somebody asks. */
  constructor(options: RefreshedOptions<T>) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The next to ask gets a new value. */
  expire(): void {
    this.#found = -Infinity;
  }

  /** The value, an old one when finding it takes long; `undefined` when it could not be found so far. */
  async get(): Promise<T | undefined> {
    const { fresh, wait } = this.#options;
    if (this.#now() - this.#found >= fresh) this.#finding ??= this.#find();
    if (this.#finding !== undefined) await settledWithin(this.#finding, wait);
    return this.#value;
  }

  async #find(): Promise<void> {
    this.#found = this.#now();
    try {
      this.#value = await this.#options.find();
    } catch (error) {
      this.#options.log.debug("The dashboard cannot look at something", {
        reason: messageOf(error),
      });
    } finally {
      this.#finding = undefined;
    }
  }
}
