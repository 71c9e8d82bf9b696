/**
 * An interactive prompt for a session, as Python's own, with what Jupyter adds to it: magics, help with `?`,
 * top-level `await`, pictures (they go to files).
 *
 * - Enter runs a cell that is whole by Python's rules, else it begins another line; Alt-Enter always does the latter.
 * - Tab completes, Up and Down go through the history, Ctrl-R searches it.
 * - Ctrl-C interrupts what runs, or drops what is being typed. Ctrl-\ ends Python when it does not react, and starts
 *   it anew. Ctrl-D on an empty line ends the prompt, and so do `exit` and `exit(code)`.
 *
 * Without a terminal, standard input is taken as what would be typed: `python -i < file` does the same. Cells follow
 * each other as at the prompt, values of expressions are shown, errors do not stop it; there are no prompts. The
 * exit code is 1 when a cell has failed.
 */
import { delay } from "../delay.ts";
import { messageOf } from "../errors.ts";
import { PROGRAM, VERSION } from "../version.ts";
import type { SessionResult } from "../worker/execution.ts";
import type { CommandContext } from "./command.ts";
import { exitStatus } from "./exit_codes.ts";
import { CellOutput, complete, isComplete, type ReplSession } from "./repl_cells.ts";
import { History, historyFile } from "./repl_history.ts";
import { Keyboard, type TerminalSource } from "./repl_keyboard.ts";
import { readEntry, type Terminal } from "./repl_prompt.ts";
import { type Prompt, Screen, type Size } from "./repl_screen.ts";
import { ImageSaver } from "./run_images.ts";

export type { ReplSession } from "./repl_cells.ts";

/** What a prompt needs. */
export interface ReplOptions {
  readonly context: CommandContext;
  /** Where pictures go. */
  readonly outputDir: string;
  /** Ends the prompt. */
  readonly signal: AbortSignal;
  /** Code that is run before the first prompt, as by `python -i script.py`. */
  readonly first?: { readonly code: string; readonly filename: string } | undefined;
  /** Standard input. @default this program's */
  readonly input?: ReplInput;
}

/** A standard input. */
export interface ReplInput extends TerminalSource {
  isTerminal(): boolean;
  setRaw(raw: boolean): void;
}

const PYTHON: Prompt = { first: ">>> ", more: "... ", python: true };
/** Terminals tell pasted text from typed text when they are asked to. */
const PASTES_ON = "\x1b[?2004h";
const PASTES_OFF = "\x1b[?2004l";

/** Prompts until it is ended. Returns the exit code. */
export async function repl(session: ReplSession, options: ReplOptions): Promise<number> {
  const input = options.input ?? Deno.stdin;
  const run = new Repl(session, options);
  if (!input.isTerminal()) return await run.fromStream(input);
  input.setRaw(true);
  options.context.write("stdout", PASTES_ON);
  try {
    return await run.atTerminal(input);
  } finally {
    options.context.write("stdout", PASTES_OFF);
    input.setRaw(false);
  }
}

class Repl {
  readonly #session: ReplSession;
  readonly #options: ReplOptions;
  readonly #output: CellOutput;
  /** Whether a cell runs. */
  #busy = false;
  /** Whether a key has stopped a cell before it ran. */
  #stopped = false;

  constructor(session: ReplSession, options: ReplOptions) {
    this.#session = session;
    this.#options = options;
    this.#output = new CellOutput(options.context, new ImageSaver(options.outputDir, "output"));
  }

  async atTerminal(input: ReplInput): Promise<number> {
    const { context, signal } = this.#options;
    const write = (text: string) => context.write("stdout", text);
    const terminal: Terminal = {
      keyboard: new Keyboard(input),
      screen: new Screen(write, terminalSize, context.colour.stdout),
      write,
      size: terminalSize,
    };
    const history = await History.open(historyFile(context.environment));
    write(`${PROGRAM} ${VERSION}, Python ${this.#session.pythonVersion ?? "?"}; Ctrl-D ends\n`);
    const { first } = this.#options;
    const catchKeys = (key: string) => this.#interrupt(key);
    terminal.keyboard.intercept = catchKeys;
    if (first !== undefined) await this.#run(first.code, terminal, first.filename);
    for (;;) {
      terminal.keyboard.intercept = undefined;
      this.#stopped = false;
      const entry = await readEntry(terminal, {
        prompt: PYTHON,
        history,
        isComplete: (text) => isComplete(this.#session, text),
        complete: (text, cursor) => complete(this.#session, text, cursor),
      }, signal);
      // From here on keys are for the code: none may fall between the prompt and its run.
      terminal.keyboard.intercept = catchKeys;
      if (signal.aborted) throw signal.reason;
      if (entry === "ended") return 0;
      if (entry === "cancelled") {
        write("KeyboardInterrupt\n");
        continue;
      }
      const code = entry.text.trimEnd();
      await history.add(code);
      if (code.trim() === "") continue;
      const ended = await this.#run(code, terminal);
      if (typeof ended === "number") return ended;
    }
  }

  /** Runs cells that come without a terminal. */
  async fromStream(input: TerminalSource): Promise<number> {
    const { first } = this.#options;
    let cell = "";
    let failed = first !== undefined &&
      await this.#run(first.code, undefined, first.filename) === "failed";
    const end = async () => {
      const code = cell;
      cell = "";
      if (code.trim() === "") return undefined;
      const ended = await this.#run(code);
      if (ended === "failed") failed = true;
      return typeof ended === "number" ? ended : undefined;
    };
    for await (const line of linesOf(input)) {
      if (this.#options.signal.aborted) break;
      // A line that is not indented ends the compound statement before it, as where there is nobody to ask for more.
      const goesOn = line === "" || /^[ \t)\]}]|^(?:else|elif|except|finally|case)\b/.test(line);
      if (cell !== "" && !goesOn && await isComplete(this.#session, `${cell}\n`)) {
        const ended = await end();
        if (ended !== undefined) return ended;
      }
      cell += cell === "" ? line : `\n${line}`;
      if (/^\S/.test(line) && await isComplete(this.#session, cell)) {
        const ended = await end();
        if (ended !== undefined) return ended;
      }
    }
    return await end() ?? (failed ? 1 : 0);
  }

  /** Runs a cell. Returns the exit code when the cell asks for the end. */
  async #run(
    code: string,
    terminal?: Terminal,
    filename?: string,
  ): Promise<number | "ok" | "failed"> {
    if (/^(?:exit|quit)$/.test(code.trim())) return 0;
    const { context, signal } = this.#options;
    if (this.#stopped) {
      context.write("stderr", "KeyboardInterrupt\n");
      return "failed";
    }
    this.#busy = true;
    let result: SessionResult;
    try {
      result = await this.#session.execute({
        code,
        signal,
        ...(filename === undefined ? {} : { filename }),
        onOutput: (output) => this.#output.show(output),
        ...(terminal === undefined ? {} : {
          onInput: (prompt: string, password: boolean) => this.#ask(terminal, prompt, password),
        }),
      });
    } catch (error) {
      if (signal.aborted) throw error;
      context.write("stderr", `${messageOf(error)}\n`);
      await this.#revive();
      return "failed";
    } finally {
      this.#busy = false;
      await this.#output.settled();
      this.#output.endLine();
    }
    const { error, state_lost } = result;
    if (error === undefined) return "ok";
    if (error.ename === "SystemExit") return exitStatus(error.evalue, context);
    this.#output.showError(error);
    if (state_lost) await this.#revive();
    return "failed";
  }

  /** A prompt without a Python is of no use. */
  async #revive(): Promise<void> {
    // The session learns of the end of its process a moment after the cell.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (this.#session.state === "dead") await this.#session.restart();
    this.#options.context.write("stderr", "Python was started anew; all variables are lost.\n");
  }

  /** Keys that stop what runs. */
  #interrupt(key: string): boolean {
    if (key !== "ctrl-c" && key !== "ctrl-\\") return false;
    const { context } = this.#options;
    context.write("stdout", key === "ctrl-c" ? "^C\n" : "^\\\n");
    if (!this.#busy) this.#stopped = true;
    else if (key === "ctrl-c") this.#stop().catch(() => {});
    else this.#session.restart().catch(() => {});
    return true;
  }

  /** Interrupts the cell; one that is on its way, as soon as it runs. */
  async #stop(): Promise<void> {
    while (this.#busy && !await this.#session.interrupt()) {
      await delay(10);
    }
  }

  /** Answers `input()` and `getpass()`. */
  async #ask(terminal: Terminal, question: string, password: boolean): Promise<string> {
    const { keyboard, screen } = terminal;
    const { intercept } = keyboard;
    keyboard.intercept = undefined;
    const lines = question.split("\n");
    const last = lines.pop()!;
    this.#output.endLine();
    if (lines.length > 0) terminal.write(lines.join("\n") + "\n");
    screen.leave();
    try {
      const prompt = { first: last, more: "", python: false };
      const entry = await readEntry(terminal, { prompt, hidden: password }, this.#options.signal);
      if (entry === "ended") throw new Error("EOF when reading a line");
      if (entry !== "cancelled") return entry.text;
      await this.#session.interrupt();
      throw new Error("interrupted");
    } finally {
      keyboard.intercept = intercept;
    }
  }
}

function terminalSize(): Size {
  try {
    const { columns, rows } = Deno.consoleSize();
    // Terminals that do not know their size say zero.
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // Standard output is no terminal.
  }
  return { columns: 80, rows: 24 };
}

async function* linesOf(input: TerminalSource): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let rest = "";
  for (;;) {
    const count = await input.read(buffer);
    rest += count === null
      ? decoder.decode()
      : decoder.decode(buffer.subarray(0, count), { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield line.replace(/\r$/, "");
    if (count === null) break;
  }
  if (rest !== "") yield rest;
}
