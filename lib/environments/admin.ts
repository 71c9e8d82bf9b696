/**
 * Looking at the environments of a cache, and removing them, also while workers run. No manager is needed.
 *
 * Everything here sees the whole cache: who may ask is up to the caller.
 */
import { delay } from "../delay.ts";
import { WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ManagerKind } from "../managers/manager.ts";
import { exportEnvironment, type ExportFormat } from "./export.ts";
import { asCacheError } from "./files.ts";
import { Janitor, type PruneResult } from "./janitor.ts";
import { CacheLayout } from "./layout.ts";
import type { CacheLimits } from "./limits.ts";
import { FileLock } from "./lock.ts";
import { readPlace } from "./marker.ts";
import { type EnvironmentMeta, type PackageRecord, readMeta } from "./meta.ts";
import type { EnvironmentSpec } from "./spec.ts";
import { Trash } from "./trash.ts";
import { type Holders, UserTable } from "./users.ts";
import { type CacheUsage, measureCache } from "./usage.ts";

/**
 * What an environment is good for: ready to be used, being built (or removed) at this moment, or broken: left
 * by a build that was killed, or changed since. Broken ones are removed when nobody uses them.
 */
export type EnvironmentState = "ready" | "building" | "broken";

/** Who looks at a place holds its lock for less than this, in milliseconds. */
const LOOK_MS = 20;

/** An environment of the cache. What is not known is absent. */
export interface EnvironmentEntry {
  /** Its name in this cache: 16 hexadecimal digits; a second one of the same key has `-1` behind them. */
  readonly key: string;
  /** Absolute path. */
  readonly prefix: string;
  readonly state: EnvironmentState;
  /** Why it is broken. */
  readonly reason?: string;
  /** What was asked for, without the variables, which are the tenant's own. */
  readonly spec?: EnvironmentSpec;
  /** Version of its Python. */
  readonly python?: string;
  /** What built it. */
  readonly manager?: { readonly kind: ManagerKind; readonly version: string };
  /** ISO 8601. */
  readonly created?: string;
  /** ISO 8601; a use that goes on is noted at its beginning and its end. */
  readonly lastUsed?: string;
  /** How long the build took, in milliseconds. */
  readonly buildMs?: number;
  /** Bytes on disk: `own` go away with it, `shared` are also in the package cache or other environments. */
  readonly bytes?: { readonly own: number; readonly shared: number };
  /** Number of conda packages. */
  readonly packageCount?: number;
  /** Whether some process uses or builds it. */
  readonly inUse: boolean;
  /** Those processes, as far as this machine knows them. */
  readonly pids: readonly number[];
}

/** Everything that is known of an environment. */
export interface EnvironmentDetails extends EnvironmentEntry {
  /** Conda packages. */
  readonly packages: readonly PackageRecord[];
  /** What pip installed, as requirements with exact versions. */
  readonly pip: readonly string[];
  /** Absolute path of the log of its last build. */
  readonly log?: string;
}

/** Options of {@linkcode EnvironmentAdmin}. */
export interface EnvironmentAdminOptions {
  /** Absolute path of the cache directory. */
  readonly directory: string;
  readonly log: Logger;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

/** Options of {@linkcode EnvironmentAdmin.prune}. Limits that are not given are not applied. */
export interface PruneOptions extends CacheLimits {
  /** Removes whatever is not in use. @default false */
  readonly all?: boolean;
  /** Only says what would be removed. @default false */
  readonly dryRun?: boolean;
}

/** Looks after the environments of a cache directory. */
export class EnvironmentAdmin {
  readonly #layout: CacheLayout;
  readonly #trash: Trash;
  readonly #janitor: Janitor;

  /**
   * Administration of a cache directory.
   *
   * @throws WorkerError `usage` when environments cannot live in that directory
   */
  constructor(options: EnvironmentAdminOptions) {
    const { log, now = Date.now } = options;
    this.#layout = new CacheLayout(options.directory);
    this.#trash = new Trash(this.#layout.trash, log);
    this.#janitor = new Janitor({ layout: this.#layout, trash: this.#trash, log, now });
  }

  /** All environments, the last used first. */
  async list(): Promise<EnvironmentEntry[]> {
    const users = await UserTable.read(this.#layout);
    const entries: EnvironmentEntry[] = [];
    for (const place of await this.#janitor.places()) {
      const entry = await this.#entry(place, users, await readMeta(this.#layout.meta(place)));
      if (entry !== undefined) entries.push(entry);
    }
    return entries.sort((a, b) => (b.lastUsed ?? "").localeCompare(a.lastUsed ?? ""));
  }

  /**
   * One environment, by its key or an unambiguous beginning of it.
   *
   * @throws WorkerError `environment_not_found`
   */
  async get(key: string): Promise<EnvironmentDetails> {
    const place = await this.#find(key);
    const meta = await readMeta(this.#layout.meta(place));
    const entry = await this.#entry(place, await UserTable.read(this.#layout), meta);
    if (entry === undefined) throw notFound(key);
    const log = this.#layout.log(place);
    const logged = await Deno.stat(log).then(() => true, () => false);
    return {
      ...entry,
      packages: meta?.packages ?? [],
      pip: meta?.pip ?? [],
      ...(logged ? { log } : {}),
    };
  }

  /**
   * Removes an environment that nobody uses; deleting its files goes on in the background until
   * {@linkcode close}.
   *
   * @throws WorkerError `environment_not_found`, `environment_in_use`, `cache_not_writable`
   */
  async remove(key: string): Promise<void> {
    const place = await this.#find(key);
    try {
      using lock = await FileLock.try(this.#layout.lock(place), "exclusive");
      if (lock === undefined) {
        throw inUse(place, (await UserTable.read(this.#layout)).holders(place));
      }
      await this.#janitor.discard(place);
    } catch (error) {
      throw asCacheError(error);
    }
  }

  /**
   * Removes environments beyond the limits, the least recently used first, and broken ones; never those in
   * use.
   *
   * @throws WorkerError `cache_not_writable`
   */
  async prune(options: PruneOptions = {}): Promise<PruneResult> {
    try {
      return await this.#janitor.prune(options);
    } catch (error) {
      throw asCacheError(error);
    }
  }

  /**
   * An environment in a form it can be built from again: an environment.yml with exact versions, an
   * `@EXPLICIT` list with hashes, or JSON with everything that is known.
   *
   * @throws WorkerError `environment_not_found`, also when its packages are not known
   */
  async export(key: string, format: ExportFormat): Promise<string> {
    const place = await this.#find(key);
    const meta = await readMeta(this.#layout.meta(place));
    if (meta === undefined) throw notFound(key);
    return exportEnvironment(meta, format);
  }

  /** Bytes on disk, each file counted once however many links it has. Takes seconds for large caches. */
  async usage(): Promise<CacheUsage> {
    return await measureCache(this.#layout);
  }

  /** Waits until everything that was removed is deleted. */
  async close(): Promise<void> {
    await this.#trash.settled();
  }

  async #find(key: string): Promise<string> {
    const places = await this.#janitor.places();
    if (places.includes(key)) return key;
    const found = key.length < 2 ? [] : places.filter((place) => place.startsWith(key));
    if (found.length > 1) {
      throw new WorkerError(
        "environment_not_found",
        `Cannot find the environment ${key}: several begin with it (${found.join(", ")})`,
        { context: { key, found } },
      );
    }
    if (found[0] === undefined) throw notFound(key);
    return found[0];
  }

  async #entry(
    place: string,
    users: UserTable,
    meta: EnvironmentMeta & { lastUsed: Date | null } | undefined,
  ): Promise<EnvironmentEntry | undefined> {
    const found = await readPlace(this.#layout, place);
    const prefix = this.#layout.prefix(place);
    const holders = users.holders(place);
    const held = await this.#held(place);
    const inUse = held !== undefined || holders.users.length > 0;
    const building = held === "exclusive" || holders.owner !== undefined;
    if (found.state === "unfinished" && !building) {
      // Only the lock file is left of it.
      if (!await Deno.stat(prefix).then(() => true, () => false)) return undefined;
    }
    const good = found.state === "ready" || found.state === "foreign";
    const bytes = meta?.bytes;
    return {
      key: place,
      prefix,
      state: building ? "building" : good ? "ready" : "broken",
      ...(good || building ? {} : {
        reason: found.state === "damaged" ? found.reason : "its build was not finished",
      }),
      ...(meta === undefined ? {} : {
        spec: meta.spec,
        python: meta.python,
        manager: meta.manager,
        created: meta.created,
        buildMs: meta.buildMs,
        packageCount: meta.packages.length,
      }),
      ...(meta?.lastUsed ? { lastUsed: meta.lastUsed.toISOString() } : {}),
      ...(bytes === undefined ? {} : { bytes }),
      inUse,
      pids: [...new Set([...holders.users, holders.owner].filter((pid) => pid !== undefined))],
    };
  }

  /** How the lock of a place is held; `undefined` when it is free, or when that cannot be told. */
  async #held(place: string): Promise<"shared" | "exclusive" | undefined> {
    const path = this.#layout.lock(place);
    const isFree = async (mode: "shared" | "exclusive") => {
      using lock = await FileLock.try(path, mode);
      return lock !== undefined;
    };
    try {
      if (await isFree("exclusive")) return undefined;
      if (await isFree("shared")) return "shared";
      // Perhaps for a moment only, by somebody who looks, too.
      await delay(LOOK_MS);
      if (await isFree("exclusive")) return undefined;
      return await isFree("shared") ? "shared" : "exclusive";
    } catch {
      // A cache that cannot be written to: nobody can remove anything from it either.
      return undefined;
    }
  }
}

function notFound(key: string): WorkerError {
  return new WorkerError(
    "environment_not_found",
    `Cannot find the environment ${key}: there is none in this cache`,
    { context: { key } },
  );
}

/** The error for an environment that cannot be removed. */
function inUse(key: string, holders: Holders): WorkerError {
  const { users, owner } = holders;
  const who = owner !== undefined
    ? `process ${owner} is building it`
    : users.length === 0
    ? "a process uses it that cannot be seen from here, such as one of another machine or container"
    : `used by ${users.length === 1 ? "process" : "processes"} ${users.join(", ")}`;
  return new WorkerError(
    "environment_in_use",
    `Cannot remove the environment ${key}: ${who}`,
    { context: { key, pids: owner === undefined ? users : [owner] } },
  );
}
