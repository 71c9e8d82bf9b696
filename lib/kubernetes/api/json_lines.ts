/** JSON values of which each stands on a line, out of bytes that come in any pieces. */
import { concat } from "@std/bytes";

/** Longest line; objects in Kubernetes are limited to a few MiB. */
const MAX_LINE = 64 * 2 ** 20;

const NEWLINE = 10;
const decoder = new TextDecoder();

/** The lines of one stream. */
export class JsonLines {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** The values that are complete now. Throws a `SyntaxError` when a line is not JSON. */
  *push(bytes: Uint8Array): Generator<unknown, void> {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end < 0) break;
      const line = this.#line(bytes.subarray(start, end));
      start = end + 1;
      if (line.trim() !== "") yield JSON.parse(line);
    }
    if (start === bytes.length) return;
    // Kept in pieces: a line of many pieces is only put together once.
    this.#parts.push(bytes.subarray(start));
    this.#length += bytes.length - start;
    if (this.#length > MAX_LINE) throw new SyntaxError("a line is too long");
  }

  #line(last: Uint8Array): string {
    if (this.#parts.length === 0) return decoder.decode(last);
    const line = concat([...this.#parts, last]);
    this.#parts = [];
    this.#length = 0;
    return decoder.decode(line);
  }
}
