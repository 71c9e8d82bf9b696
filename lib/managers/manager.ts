/**
 * What the rest of the worker knows about package managers: make an environment, run programs in it.
 *
 * Managers know nothing of the environment cache; they are told every path. Nothing here decides whether an
 * environment is good: a manager's exit code is no evidence, so the environments room verifies the prefix.
 */
import type { ProgressSink } from "../progress.ts";

/** The programs this worker may start. */
export type ManagerKind = "mamba" | "micromamba" | "conda";

/** The two command lines there are: mamba 2 and micromamba speak one, conda and mamba 1 the other. */
export type ManagerFamily = "libmamba" | "conda";

/** How a solver treats a package that several channels have. */
export type ChannelPriority = "strict" | "flexible" | "disabled";

/** Receives one line of a program's output, without its end. Must not throw and must not block. */
export type LineSink = (line: string) => void;

/** One environment to be created. */
export interface CreateRequest {
  /** Absolute path of the environment; must not exist. */
  readonly prefix: string;
  /** Names or URLs, the most important first. */
  readonly channels: readonly string[];
  /** Validated match specs. */
  readonly packages: readonly string[];
  /** @default the manager's own */
  readonly channelPriority?: ChannelPriority;
  /**
   * URLs of packages, each with `#<md5>` or `#sha256:<hash>`, in the order in which they are to be installed.
   * When there are any the solver is not asked, and `channels` and `packages` do not count.
   */
  readonly explicit?: readonly string[];
  /** Absolute path of the package cache. The caller makes sure that nobody else writes to it. */
  readonly packageCache: string;
  /** Absolute path of mamba's root prefix. */
  readonly rootPrefix: string;
  /** Told how far the work is. */
  readonly onProgress?: ProgressSink;
  /** Told each line the manager prints. */
  readonly onLine?: LineSink;
  /**
   * Arguments for the Python of the environment, which is run without activation as soon as the environment is made:
   * cheaper than {@linkcode Manager.execute}, since managers take long to start (conda over a second).
   */
  readonly probe?: readonly string[];
  /** Cancels: the manager is killed with everything it started. */
  readonly signal?: AbortSignal;
}

/** Requirements to be installed with pip into an environment. */
export interface PipRequest {
  /** Absolute path of the environment. */
  readonly prefix: string;
  /** Validated requirements. */
  readonly requirements: readonly string[];
  /** Validated options of pip for all of them, such as `["--index-url", "https://…"]`. */
  readonly options?: readonly string[];
  /** Absolute path of pip's cache. */
  readonly cacheDirectory: string;
  /** Told how far the work is. */
  readonly onProgress?: ProgressSink;
  /** Told each line pip prints. */
  readonly onLine?: LineSink;
  /** Cancels: pip is killed with everything it started. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode Manager.run}. */
export interface RunOptions {
  /** Variables on top of the scrubbed ones; `LD_*` and `DYLD_*` are dropped, as they may not be set. */
  readonly env?: Readonly<Record<string, string>>;
  /** @default the worker's */
  readonly cwd?: string;
  readonly stdin: "null" | "piped";
  readonly stdout: "piped" | "null" | "inherit";
  readonly stderr: "piped" | "null" | "inherit";
}

/** Options of {@linkcode Manager.execute}. */
export interface ExecuteOptions {
  /** Variables on top of the scrubbed ones. */
  readonly env?: Readonly<Record<string, string>>;
  /** Told each line of both streams. */
  readonly onLine?: LineSink;
  /** Cancels: the program is killed with everything it started. */
  readonly signal?: AbortSignal;
}

/** How a program ended. */
export interface Execution {
  /** Exit code; 128 + n when signal n ended it. */
  readonly code: number;
  /** Whether it was cancelled. */
  readonly cancelled: boolean;
  /** Whether it was killed because it made no progress any more. @default false */
  readonly stalled?: boolean;
  /** Whether it was started; if not, the manager failed before that. @default true */
  readonly started?: boolean;
  /** The last lines of standard output. */
  readonly stdout: readonly string[];
  /** The last lines of standard error. */
  readonly stderr: readonly string[];
  /** The last lines of both, as they came. */
  readonly tail: readonly string[];
  /** What the program that follows put out, when it was run and succeeded. */
  readonly followed?: string | undefined;
}

/** Which program a manager is. */
export interface ManagerIdentity {
  /** The name it was found under, for messages. */
  readonly kind: ManagerKind;
  /** The command line it really speaks: a program named conda may be micromamba. */
  readonly family: ManagerFamily;
  /** Its version, for example `2.8.1`. */
  readonly version: string;
}

/** Who made an environment. */
export interface Made extends ManagerIdentity {
  /** What `probe` put out, on both streams; `undefined` when it was not run or failed. */
  readonly probed?: string;
}

/** A package manager that was found. */
export interface Manager extends ManagerIdentity {
  /** Program name, or path, that is spawned. */
  readonly command: string;
  /**
   * Whether the configuration of user and machine counts. Then it decides what is installed too, so it is part
   * of what identifies an environment.
   */
  readonly usesConfiguration: boolean;

  /**
   * Creates an environment and tells who really made it: another manager, perhaps of the other family, may have
   * stood in for a broken one. Resolving is no proof that the environment is complete. After a failure part of
   * it may be there.
   *
   * @throws WorkerError with the solver's own reason: `package_not_found`, `solver_conflict`, `invalid_spec`,
   * `channel_unavailable`, `package_unavailable`, `network`, `package_cache`, `disk_full`, `cache_not_writable`,
   * `manager_failed`, `environment_stalled`, `environment_cancelled` or `environment_failed`
   */
  create(request: CreateRequest): Promise<Made>;

  /**
   * Installs pip requirements into an environment.
   *
   * @throws WorkerError `pip_failed` with pip's own reason, `network`, `disk_full`, `manager_failed`,
   * `environment_stalled` or `environment_cancelled`
   */
  installPip(request: PipRequest): Promise<void>;

  /**
   * Runs a program of the environment to its end. Nothing it starts outlives the call, or the worker.
   *
   * @throws WorkerError `manager_failed` when the manager cannot start it
   */
  execute(prefix: string, argv: readonly string[], options?: ExecuteOptions): Promise<Execution>;

  /**
   * Starts a program of the environment and leaves it to the caller. It may outlive the worker unless it
   * watches its standard input.
   *
   * @throws TypeError when an argument has a newline, which conda cannot pass on
   * @throws WorkerError `manager_failed` when the manager cannot be started
   */
  run(prefix: string, argv: readonly string[], options: RunOptions): Promise<Program>;

  /** Begins to start, in the background, what it keeps running to start programs faster, instead of at the first use. */
  prepare(): void;

  /** Ends what it keeps running to start programs faster. It can be used on, but more slowly. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What there is of a program that was started, by the worker itself or by its launcher. */
export type Program = Pick<Deno.ChildProcess, "stdin" | "stdout" | "stderr" | "status" | "kill">;

/** Starts a program; injected so that tests can watch. */
export type Spawn = (command: string, options: Deno.CommandOptions) => Deno.ChildProcess;

/** Starts programs with `Deno.Command`. */
export const spawnCommand: Spawn = (command, options) => new Deno.Command(command, options).spawn();
