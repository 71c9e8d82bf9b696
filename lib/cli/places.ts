/** Where the worker puts what is gone when it ends: session directories and sockets. */
import { socketFits } from "../interpreter/switchboard.ts";

type Environment = (name: string) => string | undefined;

/**
 * Directories for temporary things, best first.
 *
 * Sessions may write to `/tmp` only as long as nothing of the worker lies in it: an isolated process has rights to
 * whole trees, without exceptions. So `/tmp` is the last choice, also when `TMPDIR` names it.
 */
function candidates(environment: Environment): (string | undefined)[] {
  const chosen = environment("TMPDIR")?.replace(/(?<=.)\/+$/, "");
  const own = chosen === undefined || chosen === "" || chosen === "/tmp" ? [] : [chosen];
  // Without a directory Deno takes the system's.
  return [...own, "/var/tmp", undefined];
}

/** Where temporary things of workers may be. */
export function temporaryPlaces(environment: Environment): string[] {
  return candidates(environment).map((place) => place ?? environment("TMPDIR") ?? "/tmp");
}

async function make(prefix: string, places: (string | undefined)[]): Promise<string> {
  for (;;) {
    const dir = places.shift();
    try {
      return await Deno.makeTempDir({ prefix, ...(dir === undefined ? {} : { dir }) });
    } catch (error) {
      if (places.length === 0) throw error;
    }
  }
}

/** Makes a directory below which sessions get theirs. */
export async function makeSessionsDirectory(environment: Environment): Promise<string> {
  return await make("hypha_sessions_", candidates(environment));
}

/**
 * Makes a directory for sockets, apart from those of the sessions, with a path that is short enough.
 */
export async function makeSocketsDirectory(environment: Environment): Promise<string> {
  const places = candidates(environment).filter((place) =>
    place === undefined || socketFits(`${place}/hypha_sockets_${"0".repeat(16)}`)
  );
  const directory = await make("hypha_sockets_", places);
  if (socketFits(directory)) return directory;
  await Deno.remove(directory);
  return await make("hypha_sockets_", ["/tmp"]);
}

/** Makes a directory for what cannot be in the cache, because that is read-only. */
export async function makeSubstituteDirectory(environment: Environment): Promise<string> {
  return await make("hypha_runtime_", candidates(environment));
}
