/** Local runs of code: the program under its permissions, in a folder of the test, with standard input. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { filesBelow } from "../../scripts/leftovers.ts";
import { startCommand } from "../e2e/worker_process.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";
import { cacheOptions, type Desk, type Ended, sharedCache } from "./program.ts";

/** How a run is started. */
export interface RunOptions {
  /** What is written to standard input, which is a pipe then. @default it is empty, and no pipe */
  readonly stdin?: string | Uint8Array<ArrayBuffer>;
  /** More variables. */
  readonly env?: Record<string, string>;
  /** Cache of environments. @default the one that the tests of this directory share */
  readonly cache?: string;
}

/** The environment most tests need: Python from the channel of the stack. */
export const PYTHON = ["--python=3.11", `--channel=${stackPaths.channel}`];

/** The words that start the program from any directory. */
export async function programCommand(): Promise<string[]> {
  const words = await startCommand();
  return words.map((word) => word === "main.ts" ? join(stackPaths.root, word) : word);
}

/** Variables of a run: what the operator of this machine has set does not count. */
export function runVariables(desk: Desk, more: Record<string, string> = {}) {
  const operator = Object.keys(Deno.env.toObject()).filter((name) => /^(HYPHA|CONDA)_/.test(name));
  return {
    ...Object.fromEntries(operator.map((name) => [name, ""])),
    NO_COLOR: "1",
    TMPDIR: desk.temporary,
    PATH: `${managerPath()}:${Deno.env.get("PATH")}`,
    ...more,
  };
}

/** Starts `run` with arguments in the test's directory. */
export async function spawnRun(
  desk: Desk,
  args: readonly string[],
  { stdin, env, cache = sharedCache }: RunOptions = {},
): Promise<Deno.ChildProcess> {
  return new Deno.Command(stackPaths.deno, {
    args: [...await programCommand(), "run", ...cacheOptions(cache), ...args],
    cwd: desk.directory,
    env: runVariables(desk, env),
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs to the end, in the test's directory. */
export async function runLocal(
  desk: Desk,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const child = await spawnRun(desk, args, options);
  const written = options.stdin === undefined
    ? undefined
    // What nobody reads cannot be written.
    : new Response(options.stdin).body!.pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await written;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Fails when a run has left a process, or a file in its directory for temporary files. */
export async function assertNothingLeft(desk: Desk): Promise<void> {
  assertEquals(await desk.processes(), []);
  assertEquals(await filesBelow(desk.temporary), []);
}
