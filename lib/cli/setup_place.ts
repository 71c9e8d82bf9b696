/** Where `setup` puts micromamba, and how it comes onto `PATH`. */
import { isAbsolute, join, resolve } from "@std/path";
import { PROGRAM } from "../version.ts";
import { shellPath } from "./home_path.ts";
import { usage } from "./option.ts";

type Variables = (name: string) => string | undefined;

/** The program, as workers look for it. */
export const MICROMAMBA = "micromamba";

/** Where programs of a user are, as other installers have it: `XDG_BIN_HOME`, or `~/.local/bin`. */
export function programDirectory(environment: Variables): string | undefined {
  const own = environment("XDG_BIN_HOME") ?? "";
  if (isAbsolute(own)) return resolve(own);
  const home = environment("HOME") ?? "";
  return isAbsolute(home) ? join(home, ".local", "bin") : undefined;
}

/** The directory of a user's programs. Throws `usage` when there is none. */
export function defaultPrefix(environment: Variables): string {
  const directory = programDirectory(environment);
  if (directory === undefined) {
    throw usage("Cannot choose a directory: HOME is not set; give --prefix");
  }
  return directory;
}

/** Directories of `PATH` that mean the same wherever one is. */
function pathDirectories(environment: Variables): string[] {
  return (environment("PATH") ?? "").split(":").filter(isAbsolute).map((one) => resolve(one));
}

/** Whether a directory is on `PATH`, by this name or another. */
export async function isOnPath(directory: string, environment: Variables): Promise<boolean> {
  const directories = pathDirectories(environment);
  if (directories.includes(directory)) return true;
  const real = (path: string) => Deno.realPath(path).catch(() => path);
  const all = await Promise.all(directories.map(real));
  return all.includes(await real(directory));
}

/** The micromamba that is found on `PATH`. */
export async function micromambaOnPath(environment: Variables): Promise<string | undefined> {
  for (const directory of pathDirectories(environment)) {
    const path = join(directory, MICROMAMBA);
    if (await isProgram(path)) return path;
  }
  return undefined;
}

/** Whether a path is a file that may be run. */
export async function isProgram(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && (mode === null || (mode & 0o111) !== 0);
  } catch {
    return false;
  }
}

/** The line that puts a directory onto `PATH`, for the user's shell. */
export function pathLine(directory: string, environment: Variables): string {
  const place = shellPath(directory, environment);
  if (/\/fish$/.test(environment("SHELL") ?? "")) return `fish_add_path ${place}`;
  return `export PATH=${place.slice(0, -1)}:$PATH"`;
}

/** The file of the user's shell that such a line belongs to. */
export function shellFile(environment: Variables): string {
  const shell = /[^/]*$/.exec(environment("SHELL") ?? "")?.[0];
  if (shell === "zsh") return "~/.zshrc";
  if (shell === "fish") return "~/.config/fish/config.fish";
  return shell === "bash" ? "~/.bashrc" : "~/.profile";
}

/**
 * The micromamba in the directory of a user's programs when that is not on `PATH`: workers may start only programs
 * that were on `PATH` when they were started.
 */
export async function hiddenMicromamba(environment: Variables): Promise<string | undefined> {
  const directory = programDirectory(environment);
  if (directory === undefined || await isOnPath(directory, environment)) return undefined;
  const path = join(directory, MICROMAMBA);
  return await isProgram(path) ? path : undefined;
}

/** What to do where there is no package manager. */
export async function managerAdvice(environment: Variables): Promise<string> {
  const hidden = await hiddenMicromamba(environment);
  if (hidden === undefined) return `\`${PROGRAM} setup\` fetches micromamba.`;
  const line = pathLine(resolve(hidden, ".."), environment);
  return `${hidden} is there, but its directory is not on PATH: ${line} (in ${
    shellFile(environment)
  }, to keep it)`;
}
