/** Starts sessions of the machine's own Pythons, without a package manager, for tests of the interpreter room. */
import { join } from "@std/path";
import { silentLogger } from "../../lib/log.ts";
import { ForkServer, type ForkServerOptions } from "../../lib/interpreter/fork_server.ts";
import { Interpreter } from "../../lib/interpreter/interpreter.ts";
import type { InterpreterOptions, IsolationOptions } from "../../lib/interpreter/options.ts";
import type { ExecutionResult } from "../../lib/interpreter/outputs.ts";
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
    usesConfiguration: false,
    create: refuse,
    installPip: refuse,
    execute: refuse,
    // deno-lint-ignore require-await
    run: async (_prefix, argv, options) =>
      new Deno.Command(python, {
        args: argv.slice(1),
        env: options.env ?? {},
        stdin: options.stdin,
        stdout: options.stdout,
        stderr: options.stderr,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      }).spawn(),
    prepare: () => {},
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A fork server and what belongs to it. */
export class Kernel implements AsyncDisposable {
  readonly #sessions: Interpreter[] = [];

  private constructor(
    readonly directory: string,
    readonly switchboard: Switchboard,
    readonly server: ForkServer,
  ) {}

  /** Starts a fork server with a Python interpreter. */
  static async start(
    python = "python3",
    options: Partial<ForkServerOptions> = {},
  ): Promise<Kernel> {
    const directory = await Deno.makeTempDir({ prefix: "kernel-" });
    const program = await installRuntime(directory);
    const switchboard = await Switchboard.open(directory, silentLogger);
    const server = await ForkServer.start({
      manager: directManager(python),
      prefix: directory,
      program,
      switchboard,
      log: silentLogger,
      ...options,
    });
    return new Kernel(directory, switchboard, server);
  }

  /** Where sessions get their directories. */
  get sessionsDirectory(): string {
    return join(this.directory, "sessions");
  }

  /** Forks a session into a fresh working directory, isolated as those of a worker are; directories that are given are its own. */
  async session(options: Partial<InterpreterOptions> = {}): Promise<Interpreter> {
    await Deno.mkdir(this.sessionsDirectory, { recursive: true });
    const own = await Deno.makeTempDir({ dir: this.sessionsDirectory });
    const cwd = options.cwd ?? join(own, "work");
    if (options.cwd === undefined) await Deno.mkdir(cwd);
    const given = [cwd, options.overlay, options.env?.HOME];
    const isolation: IsolationOptions = {
      mode: "auto",
      sessions: this.sessionsDirectory,
      hidden: [this.switchboard.path],
      writable: [own, ...given.filter((path) => typeof path === "string")],
    };
    const session = await Interpreter.start(this.server, this.switchboard, {
      overlay: join(own, "overlay"),
      isolation,
      ...options,
      cwd,
      env: { TMPDIR: own, ...options.env },
    });
    this.#sessions.push(session);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Promise.all(this.#sessions.map((session) => session.exited));
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

/** Both streams of a result and its displays in one line: `out:a|err:b|display_data`. */
export function orderOf(result: ExecutionResult): string {
  return result.outputs.map((output) =>
    output.type === "stream" ? `${output.name.slice(3)}:${output.text.trim()}` : output.type
  ).join("|");
}

/** The plain text of a cell's result; fails when the cell failed. */
export async function valueOf(session: Interpreter, code: string): Promise<string | undefined> {
  const result = await session.execute(code);
  if (result.error !== undefined) throw new Error(result.error.traceback.join("\n"));
  const last = result.outputs.at(-1);
  return last?.type === "execute_result" ? last.data["text/plain"] as string : undefined;
}

/** Whether a process lives; one that has ended and waits for its parent does not. */
export async function alive(pid: number): Promise<boolean> {
  try {
    const text = await Deno.readTextFile(`/proc/${pid}/stat`);
    return !/^[ZX]/.test(text.slice(text.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** A test in a session of its own. */
export type SessionTest = (session: Interpreter, kernel: Kernel) => Promise<void>;

/** Runs tests under the oldest and the newest Python, each in a session of its own. */
export async function suite(title: string, tests: Record<string, SessionTest>): Promise<void> {
  for (const python of await edgePythons()) {
    const version = /python([\d.]+)$/.exec(python)?.[1] ?? python;
    Deno.test(`${title}, Python ${version}`, async (t) => {
      await using kernel = await Kernel.start(python);
      for (const [name, test] of Object.entries(tests)) {
        await t.step(name, async () => {
          const session = await kernel.session();
          try {
            await test(session, kernel);
          } finally {
            await session.kill();
          }
        });
      }
    });
  }
}

/** The oldest and the newest Python of this machine. */
export async function edgePythons(): Promise<string[]> {
  const pythons = await hostPythons();
  return [...new Set([pythons[0]!.path, pythons.at(-1)!.path])];
}
