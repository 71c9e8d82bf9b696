/** Starts sessions of the machine's own Pythons, without a package manager, for tests of the interpreter room. */
import { join } from "@std/path";
import { silentLogger } from "../../lib/log.ts";
import { ForkServer } from "../../lib/interpreter/fork_server.ts";
import { Interpreter, type InterpreterOptions } from "../../lib/interpreter/interpreter.ts";
import { installRuntime } from "../../lib/interpreter/runtime.ts";
import { Switchboard } from "../../lib/interpreter/switchboard.ts";
import type { Manager } from "../../lib/managers/manager.ts";

/** Runs programs directly where a real manager would go through its `run`. Creates nothing. */
export function directManager(python: string): Manager {
  return {
    kind: "mamba",
    command: python,
    version: "0",
    create: () => Promise.reject(new Error("this manager only runs programs")),
    run: (_prefix, argv, options) =>
      new Deno.Command(python, {
        args: argv.slice(1),
        env: options.env ?? {},
        stdin: options.stdin,
        stdout: options.stdout,
        stderr: options.stderr,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      }).spawn(),
  };
}

/** A fork server and what belongs to it. */
export class Kernel implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly switchboard: Switchboard,
    readonly server: ForkServer,
  ) {}

  /** Starts a fork server with a Python interpreter. */
  static async start(python = "python3"): Promise<Kernel> {
    const directory = await Deno.makeTempDir({ prefix: "kernel-" });
    const program = await installRuntime(directory);
    const switchboard = await Switchboard.open(directory, silentLogger);
    const server = await ForkServer.start({
      manager: directManager(python),
      prefix: directory,
      program,
      switchboard,
      log: silentLogger,
    });
    return new Kernel(directory, switchboard, server);
  }

  /** Forks a session into a fresh working directory. */
  async session(options: Partial<InterpreterOptions> = {}): Promise<Interpreter> {
    const cwd = await Deno.makeTempDir({ dir: this.directory });
    return await Interpreter.start(this.server, this.switchboard, { cwd, env: {}, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.switchboard[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The text of one stream in a result. */
export function textOf(result: { outputs: readonly { type: string }[] }, name: string): string {
  return (result.outputs as { type: string; name?: string; text?: string }[])
    .filter((output) => output.type === "stream" && output.name === name)
    .map((output) => output.text).join("");
}

/** Where a Python version of this machine is, or `undefined`. */
export async function findPythons(): Promise<string[]> {
  const found: { version: [number, number]; path: string }[] = [];
  const seen = new Set<string>();
  const home = Deno.env.get("HOME") ?? "/";
  const roots = (Deno.env.get("PATH") ?? "").split(":");
  try {
    for await (const entry of Deno.readDir(join(home, ".pyenv/versions"))) {
      roots.push(join(home, ".pyenv/versions", entry.name, "bin"));
    }
  } catch {
    // No pyenv here.
  }
  for (const root of roots) {
    for (const name of ["python3", ...[8, 9, 10, 11, 12, 13, 14].map((minor) => `python3.${minor}`)]) {
      const path = join(root, name);
      try {
        const output = await new Deno.Command(path, {
          args: ["-c", "import sys; print(*sys.version_info[:2], sys.executable)"],
          stderr: "null",
        }).output();
        const [major, minor, executable] = new TextDecoder().decode(output.stdout).trim().split(" ");
        if (!output.success || major !== "3" || Number(minor) < 8 || seen.has(executable!)) continue;
        seen.add(executable!);
        found.push({ version: [3, Number(minor)], path: executable! });
      } catch {
        continue;
      }
    }
  }
  found.sort((a, b) => a.version[1] - b.version[1]);
  const first = found[0];
  const last = found.at(-1);
  if (first === undefined || last === undefined) throw new Error("no Python 3.8 or newer on this machine");
  return first === last ? [first.path] : [first.path, last.path];
}
