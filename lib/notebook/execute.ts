/**
 * Running a notebook: its code cells one after the other, with what they put out written into them.
 *
 * Tags have the meaning they have for nbclient: a cell with `skip-execution` is left as it is, an error of one with
 * `raises-exception` is part of it. Cells that hold nothing but white space are not run.
 */
import type {
  ExecutionError,
  ExecutionResult,
  LiveOutput,
  Output,
} from "../interpreter/outputs.ts";
import {
  type CellOutput,
  type CodeCell,
  type DisplayDataOutput,
  type ErrorOutput,
  isJsonType,
  type MimeBundle,
  type Notebook,
  tagsOf,
} from "./document.ts";
import { jupyterTraceback } from "./traceback.ts";

/** Runs one cell; a session of the worker does. */
export interface CellRunner {
  execute(request: {
    code: string;
    timeout?: number | undefined;
    signal?: AbortSignal | undefined;
    onOutput?: ((output: LiveOutput) => void) | undefined;
  }): Promise<ExecutionResult>;
}

/** How a notebook is run. */
export interface NotebookRunOptions {
  /** Whether it goes on after a cell that failed. @default false */
  readonly allowErrors?: boolean;
  /** Time each cell may take (milliseconds). @default no limit */
  readonly cellTimeout?: number | undefined;
  /** Interrupts the cell that runs and ends the run. */
  readonly signal?: AbortSignal;
  /** Told before a cell runs; `number` counts from 1 to `total`, the cells that are run. */
  readonly onCell?: (cell: CodeCell, number: number, total: number) => void;
  /** Told when a cell has run and has its outputs. */
  readonly onCellEnd?: (cell: CodeCell, number: number, total: number) => void;
  /** The time. @default the system's */
  readonly now?: () => Date;
}

/** How a run of a notebook went. */
export interface NotebookRun {
  /** Cells that were run, the failed one among them. */
  readonly executed: number;
  /** Cells that should have been run. */
  readonly total: number;
  /** What ended the run early, and the number of its cell as for `onCell`. */
  readonly failure?: {
    readonly number: number;
    readonly cell: CodeCell;
    readonly error: ExecutionError;
  };
}

/** What displays of a notebook carry beside what is saved. */

/**
 * Runs a notebook; changes it in place. All outputs of before are removed first, but for those of cells that are
 * skipped. A failed cell is no exception but part of the result.
 *
 * @throws what the runner throws when it cannot run cells at all
 */
export async function runNotebook(
  notebook: Notebook,
  runner: CellRunner,
  options: NotebookRunOptions = {},
): Promise<NotebookRun> {
  const cells = cellsToRun(notebook);
  for (const cell of cells) clear(cell);
  const total = cells.length;
  const sources = new Map<number, string>();
  const displays = new Displays();
  let executed = 0;
  for (const cell of cells) {
    if (options.signal?.aborted) break;
    const number = ++executed;
    options.onCell?.(cell, number, total);
    const error = await runCell(cell, runner, options, { sources, displays });
    options.onCellEnd?.(cell, number, total);
    if (error !== undefined) return { executed, total, failure: { number, cell, error } };
  }
  return { executed, total };
}

/** The cells of a notebook that are run. */
export function cellsToRun(notebook: Notebook): CodeCell[] {
  return notebook.cells.filter((cell): cell is CodeCell =>
    cell.cell_type === "code" && cell.source.trim() !== "" &&
    !tagsOf(cell).includes("skip-execution")
  );
}

function clear(cell: CodeCell): void {
  cell.outputs = [];
  cell.execution_count = null;
  delete cell.metadata.execution;
}

interface RunState {
  readonly sources: Map<number, string>;
  readonly displays: Displays;
}

/** Runs a cell. Returns its error when the notebook ends with it. */
async function runCell(
  cell: CodeCell,
  runner: CellRunner,
  { allowErrors = false, cellTimeout, signal, now = () => new Date() }: NotebookRunOptions,
  { sources, displays }: RunState,
): Promise<ExecutionError | undefined> {
  const started = now();
  const result = await runner.execute({
    code: cell.source,
    timeout: cellTimeout,
    signal,
    onOutput: (output) => displays.update(output),
  });
  const ended = now();
  if (result.execution_count > 0) {
    cell.execution_count = result.execution_count;
    sources.set(result.execution_count, cell.source);
  }
  cell.metadata.execution = {
    "iopub.execute_input": started.toISOString(),
    "iopub.status.busy": started.toISOString(),
    "iopub.status.idle": ended.toISOString(),
    "shell.execute_reply": ended.toISOString(),
  };
  cell.outputs = result.outputs.map((output) => {
    const saved = outputOf(output);
    if (output.type === "display_data" && saved.output_type === "display_data") {
      displays.add(output.transient?.display_id, saved);
    }
    return saved;
  });
  const { error } = result;
  if (error === undefined) return undefined;
  cell.outputs.push(errorOutput(error, (count) => sources.get(count) ?? cellSource(cell, count)));
  // Without its variables nothing of the rest can be right.
  if (result.state_lost || signal?.aborted) return error;
  const expected = allowErrors || tagsOf(cell).includes("raises-exception");
  return expected ? undefined : error;
}

function cellSource(cell: CodeCell, count: number): string | undefined {
  return cell.execution_count === count ? cell.source : undefined;
}

/** Displays of cells that are over, which later cells may change. */
class Displays {
  readonly #byId = new Map<string, DisplayDataOutput[]>();

  add(id: unknown, output: DisplayDataOutput): void {
    if (typeof id !== "string") return;
    const same = this.#byId.get(id);
    if (same === undefined) this.#byId.set(id, [output]);
    else same.push(output);
  }

  update(output: LiveOutput): void {
    if (output.type !== "update_display_data") return;
    for (const display of this.#byId.get(output.transient.display_id) ?? []) {
      display.data = savedBundle(output.data);
      display.metadata = output.metadata;
    }
  }
}

/** An output of a session as notebooks save it. */
export function outputOf(output: Output): CellOutput {
  switch (output.type) {
    case "stream":
      return { output_type: "stream", name: output.name, text: output.text };
    case "display_data":
      return {
        output_type: "display_data",
        data: savedBundle(output.data),
        metadata: output.metadata,
      };
    case "execute_result":
      return {
        output_type: "execute_result",
        data: savedBundle(output.data),
        metadata: output.metadata,
        execution_count: output.execution_count,
      };
  }
}

/** An error as notebooks save it. */
export function errorOutput(
  error: ExecutionError,
  sourceOf: (count: number) => string | undefined,
): ErrorOutput {
  return {
    output_type: "error",
    ename: error.ename,
    evalue: error.evalue,
    traceback: jupyterTraceback(error, sourceOf),
  };
}

/** Only JSON types may hold something else than text. */
function savedBundle(bundle: MimeBundle): MimeBundle {
  return Object.fromEntries(
    Object.entries(bundle).map(([type, content]) => [
      type,
      typeof content === "string" || isJsonType(type) ? content : JSON.stringify(content),
    ]),
  );
}
