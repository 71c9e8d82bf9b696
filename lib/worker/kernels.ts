/**
 * The fork servers of the environments in use: one each, started with the first session and ended a while after
 * the last. While one lives it holds a lease, so that its environment is not evicted under it.
 */
import { hasCode } from "../errors.ts";
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
}

/** A fork server in use; giving it back also gives back the lease. */
export interface KernelUse {
  readonly server: ForkServer;
  /** Ends the use. May be called again. */
  release(): Promise<void>;
}

const LINGER = 5 * 60_000;

/** Fork servers by environment. */
export class Kernels implements AsyncDisposable {
  readonly #options: KernelsOptions;
  readonly #entries = new Map<string, Entry>();

  /** Starts without any. */
  constructor(options: KernelsOptions) {
    this.#options = options;
  }

  /** The fork server of a leased environment. Takes over the lease, also when it throws. */
  async use(lease: EnvironmentLease, signal: AbortSignal): Promise<KernelUse> {
    const entry = this.#entries.get(lease.prefix) ?? this.#start(lease.prefix);
    entry.users++;
    clearTimeout(entry.timer);
    entry.timer = undefined;
    try {
      const server = await unlessAborted(entry.server, signal);
      if (server.gone.aborted) {
        // It died unused; the next one takes its place.
        this.#forget(entry);
        await this.#leave(entry, undefined);
        return await this.use(lease, signal);
      }
      let released: Promise<void> | undefined;
      return { server, release: () => released ??= this.#leave(entry, lease) };
    } catch (error) {
      if (hasCode(error, "interpreter_failed")) this.#forget(entry);
      await this.#leave(entry, lease);
      throw error;
    }
  }

  #start(prefix: string): Entry {
    const { manager, program, switchboard, log } = this.#options;
    const server = ForkServer.start({ manager, prefix, program, switchboard, log });
    server.catch(() => {});
    const entry: Entry = { prefix, server, users: 0, lease: undefined, timer: undefined };
    this.#entries.set(prefix, entry);
    return entry;
  }

  async #leave(entry: Entry, lease: EnvironmentLease | undefined): Promise<void> {
    entry.users--;
    const last = entry.users === 0 && this.#entries.get(entry.prefix) === entry;
    if (last && lease !== undefined && entry.lease === undefined) entry.lease = lease;
    else await lease?.release();
    if (!last) {
      if (entry.users === 0) await this.#end(entry);
      return;
    }
    const linger = this.#options.linger ?? LINGER;
    if (linger === 0) await this.#end(entry);
    else entry.timer = setTimeout(() => this.#end(entry).catch(() => {}), linger);
  }

  #forget(entry: Entry): void {
    if (this.#entries.get(entry.prefix) === entry) this.#entries.delete(entry.prefix);
  }

  async #end(entry: Entry): Promise<void> {
    this.#forget(entry);
    clearTimeout(entry.timer);
    entry.timer = undefined;
    try {
      await (await entry.server)[Symbol.asyncDispose]();
    } catch {
      // It never started; whoever wanted it has been told.
    }
    await entry.lease?.release();
    entry.lease = undefined;
  }

  /** Ends all fork servers and with them all sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => this.#end(entry)));
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
