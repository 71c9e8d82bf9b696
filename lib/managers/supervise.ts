/**
 * Running a program to its end so that it can be cancelled whole, although the worker may signal nothing but
 * its direct child: the program is started by `supervise.sh`, whose standard input is the lifeline.
 *
 * On disk, below the runtime directory:
 * - `supervise-<hash>.sh`: the script, written once per version;
 * - `calls/<id>/`: one running call: `arguments`, those of what follows (`next`) and its output (`answer`), what the
 *   script tells (`started`, `activity`), and the working and temporary directory of the program. Removed when the call ends; left behind only by a worker that was killed ({@linkcode removeOldCalls}).
 */
import { join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import script from "./supervise.sh" with { type: "text" };
import { messageOf } from "../errors.ts";
import { startError } from "./errors.ts";
import { readLines, Tail } from "./lines.ts";
import type { Execution, LineSink, Program } from "./manager.ts";
import { installFile } from "./runtime_file.ts";
import { withoutLoaderVariables } from "./environment_variables.ts";
import { type Activity, Watchdog } from "./watchdog.ts";

/** How long output may still come after the program has ended, in milliseconds. */
const DRAIN_MS = 5_000;
/** How long the supervisor may take to end after a cancel before the wrapper around it is killed. */
const CANCEL_MS = 10_000;
const NEWLINE = new TextEncoder().encode("\n");
/** Lines of each stream that are kept for messages. */
const KEPT_LINES = 200;
/** Calls older than this belong to nobody, in milliseconds. */
const OLD_CALL_MS = 24 * 3_600_000;

/**
 * Runs a program and, when it has succeeded, the one whose words are in the file `next` of the directory. What that one
 * puts out is in `answer` when it has succeeded too. `sh -c … DIRECTORY PROGRAM ARGUMENT...`
 */
const IN_TURN = [
  '"$@" || exit',
  "set --",
  'while IFS= read -r word; do set -- "$@" "$word"; done <"$0/next"',
  '"$@" >"$0/answer.part" 2>&1 && mv "$0/answer.part" "$0/answer"',
  "exit 0",
].join("; ");

/** A program to be run to its end. */
export interface SupervisedCall {
  /** Starts programs: those of the worker, or its launcher. */
  readonly spawn: (command: string, options: Deno.CommandOptions) => Program;
  /** The program that is spawned. */
  readonly command: string;
  /** Its arguments, such as `run -p PREFIX`; the shell and the script follow. */
  readonly wrapper: readonly string[];
  /** What is supervised: program and arguments, without newlines. */
  readonly argv: readonly string[];
  /** What is run when that has succeeded; it changes nothing in how the call ends. */
  readonly next?: readonly string[] | undefined;
  /** All variables. */
  readonly env: Readonly<Record<string, string>>;
  /** Directory for the script and for calls. */
  readonly runtimeDirectory: string;
  /** Files written into the program's working directory before it starts, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Told each line of both streams. */
  readonly onLine?: LineSink | undefined;
  /** Cancels. */
  readonly signal?: AbortSignal | undefined;
  /** After how many milliseconds without output and work the program is killed. @default Infinity */
  readonly stallMs?: number;
}

/** Starts the wrapper; a program that cannot be started is the manager's failure. */
function start(call: SupervisedCall, options: Deno.CommandOptions): Program {
  try {
    return call.spawn(call.command, options);
  } catch (error) {
    throw startError(call.command, messageOf(error));
  }
}

/** What the script has told of the program's work. */
async function readActivity(directory: string): Promise<Activity | undefined> {
  const text = await Deno.readTextFile(join(directory, "activity")).catch(() => "");
  const numbers = /^(\d+) (\d+)\n$/.exec(text);
  return numbers === null ? undefined : { cpu: Number(numbers[1]), io: Number(numbers[2]) };
}

/**
 * Runs a program to its end or until it is cancelled; then nothing of it is left.
 *
 * @throws WorkerError `manager_failed` when the command cannot be started
 */
export async function supervise(call: SupervisedCall): Promise<Execution> {
  const { argv, next = [] } = call;
  if ([...argv, ...next].some((argument) => argument.includes("\n"))) {
    throw new TypeError("Cannot run the program: an argument has a newline");
  }
  const path = await installFile(call.runtimeDirectory, "supervise", ".sh", script);
  const directory = join(call.runtimeDirectory, "calls", crypto.randomUUID());
  await ensureDir(directory);
  try {
    const file = join(directory, "arguments");
    const follows = next.length > 0;
    const all = follows ? ["sh", "-c", IN_TURN, directory, ...argv] : argv;
    const texts = {
      ...call.files,
      ...(follows ? { next: next.join("\n") + "\n" } : {}),
      arguments: all.join("\n") + "\n",
    };
    const write = ([name, text]: [string, string]) =>
      Deno.writeTextFile(join(directory, name), text);
    await Promise.all(Object.entries(texts).map(write));
    const execution = await runToEnd(call, [...call.wrapper, "sh", path, file], directory);
    const followed = await Deno.readTextFile(join(directory, "answer")).catch(() => undefined);
    return { ...execution, followed };
  } finally {
    await Deno.remove(directory, { recursive: true }).catch(() => {});
  }
}

async function runToEnd(
  call: SupervisedCall,
  args: string[],
  directory: string,
): Promise<Execution> {
  const { signal, onLine } = call;
  const stdout = new Tail(KEPT_LINES);
  const stderr = new Tail(KEPT_LINES);
  const tail = new Tail(KEPT_LINES);
  let stalled = false;
  const ended = (code: number, started = true): Execution => ({
    code,
    cancelled: signal?.aborted ?? false,
    stalled,
    started,
    stdout: stdout.lines,
    stderr: stderr.lines,
    tail: tail.lines,
  });
  if (signal?.aborted) return ended(137);

  const child = start(call, {
    args,
    cwd: directory,
    clearEnv: true,
    env: withoutLoaderVariables({ ...call.env, TMPDIR: directory }),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // A group of its own: an interrupt typed at the worker's terminal must reach the worker alone, and the
    // script may kill its group when nothing better is left.
    detached: true,
  });
  const drained = new AbortController();
  const collect = (kept: Tail): LineSink => (line) => {
    watchdog.touch();
    kept.push(line);
    tail.push(line);
    onLine?.(line);
  };
  const lifeline = child.stdin.getWriter();
  using watchdog = new Watchdog({
    limitMs: call.stallMs ?? Infinity,
    activity: async () => {
      // The answer comes a moment later, so this look sees what the one before has asked for.
      const activity = await readActivity(directory);
      lifeline.write(NEWLINE).catch(() => {});
      return activity;
    },
    onStall: () => {
      stalled = true;
      cancel();
    },
  });
  const output = Promise.all([
    readLines(child.stdout, collect(stdout), drained.signal),
    readLines(child.stderr, collect(stderr), drained.signal),
  ]);

  let timer: ReturnType<typeof setTimeout> | undefined;
  // The lifeline breaks by itself when the program ends, so closing it may fail.
  const closeLifeline = () => void lifeline.close().catch(() => {});
  const cancel = () => {
    closeLifeline();
    clearTimeout(timer);
    timer = setTimeout(() => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }, CANCEL_MS);
  };
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const { code } = await child.status;
    clearTimeout(timer);
    watchdog[Symbol.dispose]();
    // When only the wrapper died the script is still there and must end.
    if (!signal?.aborted && !stalled) closeLifeline();
    timer = setTimeout(() => drained.abort(), DRAIN_MS);
    await output;
    return ended(code, await exists(join(directory, "started")));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/** Removes what calls of killed workers left behind. */
export async function removeOldCalls(runtimeDirectory: string, now: () => number): Promise<void> {
  const directory = join(runtimeDirectory, "calls");
  if (!await exists(directory)) return;
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    const modified = (await Deno.stat(path).catch(() => undefined))?.mtime?.getTime();
    if (modified === undefined || now() - modified < OLD_CALL_MS) continue;
    await Deno.remove(path, { recursive: true }).catch(() => {});
  }
}
