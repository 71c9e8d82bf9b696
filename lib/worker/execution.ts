/** One execution in a session: what is asked for, and what comes back. */
import { WorkerError } from "../errors.ts";
import type { OutputReceiver } from "../interpreter/options.ts";
import type { ExecutionResult } from "../interpreter/outputs.ts";

/** One execution. */
export interface ExecuteRequest {
  code: string;
  filename?: string;
  /** Milliseconds; none without. */
  timeout?: number | undefined;
  signal?: AbortSignal | undefined;
  onOutput?: OutputReceiver | undefined;
  /** Answers `input()`. */
  onInput?: ((prompt: string, password: boolean) => Promise<string>) | undefined;
  silent?: boolean;
  storeHistory?: boolean;
  /** Characters of output that are kept and passed on. @default the interpreter's own limit */
  outputLimit?: number;
  /** Environment variables for this execution only. */
  env?: Readonly<Record<string, string | null>>;
  /** Name under which it can be cancelled. @default a random one */
  executionId?: string | undefined;
}

/** Result of an execution, with the name it could be cancelled by. */
export type SessionResult = ExecutionResult & { execution_id: string };

/** How a session's Python ended that nobody had asked to end. */
export interface Death {
  /** Exit code; `null` when a signal ended it. */
  readonly code: number | null;
  /** Name of the signal, such as `SIGSEGV`; `null` for an ordinary end. */
  readonly signal: string | null;
  /** The same in words, with the cause where it is known. */
  readonly reason: string;
  /** What was last written to the error stream; empty when nothing was. */
  readonly stderr: string;
}

/** The error of whoever wants something of a dead session: how it ended, and its last words. */
export function deadError(id: string, death: Death | undefined): WorkerError {
  const { reason, stderr, code, signal } = death ??
    { reason: "its Python process has ended", stderr: "", code: null, signal: null };
  const last = stderr === "" ? "" : `\n${stderr.split("\n").slice(-20).join("\n")}`;
  return new WorkerError(
    "session_dead",
    `Kernel for session ${id} is not alive: ${reason}${last}`,
    { context: { code, signal, stderr } },
  );
}
