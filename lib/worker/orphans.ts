/**
 * Sessions that the server has forgotten.
 *
 * When a worker's connection drops the server forgets at once every session that its app controller had started
 * there (Hypha contract): nobody can stop them through the controller any more, and they cannot be adopted again.
 * Their programs still run, perhaps in the middle of a long cell, and direct callers may still use them. So they
 * are kept while they are used, and ended when nothing was executed in them for a time.
 */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";

/** What is known of a session; `Session` has it. */
export interface Orphan {
  readonly id: string;
  /** When something was last executed. */
  readonly lastActive: Date;
  /** Executions that wait or run. */
  readonly pendingExecutions: number;
  /** Fires when it ends. */
  readonly signal: AbortSignal;
}

/** Options of {@linkcode Orphans}. */
export interface OrphansOptions {
  /** How long an unused one is kept (milliseconds). */
  readonly timeout: number;
  /** Ends a session. */
  stop(id: string): Promise<void>;
  readonly log: Logger;
  /** @default the system's time */
  readonly now?: () => Date;
}

/** Longest time a timer can wait (milliseconds). */
const MAX_TIMER = 2 ** 31 - 1;

/** Ends forgotten sessions when nobody uses them. */
export class Orphans implements Disposable {
  readonly #options: OrphansOptions;
  readonly #now: () => Date;
  readonly #timers = new Map<Orphan, ReturnType<typeof setTimeout>>();

  /** Knows of none. */
  constructor(options: OrphansOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
  }

  /** How many there are. */
  get size(): number {
    return this.#timers.size;
  }

  /** From now on these sessions are nobody's, unless somebody uses them. */
  add(sessions: Iterable<Orphan>): void {
    for (const session of sessions) {
      if (this.#timers.has(session) || session.signal.aborted) continue;
      this.#options.log.info("The server has forgotten a session; it is kept while it is used", {
        session: session.id,
      });
      session.signal.addEventListener("abort", () => this.#forget(session), { once: true });
      this.#wait(session, this.#now().getTime(), this.#options.timeout);
    }
  }

  #forget(session: Orphan): void {
    clearTimeout(this.#timers.get(session));
    this.#timers.delete(session);
  }

  #wait(session: Orphan, since: number, milliseconds: number): void {
    const timer = setTimeout(
      () => this.#check(session, since),
      Math.max(1, Math.min(milliseconds, MAX_TIMER)),
    );
    this.#timers.set(session, timer);
  }

  #check(session: Orphan, since: number): void {
    const { timeout, stop, log } = this.#options;
    const used = Math.max(since, session.lastActive.getTime());
    const left = session.pendingExecutions > 0 ? timeout : used + timeout - this.#now().getTime();
    if (left > 0) return this.#wait(session, since, left);
    this.#forget(session);
    log.info("Ending a session that the server has forgotten and nobody uses", {
      session: session.id,
    });
    stop(session.id).catch((error) =>
      log.error("Cannot end a session", { session: session.id, reason: messageOf(error) })
    );
  }

  /** Ends no session any more. */
  [Symbol.dispose](): void {
    for (const session of [...this.#timers.keys()]) this.#forget(session);
  }
}
