/** The log of one session: bounded, in the order things happened, with stable pages. */

/** Kinds of entries (Hypha contract of `get_logs`). */
export type LogType = "stdout" | "stderr" | "info" | "error" | "progress";

/** All kinds, for validation. */
export const LOG_TYPES: readonly LogType[] = ["stdout", "stderr", "info", "error", "progress"];

/** One entry. */
export interface LogEntry {
  type: LogType;
  content: string;
  /** ISO 8601. */
  timestamp: string;
  /** Number of the cell whose task put it out after the cell's end, where that is known. */
  execution_count?: number;
}

/** One page of a log. `total` counts the entries of the asked type, also those that were dropped. */
export interface LogPage {
  items: LogEntry[];
  total: number;
  offset: number;
  limit: number | null;
  /** The errors so far; the app controller shows them when a start fails (Hypha contract). */
  error?: string[];
}

/** Options of {@linkcode SessionLog}. */
export interface SessionLogOptions {
  /** Entries that are kept. @default 10000 */
  maxEntries?: number;
  /** Characters that are kept. @default 4 million */
  maxCharacters?: number;
  /** The time. @default the system's */
  now?: () => Date;
}

interface Stored extends LogEntry {
  /** Position among all entries, and among those of the same type: stable when older ones are dropped. */
  position: number;
  typePosition: number;
}

/** Longest content of one entry (characters). */
const MAX_CONTENT = 64 * 1024;
const MAX_ERRORS = 20;

/** Log of one session. */
export class SessionLog {
  readonly #maxEntries: number;
  #maxCharacters: number;
  readonly #now: () => Date;
  #entries: Stored[] = [];
  #first = 0;
  #characters = 0;
  #total = 0;
  readonly #totals = new Map<LogType, number>();
  /** Entries of stream text that the next text of the same stream continues. */
  readonly #open = new Map<LogType, Stored>();

  /** Starts empty. */
  constructor(options: SessionLogOptions = {}) {
    this.#maxEntries = options.maxEntries ?? 10_000;
    this.#maxCharacters = options.maxCharacters ?? 4_000_000;
    this.#now = options.now ?? (() => new Date());
  }

  /** Characters that are kept now. */
  get characters(): number {
    return this.#characters;
  }

  /** Keeps no more than so many characters from now on; the oldest entries go. */
  shorten(characters: number): void {
    this.#maxCharacters = Math.min(this.#maxCharacters, characters);
    this.#trim();
    this.#entries = this.#entries.slice(this.#first);
    this.#first = 0;
  }

  /** Adds an entry; `cell` is the number of the cell it is of, `timestamp` (ISO 8601) when it was written if not now. */
  add(type: LogType, content: string, cell?: number, timestamp?: string): void {
    this.#store(type, content, cell, timestamp);
  }

  /** Adds text of a stream. Text that continues an unfinished line of the same cell continues its entry. */
  write(name: "stdout" | "stderr", text: string, cell?: number): void {
    if (text === "") return;
    const open = this.#open.get(name);
    const continues = open !== undefined && open.execution_count === cell &&
      open.content.length + text.length <= MAX_CONTENT;
    const entry = continues ? this.#continue(open, text) : this.#store(name, text, cell);
    if (text.endsWith("\n")) this.#open.delete(name);
    else this.#open.set(name, entry);
  }

  /** One page: entries of a type (all without one) from an offset, at most `limit`. */
  page(type: LogType | undefined, offset: number, limit: number | undefined): LogPage {
    const items: LogEntry[] = [];
    const end = limit === undefined ? Infinity : offset + limit;
    for (let i = this.#first; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      if (type !== undefined && entry.type !== type) continue;
      const position = type === undefined ? entry.position : entry.typePosition;
      if (position < offset) continue;
      if (position >= end) break;
      const { typePosition: _type, position: _position, ...item } = entry;
      items.push(item);
    }
    const errors = this.errors();
    return {
      items,
      total: type === undefined ? this.#total : this.#totals.get(type) ?? 0,
      offset,
      limit: limit ?? null,
      ...(errors.length === 0 ? {} : { error: errors }),
    };
  }

  /** The last errors. */
  errors(): string[] {
    return this.#entries.slice(this.#first).filter((entry) => entry.type === "error")
      .slice(-MAX_ERRORS).map((entry) => entry.content);
  }

  #continue(entry: Stored, text: string): Stored {
    entry.content += text;
    this.#characters += text.length;
    this.#trim();
    return entry;
  }

  #store(type: LogType, content: string, cell?: number, timestamp?: string): Stored {
    const typePosition = this.#totals.get(type) ?? 0;
    const entry: Stored = {
      type,
      content: content.length > MAX_CONTENT ? content.slice(0, MAX_CONTENT) + "…" : content,
      timestamp: timestamp ?? this.#now().toISOString(),
      ...(cell === undefined ? {} : { execution_count: cell }),
      position: this.#total,
      typePosition,
    };
    this.#total++;
    this.#totals.set(type, typePosition + 1);
    this.#entries.push(entry);
    this.#characters += entry.content.length;
    this.#trim();
    return entry;
  }

  #trim(): void {
    const { length } = this.#entries;
    while (
      length - this.#first > this.#maxEntries ||
      (this.#characters > this.#maxCharacters && length - this.#first > 1)
    ) {
      this.#characters -= this.#entries[this.#first]!.content.length;
      this.#first++;
    }
    // Compacted seldom, so that dropping stays cheap.
    if (this.#first > 1000 && this.#first > length / 2) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }
}
