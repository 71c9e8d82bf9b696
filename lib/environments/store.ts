/**
 * The cache of environments.
 *
 * On disk, below the cache directory (`layout.ts`). A place is `<key>`, and `<key>-1` to `<key>-4` for those that
 * replace a damaged environment while it is still in use:
 * - `envs/<place>/`: an environment; `envs/<place>/.ready`: written last (`marker.ts`);
 * - `envs/<place>.lock`: never deleted. Shared = the environment is in use; exclusive = it is being built or
 *   removed;
 * - `envs/<place>.json`: facts for people; its modification time is when the environment was last used;
 *   `<place>.explicit.txt`: its exact packages; `<place>.log`: what its last build printed;
 * - `pkgs/`, `pkgs.lock`: packages for all environments, and who may write to them; `pip/`, `pip.lock`: pip's
 *   cache, its lock shared while pip runs;
 * - `users/`: which processes use and build environments, for people (`users.ts`);
 * - `trash/` (`envs/.trash-*` when `envs` is a volume of its own): what is being deleted;
 * - `runtime/`: the managers' own files.
 *
 * States of a place, and what the next arrival does:
 * - nothing, or only files beside it: takes the exclusive lock and builds;
 * - `.ready` that agrees with what is there, lock free or shared: takes a shared lock and uses it;
 * - exclusive lock held: waits, whatever else there is;
 * - anything else, lock free: a builder was killed, or somebody damaged it. Moves it to the trash and builds;
 * - anything else, lock shared for a while: sessions still use what was damaged. Leaves it to them, and does
 *   all this with the next place.
 *
 * A lock cannot be turned from exclusive to shared in one step, so after a build the shared lock is taken
 * anew and `.ready` looked at again. Whatever a crash leaves behind is one of these states. A cache that cannot
 * be written to can be used, but nothing is built or removed there.
 */
import { ensureDir } from "@std/fs";
import { messageOf, WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { cancelledError } from "../managers/errors.ts";
import type { LineSink, Manager } from "../managers/manager.ts";
import { removeOldCalls } from "../managers/supervise.ts";
import type { ProgressSink } from "../progress.ts";
import { EnvironmentAdmin } from "./admin.ts";
import { hasBytecode, makeBytecode } from "./bytecode.ts";
import { resolveExisting, type ResolveOptions } from "./existing.ts";
import { Failures } from "./failures.ts";
import { asCacheError, isReadOnly } from "./files.ts";
import { Flight } from "./flight.ts";
import { Janitor } from "./janitor.ts";
import { environmentKey } from "./key.ts";
import { CacheLayout } from "./layout.ts";
import { type CacheLimits, DEFAULT_LIMITS } from "./limits.ts";
import { FileLock } from "./lock.ts";
import { readPlace } from "./marker.ts";
import { readMeta, writeMeta } from "./meta.ts";
import { assertLocks, type LockProbe } from "./probe.ts";
import { Provider } from "./provider.ts";
import { MIN_FREE_BYTES } from "./space.ts";
import type { EnvironmentSpec } from "./spec.ts";
import { Trash } from "./trash.ts";
import { measureDirectory } from "./usage.ts";
import { Users } from "./users.ts";

/** The use of an environment is noted at most this often, in milliseconds. */
const TOUCH_MS = 60_000;
/** Environments used so recently are not removed to keep limits: whoever built one takes it up in a moment. */
const GRACE_MS = 10_000;

/** Options of {@linkcode EnvironmentStore}. */
export interface EnvironmentStoreOptions {
  /** Absolute path of the cache directory; made when it is missing. */
  readonly directory: string;
  readonly manager: Manager;
  readonly log: Logger;
  /** What is kept. @default DEFAULT_LIMITS */
  readonly limits?: CacheLimits;
  /** Bytes that must be free before a build begins. @default 256 MiB */
  readonly minFreeBytes?: number;
  /** Where existing environments are looked for. @default none is found */
  readonly existing?: ResolveOptions;
  /** Tries out the file locks. @default with a file in the cache directory */
  readonly probe?: LockProbe;
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
  /** Asks the solver although it failed a moment ago. @default false */
  readonly refresh?: boolean;
  /**
   * Told the key of an environment that is not ready, before it is waited for; what it returns is disposed when the
   * wait is over. What it throws ends the call. @default everything is admitted
   */
  readonly admit?: (key: string) => Disposable;
}

/** The right to use an environment. It is not removed until the lease is released. */
export interface EnvironmentLease extends AsyncDisposable {
  /** Name of the environment in the cache. */
  readonly key: string;
  /** Absolute path of the environment. */
  readonly prefix: string;
  /** Whether it was there already. */
  readonly cached: boolean;
  /** Variables the spec wants in sessions. */
  readonly variables: Readonly<Record<string, string>>;
  /** Gives the environment back; does nothing the second time. */
  release(): Promise<void>;
}

/** The cache of environments. */
export class EnvironmentStore {
  /** Where things are. */
  readonly layout: CacheLayout;
  /** Looks after the environments. */
  readonly admin: EnvironmentAdmin;
  readonly #options: EnvironmentStoreOptions;
  readonly #manager: Manager;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #trash: Trash;
  readonly #janitor: Janitor;
  readonly #provider: Provider;
  readonly #failures: Failures;
  readonly #users: Users;
  readonly #flights = new Map<string, Flight>();
  readonly #leases = new Set<FileLock>();
  readonly #touched = new Map<string, number>();
  /** Environments whose byte code this worker has seen to. */
  readonly #compiled = new Set<string>();
  readonly #background = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  #tidying: Promise<void> | undefined;
  #untidy = false;
  /** Whether something could not be removed because it was in use. */
  #behind = false;
  #readOnly = false;

  /**
   * A cache in a directory.
   *
   * @throws WorkerError `usage` when environments cannot live in that directory
   */
  constructor(options: EnvironmentStoreOptions) {
    const { directory, manager, log, now = Date.now } = options;
    this.layout = new CacheLayout(directory);
    this.admin = new EnvironmentAdmin({ directory, log, now });
    this.#options = options;
    this.#manager = manager;
    this.#log = log;
    this.#now = now;
    this.#trash = new Trash(this.layout.trash, log);
    this.#janitor = new Janitor({ layout: this.layout, trash: this.#trash, log, now });
    this.#failures = new Failures(now);
    this.#users = new Users(this.layout, now);
    this.#provider = new Provider({
      layout: this.layout,
      manager,
      trash: this.#trash,
      janitor: this.#janitor,
      users: this.#users,
      minFreeBytes: options.minFreeBytes ?? MIN_FREE_BYTES,
      log,
      now,
      onBuilt: (place) => this.#compiled.delete(place),
    });
  }

  /**
   * Gets an environment for a spec, building it when there is none.
   *
   * @throws WorkerError what the manager or pip said, also when it said so a few minutes ago;
   * `environment_cancelled`, `environment_not_found`, `environment_in_use`, `disk_full`, `cache_not_writable`
   */
  async acquire(spec: EnvironmentSpec, options: AcquireOptions = {}): Promise<EnvironmentLease> {
    try {
      return await this.#acquire(spec, options);
    } catch (error) {
      throw asCacheError(error);
    }
  }

  async #acquire(spec: EnvironmentSpec, options: AcquireOptions): Promise<EnvironmentLease> {
    const { signal, onProgress, refresh = false } = options;
    const say = (message: string) => onProgress?.({ type: "info", message, phase: "environment" });
    this.#assertOpen(signal);
    say("Setting up conda environment");
    if (spec.existing !== undefined) return await this.#useExisting(spec);
    await ensureDir(this.layout.environments);
    const key = await environmentKey(spec, {
      family: this.#manager.family,
      root: this.layout.environments,
      usesConfiguration: this.#manager.usesConfiguration,
    });
    say("Checking for cached conda environment");
    for (let cached = true;; cached = false) {
      this.#assertOpen(signal);
      const use = await this.#provider.tryUse(key);
      if (use !== undefined) {
        const message = cached ? "Found cached environment" : "Environment is ready";
        onProgress?.({ type: "success", message, phase: "environment", percent: 100 });
        return this.#lease(use.place, use.lock, cached, spec);
      }
      if (refresh) this.#failures.forget(key);
      else this.#failures.check(key);
      using _admission = options.admit?.(key);
      const flight = this.#flights.get(key);
      if (flight?.cancelled) await flight.done.catch(() => {});
      else await (flight ?? this.#launch(key, spec)).join(options);
    }
  }

  /**
   * Makes sure that the cache can be used, and clears away what killed workers left behind and what is beyond
   * the limits, which goes on in the background. To be called once at start.
   *
   * @throws WorkerError `cache_locks`, `cache_not_writable`
   */
  async recover(): Promise<void> {
    try {
      await ensureDir(this.layout.environments);
      await assertLocks(this.layout.environments, this.#options.probe);
      await this.#janitor.sweep();
      await removeOldCalls(this.layout.runtime, this.#now);
    } catch (error) {
      if (!isReadOnly(error)) throw asCacheError(error);
      this.#readOnly = true;
      this.#log.warning("the cache is read-only: its environments can be used, none can be built", {
        directory: this.layout.directory,
      });
      return;
    }
    this.#tidy();
  }

  /** Waits until nothing is left to do in the background: modules are compiled, sizes are known. */
  async settled(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
    await this.#tidying;
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
    await this.#tidying;
    await this.#users.close();
    await this.#trash.settled();
    await this.admin.close();
  }

  #lease(
    place: string,
    lock: FileLock,
    cached: boolean,
    { variables = {} }: EnvironmentSpec,
  ): EnvironmentLease {
    this.#leases.add(lock);
    const leave = this.#users.enter(place);
    this.#touch(place, TOUCH_MS);
    this.#compile(place);
    const release = async () => {
      if (!this.#leases.delete(lock)) return;
      lock.release();
      await leave();
      await this.#touch(place, 0);
      if (this.#behind) this.#tidy();
    };
    const prefix = this.layout.prefix(place);
    return { key: place, prefix, cached, variables, release, [Symbol.asyncDispose]: release };
  }

  /** An environment that is not of this cache: it has no lock, and nothing is written into it. */
  async #useExisting({ existing, variables = {} }: EnvironmentSpec): Promise<EnvironmentLease> {
    const prefix = await resolveExisting(existing!, {
      environment: () => undefined,
      ...this.#options.existing,
      forbidden: [this.layout.directory, ...this.#options.existing?.forbidden ?? []],
    });
    const release = () => Promise.resolve();
    const key = `existing:${prefix}`;
    return { key, prefix, cached: true, variables, release, [Symbol.asyncDispose]: release };
  }

  #launch(key: string, spec: EnvironmentSpec): Flight {
    const flight = new Flight((announcer) => this.#provider.provide(key, spec, announcer));
    this.#flights.set(key, flight);
    const forget = () => void this.#flights.delete(key);
    flight.done.then(() => {
      forget();
      this.#failures.forget(key);
      this.#tidy();
    }, (error) => {
      forget();
      this.#failures.note(key, error);
    });
    return flight;
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

  /** Notes the use of an environment. Need not be waited for: nothing depends on it. */
  #touch(place: string, atMostEvery: number): Promise<void> {
    const now = this.#now();
    if (now - (this.#touched.get(place) ?? -Infinity) < atMostEvery) return Promise.resolve();
    this.#touched.set(place, now);
    const date = new Date(now);
    return this.#inBackground(Deno.utime(this.layout.meta(place), date, date));
  }

  /** Keeps the cache within its limits; one at a time, and once more when something was built meanwhile. */
  #tidy(): void {
    if (this.#closing.signal.aborted) return;
    this.#untidy = true;
    this.#tidying ??= (async () => {
      while (this.#untidy) {
        this.#untidy = false;
        const { inUse } = await this.#janitor.prune({
          ...this.#options.limits ?? DEFAULT_LIMITS,
          grace: GRACE_MS,
          signal: this.#closing.signal,
        });
        this.#behind = inUse.length > 0;
      }
    })().catch((error) => {
      if (this.#closing.signal.aborted) return;
      this.#log.warning("cannot keep the cache within its limits", { reason: messageOf(error) });
    }).finally(() => this.#tidying = undefined);
  }

  /** Compiles an environment's modules, once; its lease is held meanwhile, by this or by whoever uses it. */
  #compile(place: string): void {
    if (this.#readOnly || this.#compiled.has(place)) return;
    this.#compiled.add(place);
    this.#inBackground((async () => {
      const prefix = this.layout.prefix(place);
      if (await hasBytecode(prefix)) return;
      using lock = await FileLock.try(this.layout.lock(place), "shared");
      if (lock === undefined || (await readPlace(this.layout, place)).state !== "ready") return;
      const leave = this.#users.enter(place);
      try {
        await makeBytecode(prefix, this.#manager, this.#closing.signal);
        await this.#measure(place);
      } finally {
        await leave();
      }
    })());
  }

  /** Adds the size to the facts of an environment. */
  async #measure(place: string): Promise<void> {
    const bytes = await measureDirectory(this.layout.prefix(place), this.#closing.signal);
    const meta = await readMeta(this.layout.meta(place));
    if (meta === undefined) return;
    const { lastUsed, ...facts } = meta;
    await writeMeta(this.layout.meta(place), { ...facts, bytes });
    if (lastUsed !== null) await Deno.utime(this.layout.meta(place), lastUsed, lastUsed);
  }

  #inBackground(work: Promise<void>): Promise<void> {
    const settled = work.catch((error) => {
      if (this.#closing.signal.aborted || isReadOnly(error)) return;
      this.#log.debug("background work on an environment failed", { reason: messageOf(error) });
    }).finally(() => this.#background.delete(settled));
    this.#background.add(settled);
    return settled;
  }
}
