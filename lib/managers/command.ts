/**
 * What both families share: directories, running programs, pip.
 *
 * Creates are read as text, not as JSON: with JSON mamba leaves the solver's reasons out, nothing is told before
 * the end, and neither family keeps to one document. What was made is read from the environment itself.
 */
import { dirname, isAbsolute, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import type {
  CreateRequest,
  ExecuteOptions,
  Execution,
  LineSink,
  Made,
  Manager,
  ManagerFamily,
  ManagerKind,
  PipRequest,
  Program,
  RunOptions,
  Spawn,
} from "./manager.ts";
import { checkArchives, lockFileText } from "./checksums.ts";
import {
  configurationVariables,
  createVariables,
  managerVariables,
  pipVariables,
  type Variables,
  withoutLoaderVariables,
} from "./environment_variables.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { isPlain } from "./activation.ts";
import { createError, pipError, redactOutput, startError } from "./errors.ts";
import { CreateProgress } from "./create_progress.ts";
import type { Launcher, LauncherOptions } from "./launcher.ts";
import { Launching } from "./launching.ts";
import { pipProgress, type ProgressStep } from "./progress.ts";
import { ProgressThrottle } from "./progress_throttle.ts";
import { supervise } from "./supervise.ts";

/** Name of the lock file in the working directory of a create. */
export const LOCK_FILE = "lock.txt";

/** How managers are used, whichever they are. */
export interface ManagerSettings {
  /** The operator's variables. */
  readonly env: Variables;
  /** Absolute path of a directory for scripts, calls and the private home directory. */
  readonly runtimeDirectory: string;
  /** Starts programs. */
  readonly spawn: Spawn;
  /** Whether the configuration of user and machine counts. */
  readonly useConfiguration: boolean;
  /** Variables that look like configuration and are none. */
  readonly withheld: readonly string[];
  /** After how many milliseconds without output and work a create or pip is killed. */
  readonly stallMs: number;
  /** Whether a launcher is kept where the manager takes long to start a program. */
  readonly launcher: boolean;
  readonly log: Logger;
}

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
  readonly settings: ManagerSettings;
}

/** A manager, but for its command lines. One call is one try. */
export abstract class CommandManager implements Manager {
  abstract readonly family: ManagerFamily;
  readonly kind: ManagerKind;
  readonly command: string;
  readonly version: string;
  readonly usesConfiguration: boolean;
  readonly #path: string;
  readonly #settings: ManagerSettings;
  readonly #variables: Record<string, string>;
  readonly #launching: Launching | undefined;

  constructor(found: FoundManager) {
    const { settings } = found;
    this.#path = found.path;
    this.#settings = settings;
    this.kind = found.kind;
    this.command = found.command;
    this.version = found.version;
    this.usesConfiguration = settings.useConfiguration;
    this.#variables = managerVariables(settings.env, join(settings.runtimeDirectory, "home"));
    if (settings.launcher && this.startsSlowly) {
      this.#launching = new Launching({
        prepare: () => this.#launcherOptions(),
        log: settings.log,
      });
    }
  }

  /** Whether it takes so long to start a program that a launcher pays. */
  protected get startsSlowly(): boolean {
    return false;
  }

  /** Arguments that create an environment, without the program. */
  protected abstract createArguments(request: CreateRequest): string[];

  /** Further variables of a create. */
  protected createVariables(_request: CreateRequest): Record<string, string> {
    return {};
  }

  /** Whether it checks SHA-256 of a lock file. MD5 they all do. */
  protected abstract get checksSha256(): boolean;

  /** Arguments that run a program in an environment, up to where the program's own begin. */
  protected abstract runArguments(prefix: string): string[];

  /** The next step of progress after a line of a create. */
  protected abstract advance(state: ProgressStep["state"], line: string): ProgressStep;

  async create(request: CreateRequest): Promise<Made> {
    if (!isAbsolute(request.prefix)) {
      throw new TypeError("Cannot create the environment: its path is not absolute");
    }
    const { explicit = [], packageCache } = request;
    await using progress = new CreateProgress({
      advance: (state, line) => this.advance(state, line),
      packageCache,
      explicit: explicit.length > 0,
      onProgress: request.onProgress,
    });
    await progress.ready();
    const execution = await this.#supervise({
      prefix: await this.#stub(),
      argv: [this.#path, ...this.createArguments(request)],
      ...(request.probe === undefined
        ? {}
        : { next: [join(request.prefix, "bin", "python"), ...request.probe] }),
      ...(explicit.length > 0
        ? { files: { [LOCK_FILE]: lockFileText(explicit, this.checksSha256) } }
        : {}),
      env: {
        ...this.#configuration(),
        ...createVariables(packageCache, this.#userRoot() ?? request.rootPrefix),
        ...this.createVariables(request),
      },
      onLine: (raw) => {
        // Errors of the network name the operator's proxy, password and all.
        const line = redactOutput(raw);
        request.onLine?.(line);
        progress.line(line);
      },
      signal: request.signal,
      stallMs: this.#settings.stallMs,
    });
    // Exit code 0 is no proof: mamba 1 keeps it when it fails, and an interrupted mamba 2 too.
    if (execution.code !== 0 || execution.cancelled || !await isFinished(request.prefix)) {
      throw createError(this.kind, execution);
    }
    if (!this.checksSha256) await checkArchives(this.kind, packageCache, explicit);
    const { kind, family, version } = this;
    const { followed } = execution;
    return { kind, family, version, ...(followed === undefined ? {} : { probed: followed }) };
  }

  async installPip(request: PipRequest): Promise<void> {
    const { onLine } = request;
    using progress = new ProgressThrottle(request.onProgress);
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
        ...request.options ?? [],
        "-r",
        "requirements.txt",
      ],
      files: { "requirements.txt": request.requirements.join("\n") + "\n" },
      env: {
        ...(this.usesConfiguration
          ? { ...this.#configuration(), PIP_CACHE_DIR: request.cacheDirectory }
          : await pipVariables(this.#settings.env, request.cacheDirectory)),
        // As root pip advises against itself, which is meant for system Pythons.
        PIP_ROOT_USER_ACTION: "ignore",
      },
      onLine: (raw) => {
        const line = redactOutput(raw);
        onLine?.(line);
        const news = pipProgress(line);
        if (news !== undefined) progress.tell(news);
      },
      signal: request.signal,
      stallMs: this.#settings.stallMs,
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

  async run(prefix: string, argv: readonly string[], options: RunOptions): Promise<Program> {
    if (argv.some((argument) => argument.includes("\n"))) {
      throw new TypeError("Cannot run the program: an argument has a newline");
    }
    const { stdin, stdout, stderr, cwd } = options;
    const env = withoutLoaderVariables({
      ...this.#variables,
      ...this.#rootPrefix(),
      ...options.env,
    });
    if (stdin === "null" && stdout === "piped" && stderr === "piped") {
      const launcher = await this.#launcher(prefix);
      if (launcher?.gone.aborted === false) {
        return launcher.launch(prefix, argv, { env, stdin, ...(cwd === undefined ? {} : { cwd }) });
      }
    }
    const command: Deno.CommandOptions = {
      args: [...this.runArguments(prefix), ...argv],
      clearEnv: true,
      env,
      stdin,
      stdout,
      stderr,
      ...(cwd === undefined ? {} : { cwd }),
    };
    try {
      return this.#settings.spawn(this.command, command);
    } catch (error) {
      throw startError(this.kind, messageOf(error));
    }
  }

  prepare(): void {
    this.#launching?.get();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#launching?.[Symbol.asyncDispose]();
  }

  /** What starts programs of an environment instead of the manager, where something does. */
  async #launcher(prefix: string, signal?: AbortSignal): Promise<Launcher | undefined> {
    if (this.#launching === undefined || !await isPlain(prefix)) return undefined;
    return await this.#launching.get(signal);
  }

  async #launcherOptions(): Promise<Omit<LauncherOptions, "signal">> {
    const { spawn, runtimeDirectory } = this.#settings;
    await ensureDir(join(runtimeDirectory, "home"));
    const prefix = await this.#stub();
    return {
      spawn,
      command: this.command,
      wrapper: this.runArguments(prefix),
      prefix,
      env: { ...this.#variables, ...this.#rootPrefix() },
      runtimeDirectory,
    };
  }

  async #supervise(call: {
    prefix: string;
    argv: readonly string[];
    next?: readonly string[];
    env?: Variables;
    files?: Readonly<Record<string, string>>;
    onLine?: LineSink | undefined;
    signal?: AbortSignal | undefined;
    stallMs?: number;
  }): Promise<Execution> {
    const { spawn, runtimeDirectory } = this.#settings;
    await ensureDir(join(runtimeDirectory, "home"));
    const supervised = {
      argv: call.argv,
      next: call.next,
      env: { ...this.#variables, ...this.#rootPrefix(), ...call.env },
      runtimeDirectory,
      ...(call.files === undefined ? {} : { files: call.files }),
      onLine: call.onLine,
      signal: call.signal,
      ...(call.stallMs === undefined ? {} : { stallMs: call.stallMs }),
    };
    const launcher = await this.#launcher(call.prefix, call.signal);
    if (launcher !== undefined) {
      const execution = await supervise({
        ...supervised,
        ...launcher.supervisor(call.prefix),
      });
      // One that was not started has lost its launcher before, and changed nothing.
      if (execution.started !== false || execution.cancelled) return execution;
    }
    return await supervise({
      ...supervised,
      spawn,
      command: this.command,
      wrapper: this.runArguments(call.prefix),
    });
  }

  #rootPrefix(): Record<string, string> {
    return { MAMBA_ROOT_PREFIX: join(this.#settings.runtimeDirectory, "root") };
  }

  /** The operator's configuration, when it counts. */
  #configuration(): Record<string, string> {
    if (!this.usesConfiguration) return {};
    return configurationVariables(this.#settings.env, this.#settings.withheld);
  }

  /** The operator's root prefix has configuration too. */
  #userRoot(): string | undefined {
    return this.usesConfiguration ? this.#settings.env.MAMBA_ROOT_PREFIX : undefined;
  }

  /**
   * An environment with nothing in it: what a program is run in that needs none. Both families take a
   * directory for an environment when it has this file.
   */
  async #stub(): Promise<string> {
    const prefix = join(this.#settings.runtimeDirectory, "env");
    const history = join(prefix, "conda-meta", "history");
    if (!await exists(history)) {
      await ensureDir(dirname(history));
      await Deno.writeTextFile(history, "", { append: true });
    }
    return prefix;
  }
}

/** Whether a create has come to its end: the history is made empty at first and filled last. */
async function isFinished(prefix: string): Promise<boolean> {
  const path = join(prefix, "conda-meta", "history");
  return ((await Deno.stat(path).catch(() => undefined))?.size ?? 0) > 0;
}
