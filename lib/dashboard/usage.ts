/**
 * What sessions use of the machine, measured no more often than it is worth: each measurement reads the memory maps
 * of all processes of a session, and the process that does it serves the other sessions of its environment, too.
 */
import { settledWithin } from "../delay.ts";
import type { ProcessUsage } from "../interpreter/fork_server.ts";

/** A measurement is good for this long (milliseconds). */
const FRESH_MS = 3000;
/** Time the first one is waited for (milliseconds); later ones are there when they are there. */
const WAIT_MS = 300;

/** What can be measured. */
export interface Measured {
  usage(): Promise<ProcessUsage | undefined>;
}

/** What a session uses. */
export interface SessionUsage extends ProcessUsage {
  /** Processors kept busy since the measurement before; absent at the first one. */
  cpus?: number;
}

interface Sample {
  /** When it was begun, in milliseconds from any start. */
  asked: number;
  taken?: number;
  usage?: SessionUsage | undefined;
  pending?: Promise<void> | undefined;
}

/** Measures sessions, and remembers what it found. */
export class UsageSampler {
  readonly #samples = new WeakMap<Measured, Sample>();
  readonly #now: () => number;

  /** @param now milliseconds from any start */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** What a session uses, as far as that is known; never waits for long. */
  async of(session: Measured): Promise<SessionUsage | undefined> {
    let sample = this.#samples.get(session);
    if (sample === undefined) {
      sample = { asked: -Infinity };
      this.#samples.set(session, sample);
    }
    if (sample.pending === undefined && this.#now() - sample.asked >= FRESH_MS) {
      sample.asked = this.#now();
      sample.pending = this.#measure(session, sample);
    }
    if (sample.usage === undefined && sample.pending !== undefined) {
      await settledWithin(sample.pending, WAIT_MS);
    }
    return sample.usage;
  }

  async #measure(session: Measured, sample: Sample): Promise<void> {
    try {
      const usage = await session.usage();
      const taken = this.#now();
      const before = sample.usage;
      const spent = usage && before ? usage.cpu_seconds - before.cpu_seconds : -1;
      const seconds = (taken - (sample.taken ?? taken)) / 1000;
      // A process that was replaced begins to count anew.
      const known = spent >= 0 && seconds > 0;
      sample.usage = usage && { ...usage, ...(known ? { cpus: spent / seconds } : {}) };
      sample.taken = taken;
    } catch {
      sample.usage = undefined;
    } finally {
      sample.pending = undefined;
    }
  }
}
