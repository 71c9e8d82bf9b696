/**
 * Where the test stack lies, and private copies of its parts.
 *
 * `scripts/setup.sh` makes the stack in `.tools/`; tests only read it. A test that wants a package
 * manager to misbehave makes a private copy with {@linkcode privateManagers}.
 */
import { dirname, fromFileUrl, join, toFileUrl } from "@std/path";

/** A package manager the worker can drive. */
export type ManagerKind = "mamba" | "micromamba" | "conda";

/** A CPython interpreter of this machine. */
export interface HostPython {
  /** The executable itself, not a shim or a link in a virtual environment. */
  path: string;
  /** For example `3.11.7`. */
  version: string;
  /** For example 3. */
  major: number;
  /** For example 11. */
  minor: number;
}

/** How a private manager misbehaves; `managers/README.md` describes each switch. */
export interface ManagerFaults {
  /** Another program or version than the recorded one, such as `mamba 1.5.8`. */
  plays?: string;
  /** The commands the switches apply to; default `["create"]`. */
  commands?: string[];
  /** Only the first so many of these commands misbehave. */
  times?: number;
  /** Seconds to wait before anything is done. */
  start_delay?: number;
  /** Hang for ever, silently: before anything is done, or after the first package is linked. */
  hang?: "start" | "link";
  /** Seconds to wait after each linked package. */
  link_delay?: number;
  /** Fail as without a network. */
  network?: boolean;
  /** Die by SIGKILL after so many linked packages. */
  kill_after_links?: number;
  /** Exit 0 and claim success with an empty environment. */
  lie?: boolean;
  /** Run out of disk space after so many linked packages. */
  disk_full_after_links?: number;
  /** Complain about a held lock on stderr, and succeed. */
  lock_noise?: boolean;
  /** Leave a child behind that writes into the prefix for so many seconds. */
  orphan?: number;
  /** Print two JSON documents and exit 0, as two conda at once were seen to. */
  two_documents?: boolean;
  /** Refuse the command line. */
  usage_error?: boolean;
  /** Fail as programs do that meet a fault of their own. */
  internal_error?: boolean;
  /** Die by this signal before anything is done. */
  crash?: number;
  /** Compute for so many seconds, silently, before anything is done. */
  busy?: number;
  /** Find the first package that is not cached gone from its channel. */
  gone?: boolean;
  /** Fail as long as one of the packages is already in the package cache. */
  damaged_entry?: boolean;
  /** Seconds to wait after each quarter of an archive. */
  download_delay?: number;
  /** Print so many more lines as for linked packages. */
  chatty?: number;
}

/** One command line a private manager was run with. */
export interface Invocation {
  /** Which program. */
  kind: ManagerKind;
  /** Its arguments. */
  argv: string[];
  /** Its process id. */
  pid: number;
  /** Its working directory. */
  cwd: string;
  /** When it started, in seconds since 1970. */
  time: number;
  /** When it ended; absent while it runs and when it was killed. */
  ended?: number;
  /** Its exit code; absent like `ended`. */
  code?: number;
}

/** A private copy of managers, made by {@linkcode privateManagers}. */
export interface PrivateManagers {
  /** The directory to put on PATH. */
  bin: string;
  /** Replaces the switches; takes effect with the next invocation. */
  setFaults(faults: ManagerFaults): Promise<void>;
  /** What was run so far, in order; `command` keeps one command only, such as `create`. */
  invocations(command?: string): Promise<Invocation[]>;
}

const root = dirname(dirname(dirname(fromFileUrl(import.meta.url))));
const tools = join(root, ".tools");

/** The places of the stack; nothing is checked, see {@linkcode requireStack}. */
export const stackPaths = {
  /** The checkout. */
  root,
  /** Everything that is downloaded or built. */
  tools,
  /** The conda channel as a URL. */
  channel: toFileUrl(join(tools, "channel")).href,
  /** The conda channel as a directory. */
  channelDir: join(tools, "channel"),
  /** The Deno that runs this. */
  deno: Deno.execPath(),
  /** The interpreter with a Hypha server and the Python client. */
  hyphaPython: join(tools, "hypha", "bin", "python"),
  /** The interpreter with the S3 service. */
  motoPython: join(tools, "moto", "bin", "python"),
  /** The interpreter with the engine of the manager doubles. */
  rattlerPython: join(tools, "rattler", "bin", "python"),
  /** The folder of this file. */
  stack: join(root, "tests", "stack"),
};

/** Throws unless `scripts/setup.sh stack` has run. */
export function requireStack(): void {
  const needed = [
    stackPaths.channelDir,
    stackPaths.hyphaPython,
    stackPaths.motoPython,
    stackPaths.rattlerPython,
    join(tools, "managers", "all", "bin"),
  ];
  for (const path of needed) {
    try {
      Deno.statSync(path);
    } catch {
      throw new Error(`Cannot use the test stack: ${path} is missing; run scripts/setup.sh stack`);
    }
  }
}

/** The directory to put on PATH for exactly these managers; without arguments for all three. */
export function managerPath(...kinds: ManagerKind[]): string {
  requireStack();
  if (kinds.length === 0) return join(tools, "managers", "all", "bin");
  return kinds.map((kind) => join(tools, "managers", kind, "bin")).join(":");
}

/**
 * Copies managers into `dir`, with switches of their own and a log of what they are run with.
 *
 * The switches are a file beside the executables, so they work where the environment is scrubbed.
 */
export async function privateManagers(
  dir: string,
  kinds: ManagerKind[],
  faults: ManagerFaults = {},
): Promise<PrivateManagers> {
  requireStack();
  const bin = join(dir, "bin");
  const log = join(dir, "invocations.jsonl");
  await Deno.mkdir(bin, { recursive: true });
  for (const kind of kinds) {
    await Deno.copyFile(join(tools, "managers", kind, "bin", kind), join(bin, kind));
  }
  const setFaults = async (next: ManagerFaults) => {
    const file = join(dir, "double.json");
    await Deno.remove(join(dir, "double.count")).catch(() => {});
    await Deno.writeTextFile(`${file}.new`, JSON.stringify({ ...next, log }));
    await Deno.rename(`${file}.new`, file);
  };
  await setFaults(faults);
  return { bin, setFaults, invocations: (command) => readInvocations(log, command) };
}

interface LogLine {
  event: "start" | "end";
  kind: ManagerKind;
  pid: number;
  time: number;
  argv?: string[];
  cwd?: string;
  code?: number;
}

async function readInvocations(log: string, command?: string): Promise<Invocation[]> {
  const found: Invocation[] = [];
  const text = await Deno.readTextFile(log).catch(() => "");
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const entry = JSON.parse(line) as LogLine;
    if (entry.event === "start") {
      const { kind, pid, time, argv = [], cwd = "" } = entry;
      found.push({ kind, argv, pid, cwd, time });
      continue;
    }
    const started = found.findLast((one) => one.pid === entry.pid && one.ended === undefined);
    if (started) {
      started.ended = entry.time;
      started.code = entry.code ?? 0;
    }
  }
  return command === undefined ? found : found.filter((one) => one.argv[0] === command);
}

/** The CPython interpreters of this machine from 3.8 on, oldest first. */
export async function hostPythons(): Promise<HostPython[]> {
  requireStack();
  const script = join(stackPaths.stack, "interpreters.py");
  const output = await new Deno.Command(stackPaths.rattlerPython, { args: [script] }).output();
  if (!output.success) {
    throw new Error(
      `Cannot list the interpreters of this machine: ${new TextDecoder().decode(output.stderr)}`,
    );
  }
  const lines = new TextDecoder().decode(output.stdout).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as HostPython);
}
