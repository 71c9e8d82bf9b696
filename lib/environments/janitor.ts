/**
 * Keeping the cache within its limits, and clearing away what killed workers left.
 *
 * Nothing is removed but under the exclusive lock of its place, which is only tried: an environment in use by
 * any process keeps its lock shared. What goes is first moved to the trash, so it is gone at once, and a crash
 * in the middle leaves either the whole environment or something in the trash.
 */
import { join } from "@std/path";
import type { Logger } from "../log.ts";
import { CacheLayout } from "./layout.ts";
import type { CacheLimits } from "./limits.ts";
import { FileLock } from "./lock.ts";
import { readPlace } from "./marker.ts";
import { readMeta } from "./meta.ts";
import { prunePackages, prunePipCache } from "./packages.ts";
import { PROBE_PREFIX } from "./probe.ts";
import type { Trash } from "./trash.ts";
import { measureCache } from "./usage.ts";
import { UserTable } from "./users.ts";

/** What belongs to a place and stays when its environment goes, but for the lock. */
const COMPANIONS = [".json", ".explicit.txt", ".log"] as const;
/** Logs of failed builds, and what killed writers left, are kept this long, in milliseconds. */
const KEEP_LOGS_MS = 7 * 86_400_000;
/** Packages that lost their last environment are kept this long, in milliseconds; the next may want them. */
const KEEP_PACKAGES_MS = 7 * 86_400_000;

/** Why an environment was removed. */
export type RemovalReason = "broken" | "age" | "count" | "size" | "asked";

/** What {@linkcode Janitor.prune} did. */
export interface PruneResult {
  /** Removed environments; `bytes` are their own, without what they shared with others. */
  readonly removed: readonly { key: string; reason: RemovalReason; bytes: number }[];
  /** Bytes of packages and of pip's cache that were removed. */
  readonly packageBytes: number;
  /** Environments that would have been removed, and the processes that use them. */
  readonly inUse: readonly { key: string; pids: readonly number[] }[];
}

/** Options of {@linkcode Janitor.prune}. */
export interface JanitorOptions extends CacheLimits {
  /** Removes all that can be. @default false */
  readonly all?: boolean;
  /** Only tells what would be removed. @default false */
  readonly dryRun?: boolean;
  /** Environments used within this time are kept, in milliseconds. @default 0 */
  readonly grace?: number;
  readonly signal?: AbortSignal;
}

interface Candidate {
  readonly place: string;
  readonly ready: boolean;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
  readonly bytes: number;
}

/** Removes environments. */
export class Janitor {
  readonly #layout: CacheLayout;
  readonly #trash: Trash;
  readonly #log: Logger;
  readonly #now: () => number;

  constructor(
    options: { layout: CacheLayout; trash: Trash; log: Logger; now: () => number },
  ) {
    this.#layout = options.layout;
    this.#trash = options.trash;
    this.#log = options.log;
    this.#now = options.now;
  }

  /** The places that have something in them, sorted. */
  async places(): Promise<string[]> {
    const places: string[] = [];
    try {
      for await (const entry of Deno.readDir(this.#layout.environments)) {
        if (entry.isDirectory && CacheLayout.isPlace(entry.name)) places.push(entry.name);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return places.sort();
  }

  /** Removes what is in a place. The caller holds its exclusive lock. */
  async discard(place: string): Promise<void> {
    await this.#trash.discard(this.#layout.prefix(place));
    for (const suffix of COMPANIONS) await this.#forget(place + suffix);
  }

  /** Clears away what nobody will look at again: half-built environments, old logs, the trash. */
  async sweep(): Promise<void> {
    const { environments } = this.#layout;
    await this.#trash.empty(environments, this.#layout.packages);
    await this.prune({});
    const oldest = this.#now() - KEEP_LOGS_MS;
    const places = new Set(await this.places());
    for await (const entry of Deno.readDir(environments)) {
      const suffix = COMPANIONS.find((end) => entry.name.endsWith(end));
      const draft = entry.name.endsWith(".tmp") || entry.name.startsWith(PROBE_PREFIX);
      if (!draft && (!suffix || places.has(entry.name.slice(0, -suffix.length)))) continue;
      const time = await modified(join(environments, entry.name));
      if ((time?.getTime() ?? Infinity) < oldest) await this.#forget(entry.name);
    }
  }

  /** Removes broken environments, and the least recently used beyond limits. Never those in use. */
  async prune(options: JanitorOptions): Promise<PruneResult> {
    const { maxEnvironments, maxBytes, maxAge, all = false, dryRun = false, signal } = options;
    const { grace = 0 } = options;
    const removed: { key: string; reason: RemovalReason; bytes: number }[] = [];
    const busy = new Set<string>();
    const remove = async (one: Candidate, reason: RemovalReason): Promise<boolean> => {
      signal?.throwIfAborted();
      if (!await this.#remove(one, reason, dryRun)) {
        busy.add(one.place);
        return false;
      }
      removed.push({ key: one.place, reason, bytes: one.bytes });
      return true;
    };

    const left: Candidate[] = [];
    for (const one of await this.#candidates()) {
      const age = this.#now() - one.lastUsed;
      if (all) await remove(one, "asked");
      else if (!one.ready) await remove(one, "broken");
      else if (maxAge === undefined || age <= maxAge || !await remove(one, "age")) left.push(one);
    }
    const isYoung = (one: Candidate) => grace > 0 && this.#now() - one.lastUsed < grace;
    const next = async (reason: RemovalReason): Promise<boolean> => {
      for (const [index, one] of left.entries()) {
        if (busy.has(one.place) || isYoung(one)) continue;
        if (!await remove(one, reason)) continue;
        left.splice(index, 1);
        return true;
      }
      return false;
    };
    while (maxEnvironments !== undefined && left.length > maxEnvironments) {
      if (!await next("count")) break;
    }
    let packageBytes = 0;
    if (removed.length > 0 || all) {
      const before = all ? Infinity : this.#now() - KEEP_PACKAGES_MS;
      packageBytes += await this.#prunePackages({ before, dryRun, ...(signal && { signal }) });
    }
    if (maxBytes !== undefined && !all) {
      packageBytes += await this.#shrink(maxBytes, dryRun, () => next("size"), signal);
    }
    return { removed, packageBytes, inUse: await this.#users(busy) };
  }

  /**
   * Removes what is not needed at the moment, the cheapest first, until there is enough space; returns whether
   * there is.
   */
  async reclaim(enough: () => Promise<boolean>, signal?: AbortSignal): Promise<boolean> {
    const steps: (() => Promise<unknown>)[] = [
      () => Promise.resolve(),
      () => this.#prunePackages(signal === undefined ? {} : { signal }),
    ];
    for (const one of await this.#candidates()) {
      steps.push(async () => {
        if (!await this.#remove(one, "size", false)) return;
        await this.#prunePackages(signal === undefined ? {} : { signal });
      });
    }
    steps.push(() => prunePipCache(this.#layout, this.#trash, signal));
    for (const step of steps) {
      signal?.throwIfAborted();
      await step();
      // Only what is deleted is free.
      await this.#trash.settled();
      if (await enough()) return true;
    }
    return false;
  }

  /** What could be removed, the least recently used first. */
  async #candidates(): Promise<Candidate[]> {
    const candidates = await Promise.all((await this.places()).map(async (place) => {
      const meta = await readMeta(this.#layout.meta(place));
      const bytes = meta?.bytes?.own ?? 0;
      const ready = await this.#isGood(place);
      const used = meta?.lastUsed ?? await modified(this.#layout.prefix(place));
      return { place, ready, lastUsed: used?.getTime() ?? 0, bytes };
    }));
    return candidates.sort((a, b) => a.lastUsed - b.lastUsed);
  }

  async #remove(one: Candidate, reason: RemovalReason, dryRun: boolean): Promise<boolean> {
    using lock = await FileLock.try(this.#layout.lock(one.place), "exclusive");
    if (lock === undefined) return false;
    // Looked at again: it may have become ready before the lock was free.
    if (!one.ready && await this.#isGood(one.place)) return false;
    if (dryRun) return true;
    this.#log.info("removing environment", { key: one.place, reason });
    await this.discard(one.place);
    return true;
  }

  /** Whether somebody may want what is in a place. */
  async #isGood(place: string): Promise<boolean> {
    const { state } = await readPlace(this.#layout, place);
    return state === "ready" || state === "foreign";
  }

  /** Makes the cache smaller than a limit. */
  async #shrink(
    maxBytes: number,
    dryRun: boolean,
    removeNext: () => Promise<boolean>,
    signal?: AbortSignal,
  ): Promise<number> {
    let { total } = await measureCache(this.#layout, signal);
    let freed = 0;
    while (total > maxBytes) {
      const packages = await this.#prunePackages({ dryRun, ...(signal && { signal }) });
      freed += packages;
      total -= packages;
      if (total <= maxBytes) break;
      if (!await removeNext()) {
        if (!dryRun) freed += await prunePipCache(this.#layout, this.#trash, signal);
        break;
      }
      // What would be gone cannot be measured.
      if (dryRun) break;
      total = (await measureCache(this.#layout, signal)).total;
    }
    return freed;
  }

  #prunePackages(options: Parameters<typeof prunePackages>[2]): Promise<number> {
    return prunePackages(this.#layout, this.#trash, options);
  }

  async #users(places: Iterable<string>): Promise<{ key: string; pids: readonly number[] }[]> {
    const table = await UserTable.read(this.#layout);
    return [...places].map((place) => {
      const { users, owner } = table.holders(place);
      return { key: place, pids: owner === undefined ? users : [owner] };
    });
  }

  async #forget(name: string): Promise<void> {
    try {
      await Deno.remove(join(this.#layout.environments, name));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

async function modified(path: string): Promise<Date | null | undefined> {
  return (await Deno.stat(path).catch(() => undefined))?.mtime;
}
