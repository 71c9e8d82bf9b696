/**
 * Decodes a byte stream that arrives in pieces. A `TextDecoder` does so with `stream: true`, at a quarter of the
 * speed it has for whole texts: so only the bytes of a character that is cut are kept for the next piece.
 */

// A byte order mark in the middle of a session's output is what the user wrote, and is kept.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const NOTHING = new Uint8Array(0);

/** Decoder of one stream. Bytes that are not UTF-8 become replacement characters. */
export class Utf8Stream {
  #held = NOTHING;

  /** The text of what has arrived completely. The bytes are not kept. */
  push(bytes: Uint8Array): string {
    let all = bytes;
    if (this.#held.length > 0) {
      all = new Uint8Array(this.#held.length + bytes.length);
      all.set(this.#held);
      all.set(bytes, this.#held.length);
    }
    const end = all.length - unfinished(all);
    this.#held = end === all.length ? NOTHING : all.slice(end);
    return end === 0 ? "" : decoder.decode(end === all.length ? all : all.subarray(0, end));
  }

  /** The stream is over: a character that never came to its end is replaced. */
  end(): string {
    const text = this.#held.length === 0 ? "" : decoder.decode(this.#held);
    this.#held = NOTHING;
    return text;
  }

  /** Takes away the beginning of a character that waits for its end. */
  take(): Uint8Array {
    const held = this.#held;
    this.#held = NOTHING;
    return held;
  }
}

/** How many bytes at the end are the beginning of a character. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte >= 0xc2 && byte <= 0xf4) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return back < length ? back : 0;
    }
  }
  return 0;
}
