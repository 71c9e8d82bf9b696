/** Reading a program's output line by line, however much and however long it is. */
import type { LineSink } from "./manager.ts";

/** Lines longer than this many characters lose their rest. */
const MAX_LINE = 8192;

/** A carriage return ends a line too: that is how progress bars are drawn. */
const LINE_END = /\r\n|\n|\r/;
/** How conda announces a step, long before the line is complete: a line of its own. */
const ANNOUNCEMENT = /\.\.\.working\.\.\. /g;

/** Splits chunks of text into lines. */
export class LineSplitter {
  readonly #sink: LineSink;
  #rest = "";

  /** Passes each complete line to the sink. */
  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /** Takes the next piece of text. */
  push(text: string): void {
    const parts = (this.#rest + text).replace(ANNOUNCEMENT, "$&\n").split(LINE_END);
    this.#rest = parts.pop() ?? "";
    for (const part of parts) this.#sink(part.slice(0, MAX_LINE));
    // What is cut off here is never shown, so it need not be kept until the line ends.
    if (this.#rest.length > MAX_LINE) this.#rest = this.#rest.slice(0, MAX_LINE);
  }

  /** Takes the end of the text. */
  end(): void {
    if (this.#rest !== "") this.#sink(this.#rest);
    this.#rest = "";
  }
}

/** Reads a stream to its end, or until it is aborted, and passes on each line. Never throws. */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  sink: LineSink,
  signal?: AbortSignal,
): Promise<void> {
  const reader = stream.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  const decoder = new TextDecoder();
  const splitter = new LineSplitter(sink);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      splitter.push(decoder.decode(value, { stream: true }));
    }
  } catch {
    // The pipe broke: what came before is all there is.
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  splitter.push(decoder.decode());
  splitter.end();
}

/** Keeps the last lines of many. */
export class Tail {
  readonly #lines: string[] = [];
  readonly #limit: number;

  /** Keeps at most this many lines. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds a line and forgets the oldest when there are too many. */
  push(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > this.#limit) this.#lines.shift();
  }

  /** The lines, oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }
}
