/** Messages that wait for a callback, in order: texts of one stream that follow each other are joined. */

/** One message. */
export type Pending = unknown;

interface StreamMessage {
  type: "stream";
  name: string;
  text: string;
}

/** Bytes of one joined text: it stays below the size that is sent in one piece. */
const MAX_TEXT = 240_000;
/** What a message takes beside its content. */
const OVERHEAD = 64;
/** What is kept when messages have to be dropped. */
const MAX_MESSAGES = 256;
const MAX_SIZE = 1024 * 1024;
// deno-lint-ignore no-control-regex
const ASCII = /^[\x00-\x7f]*$/;

function isStream(message: unknown): message is StreamMessage {
  const { type, name, text } = (message ?? {}) as Record<string, unknown>;
  return type === "stream" && typeof name === "string" && typeof text === "string";
}

const OUTPUTS = new Set<unknown>([
  "display_data",
  "execute_result",
  "update_display_data",
  "clear_output",
]);

/** Whether a message that is no text is output of a cell. */
function isOutput(message: unknown): boolean {
  return OUTPUTS.has((message as { type?: unknown } | null)?.type);
}

/** About how large a message is on the wire. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (value instanceof Uint8Array) return value.byteLength;
  if (typeof value !== "object" || value === null) return 8;
  let size = 16;
  for (const item of Object.values(value)) size += sizeOf(item);
  return size;
}

/** Bytes of a text in UTF-8, or more. */
function bytesOf(text: string): number {
  return ASCII.test(text) ? text.length : 3 * text.length;
}

function pieces(text: string): string[] {
  if (bytesOf(text) <= MAX_TEXT) return [text];
  const result: string[] = [];
  const length = text.length * MAX_TEXT / bytesOf(text);
  for (let start = 0; start < text.length;) {
    let end = Math.min(Math.floor(start + length), text.length);
    // Both halves of a character stay together.
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--;
    result.push(text.slice(start, end));
    start = end;
  }
  return result;
}

/** A queue of messages. */
export class PendingMessages {
  #queue: { message: Pending; size: number }[] = [];
  /** Where the queue begins; what is before has been taken. */
  #first = 0;
  #size = 0;
  #dropped: { characters: number; messages: number; name: string } | undefined;

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#count === 0 && this.#dropped === undefined;
  }

  /** About how much waits (bytes). */
  get size(): number {
    return this.#size + this.#count * OVERHEAD;
  }

  /** About the size of the next message. */
  get nextSize(): number {
    return this.#dropped === undefined ? this.#queue[this.#first]?.size ?? 0 : 0;
  }

  get #count(): number {
    return this.#queue.length - this.#first;
  }

  /** Adds a message; it belongs to the queue from now on. */
  add(message: Pending): void {
    if (!isStream(message)) {
      this.#push(message, sizeOf(message));
      // News are replaced by later news, and nobody waits for their place.
      if (!isOutput(message)) this.shorten();
      return;
    }
    for (const text of pieces(message.text)) {
      const size = bytesOf(text);
      if (!this.#join(message.name, text, size)) this.#push({ ...message, text }, size);
    }
  }

  /** Takes the oldest message. */
  take(): Pending {
    if (this.#dropped !== undefined) {
      const { characters, messages, name } = this.#dropped;
      this.#dropped = undefined;
      const what = characters > 0 ? `${characters} characters` : `${messages} messages`;
      const text = `\n[${what} of live output left out: the callback is slower than the output]\n`;
      return { type: "stream", name, text };
    }
    return this.#shift()?.message;
  }

  /**
   * Drops the oldest messages until little is left; a notice takes the place of lost output.
   *
   * @param messages Most messages that are left.
   */
  shorten(messages = MAX_MESSAGES): void {
    while (this.#count > messages || (this.#size > MAX_SIZE && this.#count > 1)) this.#drop();
  }

  /** Drops everything. */
  clear(): void {
    this.#queue = [];
    this.#first = this.#size = 0;
    this.#dropped = undefined;
  }

  #push(message: Pending, size: number): void {
    this.#queue.push({ message, size });
    this.#size += size;
  }

  #shift(): { message: Pending; size: number } | undefined {
    const first = this.#queue[this.#first];
    if (first === undefined) return undefined;
    this.#size -= first.size;
    // Moved seldom, so that taking stays cheap however much waits.
    if (++this.#first > 1000 && this.#first > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    } else this.#queue[this.#first - 1] = { message: undefined, size: 0 };
    return first;
  }

  #join(name: string, text: string, size: number): boolean {
    if (this.#count === 0) return false;
    const last = this.#queue.at(-1)!;
    if (!isStream(last.message) || last.message.name !== name) return false;
    if (last.size + size > MAX_TEXT) return false;
    last.message.text += text;
    last.size += size;
    this.#size += size;
    return true;
  }

  #drop(): void {
    const message = this.#shift()?.message;
    // Only output is worth a notice.
    if (!isStream(message) && !isOutput(message)) return;
    this.#dropped ??= { characters: 0, messages: 0, name: "stderr" };
    this.#dropped.messages++;
    if (isStream(message)) {
      this.#dropped.characters += message.text.length;
      this.#dropped.name = message.name;
    }
  }
}
