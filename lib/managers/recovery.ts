/**
 * Trying again where that helps: after failures of the network, with a damaged package out of the cache, with a
 * new index of the channels, after a manager that hung. What the solver says, a full disk and missing rights are
 * never tried again.
 */
import { delay } from "../delay.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Progress, ProgressSink } from "../progress.ts";
import { cancelledError, ManagerError } from "./errors.ts";
import type { Remedy } from "./failures.ts";
import { removeDamagedPackages, removeIndexes } from "./package_cache.ts";

/** How often something is tried that may pass by itself. */
const TRIES = 3;
/** The pause before the second try, in milliseconds; it grows by this factor. */
const FIRST_PAUSE_MS = 2_000;
const PAUSE_FACTOR = 4;

/** Waits; injected so that tests need not. */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>;

/** What {@linkcode withRecovery} works on. */
export interface RecoveryRequest {
  /** Undoes half of a try, before the next. */
  readonly cleanUp: () => Promise<void>;
  /** Absolute path of the package cache; without one nothing is removed from it. */
  readonly packageCache?: string;
  readonly log: Logger;
  readonly onProgress?: ProgressSink | undefined;
  readonly signal?: AbortSignal | undefined;
  /** @default a timer */
  readonly pause?: Pause;
}

/** A pause before a try, longer each time and never the same for two who failed together. */
export function pauseBefore(attempt: number, random: () => number = Math.random): number {
  return Math.round(FIRST_PAUSE_MS * PAUSE_FACTOR ** (attempt - 2) * (0.5 + random()));
}

/** Does something, and once more where that may help. Throws the last error. */
export async function withRecovery<T>(
  attempt: () => Promise<T>,
  request: RecoveryRequest,
): Promise<T> {
  const { log, signal, cleanUp } = request;
  const applied = new Set<Remedy>();
  for (let tries = 1;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof ManagerError) || signal?.aborted) throw error;
      const { remedy } = error;
      if (remedy === undefined || remedy === "other") throw error;
      if (remedy === "again") {
        if (tries === TRIES) throw error;
        tries++;
      } else {
        // What these remedies cure does not come back by itself.
        if (applied.has(remedy)) throw error;
        applied.add(remedy);
      }
      log.warning("creating an environment failed; trying again", {
        remedy,
        code: error.code,
        reason: firstLine(error),
      });
      const news = await prepare(remedy, error, tries, request);
      request.onProgress?.(news);
      await cleanUp();
      if (signal?.aborted) throw cancelledError();
    }
  }
}

/** Does what may help, and tells what was done. */
async function prepare(
  remedy: Exclude<Remedy, "other">,
  error: ManagerError,
  tries: number,
  request: RecoveryRequest,
): Promise<Progress> {
  const { packageCache, signal, log } = request;
  const news = (message: string): Progress => ({ type: "warning", message, phase: "retry" });
  switch (remedy) {
    case "again": {
      const ms = pauseBefore(tries);
      const seconds = Math.max(1, Math.round(ms / 1000));
      const what = error.code === "network" ? "The network failed" : "The package cache is in use";
      request.onProgress?.(
        news(`${what}; trying again in ${seconds} s (try ${tries} of ${TRIES})`),
      );
      await (request.pause ?? delay)(ms, signal).catch(() => {});
      if (signal?.aborted) throw cancelledError();
      return news(`Trying again (try ${tries} of ${TRIES})`);
    }
    case "clean": {
      if (packageCache === undefined) return news("Trying again");
      const output = [messageOf(error), ...(error.context.tail as string[] ?? [])].join("\n");
      const removed = await removeDamagedPackages(packageCache, output);
      log.warning("removed damaged packages from the package cache", { removed });
      return news("A package in the cache was damaged and is fetched anew");
    }
    case "refresh":
      if (packageCache !== undefined) await removeIndexes(packageCache);
      return news("A package is gone from its channel; reading the channel anew");
    case "restart":
      return news("The package manager made no progress and was started anew");
  }
}

function firstLine(error: Error): string {
  return error.message.split("\n")[0]!;
}
