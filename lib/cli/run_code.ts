/** Running a script in a session: its input, its output as it comes, its exit code. */
import { join } from "@std/path";
import type { ExecutionError, LiveOutput, Output } from "../interpreter/outputs.ts";
import { codeCell, newNotebook, type Notebook } from "../notebook/document.ts";
import { errorOutput, outputOf } from "../notebook/execute.ts";
import { createFolderTarget } from "../staging/folder_target.ts";
import type { SaveEntry } from "../staging/save_entries.ts";
import { uploadFiles, type UploadSource } from "../staging/upload.ts";
import type { ExecuteRequest, SessionResult } from "../worker/execution.ts";
import type { Session } from "../worker/session.ts";
import type { CommandContext } from "./command.ts";
import { exitStatus } from "./exit_codes.ts";
import { ImageSaver } from "./run_images.ts";
import { InputSocket, TerminalInput } from "./run_input.ts";
import { type PythonSettings, startCode } from "./run_python.ts";

/** A script to run. */
export interface Script {
  readonly code: string;
  /** What tracebacks call it. */
  readonly filename: string;
  /** First part of the names of its pictures. */
  readonly stem: string;
  readonly python: Omit<PythonSettings, "stdin" | "errors">;
  /** Whether this program's standard input is the script's. */
  readonly input: boolean;
  /** Time it may take (milliseconds). */
  readonly timeout: number | undefined;
  /** Files of the session that are kept. */
  readonly save: readonly SaveEntry[];
}

/** What a run of a script needs. */
export interface ScriptHooks {
  /** Where pictures and kept files go. */
  readonly outputDir: string;
  readonly context: CommandContext;
  /** Interrupts the script. */
  readonly signal: AbortSignal;
}

/** Characters of output that reach whoever reads it: what is shown is kept, too, for the report. */
const OUTPUT_LIMIT = 256 * 1024 * 1024;
/** The type of the display that tells of a script's error. */
const ERROR = "application/vnd.hypha-conda-worker.error+json";

/** Numbers of the signals that end processes, which shells put behind 128. */
const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: Deno.build.os === "linux" ? 7 : 10,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
};

/** Runs a script to its end. Returns its exit code, and a notebook of one cell with what it put out. */
export async function runScript(
  session: Session,
  script: Script,
  { outputDir, context, signal }: ScriptHooks,
): Promise<{ code: number; notebook: Notebook }> {
  const stream = script.input && !Deno.stdin.isTerminal();
  await using socket = stream ? await InputSocket.open(context.environment) : undefined;
  using terminal = script.input && !stream
    ? new TerminalInput((text) => context.write("stdout", text))
    : undefined;
  const images = new ImageSaver(outputDir, script.stem);
  const shown: Promise<void>[] = [];
  let told: string | undefined;
  const prepared = await session.execute({
    code: startCode({ ...script.python, stdin: socket?.path ?? null, errors: ERROR }),
    silent: true,
    signal,
  });
  const request: ExecuteRequest = {
    code: script.code,
    filename: script.filename,
    timeout: script.timeout,
    signal,
    outputLimit: OUTPUT_LIMIT,
    onOutput: (output: LiveOutput) => {
      if (output.type === "stream") context.write(output.name, output.text);
      // The value of the last expression is not shown: this is a script, not a cell.
      if (output.type !== "display_data") return;
      if (isError(output)) {
        const error = output.data[ERROR] as ExecutionError;
        told = error.ename;
        writeTraceback(error, context);
      } else shown.push(images.show(output.data, context));
    },
    onInput: terminal && ((prompt: string, password: boolean) => terminal.ask(prompt, password)),
  };
  // What was interrupted before it began is not run.
  const result = prepared.error !== undefined ? prepared : await session.execute(request);
  const code = await exitCode(session, result, told, context);
  await Promise.all(shown);
  await saveOutputs(script.save, session.files, outputDir, context);
  return { code, notebook: notebookOf(session, script, result, code) };
}

/** The exit code of a script that is over; writes what Python writes then, but for an error that was told already. */
async function exitCode(
  session: Session,
  { error, state_lost }: SessionResult,
  told: string | undefined,
  context: CommandContext,
): Promise<number> {
  if (error === undefined) return 0;
  // The session learns of the end of its process a moment after the cell.
  if (state_lost) await new Promise((resolve) => setTimeout(resolve, 0));
  const { death } = session;
  if (death !== undefined) {
    // Like os._exit(), which says nothing.
    if (death.signal === null) return death.code ?? 1;
    context.write("stderr", `The script did not end by itself: ${death.reason}\n`);
    return 128 + (SIGNALS[death.signal] ?? 0);
  }
  if (error.ename === "SystemExit") return exitStatus(error.evalue, context);
  if (error.ename !== told) writeTraceback(error, context);
  return error.ename === "KeyboardInterrupt" ? 130 : 1;
}

function writeTraceback({ traceback }: ExecutionError, context: CommandContext): void {
  context.write("stderr", traceback.join("\n") + "\n");
}

function isError(output: Output): boolean {
  return output.type === "display_data" && Object.hasOwn(output.data, ERROR);
}

/** Copies what the manifest wants to keep, also after a failure, and says what became of it. */
async function saveOutputs(
  save: readonly SaveEntry[],
  source: UploadSource,
  outputDir: string,
  context: CommandContext,
): Promise<void> {
  if (save.length === 0) return;
  const { files } = await uploadFiles(save, source, createFolderTarget(outputDir), {
    missing: "skip",
    onProgress: ({ type, message }) => {
      if (type === "warning") context.write("stderr", `${message}\n`);
    },
  });
  for (const { path } of files) context.write("stdout", `[saved to ${join(outputDir, path)}]\n`);
}

function notebookOf(
  session: Session,
  script: Script,
  { outputs, error, duration }: SessionResult,
  code: number,
): Notebook {
  const ended = Date.now();
  const started = new Date(ended - duration * 1000).toISOString();
  const cell = codeCell(script.code, {
    execution: {
      "iopub.execute_input": started,
      "iopub.status.busy": started,
      "iopub.status.idle": new Date(ended).toISOString(),
      "shell.execute_reply": new Date(ended).toISOString(),
    },
  });
  cell.execution_count = 1;
  const isShown = (output: Output) => output.type !== "execute_result" && !isError(output);
  cell.outputs = outputs.filter(isShown).map(outputOf);
  // sys.exit() is the end of a script as good as any.
  const endedWell = error?.ename === "SystemExit" && code === 0;
  if (error !== undefined && !endedWell) {
    cell.outputs.push(errorOutput(error, () => undefined));
  }
  return newNotebook([cell], { version: session.pythonVersion });
}
