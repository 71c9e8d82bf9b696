/** Starts sessions of the machine's own Pythons, without a package manager, for tests of the interpreter room. */
import { silentLogger } from "../../lib/log.ts";
import { ForkServer } from "../../lib/interpreter/fork_server.ts";
import { Interpreter, type InterpreterOptions } from "../../lib/interpreter/interpreter.ts";
import { installRuntime } from "../../lib/interpreter/runtime.ts";
import { Switchboard } from "../../lib/interpreter/switchboard.ts";
import type { Manager } from "../../lib/managers/manager.ts";
import { hostPythons } from "../stack/stack.ts";

const refuse = () => Promise.reject(new Error("this manager only starts programs"));

/** Runs programs directly where a real manager would go through its `run`. Creates nothing. */
export function directManager(python: string): Manager {
  return {
    kind: "mamba",
    family: "libmamba",
    command: python,
    version: "0",
    create: refuse,
    installPip: refuse,
    execute: refuse,
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

/** The oldest and the newest Python of this machine. */
export async function edgePythons(): Promise<string[]> {
  const pythons = await hostPythons();
  return [...new Set([pythons[0]!.path, pythons.at(-1)!.path])];
}
