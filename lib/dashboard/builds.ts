/**
 * Environments in the making, and those made lately: who asks for an environment is watched on the way to the cache.
 *
 * Several may wait for the same build; here it is one, told apart by what decides its content.
 */
import type { EnvironmentSpec } from "../environments/spec.ts";
import { hasCode, messageOf } from "../errors.ts";
import type { Progress } from "../progress.ts";
import type { Environments } from "../worker/starting.ts";

/** Builds that have ended and are still shown. */
const KEPT = 20;
/** Longest text of a message or error (characters). */
const MAX_TEXT = 2000;

/** How a build goes. */
export type BuildState = "running" | "ready" | "failed" | "cancelled";

/** One build. */
export interface Build {
  readonly id: number;
  readonly spec: EnvironmentSpec;
  state: BuildState;
  readonly started: Date;
  ended?: Date;
  /** Part of the work, such as `solve` or `download`. */
  phase: string;
  /** The last news, for a person; why it failed when it has. */
  message: string;
  /** How far the phase is (0 to 100), when that is known. */
  percent?: number;
  packages?: { done: number; total: number };
  bytes?: { done: number; total: number };
  /** How many wait for it. */
  waiting: number;
  /** Name in the cache, once it is ready. */
  key?: string;
}

/** Watches environments being asked for. */
export class Builds {
  readonly #now: () => Date;
  readonly #running = new Map<string, Build>();
  readonly #ended: Build[] = [];
  /** Names in the cache of what sessions have got. */
  readonly #keys = new WeakMap<EnvironmentSpec, string>();
  #count = 0;
  #changes = 0;

  /** No builds so far. */
  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  /** Changes when a build begins or ends. */
  get changes(): number {
    return this.#changes;
  }

  /** Those that run, and the last that have ended; the newest first. */
  list(): Build[] {
    return [...this.#running.values(), ...this.#ended].sort((a, b) => b.id - a.id);
  }

  /** Name in the cache of the environment that was given for a spec, the same object. */
  keyOf(spec: EnvironmentSpec): string | undefined {
    return this.#keys.get(spec);
  }

  /** The same environments, watched. */
  watch(environments: Environments): Environments {
    return {
      acquire: async (spec, options) => {
        const content = contentOf(spec);
        let build: Build | undefined;
        const onProgress = (progress: Progress) => {
          // What is found in the cache is no build.
          if (build === undefined && progress.phase !== "environment") {
            build = this.#join(content, spec);
          }
          if (build?.state === "running") note(build, progress);
          options.onProgress?.(progress);
        };
        try {
          const lease = await environments.acquire(spec, { ...options, onProgress });
          this.#keys.set(spec, lease.key);
          if (build !== undefined) {
            build.key = lease.key;
            this.#end(content, build, "ready", "Environment is ready");
          }
          return lease;
        } catch (error) {
          if (build !== undefined) {
            const left = options.signal?.aborted || hasCode(error, "environment_cancelled");
            this.#leave(content, build, left ? "cancelled" : "failed", messageOf(error));
          }
          throw error;
        }
      },
    };
  }

  #join(content: string, spec: EnvironmentSpec): Build {
    let build = this.#running.get(content);
    if (build === undefined) {
      build = {
        id: this.#count++,
        spec,
        state: "running",
        started: this.#now(),
        phase: "",
        message: "",
        waiting: 0,
      };
      this.#running.set(content, build);
      this.#changes++;
    }
    build.waiting++;
    return build;
  }

  /** Somebody does not wait any more; for the last one a cancelled build is over. */
  #leave(content: string, build: Build, state: BuildState, message: string): void {
    if (build.state === "running" && state === "cancelled" && build.waiting > 1) build.waiting--;
    else this.#end(content, build, state, message);
  }

  #end(content: string, build: Build, state: BuildState, message: string): void {
    build.waiting = 0;
    if (build.state !== "running") return;
    build.state = state;
    build.ended = this.#now();
    build.message = cut(message);
    delete build.percent;
    this.#running.delete(content);
    this.#ended.push(build);
    if (this.#ended.length > KEPT) this.#ended.shift();
    this.#changes++;
  }
}

function note(build: Build, progress: Progress): void {
  const { phase, percent, packages, bytes } = progress;
  build.message = cut(progress.message);
  if (phase !== undefined) build.phase = phase.slice(0, 40);
  assign(build, "percent", percent);
  assign(build, "packages", packages);
  assign(build, "bytes", bytes);
}

function assign<K extends "percent" | "packages" | "bytes">(
  build: Build,
  name: K,
  value: Build[K] | undefined,
): void {
  if (value === undefined) delete build[name];
  else build[name] = value;
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** Equal for specs of the same environment. */
function contentOf(spec: EnvironmentSpec): string {
  const { variables: _, packages, ...rest } = spec;
  return JSON.stringify([
    [...packages].sort(),
    Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1),
  ]);
}
