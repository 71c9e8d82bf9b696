/** Which package manager and which channel the quickstart uses: the machine's own, or the bundled ones. */
import { isAbsolute, join } from "@std/path";
import { managerPath, stackPaths } from "../tests/stack/stack.ts";

/** A manager and a channel. */
export interface ManagerChoice {
  /** Directory to put on PATH; `undefined` leaves PATH as it is. */
  readonly directory: string | undefined;
  /** Channel in place of the example's; `undefined` leaves the example's. */
  readonly channel: string | undefined;
  /** What is used and why, for people. */
  readonly reason: string;
}

/** In the worker's order. */
const NAMES = ["mamba", "micromamba", "conda"];
/** Where every manager looks for the channel the example names. */
const CHANNEL = "https://conda.anaconda.org/conda-forge";
const PROBE_MS = 4000;

/** A manager on PATH. */
async function installed(path: string): Promise<string | undefined> {
  for (const name of NAMES) {
    for (const directory of path.split(":").filter((directory) => isAbsolute(directory))) {
      const info = await Deno.stat(join(directory, name)).catch(() => undefined);
      if (info?.isFile && ((info.mode ?? 0o111) & 0o111) !== 0) return name;
    }
  }
  return undefined;
}

/** Whether a channel can be read from here. */
async function reachable(channel: string): Promise<boolean> {
  try {
    const response = await fetch(`${channel}/noarch/repodata.json.zst`, {
      method: "HEAD",
      signal: AbortSignal.timeout(PROBE_MS),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Chooses; the machine's own manager is of use only with a channel that it can reach. */
export async function chooseManager(env: Readonly<Record<string, string>>): Promise<ManagerChoice> {
  const name = await installed(env.PATH ?? "");
  if (name !== undefined && await reachable(CHANNEL)) {
    return {
      directory: undefined,
      channel: undefined,
      reason: `Package manager: this machine's ${name}, with packages of conda-forge`,
    };
  }
  const why = name === undefined
    ? "this machine has no mamba, micromamba or conda"
    : `this machine has ${name}, but conda-forge cannot be reached`;
  return {
    directory: managerPath(),
    channel: stackPaths.channel,
    reason: `Package manager: the bundled stand-ins for mamba, micromamba and conda, ` +
      `with the bundled channel (${why})`,
  };
}
