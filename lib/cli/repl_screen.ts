/** Draws what is being typed: prompts, colours, lines that are longer than the terminal is wide, and the cursor. */
import { tokenize, type TokenKind } from "../notebook/report_python.ts";

/** What a prompt looks like. */
export interface Prompt {
  /** In front of the first line. */
  readonly first: string;
  /** In front of the others. */
  readonly more: string;
  /** Whether the text is Python, which has colours. */
  readonly python: boolean;
}

/** The size of a terminal, in characters. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const COLOURS: Readonly<Partial<Record<TokenKind, string>>> = {
  keyword: "35",
  constant: "34",
  builtin: "36",
  definition: "34;1",
  decorator: "36",
  string: "32",
  number: "34",
  comment: "90",
  magic: "35",
};
const PROMPT_COLOUR = "32;1";
/** Characters that take two columns: East Asian ones and pictographs. */
const WIDE =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation})/u;
const LONGEST_COLOURED = 20_000;

/** Columns that a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

interface Drawn {
  readonly rows: string[];
  readonly row: number;
  readonly column: number;
}

/** Draws a text at the place where the terminal's cursor is, again and again. */
export class Screen {
  readonly #write: (text: string) => void;
  readonly #size: () => Size;
  readonly #colour: boolean;
  /** The row of the terminal's cursor, counted from the first one that was drawn. */
  #row = 0;

  /** Draws by a function; `colour` says whether it may use colours. */
  constructor(write: (text: string) => void, size: () => Size, colour: boolean) {
    this.#write = write;
    this.#size = size;
    this.#colour = colour;
  }

  /** Draws a text in place of what was drawn before. */
  draw(prompt: Prompt, text: string, cursor: number): void {
    const { columns, rows } = this.#size();
    const drawn = this.#layout(prompt, text, cursor, Math.max(columns, 10));
    // Of a text that is higher than the terminal, what is around the cursor is shown.
    const height = Math.max(rows - 1, 1);
    const top = Math.max(0, Math.min(drawn.row - height + 1, drawn.rows.length - height));
    const shown = drawn.rows.slice(top, top + height);
    const row = drawn.row - top;
    const up = shown.length - 1 - row;
    this.#write(
      this.#toTop() + shown.join("\n") + (up > 0 ? `\x1b[${up}A` : "") +
        "\r" + (drawn.column > 0 ? `\x1b[${drawn.column}C` : ""),
    );
    this.#row = row;
  }

  /** Draws a text for the last time: whole, and with the cursor behind it on a line of its own. */
  finish(prompt: Prompt, text: string): void {
    const { columns } = this.#size();
    const { rows } = this.#layout(prompt, text, text.length, Math.max(columns, 10));
    this.#write(this.#toTop() + rows.join("\n") + "\n");
    this.#row = 0;
  }

  /** Removes what was drawn. */
  clear(): void {
    this.#write(this.#toTop());
    this.#row = 0;
  }

  /** The next draw begins where the cursor is then. */
  leave(): void {
    this.#row = 0;
  }

  #toTop(): string {
    return `\r${this.#row > 0 ? `\x1b[${this.#row}A` : ""}\x1b[J`;
  }

  #layout(prompt: Prompt, text: string, cursor: number, columns: number): Drawn {
    const rows: string[] = [];
    let line = "";
    let column = 0;
    let at = 0;
    let place = { row: 0, column: 0 };
    const wrap = () => {
      rows.push(line);
      line = "";
      column = 0;
    };
    const put = (text: string, style: string | undefined) => {
      for (const { segment } of new Intl.Segmenter().segment(text)) {
        const width = WIDE.test(segment) ? 2 : 1;
        if (column + width > columns) wrap();
        // A control character would move the cursor.
        const shown = segment < " " ? "␀" : segment;
        line += style === undefined || !this.#colour ? shown : `\x1b[${style}m${shown}\x1b[0m`;
        column += width;
      }
    };
    put(prompt.first, PROMPT_COLOUR);
    for (const { kind, text: piece } of this.#tokens(prompt, text)) {
      for (const [index, part] of piece.split(/(\n)/).entries()) {
        if (index % 2 === 1) {
          if (at === cursor) place = { row: rows.length, column };
          wrap();
          put(prompt.more, PROMPT_COLOUR);
          at++;
        } else if (cursor >= at && cursor < at + part.length) {
          put(part.slice(0, cursor - at), COLOURS[kind]);
          // The next character may be the first of a row.
          const next = String.fromCodePoint(part.codePointAt(cursor - at)!);
          if (column + widthOf(next) > columns) wrap();
          place = { row: rows.length, column };
          put(part.slice(cursor - at), COLOURS[kind]);
          at += part.length;
        } else {
          put(part, COLOURS[kind]);
          at += part.length;
        }
      }
    }
    if (cursor >= at) {
      if (column >= columns) wrap();
      place = { row: rows.length, column };
    }
    rows.push(line);
    return { rows, ...place };
  }

  #tokens(prompt: Prompt, text: string): readonly { kind: TokenKind; text: string }[] {
    const coloured = this.#colour && prompt.python && text.length <= LONGEST_COLOURED;
    return coloured ? tokenize(text) : [{ kind: "text", text }];
  }
}
