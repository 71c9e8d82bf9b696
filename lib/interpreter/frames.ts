/**
 * Frames between the worker and Python: two big-endian 32-bit lengths, a JSON header of the first length, raw
 * bytes of the second. The Python side is `python/hypha_kernel/wire.py`.
 */

/** JSON part of a frame. */
export type Header = Record<string, unknown>;

/** One frame. */
export interface Frame {
  header: Header;
  blob: Uint8Array;
}

/** A larger header cannot be meant seriously; the limit protects the worker's memory. */
const MAX_HEADER = 256 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);

/** The bytes of one frame. */
export function encodeFrame(header: Header, blob: Uint8Array = NOTHING): Uint8Array {
  const text = encoder.encode(JSON.stringify(header));
  const frame = new Uint8Array(8 + text.length + blob.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, text.length);
  view.setUint32(4, blob.length);
  frame.set(text, 8);
  frame.set(blob, 8 + text.length);
  return frame;
}

/** Cuts a byte stream into frames. */
export class FrameDecoder {
  #buffer = new Uint8Array(4096);
  #start = 0;
  #end = 0;

  /** Adds bytes that arrived; they are copied. */
  push(bytes: Uint8Array): void {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end + bytes.length > this.#buffer.length) {
      const held = this.#end - this.#start;
      const room = Math.max(held + bytes.length, Math.min(this.#buffer.length * 2, held * 2));
      const bigger = room > this.#buffer.length ? new Uint8Array(room) : this.#buffer;
      bigger.set(this.#buffer.subarray(this.#start, this.#end), 0);
      this.#buffer = bigger;
      this.#start = 0;
      this.#end = held;
    }
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The next complete frame. Throws a `RangeError` when the peer does not speak this protocol. */
  next(): Frame | undefined {
    const held = this.#end - this.#start;
    if (held < 8) return undefined;
    const view = new DataView(this.#buffer.buffer, this.#start, 8);
    const headerSize = view.getUint32(0);
    const blobSize = view.getUint32(4);
    if (headerSize > MAX_HEADER) {
      throw new RangeError(`Cannot read frame: header of ${headerSize} bytes`);
    }
    const size = 8 + headerSize + blobSize;
    if (held < size) return undefined;
    const text = this.#buffer.subarray(this.#start + 8, this.#start + 8 + headerSize);
    const blob = blobSize === 0
      ? NOTHING
      : this.#buffer.slice(this.#start + 8 + headerSize, this.#start + size);
    this.#start += size;
    return { header: JSON.parse(decoder.decode(text)) as Header, blob };
  }

  /** Bytes received after the last complete frame; the decoder is empty afterwards. */
  rest(): Uint8Array {
    const rest = this.#buffer.slice(this.#start, this.#end);
    this.#start = this.#end = 0;
    return rest;
  }
}

/** Writes the whole of some bytes to a connection. */
export async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  let sent = 0;
  while (sent < bytes.length) sent += await conn.write(bytes.subarray(sent));
}

/** Sends frames on a connection, one after the other however many are sent at once. */
export class FrameWriter {
  readonly #conn: Deno.Conn;
  #tail: Promise<void> = Promise.resolve();

  /** Takes over the writing side of a connection. */
  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Sends a frame; rejects when the peer is gone. */
  send(header: Header, blob?: Uint8Array): Promise<void> {
    const bytes = encodeFrame(header, blob);
    const sent = this.#tail.then(() => writeAll(this.#conn, bytes));
    this.#tail = sent.catch(() => {});
    return sent;
  }
}
