/**
 * What was typed at prompts, kept in a file of the user's: one entry per line, as JSON, oldest first.
 *
 * Only the user may read it. Prompts that are open at once each add their own entries. Whatever is wrong with the
 * file costs history, never the prompt.
 */
import { dirname, join } from "@std/path";
import { PROGRAM } from "../version.ts";

/** Entries that are kept. */
export const MAX_ENTRIES = 1000;
/** Characters of one entry; longer ones are not kept. */
const MAX_ENTRY = 10_000;

/** The file for a user; `undefined` when there is no place for one. */
export function historyFile(environment: (name: string) => string | undefined): string | undefined {
  const state = environment("XDG_STATE_HOME");
  if (state?.startsWith("/")) return join(state, PROGRAM, "history");
  const home = environment("HOME");
  return home ? join(home, ".local", "state", PROGRAM, "history") : undefined;
}

/** Entries, and a place among them where somebody looks. */
export class History {
  readonly #path: string | undefined;
  readonly #entries: string[];
  #at: number;
  /** What was being typed before somebody looked. */
  #own = "";

  private constructor(path: string | undefined, entries: string[]) {
    this.#path = path;
    this.#entries = entries;
    this.#at = entries.length;
  }

  /** Reads the history; without a file it is forgotten at the end. */
  static async open(path: string | undefined): Promise<History> {
    if (path === undefined) return new History(undefined, []);
    const lines = (await Deno.readTextFile(path).catch(() => "")).split("\n").filter(Boolean);
    const entries = lines.map(entryOf).filter((entry) => entry !== undefined).slice(-MAX_ENTRIES);
    const history = new History(path, entries);
    try {
      await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
      if (lines.length > 2 * MAX_ENTRIES) await history.#rewrite(path);
      using file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
      // A file from elsewhere may be open to others.
      if (Deno.build.os !== "windows" && ((await file.stat()).mode ?? 0) & 0o077) {
        await Deno.chmod(path, 0o600);
      }
      return history;
    } catch {
      return new History(undefined, entries);
    }
  }

  async #rewrite(path: string): Promise<void> {
    const draft = `${path}.${crypto.randomUUID().slice(0, 8)}`;
    const text = this.#entries.map((entry) => JSON.stringify(entry) + "\n").join("");
    await Deno.writeTextFile(draft, text, { mode: 0o600, createNew: true });
    await Deno.rename(draft, path);
  }

  /** Entries, oldest first. */
  get entries(): readonly string[] {
    return this.#entries;
  }

  /** Adds an entry, unless it is the last one again or begins with a space, as secrets may. */
  async add(entry: string): Promise<void> {
    this.#at = this.#entries.length;
    if (entry.trim() === "" || entry.startsWith(" ") || entry.length > MAX_ENTRY) return;
    if (entry !== this.#entries.at(-1)) {
      this.#entries.push(entry);
      if (this.#entries.length > MAX_ENTRIES) this.#entries.shift();
      if (this.#path !== undefined) {
        const options = { append: true, create: true, mode: 0o600 };
        await Deno.writeTextFile(this.#path, JSON.stringify(entry) + "\n", options).catch(() => {});
      }
    }
    this.#at = this.#entries.length;
  }

  /** The entry before or behind the place; `undefined` at the ends. Behind the last one is what was being typed. */
  move(step: -1 | 1, current: string): string | undefined {
    const next = this.#at + step;
    if (next < 0 || next > this.#entries.length) return undefined;
    if (this.#at === this.#entries.length) this.#own = current;
    this.#at = next;
    return this.#entries[next] ?? this.#own;
  }

  /** The newest entry with a text, before the one that was found last. */
  search(
    text: string,
    before: number = this.#entries.length,
  ): { entry: string; at: number } | undefined {
    if (text === "") return undefined;
    for (let at = before - 1; at >= 0; at--) {
      if (this.#entries[at]!.includes(text)) return { entry: this.#entries[at]!, at };
    }
    return undefined;
  }
}

function entryOf(line: string): string | undefined {
  try {
    const entry = JSON.parse(line);
    return typeof entry === "string" ? entry : undefined;
  } catch {
    return undefined;
  }
}
