/** Finding a package manager and learning what it really is. */
import { basename, isAbsolute, join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { FoundManager } from "./command.ts";
import { CondaManager } from "./conda.ts";
import {
  managerVariables,
  type Variables,
  withoutLoaderVariables,
} from "./environment_variables.ts";
import { readLines } from "./lines.ts";
import { LibmambaManager } from "./mamba.ts";
import {
  type Manager,
  type ManagerFamily,
  type ManagerKind,
  type Spawn,
  spawnCommand,
} from "./manager.ts";

/** Names in the order in which they are tried: mamba and micromamba solve and install faster. */
export const MANAGER_PREFERENCE: readonly ManagerKind[] = ["mamba", "micromamba", "conda"];

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
  /** Starts programs. @default `Deno.Command` */
  readonly spawn?: Spawn;
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

/**
 * Finds the package manager to use.
 *
 * @throws WorkerError `manager_not_found` when there is none that works
 */
export async function detectManager(options: DetectOptions): Promise<Manager> {
  const { log, runtimeDirectory } = options;
  const env = options.env ?? Deno.env.toObject();
  const spawn = options.spawn ?? spawnCommand;
  const preference = options.preference ?? MANAGER_PREFERENCE;
  for (const command of preference) {
    const path = isAbsolute(command) ? command : await findOnPath(command, env.PATH ?? "");
    if (path === undefined || !await isExecutable(path)) continue;
    if (!await mayRun(command)) {
      log.warning("package manager may not be run", { command });
      continue;
    }
    try {
      const variables = managerVariables(env, join(runtimeDirectory, "home"));
      const output = await askVersion(command, variables, spawn);
      const version = parseVersion(output);
      if (version === undefined) throw new Error(`--version printed ${JSON.stringify(output)}`);
      const found: FoundManager = {
        kind: kindOf(command, version.family),
        command,
        path,
        version: version.version,
        env,
        runtimeDirectory,
        spawn,
      };
      log.debug("package manager found", { command, path, ...version });
      return version.family === "conda" ? new CondaManager(found) : new LibmambaManager(found);
    } catch (error) {
      log.warning("package manager does not work", { command, reason: messageOf(error) });
    }
  }
  throw new WorkerError(
    "manager_not_found",
    `Neither mamba nor conda package manager found (looked for ${preference.join(", ")} in PATH)`,
  );
}

function kindOf(command: string, family: ManagerFamily): ManagerKind {
  const name = basename(command);
  return MANAGER_PREFERENCE.find((kind) => kind === name) ??
    (family === "conda" ? "conda" : "micromamba");
}
