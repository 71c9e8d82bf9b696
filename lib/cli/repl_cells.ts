/** Cells of a prompt: whether one is whole, how it is run, and what is shown of it. */
import type { LiveOutput } from "../interpreter/outputs.ts";
import type { ExecuteRequest, SessionResult } from "../worker/execution.ts";
import type { CommandContext } from "./command.ts";
import cellText from "./repl_cell.py" with { type: "text" };
import type { Completions } from "./repl_prompt.ts";
import type { ImageSaver } from "./run_images.ts";

/** What a prompt needs of a session; `Session` of the worker is one. */
export interface ReplSession {
  execute(request: ExecuteRequest): Promise<SessionResult>;
  ask(what: string, params: Record<string, unknown>): Promise<unknown>;
  interrupt(): Promise<boolean>;
  restart(): Promise<void>;
  readonly pythonVersion: string | undefined;
  /** `dead` when its Python has ended by itself. */
  readonly state: string;
}

const NO_COMPLETIONS: Completions = { matches: [], start: 0, end: 0 };

/** Whether a text is a whole cell, in the opinion of the session's Python. */
export async function isComplete(session: ReplSession, source: string): Promise<boolean> {
  // Texts of JSON are texts of Python.
  const code = `exec(compile(${JSON.stringify(cellText)}, ` +
    `__import__("hypha_kernel").FOLDER + "/cell.py", "exec"), ` +
    `{"__name__": "hypha_cell", "source": ${JSON.stringify(source)}})`;
  const { outputs } = await session.execute({ code, silent: true });
  // What cannot be judged is run, and shows why.
  return !outputs.some((output) =>
    output.type === "display_data" && output.data["text/plain"] === "incomplete"
  );
}

/** What can stand at a place. Nothing when the session cannot say. */
export async function complete(
  session: ReplSession,
  code: string,
  cursor: number,
): Promise<Completions> {
  // Python counts characters.
  const count = (text: string) => Array.from(text).length;
  try {
    const answer = await session.ask("complete", { code, cursor: count(code.slice(0, cursor)) });
    const { matches, cursor_start } = answer as { matches: string[]; cursor_start: number };
    const start = Array.from(code).slice(0, cursor_start).join("").length;
    return { matches: [...new Set(matches)], start, end: cursor };
  } catch {
    return NO_COMPLETIONS;
  }
}

/** Shows what cells put out. */
export class CellOutput {
  readonly #context: CommandContext;
  readonly #images: ImageSaver;
  #lineOpen = false;
  #shown: Promise<void> = Promise.resolve();

  /** Pictures go to files. */
  constructor(context: CommandContext, images: ImageSaver) {
    this.#context = context;
    this.#images = images;
  }

  /** Shows an output as it comes. */
  show(output: LiveOutput): void {
    if (output.type === "clear_output") return;
    if (output.type === "stream") {
      if (output.text !== "") this.#lineOpen = !output.text.endsWith("\n");
      this.#context.write(output.name, output.text);
      return;
    }
    this.endLine();
    const { data } = output;
    // In the order in which they come, although files take their time.
    this.#shown = this.#shown.then(() => this.#images.show(data, this.#context)).catch((error) => {
      this.#context.write("stderr", `Cannot save a picture: ${error.message}\n`);
    });
  }

  /** Ends a line that a cell has left open, so that a prompt or a result begins one. */
  endLine(): void {
    if (this.#lineOpen) this.#context.write("stdout", "\n");
    this.#lineOpen = false;
  }

  /** Shows an error. */
  showError({ traceback }: NonNullable<SessionResult["error"]>): void {
    const lines = traceback.join("\n").split("\n");
    const text = this.#context.colour.stderr ? coloured(lines) : lines;
    this.#context.write("stderr", text.join("\n") + "\n");
  }

  /** Resolves when everything is shown. */
  async settled(): Promise<void> {
    await this.#shown;
  }
}

/** A traceback of Python's with colours: places, and what went wrong. */
function coloured(lines: readonly string[]): string[] {
  if (lines.some((line) => line.includes("\x1b["))) return [...lines];
  return lines.map((line) => {
    if (/^Traceback |^During handling|^The above exception/.test(line)) {
      return `\x1b[90m${line}\x1b[0m`;
    }
    if (/^ {2}File "/.test(line)) {
      return line.replace(
        /"(.*)", line (\d+)(?:, in (.*))?/,
        (_all, file, number, name) =>
          `"\x1b[36m${file}\x1b[0m", line \x1b[33m${number}\x1b[0m` +
          (name === undefined ? "" : `, in \x1b[34m${name}\x1b[0m`),
      );
    }
    if (/^\s+[\^~]+\s*$/.test(line)) return `\x1b[31m${line}\x1b[0m`;
    const error = /^([\p{L}_][\p{L}\p{N}_.]*)(: .*|$)/u.exec(line);
    return error === null ? line : `\x1b[31;1m${error[1]}\x1b[0m${error[2]}`;
  });
}
