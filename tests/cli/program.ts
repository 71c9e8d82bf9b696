/** Runs the program as people do: in a process, under the permissions of the `start` task. */
import { join } from "@std/path";
import { leftProcesses } from "../../scripts/leftovers.ts";
import { spawnProgram } from "../e2e/worker_process.ts";
import { stackPaths } from "../stack/stack.ts";

/** What a run printed and how it ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A piece of output and when it came, in milliseconds. */
export interface Piece {
  readonly text: string;
  readonly time: number;
}

/** A running program. */
export interface Running {
  readonly child: Deno.ChildProcess;
  /** Pieces of standard output, as they come. */
  readonly pieces: readonly Piece[];
  /** Resolves when standard output contains a text; fails when the program ends without. */
  seen(text: string): Promise<void>;
  readonly ended: Promise<Ended>;
}

/** Variables of this machine's operator that would count as options. */
function withoutOptions(): Record<string, string> {
  const names = Object.keys(Deno.env.toObject()).filter((name) => /^(HYPHA|CONDA)_/.test(name));
  // An empty variable counts as one that is not set.
  return Object.fromEntries(names.map((name) => [name, ""]));
}

/** Starts the program. */
export async function start(
  args: string[],
  env: Record<string, string> = {},
  managers?: string,
): Promise<Running> {
  const child = await spawnProgram(args, {
    ...withoutOptions(),
    NO_COLOR: "1",
    HYPHA_CONFIG_FILE: "none",
    ...env,
  }, managers);
  const pieces: Piece[] = [];
  let waiters: (() => void)[] = [];
  const wake = () => {
    const woken = waiters;
    waiters = [];
    for (const waiter of woken) waiter();
  };
  let over = false;
  const stdout = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      pieces.push({ text, time: performance.now() });
      wake();
    }
    over = true;
    wake();
    return pieces.map((piece) => piece.text).join("");
  })();
  const stderr = new Response(child.stderr).text();
  const ended = Promise.all([child.status, stdout, stderr]).then(
    ([{ code }, stdout, stderr]) => ({ code, stdout, stderr }),
  );
  const seen = async (text: string) => {
    while (!pieces.map((piece) => piece.text).join("").includes(text)) {
      if (over) throw new Error(`no ${text} in ${JSON.stringify(await ended)}`);
      await new Promise<void>((resolve) => waiters.push(resolve));
    }
  };
  return { child, pieces, seen, ended };
}

/** Runs the program to its end. */
export async function program(
  args: string[],
  env: Record<string, string> = {},
  managers?: string,
): Promise<Ended> {
  return await (await start(args, env, managers)).ended;
}

/** A temporary directory of a test: apps, and everything the program leaves in its `TMPDIR`. */
export class Desk implements AsyncDisposable {
  private constructor(readonly directory: string, readonly temporaryName: string) {}

  /** Makes one; the name is that of the program's directory for temporary files. */
  static async make(temporaryName = "tmp"): Promise<Desk> {
    const desk = new Desk(await Deno.makeTempDir({ prefix: "cli-" }), temporaryName);
    await Deno.mkdir(desk.temporary);
    return desk;
  }

  /** The program's directory for temporary files. */
  get temporary(): string {
    return join(this.directory, this.temporaryName);
  }

  /** Where plots go. */
  get output(): string {
    return join(this.directory, "plots");
  }

  /** Writes a file and gives its path. */
  async write(name: string, text: string): Promise<string> {
    const path = join(this.directory, name);
    await Deno.mkdir(join(path, ".."), { recursive: true });
    await Deno.writeTextFile(path, text);
    return path;
  }

  /** An app with Python only, and a script. */
  async app(script: string, more: Record<string, unknown> = {}): Promise<string> {
    const manifest = {
      name: "App",
      type: "conda-jupyter-kernel",
      dependencies: ["python=3.11"],
      channels: [stackPaths.channel],
      entry_point: "main.py",
      ...more,
    };
    await this.write("app/main.py", script);
    // JSON is YAML.
    const path = await this.write("app/manifest.yaml", JSON.stringify(manifest));
    return join(path, "..");
  }

  /** Starts a local run; environments are kept in the cache that the tests of this directory share. */
  async start(args: string[], cache: string = sharedCache): Promise<Running> {
    const options = [...cacheOptions(cache), `--output-dir=${this.output}`];
    const end = args.indexOf("--");
    const own = end < 0 ? args : args.slice(0, end);
    const passed = end < 0 ? [] : args.slice(end);
    return await start(["run", ...own, ...options, ...passed], { TMPDIR: this.temporary });
  }

  /** Runs locally to the end. */
  async run(...args: string[]): Promise<Ended> {
    return await (await this.start(args)).ended;
  }

  /** Processes that have this directory in their environment, command line or working directory. */
  async processes(): Promise<string[]> {
    return (await leftProcesses([this.directory])).map((one) => one.command);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Built once: tests of the command line are not about environments. */
export const sharedCache = join(stackPaths.tools, "cache", "cli-tests");

/** The options for a cache that tests share: with room for more than all of them ask for. */
export function cacheOptions(cache: string = sharedCache): string[] {
  return [`--cache-dir=${cache}`, "--max-environments=100"];
}
