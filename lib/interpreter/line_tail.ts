/** Drains the output of a helper process: lines go to the debug log, the last ones are kept for error messages. */
import type { Logger } from "../log.ts";

const KEPT_LINES = 40;
const MAX_LINE = 4000;

/** The last lines a process printed. */
export class LineTail {
  readonly #lines: string[] = [];
  readonly #done: Promise<unknown>;

  /** Reads both streams of a process to their end. */
  constructor(child: Deno.ChildProcess, log: Logger) {
    this.#done = Promise.allSettled([
      this.#drain(child.stdout, log),
      this.#drain(child.stderr, log),
    ]);
  }

  async #drain(stream: ReadableStream<Uint8Array>, log: Logger): Promise<void> {
    let partial = "";
    for await (
      const text of stream.pipeThrough(
        new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>,
      )
    ) {
      const lines = (partial + text).split("\n");
      partial = (lines.pop() ?? "").slice(-MAX_LINE);
      for (const line of lines) this.#keep(line, log);
    }
    if (partial !== "") this.#keep(partial, log);
  }

  #keep(line: string, log: Logger): void {
    const short = line.slice(0, MAX_LINE);
    log.debug("python", { line: short });
    this.#lines.push(short);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
  }

  /** What was printed last. */
  text(): string {
    return this.#lines.join("\n");
  }

  /** Waits for the end of both streams, but no longer than the given time (milliseconds). */
  async finished(limit: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, limit));
    await Promise.race([this.#done, timeout]);
    clearTimeout(timer);
  }
}
