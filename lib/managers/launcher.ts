/**
 * The launcher: a Python that conda has started once, and that starts all other programs, because `conda run` takes
 * over a second each time. It is conda's own Python, so it is there before any environment is.
 *
 * Its standard input is its line of life. What it starts ends as it does when conda starts it: `supervise.sh` when
 * its standard input ends, a fork server when its parent dies.
 *
 * On disk, below the runtime directory: `launcher-<hash>.py`, written once per version.
 */
import { concat } from "@std/bytes";
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import code from "./launcher.py" with { type: "text" };
import { settledWithin, within } from "../delay.ts";
import { messageOf } from "../errors.ts";
import { Activation } from "./activation.ts";
import { type Variables, withoutLoaderVariables } from "./environment_variables.ts";
import { FRAME, LaunchedProgram } from "./launched_program.ts";
import { readLines, Tail } from "./lines.ts";
import type { Program, RunOptions, Spawn } from "./manager.ts";
import { installFile } from "./runtime_file.ts";
import type { SupervisedCall } from "./supervise.ts";

/** How long conda may take to start the launcher, in milliseconds: it needs seconds on a busy machine. */
const START_MS = 60_000;
/** How long the launcher may take to end with everything it has started, in milliseconds. */
const END_MS = 10_000;
/** Lines of what it prints that are kept for messages. */
const KEPT_LINES = 20;
const HEADER_BYTES = 9;
/** Run by a shell, which knows where conda's own Python is: conda tells every program. */
const START = 'exec "$CONDA_PYTHON_EXE" -IS "$0"';

/** What starts a launcher. */
export interface LauncherOptions {
  /** Starts conda. */
  readonly spawn: Spawn;
  /** The program that is spawned. */
  readonly command: string;
  /** Its arguments that run a program in the environment, up to where the program's own begin. */
  readonly wrapper: readonly string[];
  /** Absolute path of an environment that is plain; see `activation.ts`. */
  readonly prefix: string;
  /** The variables of conda. */
  readonly env: Variables;
  /** Where the program is kept. */
  readonly runtimeDirectory: string;
  /** Gives up starting. */
  readonly signal: AbortSignal;
}

/** What a program is started with. */
export type LaunchOptions = Pick<RunOptions, "env" | "cwd"> & { readonly stdin: "null" | "piped" };

/** A running launcher. */
export class Launcher implements AsyncDisposable {
  /** Fires when it is gone, and with it what it had started. */
  readonly gone: AbortSignal;
  readonly #gone = new AbortController();
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBufferLike>>;
  readonly #programs = new Map<number, LaunchedProgram>();
  readonly #said = new Tail(KEPT_LINES);
  readonly #stop = new AbortController();
  readonly #ready = Promise.withResolvers<Record<string, string>>();
  readonly #reading: Promise<unknown>;
  #activation: Activation | undefined;
  #nextId = 1;

  private constructor(child: Deno.ChildProcess, tidy: () => Promise<void>) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#input.closed.catch(() => {});
    this.gone = this.#gone.signal;
    this.#ready.promise.catch(() => {});
    const said = readLines(child.stderr, (line) => this.#said.push(line), this.#stop.signal);
    this.#reading = Promise.all([this.#read(), said, child.status.then(tidy)]);
  }

  /** Starts one. Throws when that does not succeed. */
  static async start(options: LauncherOptions): Promise<Launcher> {
    const { spawn, command, wrapper, prefix, runtimeDirectory } = options;
    const path = await installFile(runtimeDirectory, "launcher", ".py", code);
    const directory = join(runtimeDirectory, "calls", crypto.randomUUID());
    await ensureDir(directory);
    const tidy = () => Deno.remove(directory, { recursive: true }).catch(() => {});
    let child: Deno.ChildProcess;
    // conda keeps a script there for as long as it runs, which is until the launcher has left it.
    const given = withoutLoaderVariables({ ...options.env, TMPDIR: directory });
    try {
      child = spawn(command, {
        args: [...wrapper, "sh", "-c", START, path],
        clearEnv: true,
        env: given,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        // Away from the worker's terminal.
        detached: true,
      });
    } catch (error) {
      await tidy();
      throw error;
    }
    const launcher = new Launcher(child, tidy);
    try {
      const active = await within(launcher.#ready.promise, START_MS, options.signal);
      launcher.#activation = new Activation({ prefix, given, active });
      return launcher;
    } catch (error) {
      kill(child);
      await launcher[Symbol.asyncDispose]();
      const { said } = launcher;
      throw new Error(said === "" ? messageOf(error) : `${messageOf(error)}\n${said}`);
    }
  }

  /** What it printed last, for messages. */
  get said(): string {
    return this.#said.lines.join("\n");
  }

  /**
   * Starts a program in a plain environment, as the leader of a session of its own. What cannot be started ends with
   * exit code 127, and what is started by a launcher that has died with 137.
   */
  launch(prefix: string, argv: readonly string[], options: LaunchOptions): Program {
    const id = this.#nextId++;
    const program = new LaunchedProgram(
      id,
      (request) => this.#send(request),
      () => this.#programs.delete(id),
    );
    if (this.gone.aborted) {
      program.lose();
      return program;
    }
    this.#programs.set(id, program);
    this.#send({
      op: "start",
      id,
      argv,
      cwd: options.cwd ?? null,
      env: this.#activation!.variables(prefix, withoutLoaderVariables(options.env ?? {})),
      stdin: options.stdin === "piped",
    });
    return program;
  }

  /** Has supervised programs of a plain environment started; goes into a {@linkcode SupervisedCall}. */
  supervisor(prefix: string): Pick<SupervisedCall, "spawn" | "command" | "wrapper"> {
    return {
      command: "sh",
      wrapper: [],
      spawn: (_command, { args = [], env = {}, cwd }) =>
        this.launch(prefix, args, { env, cwd: String(cwd), stdin: "piped" }),
    };
  }

  #send(request: Readonly<Record<string, unknown>>): void {
    // When it is gone everybody is told so.
    this.#input.write(new TextEncoder().encode(JSON.stringify(request) + "\n")).catch(() => {});
  }

  async #read(): Promise<void> {
    try {
      const frames = readFrames(this.#child.stdout, this.#stop.signal);
      for await (const { id, kind, data } of frames) {
        if (kind === FRAME.ready) this.#ready.resolve(JSON.parse(new TextDecoder().decode(data)));
        else await this.#programs.get(id)?.take(kind, data);
      }
    } catch {
      // Broken by the end of the process.
    }
    this.#ready.reject(new Error("it ended before it was ready"));
    this.#gone.abort();
    for (const program of this.#programs.values()) program.lose();
    this.#programs.clear();
  }

  /** Ends it and everything it has started, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    if (await settledWithin(this.#reading.then(() => true), END_MS)) return;
    // When conda has ended and the launcher does not react, it cannot be reached.
    kill(this.#child);
    this.#stop.abort();
    await this.#reading;
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

interface Frame {
  readonly id: number;
  readonly kind: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The frames of a stream; see `launcher.py`. */
async function* readFrames(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): AsyncGenerator<Frame, void> {
  const reader = stream.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    let parts: Uint8Array<ArrayBuffer>[] = [];
    let held = 0;
    let header: { id: number; kind: number; length: number } | undefined;
    for (;;) {
      const needed: number = header === undefined ? HEADER_BYTES : header.length;
      if (held < needed) {
        const { done, value } = await reader.read();
        if (done) return;
        parts.push(value);
        held += value.length;
        continue;
      }
      const all: Uint8Array<ArrayBuffer> = parts.length === 1 ? parts[0]! : concat(parts);
      const piece = all.subarray(0, needed);
      parts = held === needed ? [] : [all.subarray(needed)];
      held -= needed;
      if (header === undefined) {
        const view = new DataView(piece.buffer, piece.byteOffset, HEADER_BYTES);
        header = { id: view.getUint32(0), kind: view.getUint8(4), length: view.getUint32(5) };
      } else {
        yield { id: header.id, kind: header.kind, data: piece };
        header = undefined;
      }
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await reader.cancel().catch(() => {});
  }
}
