/** Paths that people write. */
import { resolve } from "@std/path";

/** A path with the home directory in place of `~`. */
export function expandHome(
  path: string,
  environment: (name: string) => string | undefined,
): string {
  const home = environment("HOME");
  return home !== undefined && home !== "" && /^~(?=\/|$)/.test(path) ? home + path.slice(1) : path;
}

/** An absolute path; `~` is the home directory. */
export function absolutePath(
  path: string,
  environment: (name: string) => string | undefined,
): string {
  return resolve(expandHome(path, environment));
}

/** A path as a shell takes it, in quotes; the home directory is `$HOME`. */
export function shellPath(
  path: string,
  environment: (name: string) => string | undefined,
): string {
  const home = environment("HOME");
  const below = home !== undefined && home !== "" && home !== "/" && path.startsWith(`${home}/`);
  const rest = below ? path.slice(home.length) : path;
  return `"${below ? "$HOME" : ""}${rest.replace(/[\\"$`]/g, "\\$&")}"`;
}
