/** Asks for one entry at a terminal: a cell of several lines, or an answer of one. */
import { Editor } from "./repl_editor.ts";
import type { History } from "./repl_history.ts";
import type { Key } from "./repl_keys.ts";
import type { Keyboard } from "./repl_keyboard.ts";
import { type Prompt, type Screen, type Size, widthOf } from "./repl_screen.ts";

/** What can stand at a place of a text, and which part of the text it would replace. */
export interface Completions {
  readonly matches: readonly string[];
  readonly start: number;
  readonly end: number;
}

/** What an entry is asked for with. */
export interface EntryOptions {
  readonly prompt: Prompt;
  readonly history?: History;
  /** Whether a text is a whole entry. @default always */
  readonly isComplete?: (text: string) => Promise<boolean>;
  /** What Tab offers. @default nothing */
  readonly complete?: (text: string, cursor: number) => Promise<Completions>;
  /** Whether what is typed is not shown. @default false */
  readonly hidden?: boolean;
}

/** The terminal that is asked. */
export interface Terminal {
  readonly keyboard: Keyboard;
  readonly screen: Screen;
  readonly write: (text: string) => void;
  readonly size: () => Size;
}

/** What came of it: an entry, Ctrl-C, or the end of the input. */
export type Entry = { readonly text: string } | "cancelled" | "ended";

const MAX_SHOWN = 100;
const SEARCH: Prompt = { first: "", more: "", python: false };

/** Asks until there is an entry. */
export async function readEntry(
  terminal: Terminal,
  options: EntryOptions,
  signal: AbortSignal,
): Promise<Entry> {
  return await new EntryReader(terminal, options).read(signal);
}

class EntryReader {
  readonly #terminal: Terminal;
  readonly #options: EntryOptions;
  readonly #editor = new Editor();
  /** What is looked for in the history, and where it was found. */
  #search: { text: string; at: number } | undefined;

  constructor(terminal: Terminal, options: EntryOptions) {
    this.#terminal = terminal;
    this.#options = options;
  }

  async read(signal: AbortSignal): Promise<Entry> {
    const { keyboard, screen } = this.#terminal;
    this.#draw();
    for (;;) {
      const key = await keyboard.next(signal);
      const entry = key === undefined ? "ended" : await this.#press(key);
      if (entry === undefined) {
        // A paste is drawn once, when all of it is there.
        if (!keyboard.more) this.#draw();
        continue;
      }
      this.#search = undefined;
      screen.finish(this.#options.prompt, this.#shown());
      return entry;
    }
  }

  #shown(): string {
    return this.#options.hidden === true ? "" : this.#editor.text;
  }

  #draw(): void {
    const { screen } = this.#terminal;
    if (this.#search !== undefined) {
      const text = `(search) ${this.#search.text}: ${this.#editor.text}`;
      screen.draw(SEARCH, text, "(search) ".length + this.#search.text.length);
      return;
    }
    const text = this.#shown();
    screen.draw(this.#options.prompt, text, Math.min(this.#editor.cursor, text.length));
  }

  /** Does what a key does. Returns what came of the entry when that ends it. */
  async #press(key: Key): Promise<Entry | undefined> {
    if (this.#search !== undefined && this.#pressInSearch(key)) return undefined;
    const editor = this.#editor;
    if (key.type === "text") {
      editor.press(key);
      return undefined;
    }
    switch (key.name) {
      case "enter":
        return await this.#enter();
      case "ctrl-c":
        return "cancelled";
      case "ctrl-d":
        if (editor.text === "") return "ended";
        break;
      case "tab":
        await this.#tab();
        return undefined;
      case "ctrl-l":
        this.#terminal.write("\x1b[H\x1b[2J");
        this.#terminal.screen.leave();
        return undefined;
      case "up":
      case "ctrl-p":
        if (key.name === "ctrl-p" || editor.onFirstLine) {
          this.#recall(-1);
          return undefined;
        }
        break;
      case "down":
      case "ctrl-n":
        if (key.name === "ctrl-n" || editor.onLastLine) {
          this.#recall(1);
          return undefined;
        }
        break;
      case "ctrl-r":
        if (this.#options.history !== undefined) this.#search = { text: "", at: Infinity };
        return undefined;
    }
    editor.press(key);
    return undefined;
  }

  async #enter(): Promise<Entry | undefined> {
    const { isComplete } = this.#options;
    const editor = this.#editor;
    // In the middle of a cell a new line is wanted.
    const ready = editor.onLastLine && (isComplete === undefined || await isComplete(editor.text));
    if (ready) return { text: editor.text };
    // Pasted text brings its own indentation.
    if (this.#terminal.keyboard.more) editor.insert("\n");
    else editor.newLine();
    return undefined;
  }

  #recall(step: -1 | 1): void {
    const entry = this.#options.history?.move(step, this.#editor.text);
    if (entry !== undefined) this.#editor.set(entry);
  }

  /** Whether the key was one of the search; other keys end it, and are done with what was found. */
  #pressInSearch(key: Key): boolean {
    const history = this.#options.history!;
    const search = this.#search!;
    let { text } = search;
    let before = Infinity;
    if (key.type === "text") text += key.text;
    else if (key.name === "backspace") text = text.slice(0, -1);
    else if (key.name === "ctrl-r") before = search.at;
    else {
      this.#search = undefined;
      if (key.name !== "ctrl-c" && key.name !== "ctrl-g") return key.name === "escape";
      this.#editor.set("");
      return true;
    }
    const found = history.search(text, Math.min(before, history.entries.length));
    if (found !== undefined) this.#editor.set(found.entry);
    this.#search = { text, at: found?.at ?? search.at };
    return true;
  }

  async #tab(): Promise<void> {
    const { complete } = this.#options;
    const editor = this.#editor;
    if (complete === undefined) return;
    if (editor.before.trim() === "") {
      editor.indent();
      return;
    }
    const { text, cursor } = editor;
    const { matches, start, end } = await complete(text, cursor);
    const common = matches.reduce(sharedStart, matches[0] ?? "");
    const typed = text.slice(start, end);
    if (matches.length > 0 && common.length > typed.length && common.startsWith(typed)) {
      editor.replace(start, end, common);
      return;
    }
    if (matches.length === 1) editor.replace(start, end, common);
    else if (matches.length > 1) this.#offer(matches);
  }

  /** Lists what could stand there below the text, which is then drawn anew. */
  #offer(matches: readonly string[]): void {
    const { screen, write, size } = this.#terminal;
    screen.finish(this.#options.prompt, this.#shown());
    const names = matches.slice(0, MAX_SHOWN).map((match) =>
      match.slice(match.lastIndexOf(".") + 1)
    );
    const width = Math.max(...names.map(widthOf)) + 2;
    const across = Math.max(1, Math.floor(size().columns / width));
    const down = Math.ceil(names.length / across);
    for (let row = 0; row < down; row++) {
      const cells = names.filter((_name, at) => at % down === row);
      const padded = cells.map((name) => name + " ".repeat(width - widthOf(name)));
      write(padded.join("").trimEnd() + "\n");
    }
    if (matches.length > MAX_SHOWN) write(`… ${matches.length - MAX_SHOWN} more\n`);
  }
}

function sharedStart(one: string, other: string): string {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return one.slice(0, length);
}
