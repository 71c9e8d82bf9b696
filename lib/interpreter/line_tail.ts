/** Drains the output of a helper process: lines go to the debug log, the last ones are kept for error messages. */
import { settledWithin } from "../delay.ts";
import type { Logger } from "../log.ts";
import { readLines, Tail } from "../managers/lines.ts";
import type { Program } from "../managers/manager.ts";

const KEPT_LINES = 40;
const MAX_LINE = 4000;

/** The last lines a process printed. */
export class LineTail {
  readonly #tail = new Tail(KEPT_LINES);
  readonly #done: Promise<unknown>;

  /** Reads both streams of a process to their end. */
  constructor(child: Program, log: Logger) {
    const keep = (line: string) => {
      const short = line.slice(0, MAX_LINE);
      log.debug("python", { line: short });
      this.#tail.push(short);
    };
    this.#done = Promise.all([readLines(child.stdout, keep), readLines(child.stderr, keep)]);
  }

  /** What was printed last. */
  text(): string {
    return this.#tail.lines.join("\n");
  }

  /** Waits for the end of both streams, but no longer than the given time (milliseconds). */
  async finished(limit: number): Promise<void> {
    await settledWithin(this.#done, limit);
  }
}
