/**
 * Puts the three channels of a session back into one order.
 *
 * Standard output, standard error and control are separate sockets. Python writes numbered *marks* into both
 * streams (see `python/hypha_kernel/marks.py`): nothing behind mark n is passed on before both streams have
 * reached it, and the control frame that names n is passed on exactly there.
 */
import type { Header } from "./frames.ts";

/** The two byte streams of a session. */
export type StreamName = "stdout" | "stderr";

/** Receives what is in order now. Must not block. */
export interface MergeSink {
  /** Bytes of a stream, belonging to a cell or (empty owner) to nobody. Valid only during the call. */
  bytes(stream: StreamName, owner: string, bytes: Uint8Array): void;
  /** A control frame. */
  control(frame: Header): void;
}

interface Mark {
  number: number;
  control: boolean;
  owner: string;
}

interface Stream {
  readonly name: StreamName;
  owner: string;
  /** Bytes that wait: behind a mark, or the beginning of something that may become one. */
  held: Uint8Array;
  mark: Mark | undefined;
  ended: boolean;
  resume: (() => void) | undefined;
}

const MARK_BYTE = 0x1e;
/** No mark is longer: nonce, number, kind and owner are all short. */
const MAX_MARK = 256;
/** Bytes held behind a mark before the reader of that stream is asked to wait. */
const HIGH_WATER = 1024 * 1024;
const NOTHING = new Uint8Array(0);

/** Merges the channels of one session. */
export class Merge {
  readonly #sink: MergeSink;
  readonly #prefix: Uint8Array;
  readonly #decoder = new TextDecoder();
  readonly #controls = new Map<number, Header>();
  readonly #streams: Record<StreamName, Stream> = {
    stdout: newStream("stdout"),
    stderr: newStream("stderr"),
  };

  #controlEnded = false;

  /** The nonce is what Python puts into each mark, so that no ordinary output is taken for one. */
  constructor(nonce: string, sink: MergeSink) {
    this.#sink = sink;
    this.#prefix = new TextEncoder().encode(`\x1e${nonce}:`);
  }

  /**
   * Adds bytes of a stream. When too much waits behind a mark it returns a promise: read on when it resolves.
   */
  push(name: StreamName, bytes: Uint8Array): Promise<void> | undefined {
    const stream = this.#streams[name];
    if (stream.mark === undefined && stream.held.length === 0) {
      this.#parse(stream, bytes);
    } else {
      const joined = new Uint8Array(stream.held.length + bytes.length);
      joined.set(stream.held);
      joined.set(bytes, stream.held.length);
      stream.held = NOTHING;
      if (stream.mark === undefined) this.#parse(stream, joined);
      else stream.held = joined;
    }
    this.#release();
    if (stream.mark === undefined || stream.held.length < HIGH_WATER) return undefined;
    return new Promise((resolve) => stream.resume = resolve);
  }

  /**
   * What arrives from now on belongs to a cell, until a mark says otherwise. For a cell that is preceded by
   * nothing that could print: else its first mark says where its output begins.
   */
  begin(owner: string): void {
    for (const stream of Object.values(this.#streams)) {
      // Behind a mark that is passed later another owner is named, and the session puts a mark of its own.
      if (stream.mark === undefined) stream.owner = owner;
    }
  }

  /**
   * A cell has ended without a mark: all of its output has been pushed, and nothing is left that could print. What
   * looked like the beginning of a mark was ordinary output.
   */
  finish(): void {
    for (const stream of Object.values(this.#streams)) {
      if (stream.mark !== undefined) continue;
      this.#emit(stream, stream.held);
      stream.held = NOTHING;
      stream.owner = "";
    }
  }

  /** Adds a control frame. Frames that name no mark are passed on at once. */
  control(frame: Header): void {
    const after = frame.after;
    if (typeof after !== "number" || after < 0) {
      this.#sink.control(frame);
      return;
    }
    this.#controls.set(after, frame);
    this.#release();
  }

  /** No control frame comes any more; marks are passed without theirs. */
  endControl(): void {
    this.#controlEnded = true;
    this.#release();
  }

  /** A stream is over; marks are no longer awaited on it. */
  end(name: StreamName): void {
    const stream = this.#streams[name];
    if (stream.ended) return;
    stream.ended = true;
    this.#release();
    const { stdout, stderr } = this.#streams;
    if (!stdout.ended || !stderr.ended) return;
    // Nothing can arrive any more: what waited for the rest of a mark was ordinary output after all.
    for (const last of [stdout, stderr]) {
      if (last.held.length > 0) this.#sink.bytes(last.name, last.owner, last.held);
      last.held = NOTHING;
    }
    for (const [, frame] of [...this.#controls].sort(([a], [b]) => a - b)) {
      this.#sink.control(frame);
    }
    this.#controls.clear();
  }

  /** Passes bytes on up to the next mark; the rest is held. */
  #parse(stream: Stream, bytes: Uint8Array): void {
    let start = 0;
    let from = 0;
    while (stream.mark === undefined) {
      const at = bytes.indexOf(MARK_BYTE, from);
      if (at < 0) {
        this.#emit(stream, bytes.subarray(start));
        return;
      }
      const found = this.#markAt(bytes, at);
      if (found === "no") {
        from = at + 1;
        continue;
      }
      this.#emit(stream, bytes.subarray(start, at));
      if (found === "incomplete") {
        stream.held = bytes.slice(at);
        return;
      }
      stream.mark = found.mark;
      start = from = found.end;
    }
    stream.held = bytes.slice(start);
  }

  #markAt(bytes: Uint8Array, at: number): { mark: Mark; end: number } | "no" | "incomplete" {
    const prefix = this.#prefix;
    const known = Math.min(prefix.length, bytes.length - at);
    for (let i = 1; i < known; i++) {
      if (bytes[at + i] !== prefix[i]) return "no";
    }
    if (known < prefix.length) return "incomplete";
    const end = bytes.indexOf(MARK_BYTE, at + prefix.length);
    if (end < 0) return bytes.length - at > MAX_MARK ? "no" : "incomplete";
    const [number, kind, owner] = this.#decoder.decode(bytes.subarray(at + prefix.length, end))
      .split(":");
    if (!/^\d{1,15}$/.test(number ?? "") || owner === undefined) return "no";
    return { mark: { number: Number(number), control: kind === "c", owner }, end: end + 1 };
  }

  #emit(stream: Stream, bytes: Uint8Array): void {
    if (bytes.length > 0) this.#sink.bytes(stream.name, stream.owner, bytes);
  }

  /** Passes every mark that both streams have reached and whose control frame is there. */
  #release(): void {
    const { stdout, stderr } = this.#streams;
    for (;;) {
      if (stdout.mark === undefined && stderr.mark === undefined) return;
      const waiting = [stdout, stderr].filter((stream) => stream.mark !== undefined);
      const all = [stdout, stderr].every((stream) => stream.mark !== undefined || stream.ended);
      if (!all) return;
      const number = Math.min(...waiting.map((stream) => stream.mark!.number));
      const here = waiting.filter((stream) => stream.mark!.number === number);
      const mark = here[0]!.mark!;
      if (mark.control) {
        const frame = this.#controls.get(number);
        if (frame === undefined && !this.#controlEnded && !(stdout.ended && stderr.ended)) return;
        this.#controls.delete(number);
        if (frame !== undefined) this.#sink.control(frame);
      }
      for (const stream of here) this.#pass(stream, mark);
    }
  }

  #pass(stream: Stream, mark: Mark): void {
    const held = stream.held;
    stream.mark = undefined;
    stream.owner = mark.owner;
    stream.held = NOTHING;
    if (held.length > 0) this.#parse(stream, held);
    if (stream.held.length < HIGH_WATER) {
      stream.resume?.();
      stream.resume = undefined;
    }
  }
}

function newStream(name: StreamName): Stream {
  return { name, owner: "", held: NOTHING, mark: undefined, ended: false, resume: undefined };
}
