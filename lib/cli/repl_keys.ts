/** What is typed at a terminal, as keys: bytes in, names of keys, texts and pastes out. */

/** A key, or text that was typed or pasted. */
export type Key =
  | { readonly type: "key"; readonly name: string }
  | { readonly type: "text"; readonly text: string; readonly pasted: boolean };

const PASTE_BEGIN = "\x1b[200~";
const PASTE_END = "\x1b[201~";
/** Keys that terminals send as sequences; modifiers stand between. */
const SEQUENCES: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  H: "home",
  F: "end",
  Z: "shift-tab",
  "1~": "home",
  "3~": "delete",
  "4~": "end",
  "7~": "home",
  "8~": "end",
};
const CONTROLS: Readonly<Record<string, string>> = {
  "\r": "enter",
  "\n": "enter",
  "\t": "tab",
  "\x7f": "backspace",
  "\b": "backspace",
};
/** A sequence and the longest beginning of one. */
// deno-lint-ignore no-control-regex
const SEQUENCE = /^\x1b(?:\[|O)([\d;]*)([A-Za-z~])/;
// deno-lint-ignore no-control-regex
const UNFINISHED = /^\x1b(?:\[|O)[\d;]{0,16}$/;

/** Turns bytes into keys; keys may come in pieces. */
export class KeyDecoder {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #pasting = false;

  /** The keys that are complete with these bytes. */
  push(bytes: Uint8Array): Key[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const keys: Key[] = [];
    for (let key = this.#next(); key !== undefined; key = this.#next()) keys.push(key);
    return keys;
  }

  #take(count: number): string {
    const text = this.#rest.slice(0, count);
    this.#rest = this.#rest.slice(count);
    return text;
  }

  #next(): Key | undefined {
    if (this.#rest === "") return undefined;
    if (this.#pasting) return this.#paste();
    const first = this.#rest[0]!;
    if (first === "\x1b") return this.#escape();
    if (CONTROLS[first] !== undefined) {
      // Terminals send one, files and other systems may send both.
      this.#take(this.#rest.startsWith("\r\n") ? 2 : 1);
      return { type: "key", name: CONTROLS[first]! };
    }
    if (first < " ") {
      const code = this.#take(1).charCodeAt(0);
      return { type: "key", name: `ctrl-${String.fromCharCode(code + 64).toLowerCase()}` };
    }
    // deno-lint-ignore no-control-regex
    const text = this.#take(/^[^\x00-\x1f\x7f]+/.exec(this.#rest)![0].length);
    return { type: "text", text, pasted: false };
  }

  #paste(): Key | undefined {
    const end = this.#rest.indexOf(PASTE_END);
    if (end < 0) return undefined;
    const text = this.#take(end);
    this.#take(PASTE_END.length);
    this.#pasting = false;
    // deno-lint-ignore no-control-regex
    const clean = text.replace(/\r\n?/g, "\n").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
    return { type: "text", text: clean, pasted: true };
  }

  #escape(): Key | undefined {
    if (this.#rest.startsWith(PASTE_BEGIN)) {
      this.#take(PASTE_BEGIN.length);
      this.#pasting = true;
      return this.#next();
    }
    const found = SEQUENCE.exec(this.#rest);
    if (found !== null) {
      this.#take(found[0].length);
      const [number = "", modifier] = found[1]!.split(";");
      const name = SEQUENCES[found[2] === "~" ? `${number}~` : found[2]!] ?? "unknown";
      const held = { "3": "alt-", "5": "ctrl-" }[modifier ?? ""] ?? "";
      return { type: "key", name: held + name };
    }
    if (UNFINISHED.test(this.#rest)) return undefined;
    // Escape alone begins a sequence that is on its way, or it is how terminals send Alt.
    if (this.#rest.length === 1) return undefined;
    if (this.#rest[1] === "\x1b") {
      this.#take(1);
      return { type: "key", name: "escape" };
    }
    const [, key] = Array.from(
      this.#take(1 + String.fromCodePoint(this.#rest.codePointAt(1)!).length),
    );
    return { type: "key", name: `alt-${CONTROLS[key!] ?? key}` };
  }
}
