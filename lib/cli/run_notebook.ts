/** Running a notebook in a session, and saving it with its outputs, also when it does not come to its end. */
import { basename, dirname, join, resolve } from "@std/path";
import { describeLanguage, type Notebook } from "../notebook/document.ts";
import { readNotebook } from "../notebook/document_read.ts";
import { formatNotebook, writeNotebook } from "../notebook/document_write.ts";
import { cellsToRun, type NotebookRun, runNotebook } from "../notebook/execute.ts";
import { injectParameters, type Parameter, parseParameter } from "../notebook/parameters.ts";
import { messageOf } from "../errors.ts";
import type { Session } from "../worker/session.ts";
import type { CommandContext } from "./command.ts";
import { type ParsedOptions, usage } from "./option.ts";
import { startCode } from "./run_python.ts";
import { ProgressLine } from "./terminal.ts";

/** What the command line says of a notebook. */
export interface NotebookSettings {
  /** Where the notebook is saved; `undefined` is standard output. */
  readonly output: string | undefined;
  readonly allowErrors: boolean;
  /** Time each cell may take (milliseconds). */
  readonly cellTimeout: number | undefined;
  readonly parameters: readonly Parameter[];
}

/** What a run of a notebook needs. */
export interface NotebookHooks {
  readonly context: CommandContext;
  /** Interrupts the cell that runs and ends the run. */
  readonly signal: AbortSignal;
}

/** Time in which cells that end are saved together (milliseconds). */
const SAVE_DELAY = 500;

/** Options that are about notebooks. */
export const NOTEBOOK_OPTIONS = [
  "output",
  "inplace",
  "allow-errors",
  "cell-timeout",
  "parameters",
];

/** Reads a notebook that is to be run. Throws `usage` that says why it cannot be. */
export async function loadNotebook(path: string, name: string): Promise<Notebook> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw usage(`Cannot read ${name}: ${messageOf(error)}`);
  }
  const notebook = readNotebook(text, name);
  const language = languageOf(notebook);
  if (language !== undefined && !/^i?python\d*$/i.test(language)) {
    throw usage(`Cannot run ${name}: its language is ${language}, not Python`);
  }
  return notebook;
}

function languageOf({ metadata }: Notebook): string | undefined {
  const named = [
    (metadata.kernelspec as Record<string, unknown> | undefined)?.language,
    (metadata.language_info as Record<string, unknown> | undefined)?.name,
  ];
  return named.find((one) => typeof one === "string");
}

/** Reads the options about notebooks. Throws `usage` that names the option. */
export async function readNotebookSettings(
  path: string,
  { values, lists }: ParsedOptions,
): Promise<NotebookSettings> {
  const text = (name: string) => values[name] as string | undefined;
  const given = text("output");
  if (given !== undefined && values.inplace === true) {
    throw usage("--inplace and --output exclude each other");
  }
  const output = given === "-"
    ? undefined
    : values.inplace === true
    ? path
    : resolve(given ?? join(text("output-dir") ?? dirname(path), outputName(path)));
  if (output !== undefined) await checkOutput(output);
  return {
    output,
    allowErrors: values["allow-errors"] === true,
    cellTimeout: secondsOption("cell-timeout", text("cell-timeout")),
    parameters: (lists.parameters ?? []).map(parseParameter),
  };
}

/** `analysis.ipynb` becomes `analysis.out.ipynb`. */
function outputName(path: string): string {
  return basename(path).replace(/(\.ipynb)?$/i, ".out.ipynb");
}

/** Whoever has waited for a notebook shall not learn then that it cannot be saved. */
async function checkOutput(path: string): Promise<void> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info?.isDirectory) throw usage(`Cannot write ${path}: it is a folder`);
  const folder = await Deno.stat(dirname(path)).catch(() => undefined);
  if (folder?.isDirectory !== true) {
    throw usage(`Cannot write ${path}: the folder ${dirname(path)} does not exist`);
  }
}

/** A time in milliseconds from an option in seconds. Throws `usage` naming the option. */
export function secondsOption(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = Number(value);
  // No timer counts further.
  if (!(seconds > 0) || seconds * 1000 > 2 ** 31 - 1) {
    throw usage(`--${name} must be a number of seconds, received ${value}`);
  }
  return seconds * 1000;
}

/** Puts the parameters of a run into a notebook, and warns when it has no place for them. */
export function applyParameters(
  notebook: Notebook,
  parameters: readonly Parameter[],
  context: CommandContext,
): void {
  if (parameters.length === 0 || injectParameters(notebook, parameters)) return;
  const line = new ProgressLine(context);
  line.show({
    type: "warning",
    message: 'No cell has the tag "parameters": the parameters are set before the first cell',
  });
}

/**
 * Runs a notebook, and saves it: whenever a cell has ended, and at the end. Returns the exit code: 1 when a cell
 * failed.
 */
export async function executeNotebook(
  session: Session,
  notebook: Notebook,
  { path, settings, home }: { path: string; settings: NotebookSettings; home: string | null },
  { context, signal }: NotebookHooks,
): Promise<number> {
  const started = performance.now();
  const { output } = settings;
  const saver = new Saver(notebook, output);
  const line = new ProgressLine(context);
  describeLanguage(notebook, { version: session.pythonVersion });
  const folder = dirname(path);
  const prepared = await session.execute({
    code: startCode({ cwd: folder, path: null, file: null, home, stdin: null }),
    silent: true,
    signal,
  });
  if (prepared.error !== undefined && !signal.aborted) {
    throw usage(`Cannot run ${path}: ${prepared.error.evalue}`);
  }
  let result: NotebookRun;
  try {
    result = await runNotebook(notebook, session, {
      allowErrors: settings.allowErrors,
      cellTimeout: settings.cellTimeout,
      signal,
      onCell: (cell, number, total) =>
        line.show({
          type: "info",
          message: `Cell ${number} of ${total}: ${firstLine(cell.source)}`,
          percent: (number - 1) / total * 100,
        }),
      onCellEnd: () => saver.schedule(),
    });
  } finally {
    line.clear();
    await saver.save();
    if (output === undefined) context.write("stdout", formatNotebook(notebook));
  }
  const { failure, executed, total } = result;
  if (failure !== undefined) {
    const { error, number } = failure;
    context.write("stderr", error.traceback.join("\n") + "\n");
    context.write("stderr", `Error: cell ${number} of ${total} failed: ${error.ename}\n`);
  }
  if (output !== undefined) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const cells = executed === total ? `${total}` : `${executed} of ${total}`;
    context.print(`${cells} cell${total === 1 ? "" : "s"} run in ${seconds} s, saved to ${output}`);
  }
  return failure === undefined && executed === cellsToRun(notebook).length ? 0 : 1;
}

function firstLine(source: string): string {
  return source.trim().split("\n", 1)[0]!.trim();
}

/** Saves a notebook soon after something has changed: whoever ends the program loses no cell that is over. */
class Saver {
  readonly #notebook: Notebook;
  readonly #path: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(notebook: Notebook, path: string | undefined) {
    this.#notebook = notebook;
    this.#path = path;
  }

  schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // The last one tells what is wrong.
      this.#write().catch(() => {});
    }, SAVE_DELAY);
  }

  /** Saves now. Throws `usage` when that cannot be. */
  async save(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#write();
  }

  #write(): Promise<void> {
    const path = this.#path;
    if (path === undefined) return Promise.resolve();
    this.#saving = this.#saving.catch(() => {}).then(() => writeNotebook(this.#notebook, path));
    return this.#saving;
  }
}
