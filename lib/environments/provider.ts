/** Making sure that there is an environment: finding it, waiting for who builds it, or building it. */
import { hasCode, WorkerError } from "../errors.ts";
import { delay } from "../delay.ts";
import type { Logger } from "../log.ts";
import { cancelledError } from "../managers/errors.ts";
import type { Manager } from "../managers/manager.ts";
import { buildEnvironment } from "./build.ts";
import type { Announcer } from "./flight.ts";
import type { Janitor } from "./janitor.ts";
import type { CacheLayout } from "./layout.ts";
import { FileLock } from "./lock.ts";
import { readPlace } from "./marker.ts";
import { ensureSpace, leastFree } from "./space.ts";
import type { EnvironmentSpec } from "./spec.ts";
import type { Trash } from "./trash.ts";
import { type Users, UserTable } from "./users.ts";

/**
 * How often in a row a place that is not ready must have been found in use, by ever longer pauses of half a
 * second together, before it counts as one that sessions hold on to: others that look at it, too, hold its
 * lock for a moment.
 */
const PATIENCE = 8;

/** What a {@linkcode Provider} needs. */
export interface ProviderOptions {
  readonly layout: CacheLayout;
  readonly manager: Manager;
  readonly trash: Trash;
  readonly janitor: Janitor;
  readonly users: Users;
  /** Bytes that must be free before a build begins. */
  readonly minFreeBytes: number;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Told which places got a new environment. */
  readonly onBuilt: (place: string) => void;
}

/** A place that is ready, and its shared lock. */
export interface Use {
  readonly place: string;
  readonly lock: FileLock;
}

/** Provides environments of one cache. */
export class Provider {
  readonly #options: ProviderOptions;
  readonly #layout: CacheLayout;

  constructor(options: ProviderOptions) {
    this.#options = options;
    this.#layout = options.layout;
  }

  /** A shared lock on an environment of the key that is ready; `undefined` when there is none. */
  async tryUse(key: string): Promise<Use | undefined> {
    for (const [index, place] of this.#layout.places(key).entries()) {
      if (index > 0 && !await exists(this.#layout.prefix(place))) continue;
      const lock = await this.#tryUsePlace(place);
      if (lock instanceof FileLock) return { place, lock };
    }
    return undefined;
  }

  /** A shared lock when the place is ready; otherwise why not. */
  async #tryUsePlace(place: string): Promise<FileLock | "locked" | { reason: string }> {
    const lock = await FileLock.try(this.#layout.lock(place), "shared");
    if (lock === undefined) return "locked";
    let keep = false;
    try {
      const found = await readPlace(this.#layout, place);
      keep = found.state === "ready";
      if (keep) return lock;
      return { reason: found.state === "damaged" ? found.reason : "it is not complete" };
    } finally {
      if (!keep) lock.release();
    }
  }

  /**
   * Makes sure that an environment is ready: waits for who builds it, or builds it.
   *
   * @throws WorkerError what the manager or pip said, `environment_cancelled`, `disk_full`, and
   * `environment_in_use` when sessions hold on to damaged ones in all places
   */
  async provide(key: string, spec: EnvironmentSpec, announcer: Announcer): Promise<void> {
    const { signal, onProgress } = announcer;
    const say = (message: string, phase: string) => onProgress({ type: "info", message, phase });
    const places = this.#layout.places(key);
    /** In which place it is tried, and how often that was found in use by others though not ready. */
    let index = 0;
    let refusals = 0;
    let locked = 0;
    for (let pause = 5;; pause = Math.min(pause * 2, 100)) {
      if (signal.aborted) throw cancelledError();
      // Once it is ready it may be in use for ever, so it is not the exclusive lock that is waited for.
      const use = await this.tryUse(key);
      if (use !== undefined) return use.lock.release();
      const place = places[index];
      if (place === undefined) throw await this.#allInUse(key, places);
      {
        using lock = await FileLock.try(this.#layout.lock(place), "exclusive");
        if (lock !== undefined) {
          if ((await readPlace(this.#layout, place)).state === "ready") return;
          say("Creating new conda environment", "environment");
          return await this.#build(place, spec, announcer);
        }
      }
      const found = await this.#tryUsePlace(place);
      if (found instanceof FileLock) return found.release();
      refusals = found === "locked" ? 0 : refusals + 1;
      if (found !== "locked" && refusals >= PATIENCE) {
        this.#options.log.warning(
          "an environment in use is damaged; another one is made beside it",
          {
            key: place,
            reason: found.reason,
          },
        );
        say(
          `The cached environment is damaged (${found.reason}) and still in use; making another`,
          "environment",
        );
        index++;
        refusals = 0;
        pause = 5;
        continue;
      }
      // At first it may be someone who only looks at it.
      if (found === "locked" && ++locked === 3) {
        say("Waiting for another worker that builds this environment", "wait");
      }
      await delay(pause, signal).catch(() => {});
    }
  }

  /** Builds; when the disk is full, again after removing what can be spared. */
  async #build(place: string, spec: EnvironmentSpec, announcer: Announcer): Promise<void> {
    const { layout, trash, janitor, users, minFreeBytes, log } = this.#options;
    const { signal } = announcer;
    const leave = users.enter(place, "build");
    const directories = [layout.environments, layout.packages];
    const reclaim = (enough: () => Promise<boolean>) => {
      log.warning("the disk of the cache is full; removing what is not in use");
      return janitor.reclaim(enough, signal);
    };
    const build = async () => {
      await buildEnvironment({ ...this.#options, place, spec, ...announcer });
      this.#options.onBuilt(place);
    };
    try {
      await ensureSpace(directories, minFreeBytes, reclaim);
      // How much a build takes shows only when it has failed: first a little is made free, then all that can be.
      for (const all of [false, true]) {
        try {
          return await build();
        } catch (error) {
          if (!hasCode(error, "disk_full")) throw error;
          await trash.settled();
          const { free } = await leastFree(directories);
          const gained = async () => (await leastFree(directories)).free - free;
          if (await reclaim(async () => !all && await gained() >= minFreeBytes)) continue;
          if (await gained() < minFreeBytes) throw error;
        }
      }
      await build();
    } catch (error) {
      throw signal.aborted ? cancelledError() : error;
    } finally {
      await leave();
    }
  }

  async #allInUse(key: string, places: readonly string[]): Promise<WorkerError> {
    const table = await UserTable.read(this.#layout);
    const pids = new Set<number>();
    for (const place of places) {
      for (const pid of table.holders(place).users) pids.add(pid);
    }
    return new WorkerError(
      "environment_in_use",
      `Cannot create the environment: ${places.length} damaged ones of the same spec are still in use` +
        (pids.size === 0 ? "" : ` by processes ${[...pids].join(", ")}`),
      { context: { key, pids: [...pids] } },
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
