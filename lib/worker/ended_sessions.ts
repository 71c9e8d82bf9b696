/** Sessions that have ended, as long as their logs can still be read. */
import type { SessionLog } from "./session_log.ts";

/** What is known of a session that has ended; `Session` has it. */
interface Ended {
  readonly id: string;
  readonly log: SessionLog;
}

/** How many there are. */
const KEPT = 200;
/** Characters of all their logs; beyond it the oldest keep only their last part. */
const KEPT_CHARACTERS = 32_000_000;
const LAST_PART = 100_000;

/** The last sessions that have ended. */
export class EndedSessions<Session extends Ended> {
  readonly #sessions = new Map<string, Session>();

  /** One of them. */
  get(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  /** Adds one, in the place of an older one with its id; the oldest go, and old logs are shortened. */
  add(session: Session): void {
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
    for (const id of this.#sessions.keys()) {
      if (this.#sessions.size <= KEPT) break;
      this.#sessions.delete(id);
    }
    const logs = [...this.#sessions.values()].map((one) => one.log);
    let characters = logs.reduce((sum, log) => sum + log.characters, 0);
    for (const log of logs) {
      if (characters <= KEPT_CHARACTERS) break;
      const before = log.characters;
      if (before <= LAST_PART) continue;
      log.shorten(LAST_PART);
      characters -= before - log.characters;
    }
  }
}
