/** A worker as people run it: `deno task start`, with the flags of deno.json, in a process of its own. */
import { join } from "@std/path";
import { managerPath, stackPaths } from "../stack/stack.ts";
import type { HyphaServer } from "../stack/hypha.ts";

/** What {@linkcode startWorker} may be told. */
export interface WorkerProcessOptions {
  /** User of the server whose workspace the worker joins. @default "user-1" */
  user?: string;
  /** Directory of package managers for PATH. @default the doubles of the stack */
  managers?: string;
  /** Cache directory. @default below the worker's own temporary directory */
  cacheDir?: string;
  /** More arguments. */
  args?: string[];
  /** More variables. */
  env?: Record<string, string>;
  /** Replaces the token of the user. */
  token?: string;
  /** Address of the server. @default its own */
  serverUrl?: string;
  /** Workspace to join. @default the user's own */
  workspace?: string;
}

/** A running worker. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #directory: string;
  readonly #reading: Promise<void>[];
  /** Everything it printed. */
  stdout = "";
  /** Everything it logged. */
  stderr = "";
  #waiters: (() => void)[] = [];

  constructor(
    child: Deno.ChildProcess,
    directory: string,
    /** Directory below which sessions live. */
    readonly workingDir: string,
    /** Directory of environments. */
    readonly cacheDir: string,
  ) {
    this.#child = child;
    this.#directory = directory;
    this.#reading = [
      this.#read(child.stdout, (text) => this.stdout += text),
      this.#read(child.stderr, (text) => this.stderr += text),
    ];
  }

  /** Process id of the worker. */
  get pid(): number {
    return this.#child.pid;
  }

  /** How it ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  async #read(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      add(decoder.decode(chunk, { stream: true }));
      for (const waiter of this.#waiters) waiter();
    }
    for (const waiter of this.#waiters) waiter();
  }

  /** Waits until it has printed something. Fails when it ends before, or after three minutes. */
  async printed(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (this.stdout.includes(text)) resolve();
    };
    this.#waiters.push(check);
    const timer = setTimeout(() => reject(new Error(`no ${text}\n${this.output()}`)), 180_000);
    this.#child.status.then(async () => {
      await Promise.all(this.#reading);
      reject(new Error(`the worker ended without ${JSON.stringify(text)}\n${this.output()}`));
    });
    check();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters = this.#waiters.filter((waiter) => waiter !== check);
    }
  }

  /** Everything it wrote, for messages. */
  output(): string {
    return `--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`;
  }

  /** Stops it as a terminal or an orchestrator does, and gives its exit code. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
    const status = await this.#child.status;
    await Promise.all(this.#reading);
    return status.code;
  }

  /** Stops it and removes its directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.#directory, { recursive: true }).catch(() => {});
  }
}

/** The words of the `start` task, so that tests run under exactly its permissions. */
export async function startCommand(): Promise<string[]> {
  const config = JSON.parse(await Deno.readTextFile(join(stackPaths.root, "deno.json")));
  return (config.tasks.start.command as string).split(" ").slice(1);
}

/** Starts the program with arguments, under the permissions of the task. */
export async function spawnProgram(
  args: string[],
  env: Record<string, string>,
  managers: string = managerPath(),
): Promise<Deno.ChildProcess> {
  return new Deno.Command(stackPaths.deno, {
    args: [...await startCommand(), ...args],
    cwd: stackPaths.root,
    env: { ...env, PATH: `${managers}:${Deno.env.get("PATH")}` },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Starts a worker and waits until it is registered. */
export async function startWorker(
  server: HyphaServer,
  options: WorkerProcessOptions = {},
): Promise<WorkerProcess> {
  const user = options.user ?? "user-1";
  const directory = await Deno.makeTempDir({ prefix: "worker-" });
  const workingDir = join(directory, "sessions");
  const cacheDir = options.cacheDir ?? join(directory, "cache");
  const child = await spawnProgram([
    "start",
    `--server-url=${options.serverUrl ?? server.url}`,
    `--workspace=${options.workspace ?? server.workspaceOf(user)}`,
    `--cache-dir=${cacheDir}`,
    `--working-dir=${workingDir}`,
    "--service-id=conda-worker",
    // The packages of the tests are in a directory.
    `--allow-file-channels=${stackPaths.channelDir}`,
    ...options.args ?? [],
  ], {
    HYPHA_TOKEN: options.token ?? await server.userToken({ user }),
    // A worker that is killed leaves its own temporary directory; here it goes with the others.
    TMPDIR: directory,
    no_proxy: "*",
    ...options.env,
  }, options.managers);
  const worker = new WorkerProcess(child, directory, workingDir, cacheDir);
  try {
    await worker.printed("registered successfully");
  } catch (error) {
    await worker[Symbol.asyncDispose]();
    throw error;
  }
  return worker;
}
