/** Progress of a local run on standard error: one line that changes on a terminal, plain lines elsewhere. */
import type { Progress } from "../progress.ts";
import type { CommandContext } from "./command.ts";

const BAR = 24;
/** Longest line (characters). */
const MOST_COLUMNS = 100;

/** Where progress is drawn. */
export type ProgressContext =
  & Pick<CommandContext, "terminal" | "write">
  & Partial<Pick<CommandContext, "columns">>;

/** Draws progress. */
export class ProgressLine {
  readonly #context: ProgressContext;
  readonly #width: number;
  #drawn = false;
  #last = "";

  /** Draws where the context says. */
  constructor(context: ProgressContext) {
    this.#context = context;
    // A line that is broken could not be removed again.
    this.#width = Math.min(MOST_COLUMNS, (context.columns?.stderr ?? Infinity) - 1);
  }

  /** Shows a message of progress. */
  show(progress: Progress): void {
    if (progress.type === "warning" || progress.type === "error") {
      this.clear();
      this.#context.write("stderr", `${progress.type}: ${progress.message}\n`);
      return;
    }
    if (!this.#context.terminal) {
      // The same step with another percentage is no news in a log.
      if (progress.message !== this.#last) this.#context.write("stderr", `${progress.message}\n`);
      this.#last = progress.message;
      return;
    }
    const text = progress.percent === undefined
      ? progress.message
      : `${bar(progress.percent)} ${progress.message}`;
    this.#context.write("stderr", `\r\x1b[2K${text.slice(0, this.#width)}`);
    this.#drawn = true;
  }

  /** Removes the line, so that other output can follow. */
  clear(): void {
    if (this.#drawn) this.#context.write("stderr", "\r\x1b[2K");
    this.#drawn = false;
  }
}

/** A bar of a percentage. */
export function bar(percent: number): string {
  const shown = Math.min(Math.max(percent, 0), 100);
  const full = Math.round(shown / 100 * BAR);
  return `[${"#".repeat(full)}${"-".repeat(BAR - full)}] ${String(Math.round(shown)).padStart(3)}%`;
}
