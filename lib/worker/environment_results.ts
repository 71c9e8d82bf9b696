/** Environments as they go out, to clients and as JSON on the command line. */
import type { EnvironmentDetails, EnvironmentEntry } from "../environments/admin.ts";
import { optionLines } from "../environments/export.ts";
import type { PruneResult } from "../environments/janitor.ts";
import type { EnvironmentSpec } from "../environments/spec.ts";

/** An environment of the cache in short. Sizes are in bytes, times ISO 8601; what is not known is `null`. */
export function environmentInfo(entry: EnvironmentEntry): Record<string, unknown> {
  return {
    key: entry.key,
    state: entry.state,
    reason: entry.reason ?? null,
    ...request(entry.spec),
    python: entry.python ?? null,
    manager: entry.manager ?? null,
    package_count: entry.packageCount ?? null,
    size: entry.bytes?.own ?? null,
    shared_size: entry.bytes?.shared ?? null,
    created: entry.created ?? null,
    last_used: entry.lastUsed ?? null,
    build_ms: entry.buildMs ?? null,
    in_use: entry.inUse,
    pids: [...entry.pids],
    prefix: entry.prefix,
  };
}

/** Everything that is known of an environment. */
export function environmentDetails(details: EnvironmentDetails): Record<string, unknown> {
  return {
    ...environmentInfo(details),
    packages: details.packages.map((one) => ({ ...one })),
    pip: [...details.pip],
  };
}

/** What was removed from a cache, or would be. */
export function pruneInfo(result: PruneResult, dryRun: boolean): Record<string, unknown> {
  return {
    dry_run: dryRun,
    removed: result.removed.map((one) => ({ ...one })),
    package_bytes: result.packageBytes,
    in_use: result.inUse.map(({ key, pids }) => ({ key, pids: [...pids] })),
  };
}

/** What was asked for, in the words of a manifest; a lock file's packages are only counted. */
function request(spec: EnvironmentSpec | undefined): Record<string, unknown> {
  if (spec === undefined) return { dependencies: null, channels: null, locked_packages: null };
  const pip = [...optionLines(spec.pipOptions ?? []), ...spec.pip];
  return {
    dependencies: [...spec.packages, ...(pip.length === 0 ? [] : [{ pip }])],
    channels: [...spec.channels],
    locked_packages: spec.explicit?.length ?? 0,
  };
}
