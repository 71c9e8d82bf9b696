/** The last lines of the operator's log, kept in memory for those who look at the dashboard. */
import type { Logger } from "../log.ts";

/** Longest line that is kept whole (characters). */
const MAX_LINE = 2000;

/** Options of {@linkcode LogTail}. */
export interface LogTailOptions {
  /** Lines that are kept. @default 1000 */
  maxLines?: number;
  /** Characters that are kept. @default 500000 */
  maxCharacters?: number;
}

/** Some lines, and where to go on reading. */
export interface TailPage {
  /** Number of the first line given. */
  first: number;
  lines: string[];
  /** Number of the line that comes next. */
  next: number;
}

/** A bounded ring of lines, numbered from 0. */
export class LogTail {
  readonly #maxLines: number;
  readonly #maxCharacters: number;
  readonly #lines: string[] = [];
  #characters = 0;
  #dropped = 0;

  /** Starts empty. */
  constructor(options: LogTailOptions = {}) {
    this.#maxLines = options.maxLines ?? 1000;
    this.#maxCharacters = options.maxCharacters ?? 500_000;
  }

  /** Adds a line, from which secrets have been removed already. */
  readonly add = (line: string): void => {
    const text = line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
    this.#lines.push(text);
    this.#characters += text.length;
    while (this.#lines.length > this.#maxLines || this.#characters > this.#maxCharacters) {
      this.#characters -= this.#lines.shift()!.length;
      this.#dropped++;
    }
  };

  /** The lines from a number on, at most `limit` of them: the newest. */
  from(number: number, limit: number): TailPage {
    const next = this.#dropped + this.#lines.length;
    // Whoever asks for what is to come has read the log of a worker that ran before.
    const wanted = number > next ? 0 : number;
    const first = Math.max(wanted, this.#dropped, next - limit);
    return { first, lines: this.#lines.slice(first - this.#dropped), next };
  }
}

/** A logger that writes to two. */
export function bothLoggers(one: Logger, other: Logger): Logger {
  const write = (level: keyof Logger): Logger[keyof Logger] => (message, fields) => {
    one[level](message, fields);
    other[level](message, fields);
  };
  return {
    debug: write("debug"),
    info: write("info"),
    warning: write("warning"),
    error: write("error"),
  };
}
