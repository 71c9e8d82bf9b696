/** What an interpreter is started with, and what a cell is run with. */
import type { StreamName } from "./merge.ts";
import type { LiveOutput } from "./outputs.ts";

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
  /** Text that belongs to no running cell: background threads, tasks, processes. Must not block. */
  onBackground?: (name: StreamName, text: string) => void;
}

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
  /** Receives output while the cell runs. Must not throw and must not block. */
  onOutput?: ((output: LiveOutput) => void) | undefined;
  /** Characters of output that are kept: the first four fifths and the last fifth. @default 10 Mi */
  outputLimit?: number;
}
