/** Messages that wait for a callback: joined where that loses nothing, and bounded. */

/** One message. */
export type Pending = unknown;

interface StreamMessage {
  type: "stream";
  name: string;
  text: string;
}

/** Characters of one joined message: in UTF-8 it stays below the size that is sent in one piece. */
const MAX_TEXT = 60_000;
/** From so many waiting messages on, streams are joined past each other. */
const CROWDED = 32;
const MAX_MESSAGES = 256;
const MAX_SIZE = 1024 * 1024;

function isStream(message: unknown): message is StreamMessage {
  const { type, name, text } = (message ?? {}) as Record<string, unknown>;
  return type === "stream" && typeof name === "string" && typeof text === "string";
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

function pieces(text: string): string[] {
  const result: string[] = [];
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + MAX_TEXT, text.length);
    // Both halves of a character stay together.
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--;
    result.push(text.slice(start, end));
    start = end;
  }
  return result;
}

/** A bounded queue. Order is kept within each stream always, and between streams while few messages wait. */
export class PendingMessages {
  #queue: { message: Pending; size: number }[] = [];
  #size = 0;
  #dropped: { characters: number; messages: number; name: string } | undefined;

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#queue.length === 0 && this.#dropped === undefined;
  }

  /** About the size of the next message. */
  get nextSize(): number {
    return this.#dropped === undefined ? this.#queue[0]?.size ?? 0 : 0;
  }

  /** Adds a message; it belongs to the queue from now on. */
  add(message: Pending): void {
    if (isStream(message)) {
      for (const text of pieces(message.text)) {
        if (!this.#join(message.name, text)) this.#push({ ...message, text }, text.length);
      }
    } else this.#push(message, sizeOf(message));
    while ((this.#size > MAX_SIZE || this.#queue.length > MAX_MESSAGES) && this.#queue.length > 1) {
      this.#drop();
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
    const first = this.#queue.shift();
    this.#size -= first?.size ?? 0;
    return first?.message;
  }

  /** Drops everything. */
  clear(): void {
    this.#queue = [];
    this.#size = 0;
    this.#dropped = undefined;
  }

  #push(message: Pending, size: number): void {
    this.#queue.push({ message, size });
    this.#size += size;
  }

  #join(name: string, text: string): boolean {
    const crowded = this.#queue.length > CROWDED;
    for (let index = this.#queue.length - 1; index >= 0; index--) {
      const item = this.#queue[index];
      if (item === undefined || !isStream(item.message)) return false;
      if (item.message.name === name) {
        if (item.message.text.length + text.length > MAX_TEXT) return false;
        item.message.text += text;
        item.size += text.length;
        this.#size += text.length;
        return true;
      }
      if (!crowded) return false;
    }
    return false;
  }

  #drop(): void {
    const first = this.#queue.shift();
    if (first === undefined) return;
    this.#size -= first.size;
    const { message } = first;
    const type = (message as { type?: unknown } | null)?.type;
    // News of progress are replaced by later news; only output is worth a notice.
    if (!isStream(message) && type !== "display_data" && type !== "execute_result") return;
    this.#dropped ??= { characters: 0, messages: 0, name: "stderr" };
    this.#dropped.messages++;
    if (isStream(message)) {
      this.#dropped.characters += message.text.length;
      this.#dropped.name = message.name;
    }
  }
}
