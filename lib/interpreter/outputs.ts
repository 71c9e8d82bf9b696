/** What a cell puts out, in the shapes of the Hypha contract (those of nbformat, with `type` for `output_type`). */

/** A MIME bundle. */
export type Bundle = Record<string, unknown>;

/** Text on standard output or error. */
export interface StreamOutput {
  type: "stream";
  name: "stdout" | "stderr";
  text: string;
}

/** Something displayed. */
export interface DisplayData {
  type: "display_data";
  data: Bundle;
  metadata: Bundle;
  /** Present when it can be updated, also by later cells (Jupyter's `display_data`). */
  transient?: { display_id: string };
}

/** The value of the last expression. */
export interface ExecuteResult {
  type: "execute_result";
  data: Bundle;
  metadata: Bundle;
  execution_count: number;
}

/** One output of a cell. */
export type Output = StreamOutput | DisplayData | ExecuteResult;

/** An update of something displayed before, or an order to clear; only in the live stream, not in results. */
export type LiveOutput =
  | Output
  | {
    type: "update_display_data";
    data: Bundle;
    metadata: Bundle;
    transient: { display_id: string };
  }
  | { type: "clear_output"; wait: boolean };

/** Why a cell failed (Jupyter's `error` message). */
export interface ExecutionError {
  ename: string;
  evalue: string;
  traceback: string[];
}

/** The outcome of one execution. Keys after `error` are additions to the reference's shape. */
export interface ExecutionResult {
  status: "ok" | "error";
  outputs: Output[];
  error?: ExecutionError;
  /** Number of the cell, as in `In [n]`. */
  execution_count: number;
  /** Wall time of the cell (seconds). */
  duration: number;
  /** Whether output was cut at the limit. */
  truncated?: true;
  /** Whether the interpreter was replaced, so that all variables are gone. */
  state_lost?: true;
}
