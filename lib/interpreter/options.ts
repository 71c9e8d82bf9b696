/** What an interpreter is started with, and what a cell is run with. */
import type { StreamName } from "./merge.ts";
import type { DisplayData, LiveOutput } from "./outputs.ts";

/**
 * Whether sessions are kept from each other and from the worker: `auto` as far as the kernel can do it, `required`
 * refuses to start sessions where it cannot, `off` leaves them all rights of the worker's user.
 */
export type IsolationMode = "auto" | "required" | "off";

/** All modes. */
export const ISOLATION_MODES: readonly IsolationMode[] = ["auto", "required", "off"];

/** From what a session's process is kept. What it means: `python/hypha_kernel/isolation.py`. Absolute paths. */
export interface IsolationOptions {
  mode: IsolationMode;
  /** The directory that holds the directories of all sessions: out of reach but for what is `writable`. */
  sessions: string;
  /** What may be neither read nor written: files and directories. */
  hidden: readonly string[];
  /** Where it may write beside temporary space: its own directory. */
  writable: readonly string[];
}

/** How a session's process is isolated, in the form users see. */
export interface IsolationState {
  mode: IsolationMode;
  /** Version of the kernel's Landlock; 0 without. */
  landlock_abi: number;
  /** Whether the process is restricted to its own files. */
  restricted: boolean;
  /** Whether it can signal only what it has started; Landlock 6 and newer. */
  signals_scoped: boolean;
  /** Why it is not restricted although it was asked for. */
  reason: string | null;
}

/** What a session's process is started with. */
export interface InterpreterOptions {
  /** Working directory; must exist. */
  cwd: string;
  /** Changes to the environment's own variables; `null` removes one. */
  env: Readonly<Record<string, string | null>>;
  /**
   * Directory for the packages the code installs, beside the environment, which is shared and does not change.
   * @default none, and the session cannot install packages by `%pip`
   */
  overlay?: string;
  /** Names defined before the first cell. JSON values only. */
  variables?: Readonly<Record<string, unknown>>;
  /** `sys.argv`. @default `[""]` */
  argv?: readonly string[];
  /** Limits the process sets on itself: bytes, seconds, counts. */
  limits?: Readonly<Record<string, number>>;
  /** Keeps the process from the files and processes of others. @default it may do all that the worker's user may */
  isolation?: IsolationOptions;
  /**
   * Text that belongs to no running cell: background threads, tasks, processes. `cell` is the number of the cell
   * (its `execution_count`) that made the task which writes, where that is known. Must not block.
   */
  onBackground?: (name: StreamName, text: string, cell?: number) => void;
  /** Told the full id of each Hypha service that the code registers, such as `ws/client:default`. Must not block. */
  onService?: (id: string) => void;
  /** What a task displays when the cell that made it is over. `cell` as above. Must not block. */
  onLateDisplay?: (display: DisplayData, cell?: number) => void;
}

/** Receives output; what it returns, if it is a promise, is waited for before more comes. */
export type OutputReceiver =
  | ((output: LiveOutput) => void)
  | ((output: LiveOutput) => Promise<void>);

/** One cell to run. */
export interface ExecuteOptions {
  /** File name in tracebacks. @default `<cell n>` */
  filename?: string;
  /** Runs without counting, without result, and without a trace in the history. */
  silent?: boolean;
  /** Whether the cell is counted and its input and result remembered. @default true */
  storeHistory?: boolean;
  /** Environment variables for this cell only; `null` removes one. */
  env?: Readonly<Record<string, string | null>>;
  /** Answers `input()`; rejects when there is no answer. @default `input()` fails at once */
  onInput?: ((prompt: string, password: boolean) => Promise<string>) | undefined;
  /** Time after which the cell is interrupted (milliseconds). @default none */
  timeout?: number | undefined;
  /** Interrupts the cell. */
  signal?: AbortSignal | undefined;
  /**
   * Receives output while the cell runs. Must not throw. When it returns a promise it has enough: whatever writes is
   * made to wait until that resolves, the cell is stopped, or the output limit is reached.
   */
  onOutput?: OutputReceiver | undefined;
  /** Characters of output that are kept: the first four fifths and the last fifth. @default 10 Mi */
  outputLimit?: number;
}
