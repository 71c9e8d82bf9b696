/** The text that is being typed at a prompt, and what keys do to it. Nothing is drawn here. */
import type { Key } from "./repl_keys.ts";

/** Moves and changes by key; what is not here is done by whoever has the prompt. */
type Action = (editor: Editor) => void;

const INDENT = 4;
const WORD_BEFORE = /[\p{L}\p{N}_]+[^\p{L}\p{N}_]*$|[^\p{L}\p{N}_]+$/u;
const WORD_BEHIND = /^[^\p{L}\p{N}_]*[\p{L}\p{N}_]+|^[^\p{L}\p{N}_]+/u;

/** Text with a cursor. Positions are those of strings, and never within a character. */
export class Editor {
  #text = "";
  #cursor = 0;
  #killed = "";

  /** What has been typed. */
  get text(): string {
    return this.#text;
  }

  /** Where the next character goes. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Replaces everything; the cursor goes to the end. */
  set(text: string, cursor: number = text.length): void {
    this.#text = text;
    this.#cursor = cursor;
  }

  /** Puts text at the cursor. */
  insert(text: string): void {
    this.replace(this.#cursor, this.#cursor, text);
  }

  /** Replaces a part; the cursor goes behind it. */
  replace(start: number, end: number, text: string): void {
    this.#text = this.#text.slice(0, start) + text + this.#text.slice(end);
    this.#cursor = start + text.length;
  }

  /** The line of the cursor, up to it. */
  get before(): string {
    return this.#text.slice(this.#lineStart(), this.#cursor);
  }

  /** Whether the cursor is on the first line. */
  get onFirstLine(): boolean {
    return this.#lineStart() === 0;
  }

  /** Whether the cursor is on the last line. */
  get onLastLine(): boolean {
    return !this.#text.includes("\n", this.#cursor);
  }

  /** Begins a line that is indented as Python expects after the one before. */
  newLine(): void {
    const { before } = this;
    const indent = /^[ \t]*/.exec(before)![0];
    const code = before.replace(/#.*$/, "").trimEnd();
    const next = code.endsWith(":")
      ? indent + " ".repeat(INDENT)
      : /^\s*(?:return|pass|break|continue|raise)\b/.test(code)
      ? indent.slice(0, -INDENT)
      : indent;
    this.insert("\n" + next);
  }

  /** Moves to the next stop of indentation. */
  indent(): void {
    this.insert(" ".repeat(INDENT - this.before.length % INDENT));
  }

  /** Does what a key does; `false` when it is no key of an editor. */
  press(key: Key): boolean {
    if (key.type === "text") {
      this.insert(key.text.replaceAll("\t", " ".repeat(INDENT)));
      return true;
    }
    const action = ACTIONS[key.name];
    action?.(this);
    return action !== undefined;
  }

  /** Moves the cursor by a character, a word, to an end of the line, or to another line. */
  move(
    where: "left" | "right" | "word-left" | "word-right" | "home" | "end" | "up" | "down",
  ): void {
    this.#cursor = this.#place(where);
  }

  /** Removes what lies between the cursor and another place; `keep` makes it what is put back by {@linkcode yank}. */
  remove(
    where: "left" | "right" | "word-left" | "word-right" | "home" | "end",
    keep = false,
  ): void {
    // Spaces of indentation go as they came.
    const indented = where === "left" && /^ +$/.test(this.before);
    const other = indented
      ? this.#cursor - ((this.before.length - 1) % INDENT + 1)
      : this.#place(where);
    // At the end of a line, the line end itself goes.
    const extra = where === "end" && other === this.#cursor && other < this.#text.length ? 1 : 0;
    const [start, end] = [Math.min(other, this.#cursor), Math.max(other, this.#cursor) + extra];
    if (keep && end > start) this.#killed = this.#text.slice(start, end);
    this.replace(start, end, "");
  }

  /** Puts back what was last removed. */
  yank(): void {
    this.insert(this.#killed);
  }

  #lineStart(): number {
    return this.#text.lastIndexOf("\n", this.#cursor - 1) + 1;
  }

  #lineEnd(from: number): number {
    const end = this.#text.indexOf("\n", from);
    return end < 0 ? this.#text.length : end;
  }

  #place(where: Parameters<Editor["move"]>[0]): number {
    const before = this.#text.slice(0, this.#cursor);
    const behind = this.#text.slice(this.#cursor);
    const start = this.#lineStart();
    const end = this.#lineEnd(this.#cursor);
    switch (where) {
      case "left":
        return this.#cursor - lastOf(before).length;
      case "right":
        return this.#cursor + firstOf(behind).length;
      case "word-left":
        return this.#cursor - (WORD_BEFORE.exec(before)?.[0].length ?? 0);
      case "word-right":
        return this.#cursor + (WORD_BEHIND.exec(behind)?.[0].length ?? 0);
      case "home":
        return start;
      case "end":
        return end;
      case "up": {
        if (start === 0) return this.#cursor;
        const above = this.#text.lastIndexOf("\n", start - 2) + 1;
        return Math.min(above + this.#cursor - start, start - 1);
      }
      case "down":
        if (end === this.#text.length) return this.#cursor;
        return Math.min(end + 1 + this.#cursor - start, this.#lineEnd(end + 1));
    }
  }
}

const segmenter = new Intl.Segmenter();

/** The first character as people count them. */
function firstOf(text: string): string {
  for (const { segment } of segmenter.segment(text.slice(0, 100))) return segment;
  return "";
}

function lastOf(text: string): string {
  let last = "";
  for (const { segment } of segmenter.segment(text.slice(-100))) last = segment;
  return last;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  left: (editor) => editor.move("left"),
  right: (editor) => editor.move("right"),
  "ctrl-b": (editor) => editor.move("left"),
  "ctrl-f": (editor) => editor.move("right"),
  "ctrl-left": (editor) => editor.move("word-left"),
  "ctrl-right": (editor) => editor.move("word-right"),
  "alt-b": (editor) => editor.move("word-left"),
  "alt-f": (editor) => editor.move("word-right"),
  home: (editor) => editor.move("home"),
  end: (editor) => editor.move("end"),
  "ctrl-a": (editor) => editor.move("home"),
  "ctrl-e": (editor) => editor.move("end"),
  up: (editor) => editor.move("up"),
  down: (editor) => editor.move("down"),
  backspace: (editor) => editor.remove("left"),
  delete: (editor) => editor.remove("right"),
  "ctrl-d": (editor) => editor.remove("right"),
  "ctrl-w": (editor) => editor.remove("word-left", true),
  "alt-backspace": (editor) => editor.remove("word-left", true),
  "alt-d": (editor) => editor.remove("word-right", true),
  "ctrl-k": (editor) => editor.remove("end", true),
  "ctrl-u": (editor) => editor.remove("home", true),
  "ctrl-y": (editor) => editor.yank(),
  "alt-enter": (editor) => editor.newLine(),
};
