/**
 * Specs that cannot be solved, remembered for a few minutes: clients try again in loops, and each try would
 * take the solver, and the lock of the package cache, for a while. Only what the same channels will answer the
 * same way is remembered, never what the network or the disk were to blame for.
 */
import { hasCode, WorkerError } from "../errors.ts";

/** How long, in milliseconds. */
export const REMEMBER_MS = 5 * 60_000;
/** How many; the oldest are forgotten. */
const MAX_FAILURES = 1000;

interface Failure {
  readonly error: WorkerError;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Failures by key of the environment. */
export class Failures {
  readonly #now: () => number;
  readonly #failures = new Map<string, Failure>();

  /** Remembers nothing yet. `now` gives milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Remembers a failure if it is one that would come again. */
  note(key: string, error: unknown): void {
    if (!hasCode(error, "package_not_found", "solver_conflict")) return;
    this.#failures.delete(key);
    this.#failures.set(key, { error, time: this.#now() });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MAX_FAILURES) this.#failures.delete(oldest!);
  }

  /** Forgets a failure. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /**
   * Fails as the last try did, if that is not long ago.
   *
   * @throws WorkerError the same, with how long ago it was and when it will be tried again
   */
  check(key: string): void {
    const failure = this.#failures.get(key);
    if (failure === undefined) return;
    const age = this.#now() - failure.time;
    if (age >= REMEMBER_MS || age < 0) return this.forget(key);
    const { error } = failure;
    const seconds = Math.round(age / 1000);
    const retryAfter = Math.ceil((REMEMBER_MS - age) / 1000);
    throw new WorkerError(
      error.code,
      `${error.message}\n(This is the answer of ${seconds} s ago; it is asked for anew in ` +
        `${retryAfter} s, or at once by create_environment with "refresh".)`,
      {
        context: { ...error.context, remembered: true, retryAfter },
        suggestion: error.suggestion,
        cause: error,
      },
    );
  }
}
