/** Settings of `start`, from flags and environment variables, checked. */
import { resolve } from "@std/path";
import type { CacheLimits } from "../environments/limits.ts";
import { parsePolicy, type SpecPolicy } from "../environments/policy.ts";
import type { IsolationMode } from "../interpreter/options.ts";
import { defaultClientId } from "../service/connection.ts";
import type { SessionLimits } from "../worker/session_limits.ts";
import { defaultCacheDir, directoryOption } from "./assemble.ts";
import { readCacheLimits } from "./cache_limits.ts";
import { type ManagerSettings, readManagerSettings } from "./manager_settings.ts";
import { milliseconds, positive, seconds, sizeOption } from "./numbers.ts";
import { type Environment, readOptions } from "./option.ts";
import { isolationOption, START_OPTIONS } from "./options.ts";
import { readServerSettings, type ServerSettings } from "./server_settings.ts";
import { type DashboardSettings, readDashboardSettings } from "./start_dashboard.ts";

/** Settings of the worker, checked. */
export interface StartSettings extends ServerSettings {
  cacheDir: string;
  cacheLimits: CacheLimits;
  manager: ManagerSettings;
  workingDir: string | undefined;
  maxSessions: number | undefined;
  /** Bytes. */
  maxStageSize: number | undefined;
  maxWorkspaceSessions: number | undefined;
  maxBuilds: number | undefined;
  maxWorkspaceBuilds: number | undefined;
  limits: SessionLimits;
  isolation: IsolationMode;
  /** What manifests may use of this machine. */
  policy: SpecPolicy;
  /** Files that sessions must not read. */
  secretFiles: readonly string[];
  /** Time running cells get at the end (milliseconds). */
  drainTimeout: number;
  /** Time unused sessions are kept that the server has forgotten (milliseconds). */
  orphanTimeout: number;
  /** Where to serve the dashboard, and what opens it. */
  dashboard: DashboardSettings | undefined;
}

/** Reads and checks the settings. Throws `usage` naming the option. */
export async function readSettings(
  args: readonly string[],
  environment: Environment,
): Promise<StartSettings> {
  const options = readOptions(START_OPTIONS, args, environment);
  const { values, file } = options;
  const server = await readServerSettings(options, {
    serviceId: () => `conda-worker-${crypto.randomUUID().slice(0, 8)}`,
    clientId: defaultClientId,
  });
  const text = (name: string) => values[name] as string | undefined;
  const tokenFile = text("token-file");
  const cacheDir = text("cache-dir");
  const workingDir = text("working-dir");
  return {
    ...server,
    cacheDir: cacheDir ? directoryOption(cacheDir, environment) : defaultCacheDir(environment),
    cacheLimits: readCacheLimits(text),
    manager: readManagerSettings(values),
    workingDir: workingDir ? directoryOption(workingDir, environment) : undefined,
    policy: parsePolicy(text("allow-file-channels"), text("allow-environment")),
    maxSessions: positive("max-sessions", text("max-sessions")),
    maxStageSize: sizeOption("max-stage-size", text("max-stage-size")),
    maxWorkspaceSessions: positive("max-workspace-sessions", text("max-workspace-sessions")),
    maxBuilds: positive("max-builds", text("max-builds")),
    maxWorkspaceBuilds: positive("max-workspace-builds", text("max-workspace-builds")),
    limits: readLimits(text),
    isolation: isolationOption(text("isolation")),
    secretFiles: [
      ...(tokenFile === undefined ? [] : [resolve(tokenFile)]),
      // It may hold a token.
      ...(file === undefined ? [] : [file]),
    ],
    drainTimeout: seconds("drain-timeout", text("drain-timeout")) ?? 10_000,
    orphanTimeout: milliseconds("orphan-timeout", text("orphan-timeout")) ?? 600_000,
    dashboard: readDashboardSettings(text),
  };
}

function readLimits(text: (name: string) => string | undefined): SessionLimits {
  const memory = sizeOption("memory-limit", text("memory-limit"));
  const cpu = positive("cpu-limit", text("cpu-limit"));
  const idle = positive("idle-timeout", text("idle-timeout"));
  const life = positive("max-lifetime", text("max-lifetime"));
  return {
    resources: {
      ...(memory === undefined ? {} : { memory }),
      ...(cpu === undefined ? {} : { cpu_time: Math.ceil(cpu) }),
    },
    ...(idle === undefined ? {} : { idleTimeout: idle * 1000 }),
    ...(life === undefined ? {} : { maxLifetime: life * 1000 }),
  };
}
