/** One build of an environment, from nothing to ready. Whoever calls holds the environment's exclusive lock. */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import type { Logger } from "../log.ts";
import { cancelledError } from "../managers/errors.ts";
import type { LineSink, Manager } from "../managers/manager.ts";
import type { ProgressSink } from "../progress.ts";
import { writeDurably } from "./files.ts";
import { makeFontCache } from "./font_cache.ts";
import type { CacheLayout } from "./layout.ts";
import { FileLock } from "./lock.ts";
import { type EnvironmentMeta, writeMeta } from "./meta.ts";
import type { EnvironmentSpec } from "./spec.ts";
import type { Trash } from "./trash.ts";
import { probePython, verifyPackages } from "./verify.ts";

/** What a build needs. */
export interface BuildRequest {
  readonly spec: EnvironmentSpec;
  readonly key: string;
  readonly layout: CacheLayout;
  readonly manager: Manager;
  readonly trash: Trash;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Cancels. */
  readonly signal: AbortSignal;
  readonly onProgress: ProgressSink;
  /** Told each line manager and pip print. */
  readonly onLine: LineSink;
}

/**
 * Builds an environment and marks it ready. When it fails or is cancelled nothing of it is left.
 *
 * @throws WorkerError what the manager or pip said, or `environment_cancelled`
 */
export async function buildEnvironment(request: BuildRequest): Promise<EnvironmentMeta> {
  const { key, layout, trash, log, now, signal } = request;
  const started = now();
  const prefix = layout.prefix(key);
  // What a killed build left: both families would take part of it for their own.
  await trash.discard(prefix);
  try {
    log.info("building environment", { key, packages: request.spec.packages });
    const { python, packages } = await install(request, prefix);
    signal.throwIfAborted();
    const meta: EnvironmentMeta = {
      schema: 1,
      key,
      spec: request.spec,
      created: new Date(now()).toISOString(),
      manager: { kind: request.manager.kind, version: request.manager.version },
      python,
      packages,
      buildMs: Math.round(now() - started),
    };
    await writeMeta(layout.meta(key), meta);
    await writeDurably(layout.ready(key), JSON.stringify({ key, python }) + "\n");
    log.info("environment is ready", { key, python, ms: meta.buildMs });
    return meta;
  } catch (error) {
    await trash.discard(prefix).catch((reason) => {
      log.warning("cannot remove a failed environment", { key, reason });
    });
    // Whatever breaks in the course of a cancel is the cancel's doing.
    throw signal.aborted ? cancelledError() : error;
  }
}

async function install(
  request: BuildRequest,
  prefix: string,
): Promise<{ python: string; packages: EnvironmentMeta["packages"] }> {
  const { spec, layout, manager, signal, onProgress, onLine } = request;
  await ensureDir(layout.packages);
  {
    // conda damages a package cache that two processes write to, and mamba 1.5 does too.
    using _lock = await FileLock.exclusive(layout.packagesLock, {
      signal,
      onWait: () => {
        const message = "Waiting for another environment that is being built";
        onProgress({ type: "info", message, phase: "wait" });
      },
    });
    const count = spec.packages.length === 1 ? "1 spec" : `${spec.packages.length} specs`;
    onProgress({
      type: "info",
      message: `Installing packages with ${manager.kind} (${count})`,
      phase: "solve",
    });
    await manager.create({
      prefix,
      channels: spec.channels,
      packages: spec.packages,
      packageCache: layout.packages,
      rootPrefix: join(layout.runtime, "root"),
      onProgress,
      onLine,
      signal,
    });
  }
  // Before pip, which would hide what is wrong behind messages of its own.
  const packages = await verifyPackages(prefix, spec, manager);
  if (spec.pip.length > 0) {
    const count = spec.pip.length === 1 ? "1 requirement" : `${spec.pip.length} requirements`;
    onProgress({ type: "info", message: `Installing packages with pip (${count})`, phase: "pip" });
    await ensureDir(layout.pip);
    await manager.installPip({
      prefix,
      requirements: spec.pip,
      cacheDirectory: layout.pip,
      onProgress,
      onLine,
      signal,
    });
  }
  // After pip, which may break what worked.
  const python = await probePython(prefix, manager, signal);
  await makeFontCache(prefix, manager, request.log, signal);
  return { python, packages };
}
