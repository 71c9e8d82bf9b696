/** Finding a package manager and learning what it really is. */
import { basename, isAbsolute, join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { CommandManager, ManagerSettings } from "./command.ts";
import { CondaManager } from "./conda.ts";
import {
  managerVariables,
  type Variables,
  withoutLoaderVariables,
} from "./environment_variables.ts";
import { FallbackManager } from "./fallback.ts";
import { readLines } from "./lines.ts";
import { LibmambaManager } from "./mamba.ts";
import {
  type Manager,
  type ManagerFamily,
  type ManagerKind,
  type Spawn,
  spawnCommand,
} from "./manager.ts";
import type { Pause } from "./recovery.ts";

/** Names in the order in which they are tried: mamba and micromamba solve and install faster. */
export const MANAGER_PREFERENCE: readonly ManagerKind[] = ["mamba", "micromamba", "conda"];

/** After how long without output and work a create or pip is killed, in milliseconds. */
export const STALL_MS = 10 * 60_000;

/** How long `--version` may take, in milliseconds. conda needs seconds on a busy machine. */
const VERSION_MS = 30_000;

/** Options of {@linkcode detectManager}. */
export interface DetectOptions {
  /** Absolute path of a directory for the managers' scripts and private home, below the cache. */
  readonly runtimeDirectory: string;
  readonly log: Logger;
  /** The operator's variables. @default the process's */
  readonly env?: Variables;
  /** Names to try, in order; an absolute path is taken as it is. @default MANAGER_PREFERENCE */
  readonly preference?: readonly string[];
  /** Whether the configuration of user and machine counts. @default false */
  readonly useConfiguration?: boolean;
  /** Variables of the worker that are spelled like configuration of conda. @default none */
  readonly withheld?: readonly string[];
  /**
   * After how many milliseconds without output and work a create or pip is killed; `Infinity` is never.
   * @default STALL_MS
   */
  readonly stallMs?: number;
  /**
   * Whether a process is kept that starts programs, where the manager takes long to do that (conda). Then the manager
   * must be disposed of. @default false
   */
  readonly launcher?: boolean;
  /** Starts programs. @default `Deno.Command` */
  readonly spawn?: Spawn;
  /** Waits before another try. @default a timer */
  readonly pause?: Pause;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

/** What `--version` tells; `undefined` when it is no manager. */
export function parseVersion(
  output: string,
): { family: ManagerFamily; version: string } | undefined {
  const lines = output.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  // mamba 1 prints its own line and then conda's, whose command line it speaks.
  for (const line of lines) {
    const conda = /^(?:conda|mamba) (\d+\.\S+)$/.exec(line);
    if (conda?.[1] !== undefined) return { family: "conda", version: conda[1] };
    const bare = /^(\d+\.\d+\S*)$/.exec(line);
    if (bare?.[1] !== undefined) return { family: "libmamba", version: bare[1] };
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && (mode === null || (mode & 0o111) !== 0);
  } catch {
    return false;
  }
}

async function findOnPath(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(":")) {
    // What is spawned as `name` is looked up the same way, but only absolute paths mean the same later.
    if (!isAbsolute(directory)) continue;
    const candidate = join(directory, name);
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function mayRun(command: string): Promise<boolean> {
  return (await Deno.permissions.query({ name: "run", command })).state === "granted";
}

async function askVersion(command: string, env: Variables, spawn: Spawn): Promise<string> {
  const child = spawn(command, {
    args: ["--version"],
    clearEnv: true,
    env: withoutLoaderVariables(env),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
  const stop = new AbortController();
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended meanwhile; only its output is still open.
    }
    stop.abort();
  }, VERSION_MS);
  const lines: string[] = [];
  try {
    await readLines(
      child.stdout,
      (line) => void (lines.length < 10 && lines.push(line)),
      stop.signal,
    );
    const { code } = await child.status;
    if (stop.signal.aborted) throw new Error(`--version took longer than ${VERSION_MS / 1000} s`);
    if (code !== 0) throw new Error(`--version ended with exit code ${code}`);
  } finally {
    clearTimeout(timer);
  }
  return lines.join("\n");
}

/** What became of looking for a manager by its name. */
export type ManagerFinding =
  & { readonly command: string }
  & (
    | { readonly state: "missing" }
    | { readonly state: "forbidden"; readonly path: string }
    | { readonly state: "broken"; readonly path: string; readonly reason: string }
    | { readonly state: "works"; readonly path: string; readonly manager: CommandManager }
  );

async function examine(command: string, settings: ManagerSettings): Promise<ManagerFinding> {
  const { env, spawn, runtimeDirectory } = settings;
  const path = isAbsolute(command) ? command : await findOnPath(command, env.PATH ?? "");
  if (path === undefined || !await isExecutable(path)) return { command, state: "missing" };
  if (!await mayRun(command)) return { command, state: "forbidden", path };
  try {
    const variables = managerVariables(env, join(runtimeDirectory, "home"));
    const output = await askVersion(command, variables, spawn);
    const known = parseVersion(output);
    if (known === undefined) throw new Error(`--version printed ${JSON.stringify(output)}`);
    const { family, version } = known;
    const found = { kind: kindOf(command, family), command, path, version, settings };
    const manager = family === "conda" ? new CondaManager(found) : new LibmambaManager(found);
    return { command, state: "works", path, manager };
  } catch (error) {
    return { command, state: "broken", path, reason: messageOf(error) };
  }
}

function settingsOf(options: DetectOptions): ManagerSettings {
  return {
    env: options.env ?? Deno.env.toObject(),
    runtimeDirectory: options.runtimeDirectory,
    spawn: options.spawn ?? spawnCommand,
    useConfiguration: options.useConfiguration ?? false,
    withheld: options.withheld ?? [],
    stallMs: options.stallMs ?? STALL_MS,
    launcher: options.launcher ?? false,
    log: options.log,
  };
}

/** Looks at all managers, and tells of each what it is or why it cannot be used, in the order of preference. */
export async function examineManagers(options: DetectOptions): Promise<ManagerFinding[]> {
  const settings = settingsOf(options);
  const names = options.preference ?? MANAGER_PREFERENCE;
  return await Promise.all(names.map((command) => examine(command, settings)));
}

/** Managers that work, in the order of preference; each is looked at when it is asked for. */
async function* findManagers(options: DetectOptions): AsyncGenerator<CommandManager, void> {
  const { log } = options;
  const settings = settingsOf(options);
  for (const command of options.preference ?? MANAGER_PREFERENCE) {
    const finding = await examine(command, settings);
    if (finding.state === "forbidden") {
      log.warning("package manager may not be run", { command });
    } else if (finding.state === "broken") {
      log.warning("package manager does not work", { command, reason: finding.reason });
    } else if (finding.state === "works") {
      const { path, manager: { family, version } } = finding;
      log.debug("package manager found", { command, path, family, version });
      yield finding.manager;
    }
  }
}

/**
 * Finds the package manager to use, and others to stand in for it.
 *
 * @throws WorkerError `manager_not_found` when there is none that works
 */
export async function detectManager(options: DetectOptions): Promise<Manager> {
  const managers = findManagers(options);
  const preferred = await managers.next();
  if (preferred.done) {
    const names = (options.preference ?? MANAGER_PREFERENCE).join(", ");
    throw new WorkerError(
      "manager_not_found",
      options.preference === undefined
        ? `Neither mamba nor conda package manager found (looked for ${names} in PATH)`
        : `Cannot find a package manager that works (looked for ${names} in PATH)`,
    );
  }
  return new FallbackManager({
    preferred: preferred.value,
    others: managers,
    log: options.log,
    ...(options.pause === undefined ? {} : { pause: options.pause }),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
}

function kindOf(command: string, family: ManagerFamily): ManagerKind {
  const name = basename(command);
  return MANAGER_PREFERENCE.find((kind) => kind === name) ??
    (family === "conda" ? "conda" : "micromamba");
}
