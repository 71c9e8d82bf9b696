/** One build of an environment, from nothing to ready. Whoever calls holds the exclusive lock of its place. */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { cancelledError } from "../managers/errors.ts";
import type { LineSink, Made, Manager, ManagerIdentity } from "../managers/manager.ts";
import type { ProgressSink } from "../progress.ts";
import { VERSION } from "../version.ts";
import { BuildLog } from "./build_log.ts";
import { exportEnvironment } from "./export.ts";
import { writeDurably } from "./files.ts";
import { makeFontCache } from "./font_cache.ts";
import type { CacheLayout } from "./layout.ts";
import { FileLock } from "./lock.ts";
import { type PythonFacts, writeMarker } from "./marker.ts";
import { type EnvironmentMeta, writeMeta } from "./meta.ts";
import { freeze, listDistributions, readRecords } from "./record.ts";
import type { EnvironmentSpec } from "./spec.ts";
import type { Trash } from "./trash.ts";
import { PROBE, probePython, pythonFacts, verifyPackages } from "./verify.ts";

/** What a build needs. */
export interface BuildRequest {
  readonly spec: EnvironmentSpec;
  /** Where the environment is made. */
  readonly place: string;
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

/** What was built. */
interface Installed {
  readonly manager: ManagerIdentity;
  readonly python: PythonFacts;
  readonly pip: readonly string[];
  readonly packages: EnvironmentMeta["packages"];
}

/**
 * Builds an environment and marks it ready. When it fails or is cancelled nothing of it is left but the log.
 *
 * @throws WorkerError what the manager or pip said, or `environment_cancelled`
 */
export async function buildEnvironment(request: BuildRequest): Promise<void> {
  const { place, layout, trash, log, now, signal } = request;
  const started = now();
  const prefix = layout.prefix(place);
  const printed = new BuildLog();
  const onLine: LineSink = (line) => {
    printed.add(line);
    request.onLine(line);
  };
  // What a killed build left: both families would take part of it for their own.
  await trash.discard(prefix);
  try {
    log.info("building environment", { key: place, packages: request.spec.packages });
    const { manager, python, pip, packages } = await install({ ...request, onLine }, prefix);
    signal.throwIfAborted();
    const { variables: _, ...spec } = request.spec;
    const meta: EnvironmentMeta = {
      schema: 1,
      key: place,
      spec,
      created: new Date(now()).toISOString(),
      manager: { kind: manager.kind, version: manager.version },
      worker: VERSION,
      platform: `${Deno.build.os}-${Deno.build.arch}`,
      python: python.version,
      packages,
      pip,
      buildMs: Math.round(now() - started),
    };
    await Promise.all([record(request, meta), printed.write(layout.log(place))]);
    await writeMarker(layout, place, python);
    log.info("environment is ready", { key: place, python: python.version, ms: meta.buildMs });
  } catch (error) {
    await trash.discard(prefix).catch((reason) => {
      log.warning("cannot remove a failed environment", { key: place, reason });
    });
    // Whatever breaks in the course of a cancel is the cancel's doing.
    if (signal.aborted) throw cancelledError();
    printed.add(messageOf(error));
    await printed.write(layout.log(place)).catch(() => {});
    throw error;
  }
}

/** Writes down what was built, for people and for building it again. */
async function record({ layout, place, now, log }: BuildRequest, meta: EnvironmentMeta) {
  const facts = async () => {
    await writeMeta(layout.meta(place), meta);
    const time = new Date(now());
    await Deno.utime(layout.meta(place), time, time);
  };
  const list = async () => {
    try {
      await writeDurably(layout.explicit(place), exportEnvironment(meta, "explicit"));
    } catch (error) {
      log.debug("no list of packages", { key: place, reason: messageOf(error) });
    }
  };
  await Promise.all([facts(), list()]);
}

async function install(request: BuildRequest, prefix: string): Promise<Installed> {
  const { spec, layout, manager, signal, onProgress, onLine } = request;
  await ensureDir(layout.packages);
  let made: Made;
  {
    // conda damages a package cache that two processes write to, and mamba 1.5 does too.
    using _lock = await FileLock.wait(layout.packagesLock, "exclusive", {
      signal,
      onWait: () => {
        const message = "Waiting for another environment that is being built";
        onProgress({ type: "info", message, phase: "wait" });
      },
    });
    const what = spec.explicit?.length
      ? counted(spec.explicit.length, "package") + " of a lock file"
      : counted(spec.packages.length, "spec");
    const message = `Installing packages with ${manager.kind} (${what})`;
    onProgress({ type: "info", message, phase: "solve" });
    made = await manager.create({
      prefix,
      channels: spec.channels,
      packages: spec.packages,
      ...(spec.explicit?.length ? { explicit: spec.explicit } : {}),
      ...(spec.channelPriority === undefined ? {} : { channelPriority: spec.channelPriority }),
      packageCache: layout.packages,
      rootPrefix: join(layout.runtime, "root"),
      ...(spec.pip.length === 0 ? { probe: PROBE } : {}),
      onProgress,
      onLine,
      signal,
    });
  }
  // Before pip, which would hide what is wrong behind messages of its own.
  await verifyPackages(prefix, spec, manager);
  let before: Set<string> | undefined;
  if (spec.pip.length > 0) {
    before = await listDistributions(prefix);
    const message = `Installing packages with pip (${counted(spec.pip.length, "requirement")})`;
    onProgress({ type: "info", message, phase: "pip" });
    using _lock = await FileLock.wait(layout.pipLock, "shared", { signal });
    await ensureDir(layout.pip);
    await manager.installPip({
      prefix,
      requirements: spec.pip,
      ...(spec.pipOptions === undefined ? {} : { options: spec.pipOptions }),
      cacheDirectory: layout.pip,
      onProgress,
      onLine,
      signal,
    });
  }
  const packages = readRecords(prefix);
  // A failure is met below, when Python has been asked, which takes longer.
  packages.catch(() => {});
  // After pip, which may break what worked.
  const python = pythonFacts(prefix, made.probed?.split("\n") ?? []) ??
    await probePython(prefix, manager, signal);
  await makeFontCache(prefix, manager, request.log, signal);
  return {
    manager: made,
    python,
    pip: before === undefined ? [] : await freeze(prefix, before),
    packages: await packages,
  };
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
