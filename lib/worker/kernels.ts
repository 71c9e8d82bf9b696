/**
 * The fork servers of the environments in use: one each, started with the first session and ended a while after
 * the last. While one lives it holds a lease, so that its environment is not evicted under it.
 */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { EnvironmentLease } from "../environments/store.ts";
import { ForkServer } from "../interpreter/fork_server.ts";
import type { Switchboard } from "../interpreter/switchboard.ts";
import type { Manager } from "../managers/manager.ts";

/** Options of {@linkcode Kernels}. */
export interface KernelsOptions {
  manager: Manager;
  /** The Python program of the fork server. */
  program: string;
  switchboard: Switchboard;
  log: Logger;
  /** Time an unused fork server stays (milliseconds). @default 300000 */
  linger?: number;
}

interface Entry {
  readonly prefix: string;
  readonly server: Promise<ForkServer>;
  users: number;
  lease: EnvironmentLease | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
  ending: Promise<void> | undefined;
}

interface Joined {
  readonly entry: Entry;
  readonly server: ForkServer;
}

/**
 * The use of an environment's fork server. It holds the lease all the time, so that the environment is there for
 * another fork server when the first one dies.
 */
export interface KernelUse {
  /** The fork server; it may be gone. */
  readonly server: ForkServer;
  /**
   * A fork server that lives: the same, or when that has died the one that took its place.
   *
   * @throws WorkerError `interpreter_failed` when none can be started; the use goes on
   */
  living(signal: AbortSignal): Promise<ForkServer>;
  /** Ends the use and gives back the lease. May be called again. */
  release(): Promise<void>;
}

const LINGER = 5 * 60_000;

/** Fork servers by environment. */
export class Kernels implements AsyncDisposable {
  readonly #options: KernelsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #endings = new Set<Promise<void>>();

  /** Starts without any. */
  constructor(options: KernelsOptions) {
    this.#options = options;
  }

  /** The fork server of a leased environment. Takes over the lease, also when it throws. */
  async use(lease: EnvironmentLease, signal: AbortSignal): Promise<KernelUse> {
    let joined: Joined;
    try {
      joined = await this.#join(lease.prefix, signal);
    } catch (error) {
      await lease.release();
      throw error;
    }
    let released: Promise<void> | undefined;
    let replacing: Promise<Joined> | undefined;
    const replace = async (signal: AbortSignal) => {
      const next = await this.#join(lease.prefix, signal);
      // Not waited for: ending a lost fork server includes the search for what it left.
      this.#leave(joined.entry);
      return joined = next;
    };
    return {
      get server() {
        return joined.server;
      },
      living: async (signal) => {
        signal.throwIfAborted();
        if (!joined.server.gone.aborted) return joined.server;
        replacing ??= replace(signal).finally(() => replacing = undefined);
        return (await unlessAborted(replacing, signal)).server;
      },
      release: () =>
        released ??= (async () => {
          await replacing?.catch(() => {});
          await this.#leave(joined.entry, lease);
        })(),
    };
  }

  /** Becomes a user of an environment's fork server, which is started when there is none that lives. */
  async #join(prefix: string, signal: AbortSignal): Promise<Joined> {
    for (;;) {
      const entry = this.#entries.get(prefix) ?? this.#start(prefix);
      entry.users++;
      clearTimeout(entry.timer);
      entry.timer = undefined;
      try {
        const server = await unlessAborted(entry.server, signal);
        if (!server.gone.aborted) return { entry, server };
      } catch (error) {
        await this.#leave(entry);
        throw error;
      }
      // It has died; the next one takes its place.
      this.#forget(entry);
      this.#leave(entry);
    }
  }

  #start(prefix: string): Entry {
    const { manager, program, switchboard, log } = this.#options;
    const server = ForkServer.start({ manager, prefix, program, switchboard, log });
    const entry: Entry = {
      prefix,
      server,
      users: 0,
      lease: undefined,
      timer: undefined,
      ending: undefined,
    };
    this.#entries.set(prefix, entry);
    server.then(({ gone }) => {
      const onGone = () => {
        this.#forget(entry);
        // Nobody is left to end it; its users would.
        if (entry.users === 0) this.#end(entry);
      };
      if (gone.aborted) onGone();
      else gone.addEventListener("abort", onGone, { once: true });
    }, () => this.#forget(entry));
    return entry;
  }

  /** Ends a use. Rejects only when the lease cannot be given back. */
  async #leave(entry: Entry, lease?: EnvironmentLease): Promise<void> {
    if (--entry.users > 0) return await lease?.release();
    if (this.#entries.get(entry.prefix) !== entry) {
      await this.#end(entry);
      return await lease?.release();
    }
    const linger = this.#options.linger ?? LINGER;
    const surplus = entry.lease === undefined ? undefined : lease;
    entry.lease ??= lease;
    if (linger > 0) entry.timer = setTimeout(() => this.#end(entry), linger);
    else await this.#end(entry);
    await surplus?.release();
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.prefix) === entry) this.#entries.delete(entry.prefix);
  }

  /** Ends a fork server that nobody uses any more. Never rejects. */
  #end(entry: Entry): Promise<void> {
    this.#forget(entry);
    clearTimeout(entry.timer);
    entry.timer = undefined;
    if (entry.ending !== undefined) return entry.ending;
    const ending = this.#endNow(entry).catch((error) => {
      this.#options.log.error("Cannot end a fork server", { reason: messageOf(error) });
    }).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    return entry.ending = ending;
  }

  async #endNow(entry: Entry): Promise<void> {
    const server = await entry.server.catch(() => undefined);
    // Without one it never started, and whoever wanted it has been told.
    await server?.[Symbol.asyncDispose]();
    const { lease } = entry;
    entry.lease = undefined;
    await lease?.release();
  }

  /**
   * Ends fork servers that nobody uses before their time, so that their environments can be removed.
   *
   * @param prefix the environment; without one those of all
   */
  async endIdle(prefix?: string): Promise<void> {
    const idle = [...this.#entries.values()].filter((entry) =>
      entry.users === 0 && (prefix === undefined || entry.prefix === prefix)
    );
    await Promise.all(idle.map((entry) => this.#end(entry)));
  }

  /** Ends all fork servers and with them all sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const entry of [...this.#entries.values()]) this.#end(entry);
    await Promise.all(this.#endings);
  }
}

/** Waits for a promise, but not beyond a signal. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
