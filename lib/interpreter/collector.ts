/**
 * Collects the output of one cell: the live stream as it comes, and the list of outputs of the result, in which
 * neighbouring text is joined, overwritten text is gone, updates are applied and cleared output is forgotten.
 *
 * The result is bounded. When it grows over the limit, its first four fifths and its last fifth are kept, with a
 * notice between them that says how much is left out; the live stream ends at the limit with a notice.
 */
import { bundleSize, withinLimit } from "./bundle_limit.ts";
import type { Header } from "./frames.ts";
import type { StreamName } from "./merge.ts";
import type { Bundle, DisplayData, ExecuteResult, LiveOutput, Output } from "./outputs.ts";
import { RawText } from "./raw_text.ts";
import { atCharacter, StreamText } from "./stream_text.ts";
import { Utf8Stream } from "./utf8.ts";

/** Options of {@linkcode Collector}. */
export interface CollectorOptions {
  /** Receives output the moment it is in order. Must not throw and must not block. */
  onOutput?: ((output: LiveOutput) => void) | undefined;
  /** Called once when the limit is reached, so that nothing goes to `onOutput` any more. */
  onLiveEnd?: () => void;
  /** Characters of text and displays that are kept; more is cut with a notice. @default 10 Mi */
  limit?: number;
}

const DEFAULT_LIMIT = 10 * 1024 * 1024;
/** What an output takes beside its content, so that a million empty ones are bounded too; less under low limits. */
const OVERHEAD = 64;

type Shown = DisplayData | ExecuteResult;

/** Text of a stream, or something displayed. */
type Entry = { name: StreamName; text: StreamText | RawText } | {
  shown: Shown;
  id?: string;
  size: number;
};

/** Output of one cell. */
export class Collector {
  readonly #onOutput: ((output: LiveOutput) => void) | undefined;
  readonly #onLiveEnd: (() => void) | undefined;
  readonly #limit: number;
  readonly #tailLimit: number;
  readonly #overhead: number;
  readonly #decoders: Record<StreamName, Utf8Stream> = {
    stdout: new Utf8Stream(),
    stderr: new Utf8Stream(),
  };
  readonly #displays = new Map<string, Set<Entry>>();
  /** All entries; when something has been left out only those before the notice. */
  #head: Entry[] = [];
  /** Entries after the notice. */
  #tail: Entry[] | undefined;
  /** Size of the entries that can still grow: the tail if there is one. */
  #size = 0;
  #leftOut = 0;
  #truncated = false;
  #clearPending = false;
  #liveSize = 0;

  /** Starts with nothing. */
  constructor(options: CollectorOptions = {}) {
    this.#onOutput = options.onOutput;
    this.#onLiveEnd = options.onLiveEnd;
    this.#limit = options.limit ?? DEFAULT_LIMIT;
    this.#tailLimit = Math.floor(this.#limit / 5);
    this.#overhead = Math.min(OVERHEAD, Math.floor(this.#limit / 1000));
  }

  /** Whether something is missing from the result. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** Adds bytes of a stream. Bytes that are not UTF-8 become replacement characters. */
  bytes(name: StreamName, bytes: Uint8Array): void {
    if (this.#tail !== undefined && !this.#clearPending && this.#liveSize > this.#limit) {
      this.#raw(name, bytes);
    } else this.#text(name, this.#decoders[name].push(bytes));
  }

  /** Adds a control frame of the session: a display, an update, a result, or an order to clear. */
  control(frame: Header): void {
    if (frame.op === "clear") {
      const wait = frame.wait === true;
      this.#onOutput?.({ type: "clear_output", wait });
      if (wait) this.#clearPending = true;
      else this.#clear();
      return;
    }
    if (frame.op !== "display" && frame.op !== "result") return;
    const { data, cut } = withinLimit(frame.data as Bundle, this.#limit);
    if (cut) this.#truncated = true;
    const metadata = (frame.metadata ?? {}) as Bundle;
    if (frame.op === "result") {
      const count = frame.execution_count as number;
      this.#add({ type: "execute_result", data, metadata, execution_count: count });
      return;
    }
    const id = typeof frame.display_id === "string" ? frame.display_id : undefined;
    if (frame.update === true && id !== undefined) this.#update(id, data, metadata);
    else {
      const transient = id === undefined ? {} : { transient: { display_id: id } };
      this.#add({ type: "display_data", data, metadata, ...transient }, id);
    }
  }

  /** The outputs so far; text of a stream that ends inside a character is completed. */
  finish(): Output[] {
    for (const name of ["stdout", "stderr"] as const) {
      this.#text(name, this.#decoders[name].end());
    }
    if (this.#tail === undefined) return this.#head.map(outputOf);
    this.#trim(this.#tailLimit);
    const size = `${mebi(this.#leftOut)} MiB`;
    const notice = `\n[output truncated: ${size} left out here, of more than ${
      mebi(this.#limit)
    } MiB in one cell]\n`;
    return [
      ...this.#head.map(outputOf),
      { type: "stream", name: "stderr", text: notice },
      ...this.#tail.map(outputOf),
    ];
  }

  #text(name: StreamName, text: string): void {
    if (text === "") return;
    this.#clearIfPending();
    this.#liveText(name, text);
    const entries = this.#tail ?? this.#head;
    const last = entries.at(-1);
    let own: StreamText;
    if (
      last !== undefined && "name" in last && last.name === name && last.text instanceof StreamText
    ) {
      own = last.text;
    } else {
      own = new StreamText();
      entries.push({ name, text: own });
      this.#size += this.#overhead;
    }
    const before = own.size;
    own.append(text);
    this.#grown(own.size - before);
  }

  /** Text that only counts for the end of the result, if at all. */
  #raw(name: StreamName, bytes: Uint8Array): void {
    const tail = this.#tail!;
    const last = tail.at(-1);
    let own: RawText;
    if (
      last !== undefined && "name" in last && last.name === name && last.text instanceof RawText
    ) {
      own = last.text;
    } else {
      own = new RawText(this.#tailLimit);
      // The beginning of a character that has not come to its end yet.
      own.append(this.#decoders[name].take());
      tail.push({ name, text: own });
      this.#size += this.#overhead;
    }
    const before = own.size;
    own.append(bytes);
    this.#leftOut += own.takeDropped();
    this.#grown(own.size - before);
  }

  #add(shown: Shown, id?: string): void {
    this.#clearIfPending();
    this.#live(shown, bundleSize(shown.data));
    // The receiver of the live stream has the same object, which later updates must not change.
    const size = bundleSize(shown.data) + bundleSize(shown.metadata) + this.#overhead;
    const entry: Entry = { shown: { ...shown }, size, ...(id === undefined ? {} : { id }) };
    (this.#tail ?? this.#head).push(entry);
    if (id !== undefined) {
      const same = this.#displays.get(id);
      if (same === undefined) this.#displays.set(id, new Set([entry]));
      else same.add(entry);
    }
    this.#grown(size);
  }

  #update(id: string, data: Bundle, metadata: Bundle): void {
    const transient = { display_id: id };
    this.#live({ type: "update_display_data", data, metadata, transient }, bundleSize(data));
    const size = bundleSize(data) + bundleSize(metadata) + this.#overhead;
    for (const entry of this.#displays.get(id) ?? []) {
      if (!("shown" in entry)) continue;
      const more = size - entry.size;
      entry.shown.data = data;
      entry.shown.metadata = metadata;
      entry.size = size;
      this.#grown(more);
    }
  }

  /** Keeps the limit after something has grown. */
  #grown(by: number): void {
    this.#size += by;
    if (this.#tail === undefined) {
      if (this.#size > this.#limit) this.#divide();
    } else if (this.#size > 2 * this.#tailLimit) this.#trim(this.#tailLimit);
  }

  /** The limit is reached: what is beyond four fifths of it becomes the tail. */
  #divide(): void {
    const room = this.#limit - this.#tailLimit;
    this.#truncated = true;
    let size = 0;
    let at = 0;
    for (; at < this.#head.length && size < room; at++) size += this.#sizeOf(this.#head[at]!);
    const tail = this.#head.splice(at);
    const last = this.#head.at(-1);
    if (last !== undefined && "name" in last && last.text instanceof StreamText && size > room) {
      const rest = last.text.split(Math.max(0, last.text.size - (size - room)));
      tail.unshift({ name: last.name, text: rest });
    } else if (last !== undefined && size > this.#limit) {
      // Only the display itself does not fit.
      this.#head.pop();
      tail.unshift(last);
    }
    this.#tail = tail;
    this.#size = tail.reduce((sum, entry) => sum + this.#sizeOf(entry), 0);
    this.#trim(this.#tailLimit);
  }

  /** Leaves out the beginning of the tail. */
  #trim(limit: number): void {
    const tail = this.#tail!;
    let drop = 0;
    while (this.#size > limit && drop < tail.length) {
      const entry = tail[drop]!;
      const before = this.#sizeOf(entry);
      const excess = this.#size - limit;
      if ("name" in entry && entry.text.size > excess) entry.text.dropStart(excess);
      else if (!("shown" in entry) || drop < tail.length - 1) {
        this.#forget(entry);
        drop++;
        this.#size -= before;
        this.#leftOut += before;
        continue;
      } else {
        // The last display alone is too large: what makes it so is named in its place.
        entry.shown.data = withinLimit(entry.shown.data, Math.max(0, limit - this.#overhead)).data;
        entry.shown.metadata = {};
        entry.size = bundleSize(entry.shown.data) + this.#overhead;
      }
      this.#leftOut += before - this.#sizeOf(entry);
      this.#size -= before - this.#sizeOf(entry);
      break;
    }
    tail.splice(0, drop);
  }

  #forget(entry: Entry): void {
    if (!("shown" in entry) || entry.id === undefined) return;
    const same = this.#displays.get(entry.id);
    same?.delete(entry);
    if (same?.size === 0) this.#displays.delete(entry.id);
  }

  /** Passes text on as it comes, up to the limit. */
  #liveText(name: StreamName, text: string): void {
    const room = this.#limit - this.#liveSize;
    if (text.length > room && room > 0) {
      this.#onOutput?.({ type: "stream", name, text: text.slice(0, atCharacter(text, room)) });
    }
    this.#live({ type: "stream", name, text }, text.length);
  }

  #live(output: LiveOutput, size: number): void {
    if (this.#liveSize > this.#limit) return;
    this.#liveSize += size;
    if (this.#liveSize <= this.#limit) this.#onOutput?.(output);
    else {
      const text = `\n[output truncated: more than ${mebi(this.#limit)} MiB in one cell; ` +
        "the result has its end]\n";
      this.#onOutput?.({ type: "stream", name: "stderr", text });
      this.#onLiveEnd?.();
    }
  }

  #sizeOf(entry: Entry): number {
    return "name" in entry ? entry.text.size + this.#overhead : entry.size;
  }

  #clearIfPending(): void {
    if (!this.#clearPending) return;
    this.#clearPending = false;
    this.#clear();
  }

  #clear(): void {
    this.#head = [];
    this.#tail = undefined;
    this.#displays.clear();
    this.#size = this.#leftOut = this.#liveSize = 0;
    this.#truncated = false;
  }
}

function outputOf(entry: Entry): Output {
  return "name" in entry
    ? { type: "stream", name: entry.name, text: entry.text.toString() }
    : entry.shown;
}

function mebi(size: number): string {
  return (size / 1024 / 1024).toFixed(1);
}
