/** Reads a connection with as much memory as it needs: most sessions put out little, and there may be hundreds. */

/** What a connection begins with, and the most it gets (bytes). */
const SMALLEST = 4 * 1024;
const LARGEST = 256 * 1024;

/** Reads one connection. */
export class Reader {
  readonly #conn: { read(buffer: Uint8Array): Promise<number | null> };
  #buffer: Uint8Array = new Uint8Array(SMALLEST);

  /** Takes over the reading side of a connection. */
  constructor(conn: { read(buffer: Uint8Array): Promise<number | null> }) {
    this.#conn = conn;
  }

  /** The next bytes, valid until the next call; `null` at the end. */
  async read(): Promise<Uint8Array | null> {
    const count = await this.#conn.read(this.#buffer);
    if (count === null) return null;
    const bytes = this.#buffer.subarray(0, count);
    // What fills the buffer is followed by more: the next read gets a larger one.
    if (count === this.#buffer.length && count < LARGEST) this.#buffer = new Uint8Array(4 * count);
    return bytes;
  }
}
