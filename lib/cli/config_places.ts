/** Where configuration files are looked for. */
import { isAbsolute, join } from "@std/path";
import { exists } from "@std/fs";
import { PROGRAM } from "../version.ts";
import { CONFIG, environmentNames } from "./option.ts";

type Variables = (name: string) => string | undefined;

/** Endings of configuration files, in the order in which documents name them. */
export const ENDINGS = ["toml", "yaml", "yml"] as const;

/**
 * The paths at which a file may be that nobody has named, best first; of each place the first file that is there is
 * taken. They are the working directory and the user's own directory for configuration.
 */
export function configurationPlaces(environment: Variables): string[][] {
  const working = workingDirectory();
  const places = working === undefined ? [] : [join(working, PROGRAM)];
  const home = environment("HOME") ?? "";
  const own = environment("XDG_CONFIG_HOME") ?? "";
  // The specification of these directories has relative paths ignored.
  if (isAbsolute(own)) places.push(join(own, PROGRAM, "config"));
  else if (isAbsolute(home)) places.push(join(home, ".config", PROGRAM, "config"));
  return places.map((place) => ENDINGS.map((ending) => `${place}.${ending}`));
}

function workingDirectory(): string | undefined {
  try {
    return Deno.cwd();
  } catch {
    // It was removed.
    return undefined;
  }
}

/** Whether there can be a configuration file: somebody names one, or there is one in its place. */
export async function mayHaveConfiguration(
  args: readonly string[],
  environment: Variables,
): Promise<boolean> {
  if (args.some((arg) => arg.startsWith(`--${CONFIG.name}`))) return true;
  if (environmentNames(CONFIG).some((name) => environment(name))) return true;
  const paths = configurationPlaces(environment).flat();
  const found = await Promise.all(paths.map((path) => exists(path).catch(() => false)));
  return found.includes(true);
}
