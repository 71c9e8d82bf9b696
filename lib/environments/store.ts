/**
 * The cache of environments.
 *
 * On disk, below the cache directory (`layout.ts`):
 * - `envs/<key>/`: an environment; `envs/<key>/.ready`: written last;
 * - `envs/<key>.lock`: never deleted. Shared = the environment is in use; exclusive = it is being built or
 *   removed;
 * - `envs/<key>.json`: facts for people; its modification time is when the environment was last used;
 * - `pkgs/`, `pkgs.lock`: packages for all environments, and who may write to them; `pip/`: pip's cache;
 * - `trash/`: what is being deleted; `runtime/`: the managers' own files.
 *
 * States of a key, and what the next arrival does:
 * - nothing, or only the lock file: takes the exclusive lock and builds;
 * - `.ready`, lock free or shared: takes a shared lock and uses it;
 * - exclusive lock held: waits, whatever else there is;
 * - a prefix without `.ready`, or without its Python, lock free: a builder was killed, or somebody damaged
 *   it. Moves it to the trash and builds.
 *
 * A lock cannot be turned from exclusive to shared in one step, so after a build the shared lock is taken
 * anew and `.ready` looked at again. Whatever a crash leaves behind is one of these states.
 */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { messageOf, WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { cancelledError } from "../managers/errors.ts";
import type { LineSink, Manager } from "../managers/manager.ts";
import { removeOldCalls } from "../managers/supervise.ts";
import type { ProgressSink } from "../progress.ts";
import { buildEnvironment } from "./build.ts";
import { delay } from "../delay.ts";
import { asCacheError } from "./files.ts";
import { hasBytecode, makeBytecode } from "./bytecode.ts";
import { type Announcer, Flight } from "./flight.ts";
import { environmentKey } from "./key.ts";
import { CacheLayout } from "./layout.ts";
import { FileLock } from "./lock.ts";
import { directorySize, readMeta, writeMeta } from "./meta.ts";
import type { EnvironmentSpec } from "./spec.ts";
import { Trash } from "./trash.ts";

/** The use of an environment is noted at most this often, in milliseconds. */
const TOUCH_MS = 60_000;

/** Options of {@linkcode EnvironmentStore}. */
export interface EnvironmentStoreOptions {
  /** Absolute path of the cache directory; made when it is missing. */
  readonly directory: string;
  readonly manager: Manager;
  readonly log: Logger;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

/** Options of {@linkcode EnvironmentStore.acquire}. */
export interface AcquireOptions {
  /** Gives up; the build is cancelled when nobody else waits for it. */
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
  /** Told each line manager and pip print. */
  readonly onLog?: LineSink;
}

/** The right to use an environment. It is not removed until the lease is released. */
export interface EnvironmentLease extends AsyncDisposable {
  readonly key: string;
  /** Absolute path of the environment. */
  readonly prefix: string;
  /** Whether it was there already. */
  readonly cached: boolean;
  /** Gives the environment back; does nothing the second time. */
  release(): Promise<void>;
}

/** The cache of environments. */
export class EnvironmentStore {
  /** Where things are. */
  readonly layout: CacheLayout;
  readonly #manager: Manager;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #trash: Trash;
  readonly #flights = new Map<string, Flight>();
  readonly #leases = new Set<FileLock>();
  readonly #touched = new Map<string, number>();
  /** Environments whose byte code this worker has seen to. */
  readonly #compiled = new Set<string>();
  readonly #background = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  /**
   * A cache in a directory.
   *
   * @throws WorkerError `usage` when environments cannot live in that directory
   */
  constructor(options: EnvironmentStoreOptions) {
    this.layout = new CacheLayout(options.directory);
    this.#manager = options.manager;
    this.#log = options.log;
    this.#now = options.now ?? Date.now;
    this.#trash = new Trash(this.layout.trash, options.log);
  }

  /**
   * Gets an environment for a spec, building it when there is none.
   *
   * @throws WorkerError what the manager or pip said, `environment_cancelled`, `cache_not_writable`
   */
  async acquire(spec: EnvironmentSpec, options: AcquireOptions = {}): Promise<EnvironmentLease> {
    try {
      return await this.#acquire(spec, options);
    } catch (error) {
      throw asCacheError(error);
    }
  }

  async #acquire(spec: EnvironmentSpec, options: AcquireOptions): Promise<EnvironmentLease> {
    const { signal, onProgress } = options;
    this.#assertOpen(signal);
    onProgress?.({ type: "info", message: "Setting up conda environment", phase: "environment" });
    await ensureDir(this.layout.environments);
    const key = await environmentKey(spec, {
      family: this.#manager.family,
      root: this.layout.environments,
    });
    onProgress?.({
      type: "info",
      message: "Checking for cached conda environment",
      phase: "environment",
    });
    for (let cached = true;; cached = false) {
      this.#assertOpen(signal);
      const lock = await this.#tryUse(key);
      if (lock !== undefined) {
        const message = cached ? "Found cached environment" : "Environment is ready";
        onProgress?.({ type: "success", message, phase: "environment", percent: 100 });
        return this.#lease(key, lock, cached);
      }
      const flight = this.#flights.get(key);
      if (flight?.cancelled) await flight.done.catch(() => {});
      else await (flight ?? this.#launch(key, spec)).join(options);
    }
  }

  /**
   * Clears away what killed workers left behind: half-built environments that nobody builds any more, and
   * things to be deleted, which happens in the background. To be called once at start.
   */
  async recover(): Promise<void> {
    await ensureDir(this.layout.environments);
    await this.#trash.empty();
    await removeOldCalls(this.layout.runtime, this.#now);
    for await (const entry of Deno.readDir(this.layout.environments)) {
      if (!entry.isDirectory || await this.#isReady(entry.name)) continue;
      using lock = await FileLock.try(this.layout.lock(entry.name), "exclusive");
      // Looked at again: it may have become ready before the lock was free.
      if (lock === undefined || await this.#isReady(entry.name)) continue;
      this.#log.info("removing a half-built environment", { key: entry.name });
      await this.#trash.discard(this.layout.prefix(entry.name));
    }
  }

  /** Cancels builds, gives all leases back, and waits for what happens in the background. */
  async close(): Promise<void> {
    this.#closing.abort();
    const flights = [...this.#flights.values()];
    for (const flight of flights) flight.cancel();
    await Promise.allSettled(flights.map((flight) => flight.done));
    for (const lock of this.#leases) lock.release();
    this.#leases.clear();
    await Promise.allSettled(this.#background);
    await this.#trash.settled();
  }

  async #isReady(key: string): Promise<boolean> {
    const [marked, python] = await Promise.all([
      exists(this.layout.ready(key)),
      exists(join(this.layout.prefix(key), "bin", "python")),
    ]);
    return marked && python;
  }

  /** A shared lock on an environment that is ready. */
  async #tryUse(key: string): Promise<FileLock | undefined> {
    const lock = await FileLock.try(this.layout.lock(key), "shared");
    if (lock === undefined) return undefined;
    try {
      if (await this.#isReady(key)) return lock;
    } catch (error) {
      lock.release();
      throw error;
    }
    lock.release();
    return undefined;
  }

  #lease(key: string, lock: FileLock, cached: boolean): EnvironmentLease {
    this.#leases.add(lock);
    this.#touch(key);
    this.#compile(key);
    const release = () => {
      lock.release();
      this.#leases.delete(lock);
      return Promise.resolve();
    };
    return {
      key,
      prefix: this.layout.prefix(key),
      cached,
      release,
      [Symbol.asyncDispose]: release,
    };
  }

  #launch(key: string, spec: EnvironmentSpec): Flight {
    const flight = new Flight((announcer) => this.#provide(key, spec, announcer));
    this.#flights.set(key, flight);
    const forget = () => void this.#flights.delete(key);
    flight.done.then(forget, forget);
    return flight;
  }

  /** Makes sure that an environment is ready: waits for who builds it, or builds it. */
  async #provide(key: string, spec: EnvironmentSpec, announcer: Announcer): Promise<void> {
    const { signal, onProgress } = announcer;
    let waited = false;
    for (let pause = 5;; pause = Math.min(pause * 2, 100)) {
      if (signal.aborted) throw cancelledError();
      // Once it is ready it may be in use for ever, so it is not the exclusive lock that is waited for.
      const used = await this.#tryUse(key);
      if (used !== undefined) return used.release();
      using lock = await FileLock.try(this.layout.lock(key), "exclusive");
      if (lock !== undefined) {
        if (await this.#isReady(key)) return;
        onProgress({
          type: "info",
          message: "Creating new conda environment",
          phase: "environment",
        });
        await buildEnvironment({
          spec,
          key,
          layout: this.layout,
          manager: this.#manager,
          trash: this.#trash,
          log: this.#log,
          now: this.#now,
          ...announcer,
        });
        return;
      }
      if (!waited) {
        const message = "Waiting for another worker that builds this environment";
        onProgress({ type: "info", message, phase: "wait" });
        waited = true;
      }
      await delay(pause, signal).catch(() => {});
    }
  }

  #assertOpen(signal?: AbortSignal): void {
    if (this.#closing.signal.aborted) {
      throw new WorkerError(
        "worker_stopping",
        "Cannot create the environment: the worker is shutting down",
      );
    }
    if (signal?.aborted) throw cancelledError();
  }

  /** Notes the use of an environment. Not waited for: nothing depends on it. */
  #touch(key: string): void {
    const now = this.#now();
    if (now - (this.#touched.get(key) ?? -Infinity) < TOUCH_MS) return;
    this.#touched.set(key, now);
    const date = new Date(now);
    this.#inBackground(Deno.utime(this.layout.meta(key), date, date));
  }

  /** Adds the size to the facts of an environment. */
  /** Compiles an environment's modules, once; its lease is held meanwhile, by this or by whoever uses it. */
  #compile(key: string): void {
    if (this.#compiled.has(key)) return;
    this.#compiled.add(key);
    this.#inBackground((async () => {
      const prefix = this.layout.prefix(key);
      if (await hasBytecode(prefix)) return;
      using lock = await FileLock.try(this.layout.lock(key), "shared");
      if (lock === undefined) return;
      await makeBytecode(prefix, this.#manager, this.#closing.signal);
      await this.#measure(key);
    })());
  }

  async #measure(key: string): Promise<void> {
    const size = await directorySize(this.layout.prefix(key), this.#closing.signal);
    const meta = await readMeta(this.layout.meta(key));
    if (meta === undefined) return;
    const { lastUsed: _, ...facts } = meta;
    await writeMeta(this.layout.meta(key), { ...facts, size });
  }

  #inBackground(work: Promise<void>): void {
    const settled = work.catch((error) => {
      if (this.#closing.signal.aborted) return;
      this.#log.debug("background work on an environment failed", { reason: messageOf(error) });
    }).finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }
}
