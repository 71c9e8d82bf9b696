/** How many environments may be in the making at once, for all workspaces together and for each. */
import { WorkerError } from "../errors.ts";

/** Options of {@linkcode BuildLimits}. */
export interface BuildLimitsOptions {
  /** Environments in the making at once. @default 32 */
  readonly total?: number | undefined;
  /** Those that one workspace may wait for. @default no limit but that of all */
  readonly perWorkspace?: number | undefined;
}

const TOTAL = 32;

/**
 * Counts environments, not calls: many sessions that wait for the same one wait for one build. What is in the cache
 * needs no place.
 */
export class BuildLimits {
  readonly #total: number;
  readonly #perWorkspace: number;
  /** How many calls wait for each environment, by workspace. */
  readonly #waiting = new Map<string, Map<string, number>>();

  /** Nothing is in the making. */
  constructor(options: BuildLimitsOptions = {}) {
    this.#total = options.total ?? TOTAL;
    this.#perWorkspace = options.perWorkspace ?? Infinity;
  }

  /**
   * Takes a place until what is returned is disposed.
   *
   * @throws WorkerError `too_many_builds`
   */
  enter(workspace: string, key: string): Disposable {
    const own = this.#waiting.get(workspace) ?? new Map<string, number>();
    if (!own.has(key)) this.#check(workspace, own, key);
    own.set(key, (own.get(key) ?? 0) + 1);
    this.#waiting.set(workspace, own);
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        const count = own.get(key)! - 1;
        if (count > 0) own.set(key, count);
        else own.delete(key);
        if (own.size === 0) this.#waiting.delete(workspace);
      },
    };
  }

  #check(workspace: string, own: ReadonlyMap<string, number>, key: string): void {
    if (own.size >= this.#perWorkspace) {
      throw new WorkerError(
        "too_many_builds",
        `Cannot create the environment: workspace ${workspace} waits for ${own.size} environments here already`,
        {
          context: { workspace, limit: this.#perWorkspace },
          suggestion:
            "Wait until one of your workspace's environments is ready, then call again. Those that are ready can be " +
            "used meanwhile.",
        },
      );
    }
    const all = new Set([...this.#waiting.values()].flatMap((keys) => [...keys.keys()]));
    if (all.has(key) || all.size < this.#total) return;
    throw new WorkerError(
      "too_many_builds",
      `Cannot create the environment: the worker makes ${all.size} environments already`,
      { context: { limit: this.#total } },
    );
  }
}
