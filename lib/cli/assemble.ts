/** Puts the parts of a worker together, as the commands need it: manager, cache, kernels, sessions. */
import { isAbsolute, join, resolve } from "@std/path";
import { ensureDir } from "@std/fs";
import type { EnvironmentAdmin } from "../environments/admin.ts";
import type { CacheLimits } from "../environments/limits.ts";
import { EnvironmentStore } from "../environments/store.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { installRuntime } from "../interpreter/runtime.ts";
import { checkIsolation } from "../interpreter/isolation.ts";
import type { IsolationMode } from "../interpreter/options.ts";
import { Switchboard } from "../interpreter/switchboard.ts";
import type { Logger } from "../log.ts";
import { detectManager } from "../managers/detect.ts";
import type { Manager } from "../managers/manager.ts";
import { Kernels } from "../worker/kernels.ts";
import { DEVICE_VARIABLES } from "../worker/session_variables.ts";
import type { Environments } from "../worker/starting.ts";
import { Worker } from "../worker/worker.ts";
import { clearTemporary, occupy, occupySessions } from "./leftovers.ts";
import type { ManagerSettings } from "./manager_settings.ts";
import { makeRuntimeDirectory } from "./runtime_directory.ts";
import { makeSessionsDirectory, makeSocketsDirectory, temporaryPlaces } from "./places.ts";

/** How sessions are isolated. */
export interface IsolationSettings {
  mode: IsolationMode;
  /** Files and directories out of their reach, besides the cache and the sockets. Absolute paths. @default none */
  hidden?: readonly string[];
  /** Directories they may write to besides their own and temporary ones. Absolute paths. @default none */
  writable?: readonly string[];
}

/** What {@linkcode assemble} needs. */
export interface AssembleOptions {
  /** Absolute path. */
  cacheDir: string;
  /** What is kept in it. @default the store's own limits */
  cacheLimits?: CacheLimits | undefined;
  /** Which package manager is used, and how. @default any, without the configuration of user and machine */
  manager?: ManagerSettings | undefined;
  /** Absolute path; without one a temporary directory is made, and removed at the end. */
  workingDir: string | undefined;
  /** Sessions at once. @default the worker's own limit */
  maxSessions?: number | undefined;
  /** Sessions at once of one workspace. @default no limit but that of all */
  maxWorkspaceSessions?: number | undefined;
  /** Environments in the making at once. @default the worker's own limit */
  maxBuilds?: number | undefined;
  /** Environments in the making at once for one workspace. @default no limit but that of all */
  maxWorkspaceBuilds?: number | undefined;
  /** Most bytes of the files staged for one session. @default the worker's own limit */
  maxStageSize?: number | undefined;
  /** Variables of this process. */
  environment: (name: string) => string | undefined;
  isolation: IsolationSettings;
  /** Watches the environments that sessions ask for. */
  observe?: ((environments: Environments) => Environments) | undefined;
  log: Logger;
}

/** A worker and what it stands on. */
export interface Assembly extends AsyncDisposable {
  readonly worker: Worker;
  readonly manager: Manager;
  /** The cache, watched when that is wanted. */
  readonly environments: Environments;
  /** Looks after the environments in the cache. */
  readonly admin: EnvironmentAdmin;
  readonly workingDir: string;
}

/** The cache directory when none is given. */
export function defaultCacheDir(environment: (name: string) => string | undefined): string {
  const home = environment("HOME");
  if (home === undefined || !isAbsolute(home)) {
    throw new WorkerError(
      "usage",
      "Cannot choose a cache directory: HOME is not set; give --cache-dir",
    );
  }
  return join(home, ".hypha_conda_cache");
}

/** Variables of this process that its sessions get: which devices they see. */
function passedVariables(
  environment: (name: string) => string | undefined,
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of DEVICE_VARIABLES) {
    const value = environment(name);
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}

/** An absolute path of a directory given on the command line; `~` is the home directory. */
export function directoryOption(
  value: string,
  environment: (name: string) => string | undefined,
): string {
  const home = environment("HOME");
  const expanded = home !== undefined && /^~(?=\/|$)/.test(value) ? home + value.slice(1) : value;
  return resolve(expanded);
}

/** Takes the directory that was asked for. Throws `usage` when it cannot be. */
async function occupyGiven(directory: string, log: Logger): Promise<Disposable> {
  try {
    await ensureDir(directory);
    return await occupySessions(directory, log);
  } catch (error) {
    throw new WorkerError(
      "usage",
      `Cannot use working directory ${directory}: ${messageOf(error)}`,
      { suggestion: "Choose a directory you may write to with --working-dir." },
    );
  }
}

/** Starts everything but sessions. Throws `manager_not_found`, `isolation_unavailable` or `usage`. */
export async function assemble(options: AssembleOptions): Promise<Assembly> {
  const { cacheDir, isolation, log } = options;
  checkIsolation(isolation.mode, Deno.build.os, Deno.osRelease());
  const stack = new AsyncDisposableStack();
  try {
    await clearTemporary(temporaryPlaces(options.environment), log);
    const temporary = async (directory: string) => {
      stack.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
      stack.use(await occupy(directory));
      return directory;
    };
    const runtimeDirectory = await makeRuntimeDirectory(cacheDir, options.environment, temporary);
    const manager = stack.use(
      await detectManager({ runtimeDirectory, log, launcher: true, ...options.manager }),
    );
    const workingDir = options.workingDir ??
      await temporary(await makeSessionsDirectory(options.environment));
    if (options.workingDir !== undefined) stack.use(await occupyGiven(options.workingDir, log));
    const store = new EnvironmentStore({
      directory: cacheDir,
      manager,
      ...(options.cacheLimits === undefined ? {} : { limits: options.cacheLimits }),
      existing: { environment: options.environment, forbidden: [workingDir] },
      log,
    });
    stack.defer(() => store.close());
    await store.recover();
    const sockets = await temporary(await makeSocketsDirectory(options.environment));
    const switchboard = stack.use(await Switchboard.open(sockets, log));
    const program = await installRuntime(runtimeDirectory);
    const kernels = new Kernels({ manager, program, switchboard, log });
    const environments = options.observe?.(store) ?? store;
    const worker = stack.use(
      new Worker({
        environments,
        kernels,
        switchboard,
        workingDirectory: workingDir,
        passedVariables: passedVariables(options.environment),
        isolation: {
          mode: isolation.mode,
          hidden: [cacheDir, sockets, ...isolation.hidden ?? []],
          writable: isolation.writable ?? [],
        },
        ...(options.maxSessions === undefined ? {} : { maxSessions: options.maxSessions }),
        ...(options.maxStageSize === undefined ? {} : { maxStageSize: options.maxStageSize }),
        ...(options.maxWorkspaceSessions === undefined
          ? {}
          : { maxWorkspaceSessions: options.maxWorkspaceSessions }),
        ...(options.maxBuilds === undefined ? {} : { maxBuilds: options.maxBuilds }),
        ...(options.maxWorkspaceBuilds === undefined
          ? {}
          : { maxWorkspaceBuilds: options.maxWorkspaceBuilds }),
        log,
      }),
    );
    const parts = stack.move();
    return {
      worker,
      manager,
      environments,
      admin: store.admin,
      workingDir,
      [Symbol.asyncDispose]: () => parts.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
