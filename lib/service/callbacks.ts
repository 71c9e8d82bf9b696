/**
 * Functions of the caller that are called while a method runs.
 *
 * A Hypha server closes the connection of a client that sends more than 200 messages a second for long, and every
 * callback is a message. So callbacks are throttled: the first message leaves at once, then a few per second, and
 * texts of one stream that wait are joined. One message of a callback is under way at a time, which keeps their
 * order and lets a slow caller slow down nobody but itself. What waits is bounded: the oldest is dropped with a notice,
 * since the method's result has the whole output anyway.
 *
 * A callback dies when its call resolves (Hypha contract), so a method flushes before it returns.
 */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Notify } from "../worker/method.ts";
import { type Pending, PendingMessages } from "./pending_messages.ts";
import { RateLimiter } from "./rate_limiter.ts";
import { type RemoteFunction, toWire } from "./values.ts";

/** Options of {@linkcode Callbacks}. */
export interface CallbackOptions {
  /** Where failures are noted. */
  log: Logger;
  /** Messages a second of one callback. @default 20 */
  rate?: number;
  /** The budget of all callbacks of the worker. @default 100 a second, 100 at once */
  shared?: RateLimiter;
}

/** Messages a second of all callbacks together, well below what the server allows. */
export const SHARED_RATE = 100;
const RATE = 20;
const BURST = 4;
const MAX_FAILURES = 10;
const CHUNK = 256 * 1024;
const GONE =
  /session not found|method expired|not connected|connection (is|was) closed|connection lost|client disconnected/i;

/** The callbacks of one call. */
export class Callbacks {
  readonly #channels: Channel[] = [];
  readonly #options: Required<CallbackOptions>;

  /** Prepares the callbacks of one call. */
  constructor(options: CallbackOptions) {
    this.#options = {
      rate: RATE,
      shared: new RateLimiter({ rate: SHARED_RATE, burst: SHARED_RATE }),
      ...options,
    };
  }

  /** Turns a function of the caller into one that never blocks and never throws. */
  wrap(remote: RemoteFunction): Notify {
    const channel = new Channel(remote, this.#options);
    this.#channels.push(channel);
    return (message) => channel.send(message);
  }

  /**
   * Waits until everything has arrived, then ends the callbacks: later messages are dropped.
   *
   * @param timeout Longest wait in milliseconds; what is left then is dropped. @default 5000
   * @returns Whether everything arrived.
   */
  async flush(timeout = 5000): Promise<boolean> {
    const results = await Promise.all(this.#channels.map((channel) => channel.flush(timeout)));
    return !results.includes(false);
  }

  /** Drops everything that waits; for a caller that is gone. */
  close(): void {
    for (const channel of this.#channels) channel.close();
  }
}

class Channel {
  readonly #remote: RemoteFunction;
  readonly #options: Required<CallbackOptions>;
  readonly #own: RateLimiter;
  readonly #pending = new PendingMessages();
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #flushing = false;
  #closed = false;
  #failures = 0;
  #complained = false;

  constructor(remote: RemoteFunction, options: Required<CallbackOptions>) {
    this.#remote = remote;
    this.#options = options;
    this.#own = new RateLimiter({ rate: options.rate, burst: BURST });
  }

  send(message: unknown): void {
    if (this.#closed) return;
    // The copy also keeps later changes of the sender's object away from what waits.
    this.#pending.add(toWire(message));
    this.#running ??= this.#run();
  }

  async flush(timeout: number): Promise<boolean> {
    this.#flushing = true;
    this.#wake?.();
    const running = this.#running;
    let delivered = !this.#closed;
    if (running !== undefined) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<boolean>((resolve) => {
        timer = setTimeout(() => resolve(false), timeout);
      });
      delivered = await Promise.race([running.then(() => !this.#closed), late]);
      clearTimeout(timer);
    }
    this.close();
    return delivered;
  }

  close(): void {
    this.#closed = true;
    this.#pending.clear();
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#pending.empty && !this.#closed) {
      // The end of a call does not wait for the pace of its callback, only for the worker's budget.
      if (!this.#flushing) await this.#pause(this.#own.reserve(), () => this.#flushing);
      await this.#pause(this.#options.shared.reserve(this.#cost()), () => false);
      const next = this.#closed ? undefined : this.#pending.take();
      if (next !== undefined) await this.#deliver(next);
    }
    // Without a turn of the event loop in between: the next message must find either a running loop or none.
    this.#running = undefined;
  }

  /** How many messages the next one becomes on the wire: large ones are sent in pieces. */
  #cost(): number {
    const size = this.#pending.nextSize;
    return size <= CHUNK ? 1 : Math.ceil(size / CHUNK) + 3;
  }

  async #pause(milliseconds: number, enough: () => boolean): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!this.#closed && !enough()) {
      const left = end - performance.now();
      if (left <= 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  async #deliver(message: Pending): Promise<void> {
    try {
      await this.#remote(message);
      this.#failures = 0;
    } catch (error) {
      const reason = messageOf(error);
      if (!this.#complained) {
        this.#complained = true;
        this.#options.log.debug("a callback of the caller failed", { reason });
      }
      if (GONE.test(reason) || ++this.#failures >= MAX_FAILURES) this.close();
    }
  }
}
