/** Files of an app that describe its environment: which a manifest names, and what was read from them. */
import { invalidEntry, showEntry } from "./entry.ts";

/** A file that was read. */
export interface AppFile {
  /** Path among the app's files. */
  readonly path: string;
  readonly text: string;
}

/** The files that describe an environment. */
export interface AppFiles {
  readonly environment?: AppFile;
  readonly lock?: AppFile;
}

/** Longest path, in characters. */
const MAX_PATH = 512;

/** Reads a file of the app as text. */
export type ReadFile = (path: string) => Promise<string>;

/** Fields of a manifest that describe an environment otherwise than by its dependencies. */
export const DESCRIPTIONS: readonly string[] = [
  "conda",
  "environment",
  "environment_yml",
  "environment_file",
  "lock",
  "explicit",
];

/** Whether a manifest describes its environment otherwise than by its dependencies. */
export function isDescribedElsewhere(manifest: Readonly<Record<string, unknown>>): boolean {
  return DESCRIPTIONS.some((name) =>
    Object.hasOwn(manifest, name) && manifest[name] !== undefined &&
    manifest[name] !== null
  );
}

/** The paths of the files a manifest names; `undefined` when it names none. */
export function specFiles(
  manifest: Readonly<Record<string, unknown>>,
): { environment?: string; lock?: string } | undefined {
  const [environment, another] = ["environment_file", "environment", "environment_yml"]
    .map((name) => environmentPath(manifest, name)).filter((path) => path !== undefined);
  if (another !== undefined) {
    throw invalidEntry(showEntry(another), `it is the second file; ${environment} is named too`);
  }
  const lock = lockPath(manifest);
  if (environment === undefined && lock === undefined) return undefined;
  return {
    ...(environment === undefined ? {} : { environment }),
    ...(lock === undefined ? {} : { lock }),
  };
}

/** Reads the files a manifest names. */
export async function readSpecFiles(
  manifest: Readonly<Record<string, unknown>>,
  read: ReadFile,
): Promise<AppFiles> {
  const { environment, lock } = specFiles(manifest) ?? {};
  return {
    ...(environment === undefined
      ? {}
      : { environment: { path: environment, text: await read(environment) } }),
    ...(lock === undefined ? {} : { lock: { path: lock, text: await read(lock) } }),
  };
}

/** The path in a field of a manifest that may hold one; `undefined` when it holds something else. */
export function environmentPath(
  manifest: Readonly<Record<string, unknown>>,
  name: string,
): string | undefined {
  const value = Object.hasOwn(manifest, name) ? manifest[name] : undefined;
  if (value === undefined || value === null) return undefined;
  if (name === "environment_file") return checkPath(value, name);
  const isPath = typeof value === "string" && /^[^\n:]+\.ya?ml$/i.test(value.trim());
  return isPath ? checkPath(value, name) : undefined;
}

/** The path of the lock file a manifest names; `undefined` when it names none. */
export function lockPath(manifest: Readonly<Record<string, unknown>>): string | undefined {
  for (const name of ["lock", "explicit"]) {
    const value = Object.hasOwn(manifest, name) ? manifest[name] : undefined;
    if (typeof value !== "string" || /\n|^\s*(?:@EXPLICIT|#)/.test(value)) continue;
    return checkPath(value, name);
  }
  return undefined;
}

function checkPath(value: unknown, name: string): string {
  const path = typeof value === "string" ? value.trim().replace(/^(?:\.\/)+/, "") : "";
  const plain = /^[A-Za-z0-9_.][\w ./+-]*$/.test(path) && path.length <= MAX_PATH &&
    !path.split("/").some((segment) => segment.includes("..") || segment === "." || segment === "");
  if (!plain) {
    throw invalidEntry(`${name} (${showEntry(value)})`, "it is not the path of a file of the app");
  }
  return path;
}
