/**
 * Functions of the caller that are called while a method runs.
 *
 * A Hypha server closes the connection of a client that sends more than 200 messages a second for long, and every
 * callback is a message. So callbacks are throttled: the first message leaves at once, then a few per second, and
 * texts of one stream that follow each other are joined. One message of a callback is under way at a time, which keeps
 * their order and lets a slow caller slow down nobody but itself.
 *
 * What waits is bounded. When it is much, the sender is asked to wait (a cell that prints is then held up as by a slow
 * pipe), and throttling is left to the worker's budget. Only for a caller that does not answer for seconds nobody
 * waits: the oldest messages are dropped with a notice, since the method's result has the whole output anyway.
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
  /** The budget of all callbacks of the worker. @default 100 a second, 1000 at once */
  shared?: RateLimiter;
  /** A caller that has not answered for so long is not waited for (milliseconds). @default 5000 */
  patience?: number;
}

/** Messages a second of all callbacks together, half of what the server allows, and after a rest. */
export const SHARED_RATE = 100;
export const SHARED_BURST = 1000;
const PATIENCE = 5000;
/** All messages of a caller that answers may take so many times as long as one answer. */
const PATIENT = 12;
/** When this much waits, the callback is not throttled on its own (bytes). */
const CROWDED = 64 * 1024;
/** When this much waits the sender is asked to wait, until less than half is left (bytes). */
const FULL = 2 * 1024 * 1024;
/** More than a sender who waits when asked to can cause (bytes): one cell puts out less. */
const MOST = 32 * 1024 * 1024;
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
      shared: new RateLimiter({ rate: SHARED_RATE, burst: SHARED_BURST }),
      patience: PATIENCE,
      ...options,
    };
  }

  /**
   * Turns a function of the caller into one that never throws. It returns a promise when too much waits: more should
   * come when that resolves, which it does in any case. Whoever sends little may ignore that.
   */
  wrap(remote: RemoteFunction): Notify {
    const channel = new Channel(remote, this.#options);
    this.#channels.push(channel);
    return (message) => channel.send(message);
  }

  /**
   * Waits until everything has arrived, then ends the callbacks: later messages are dropped.
   *
   * @param timeout Longest wait for one answer in milliseconds, and a twelfth of the longest wait for all; what is
   * left then is dropped. @default 5000
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
  /** Ends the pause that the callback's own pace makes, when much waits. */
  #hurry: (() => void) | undefined;
  #flushing = false;
  #closed = false;
  #failures = 0;
  #complained = false;
  /** When the message under way was sent; never, when none is. */
  #since = Infinity;
  /** When the caller answered last. */
  #answered = -Infinity;
  #silent = false;
  #room: PromiseWithResolvers<void> | undefined;

  constructor(remote: RemoteFunction, options: Required<CallbackOptions>) {
    this.#remote = remote;
    this.#options = options;
    this.#own = new RateLimiter({ rate: options.rate, burst: BURST });
  }

  send(message: unknown): Promise<void> | undefined {
    if (this.#closed) return undefined;
    // The copy also keeps later changes of the sender's object away from what waits.
    this.#pending.add(toWire(message));
    this.#running ??= this.#run();
    if (this.#hurried) this.#hurry?.();
    if (this.#silent || this.#pending.size > MOST) this.#pending.shorten();
    if (this.#silent || this.#pending.size < FULL) return undefined;
    if (this.#room === undefined) {
      this.#room = Promise.withResolvers();
      this.#watch(this.#room);
    }
    return this.#room.promise;
  }

  /** Gives up waiting for a caller that is silent. */
  #watch(room: PromiseWithResolvers<void>): void {
    const { patience } = this.#options;
    const timer = setInterval(() => {
      if (performance.now() - this.#since < patience) return;
      this.#silent = true;
      this.#pending.shorten();
      this.#makeRoom();
    }, patience / 5);
    room.promise.then(() => clearInterval(timer));
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  async flush(timeout: number): Promise<boolean> {
    this.#flushing = true;
    this.#wake?.();
    const running = this.#running;
    let delivered = !this.#closed;
    if (running !== undefined) {
      const begun = performance.now();
      const { promise: late, resolve } = Promise.withResolvers<boolean>();
      const timer = setInterval(() => {
        const now = performance.now();
        // One that is slow but answers gets its time.
        const silence = now - Math.max(begun, this.#answered);
        if (silence >= timeout || now - begun >= PATIENT * timeout) resolve(false);
      }, timeout / 20);
      delivered = await Promise.race([running.then(() => !this.#closed), late]);
      clearInterval(timer);
      if (!delivered && !this.#silent) await this.#tellLoss();
    }
    this.close();
    return delivered;
  }

  close(): void {
    this.#closed = true;
    this.#pending.clear();
    this.#makeRoom();
    this.#wake?.();
  }

  /** The time is over, but the caller answers: the last message says how much it did not get. */
  async #tellLoss(): Promise<void> {
    if (this.#closed) return;
    this.#pending.shorten(0);
    if (this.#pending.empty) return;
    const notice = this.#pending.take();
    this.close();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#options.patience / 5);
    // The message under way comes first.
    await Promise.race([this.#running?.then(() => this.#deliver(notice)), promise]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    while (!this.#pending.empty && !this.#closed) {
      // The end of a call does not wait for the pace of its callback, only for the worker's budget.
      if (!this.#hurried) {
        const wait = this.#own.reserve();
        this.#hurry = () => this.#wake?.();
        await this.#pause(wait, () => this.#hurried);
        this.#hurry = undefined;
      }
      await this.#pause(this.#options.shared.reserve(this.#cost()), () => false);
      const next = this.#closed ? undefined : this.#pending.take();
      if (next !== undefined) await this.#deliver(next);
      if (this.#pending.size < FULL / 2) this.#makeRoom();
    }
    // Without a turn of the event loop in between: the next message must find either a running loop or none.
    this.#running = undefined;
  }

  /** Whether messages leave as fast as the worker's budget allows. */
  get #hurried(): boolean {
    return this.#flushing || this.#pending.size > CROWDED;
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
    this.#since = performance.now();
    try {
      await this.#remote(message);
      this.#silent = false;
      this.#failures = 0;
    } catch (error) {
      const reason = messageOf(error);
      if (!this.#complained) {
        this.#complained = true;
        this.#options.log.debug("a callback of the caller failed", { reason });
      }
      this.#silent = false;
      if (GONE.test(reason) || ++this.#failures >= MAX_FAILURES) this.close();
    } finally {
      this.#since = Infinity;
      this.#answered = performance.now();
    }
  }
}
