/** Reads a connection by counts of bytes. */
import { settledWithin } from "../../delay.ts";
import { TimeIsUp } from "./attempts.ts";

const CHUNK = 64 * 2 ** 10;

/** What has arrived on a connection and was not taken yet. Reads no further than is asked for, but for one chunk. */
export class ByteReader {
  readonly #source: { read(into: Uint8Array): Promise<number | null> };
  readonly #chunk = new Uint8Array(CHUNK);
  /** The part of {@linkcode #chunk} that is left. */
  #left: Uint8Array = this.#chunk.subarray(0, 0);

  /** The connection is not closed here. */
  constructor(source: { read(into: Uint8Array): Promise<number | null> }) {
    this.#source = source;
  }

  /** Takes so many bytes. Fails when the connection ends before, or is silent for `idle` milliseconds. */
  async take(count: number, idle = Infinity): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      if (this.#left.length === 0 && !await this.#read(idle)) {
        throw new Error("the connection was closed");
      }
      const part = this.#left.subarray(0, count - at);
      bytes.set(part, at);
      at += part.length;
      this.#left = this.#left.subarray(part.length);
    }
    return bytes;
  }

  /** Takes bytes up to and including an ASCII text; without it in what is given back. */
  async until(end: string, limit: number): Promise<Uint8Array> {
    const bytes: number[] = [];
    for (;;) {
      if (bytes.length > limit) throw new Error("the answer is too long");
      if (this.#left.length === 0 && !await this.#read(Infinity)) {
        throw new Error("the connection was closed");
      }
      bytes.push(this.#left[0]!);
      this.#left = this.#left.subarray(1);
      const tail = bytes.slice(-end.length);
      if (String.fromCharCode(...tail) === end) {
        return Uint8Array.from(bytes.slice(0, -end.length));
      }
    }
  }

  /** Takes what comes until the connection ends, up to a limit. */
  async rest(limit: number): Promise<Uint8Array> {
    const bytes: number[] = [];
    while (bytes.length < limit && (this.#left.length > 0 || await this.#read(Infinity))) {
      bytes.push(...this.#left.subarray(0, limit - bytes.length));
      this.#left = this.#left.subarray(0, 0);
    }
    return Uint8Array.from(bytes);
  }

  async #read(idle: number): Promise<boolean> {
    const reading = this.#source.read(this.#chunk);
    const count = await settledWithin(reading, idle);
    if (count === undefined) {
      reading.catch(() => {});
      throw new TimeIsUp(idle);
    }
    if (count === null) return false;
    this.#left = this.#chunk.subarray(0, count);
    return true;
  }
}
