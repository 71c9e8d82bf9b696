/** What both families share: directories, running programs, pip. */
import { dirname, isAbsolute, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import type { ProgressSink } from "../progress.ts";
import type {
  CreateRequest,
  ExecuteOptions,
  Execution,
  LineSink,
  Manager,
  ManagerFamily,
  ManagerKind,
  PipRequest,
  RunOptions,
  Spawn,
} from "./manager.ts";
import {
  createVariables,
  managerVariables,
  pipVariables,
  type Variables,
  withoutLoaderVariables,
} from "./environment_variables.ts";
import { createError, pipError, redactOutput } from "./errors.ts";
import { INITIAL_PROGRESS, pipProgress, type ProgressStep } from "./progress.ts";
import { supervise } from "./supervise.ts";

/** What is known of a manager that was found. */
export interface FoundManager {
  /** The name it was found under. */
  readonly kind: ManagerKind;
  /** What is spawned: the name, so that it is looked up as the permission to run it was. */
  readonly command: string;
  /** Absolute path of the program. */
  readonly path: string;
  /** Its version. */
  readonly version: string;
  /** The operator's variables. */
  readonly env: Variables;
  /** Absolute path of a directory for scripts, calls and the private home directory. */
  readonly runtimeDirectory: string;
  /** Starts programs. */
  readonly spawn: Spawn;
}

/** A manager, but for its command lines. */
export abstract class CommandManager implements Manager {
  abstract readonly family: ManagerFamily;
  readonly kind: ManagerKind;
  readonly command: string;
  readonly version: string;
  readonly #found: FoundManager;
  readonly #variables: Record<string, string>;

  constructor(found: FoundManager) {
    this.#found = found;
    this.kind = found.kind;
    this.command = found.command;
    this.version = found.version;
    this.#variables = managerVariables(found.env, join(found.runtimeDirectory, "home"));
  }

  /** Arguments that create an environment, without the program. */
  protected abstract createArguments(request: CreateRequest): string[];

  /** Arguments that run a program in an environment, up to where the program's own begin. */
  protected abstract runArguments(prefix: string): string[];

  /** The next step of progress after a line of a create. */
  protected abstract advance(state: ProgressStep["state"], line: string): ProgressStep;

  async create(request: CreateRequest): Promise<void> {
    if (!isAbsolute(request.prefix)) {
      throw new TypeError("Cannot create the environment: its path is not absolute");
    }
    const execution = await this.#supervise({
      prefix: await this.#stub(),
      argv: [this.#found.path, ...this.createArguments(request)],
      env: createVariables(request.packageCache, request.rootPrefix),
      onLine: this.#watch(request.onProgress, request.onLine),
      signal: request.signal,
    });
    if (execution.code !== 0 || execution.cancelled) throw createError(this.kind, execution);
  }

  async installPip(request: PipRequest): Promise<void> {
    const { onLine, onProgress } = request;
    const execution = await this.#supervise({
      prefix: request.prefix,
      argv: [
        "python",
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--progress-bar",
        "off",
        "-r",
        "requirements.txt",
      ],
      files: { "requirements.txt": request.requirements.join("\n") + "\n" },
      env: {
        ...await pipVariables(this.#found.env, request.cacheDirectory),
        // As root pip advises against itself, which is meant for system Pythons.
        PIP_ROOT_USER_ACTION: "ignore",
      },
      onLine: (raw) => {
        const line = redactOutput(raw);
        onLine?.(line);
        const progress = pipProgress(line);
        if (progress !== undefined) onProgress?.(progress);
      },
      signal: request.signal,
    });
    if (execution.code !== 0 || execution.cancelled) throw pipError(this.kind, execution);
  }

  execute(
    prefix: string,
    argv: readonly string[],
    options: ExecuteOptions = {},
  ): Promise<Execution> {
    return this.#supervise({ prefix, argv, ...options });
  }

  run(prefix: string, argv: readonly string[], options: RunOptions): Deno.ChildProcess {
    if (argv.some((argument) => argument.includes("\n"))) {
      throw new TypeError("Cannot run the program: an argument has a newline");
    }
    return this.#found.spawn(this.command, {
      args: [...this.runArguments(prefix), ...argv],
      clearEnv: true,
      env: withoutLoaderVariables({
        ...this.#variables,
        ...this.#rootPrefix(),
        ...options.env,
      }),
      stdin: options.stdin,
      stdout: options.stdout,
      stderr: options.stderr,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
  }

  async #supervise(call: {
    prefix: string;
    argv: readonly string[];
    env?: Variables;
    files?: Readonly<Record<string, string>>;
    onLine?: LineSink | undefined;
    signal?: AbortSignal | undefined;
  }): Promise<Execution> {
    await ensureDir(join(this.#found.runtimeDirectory, "home"));
    return await supervise({
      spawn: this.#found.spawn,
      command: this.command,
      wrapper: this.runArguments(call.prefix),
      argv: call.argv,
      env: { ...this.#variables, ...this.#rootPrefix(), ...call.env },
      runtimeDirectory: this.#found.runtimeDirectory,
      ...(call.files === undefined ? {} : { files: call.files }),
      onLine: call.onLine,
      signal: call.signal,
    });
  }

  #rootPrefix(): Record<string, string> {
    return { MAMBA_ROOT_PREFIX: join(this.#found.runtimeDirectory, "root") };
  }

  #watch(onProgress: ProgressSink | undefined, onLine: LineSink | undefined): LineSink {
    let state = INITIAL_PROGRESS;
    return (raw) => {
      // Errors of the network name the operator's proxy, password and all.
      const line = redactOutput(raw);
      onLine?.(line);
      const step = this.advance(state, line);
      state = step.state;
      if (step.progress !== undefined) onProgress?.(step.progress);
    };
  }

  /**
   * An environment with nothing in it: what a program is run in that needs none. Both families take a
   * directory for an environment when it has this file.
   */
  async #stub(): Promise<string> {
    const prefix = join(this.#found.runtimeDirectory, "env");
    const history = join(prefix, "conda-meta", "history");
    if (!await exists(history)) {
      await ensureDir(dirname(history));
      await Deno.writeTextFile(history, "", { append: true });
    }
    return prefix;
  }
}
