/** When there is a launcher: from the first use on, as long as it lives, and again a while after it has failed. */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { Launcher, type LauncherOptions } from "./launcher.ts";

/** For how long none is started after one has failed, in milliseconds. */
const FAILED_MS = 10 * 60_000;

/** Options of {@linkcode Launching}. */
export interface LaunchingOptions {
  /** What a launcher is started with. */
  readonly prepare: () => Promise<Omit<LauncherOptions, "signal">>;
  readonly log: Logger;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

/** The launcher of a manager, if there is one. */
export class Launching implements AsyncDisposable {
  readonly #options: LaunchingOptions;
  #launcher: Promise<Launcher | undefined> | undefined;
  #ending: Promise<void> | undefined;
  #failedAt = -Infinity;
  readonly #closed = new AbortController();

  /** Starts none yet. */
  constructor(options: LaunchingOptions) {
    this.#options = options;
  }

  /**
   * The launcher, which is started when there is none; `undefined` when it cannot be, or when the signal fires first.
   * Never rejects.
   */
  async get(signal?: AbortSignal): Promise<Launcher | undefined> {
    if (this.#closed.signal.aborted || signal?.aborted) return undefined;
    if (this.#launcher === undefined && this.#now() - this.#failedAt < FAILED_MS) return undefined;
    const starting = this.#launcher ??= this.#start();
    if (signal === undefined) return await starting;
    const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
    const stop = () => resolve(undefined);
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([starting, aborted]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #start(): Promise<Launcher | undefined> {
    const { log, prepare } = this.#options;
    const lost = (message: string, reason: string) => {
      this.#launcher = undefined;
      if (this.#closed.signal.aborted) return;
      this.#failedAt = this.#now();
      log.warning(message, { reason });
    };
    try {
      const launcher = await Launcher.start({
        ...await prepare(),
        signal: this.#closed.signal,
      });
      const onGone = () => {
        lost("The launcher of programs has ended; conda starts them meanwhile", launcher.said);
        // Nothing of it may stay open.
        this.#ending = launcher[Symbol.asyncDispose]();
      };
      if (launcher.gone.aborted) onGone();
      else launcher.gone.addEventListener("abort", onGone, { once: true });
      return launcher;
    } catch (error) {
      lost("Cannot start the launcher of programs; conda starts them meanwhile", messageOf(error));
      return undefined;
    }
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  /** Ends it, and starts none any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error("it is not needed any more"));
    const launcher = await this.#launcher;
    await launcher?.[Symbol.asyncDispose]();
    await this.#ending;
  }
}
