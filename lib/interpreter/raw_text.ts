/**
 * The last bytes of a stream that puts out too much: kept as they come, since most of them are forgotten again, and
 * made text at the end only. So output beyond the limit costs a copy, and no memory that has to be collected.
 */
import { StreamText } from "./stream_text.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const FIRST_SIZE = 1024;

/** Bytes that grow at their end and lose their beginning. */
export class RawText {
  readonly #capacity: number;
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #dropped = 0;

  /** Keeps at least the last `most` bytes of all, and at most twice as many. */
  constructor(most: number) {
    this.#capacity = Math.max(2 * most, FIRST_SIZE);
  }

  /** Bytes that are kept. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** Bytes that were forgotten since this was last asked for. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** Adds bytes; they are copied. */
  append(bytes: Uint8Array): void {
    const half = this.#capacity / 2;
    if (bytes.length > half) {
      this.#dropped += this.size + bytes.length - half;
      bytes = bytes.subarray(bytes.length - half);
      this.#start = this.#end = 0;
    }
    this.#makeRoom(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #makeRoom(count: number): void {
    if (this.#end + count <= this.#buffer.length) return;
    if (this.size + count > this.#capacity) {
      const drop = this.size - Math.floor(this.#capacity / 2);
      this.#dropped += drop;
      this.#start += drop;
    }
    const kept = this.#buffer.subarray(this.#start, this.#end);
    const wanted = kept.length + count;
    if (wanted > this.#buffer.length) {
      const grown = new Uint8Array(Math.min(this.#capacity, Math.max(FIRST_SIZE, 2 * wanted)));
      grown.set(kept);
      this.#buffer = grown;
    } else this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#start = 0;
    this.#end = kept.length;
  }

  /** Forgets the first so many bytes, and the rest of a character or of a short line that this cuts. */
  dropStart(count: number): void {
    this.#start = Math.min(this.#start + count, this.#end);
    while (this.#start < this.#end && (this.#buffer[this.#start]! & 0xc0) === 0x80) this.#start++;
    const line = this.#buffer.subarray(this.#start, Math.min(this.#start + 200, this.#end))
      .indexOf(0x0a);
    if (line >= 0 && this.#start + line + 1 < this.#end) this.#start += line + 1;
  }

  /** The text, as a terminal would leave it. */
  toString(): string {
    const text = new StreamText();
    text.append(decoder.decode(this.#buffer.subarray(this.#start, this.#end)));
    return text.toString();
  }
}
