/**
 * Text with terminal escapes as lines of styled runs: what a terminal of endless width and height shows in the end.
 *
 * Understood are colours and styles (SGR), carriage return, backspace, tab, moves of the cursor and erasing, which is
 * what progress bars use. Everything else that is an escape is left out, so that none of it reaches a reader.
 */

/** A colour: one of the sixteen, whose look the theme decides, or a fixed `#rrggbb`. */
export type Colour = number | string;

/** How a run of text looks. */
export interface Style {
  readonly foreground?: Colour | undefined;
  readonly background?: Colour | undefined;
  readonly bold?: boolean | undefined;
  readonly dim?: boolean | undefined;
  readonly italic?: boolean | undefined;
  readonly underline?: boolean | undefined;
  readonly inverse?: boolean | undefined;
  readonly strike?: boolean | undefined;
}

/** Text of one look. */
export interface Run {
  readonly text: string;
  readonly style: Style;
}

const PLAIN: Style = {};
const TAB = 8;
/** Columns that moves of the cursor may leave empty in all: a few bytes can ask for any number. */
const MAX_GAPS = 1_000_000;
const MAX_COLUMN = 10_000;
const ESCAPE = "\x1b";
/** CSI sequences (7-bit and 8-bit), strings such as titles and links, sets of characters, and all others. */
const SEQUENCE =
  // deno-lint-ignore no-control-regex
  /\x1b\[([0-?]*)[ -/]*([@-~]?)|\x9b([0-?]*)[ -/]*([@-~]?)|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]+[0-~]|\x1b[0-Z\\^-~]?/y;
/** What can be put down as it is. */
// deno-lint-ignore no-control-regex
const TEXT = /[^\x00-\x1f\x7f-\x9f]+/y;

/** What a terminal shows of a text: its lines, without line ends. */
export function renderAnsi(text: string): Run[][] {
  const screen = new Screen();
  // A carriage return before a line end moves nothing, and texts of other systems are full of them.
  screen.write(text.replaceAll("\r\n", "\n"));
  return screen.lines();
}

/** A text without its escapes, as a terminal shows it. */
export function plainText(text: string): string {
  return renderAnsi(text).map((line) => line.map((run) => run.text).join("")).join("\n");
}

interface Cell {
  character: string;
  style: Style;
}

/** A line: runs as long as text is only added at its end, single characters once some are written over. */
class Line {
  #runs: { text: string; style: Style }[] = [];
  #cells: Cell[] | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Puts text at a column, over what is there. Returns the column behind it. */
  put(column: number, text: string, style: Style): number {
    if (column === this.#length && this.#cells === undefined) {
      const last = this.#runs.at(-1);
      if (last?.style === style) last.text += text;
      else this.#runs.push({ text, style });
      this.#length += countOf(text);
      return this.#length;
    }
    const cells = this.#split();
    while (cells.length < column) cells.push({ character: " ", style: PLAIN });
    for (const character of text) cells[column++] = { character, style };
    this.#length = cells.length;
    return column;
  }

  /** Erases columns from `start` to before `end`. */
  erase(start: number, end: number): void {
    const cells = this.#split();
    if (end >= cells.length) cells.length = Math.min(start, cells.length);
    else cells.fill({ character: " ", style: PLAIN }, start, end);
    this.#length = cells.length;
  }

  #split(): Cell[] {
    return this.#cells ??= this.#runs.flatMap(({ text, style }) =>
      Array.from(text, (character) => ({ character, style }))
    );
  }

  runs(): Run[] {
    if (this.#cells === undefined) return this.#runs;
    const runs: { text: string; style: Style }[] = [];
    for (const { character, style } of this.#cells) {
      const last = runs.at(-1);
      if (last?.style === style) last.text += character;
      else runs.push({ text: character, style });
    }
    return runs;
  }
}

/** Characters, not UTF-16 units. */
function countOf(text: string): number {
  let count = text.length;
  // deno-lint-ignore no-control-regex -- most text is ASCII
  if (/^[\x00-\x7f]*$/.test(text)) return count;
  for (let at = 0; at < text.length; at++) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}

class Screen {
  readonly #lines: Line[] = [new Line()];
  #row = 0;
  #column = 0;
  #style: Style = PLAIN;
  #gaps = MAX_GAPS;

  lines(): Run[][] {
    return this.#lines.map((line) => line.runs());
  }

  write(text: string): void {
    for (let at = 0; at < text.length;) {
      TEXT.lastIndex = at;
      const plain = TEXT.exec(text)?.[0];
      if (plain !== undefined) {
        this.#put(plain);
        at += plain.length;
        continue;
      }
      const character = text[at]!;
      if (character === ESCAPE || character === "\x9b") {
        SEQUENCE.lastIndex = at;
        const found = SEQUENCE.exec(text);
        at += found?.[0].length || 1;
        const final = found?.[2] ?? found?.[4];
        if (final) this.#control(found?.[1] ?? found?.[3] ?? "", final);
        continue;
      }
      this.#single(character);
      at++;
    }
  }

  get #line(): Line {
    return this.#lines[this.#row]!;
  }

  #put(text: string): void {
    const gap = this.#column - this.#line.length;
    if (gap > this.#gaps) this.#column = this.#line.length;
    else if (gap > 0) this.#gaps -= gap;
    this.#column = this.#line.put(this.#column, text, this.#style);
  }

  #single(character: string): void {
    if (character === "\n") this.#down(1, 0);
    else if (character === "\v" || character === "\f") this.#down(1, this.#column);
    else if (character === "\r") this.#column = 0;
    else if (character === "\b") this.#column = Math.max(0, this.#column - 1);
    else if (character === "\t") {
      const next = this.#column - this.#column % TAB + TAB;
      if (this.#column < this.#line.length) this.#column = next;
      else this.#put(" ".repeat(next - this.#column));
    }
  }

  #down(rows: number, column: number): void {
    this.#row += rows;
    while (this.#lines.length <= this.#row) this.#lines.push(new Line());
    this.#column = column;
  }

  #control(parameters: string, final: string): void {
    if (/[<=>?]/.test(parameters)) return;
    if (final === "m") {
      this.#style = nextStyle(this.#style, parameters);
      return;
    }
    const [first = 0] = parameters.split(/[;:]/).map(Number);
    const count = Math.max(1, first || 0);
    const right = (column: number) => this.#column = Math.min(column, MAX_COLUMN);
    if (final === "A" || final === "F") this.#row = Math.max(0, this.#row - count);
    // Below the last line there is nothing to move to.
    else if (final === "B" || final === "E") {
      this.#row = Math.min(this.#lines.length - 1, this.#row + count);
    } else if (final === "C") right(this.#column + count);
    else if (final === "D") right(Math.max(0, this.#column - count));
    else if (final === "G") right(count - 1);
    else if (final === "K") this.#eraseLine(first);
    else if (final === "J") this.#eraseScreen(first);
    if (final === "E" || final === "F") this.#column = 0;
  }

  #eraseLine(mode: number): void {
    if (mode === 0) this.#line.erase(this.#column, Infinity);
    else if (mode === 1) this.#line.erase(0, this.#column + 1);
    else if (mode === 2) this.#line.erase(0, Infinity);
  }

  #eraseScreen(mode: number): void {
    if (mode === 0) {
      this.#line.erase(this.#column, Infinity);
      this.#lines.length = this.#row + 1;
    } else if (mode === 2 || mode === 3) {
      this.#lines.splice(0, this.#lines.length, new Line());
      this.#row = this.#column = 0;
    }
  }
}

/** The style after an SGR sequence; styles that are equal are the same object as far as runs matter. */
function nextStyle(style: Style, parameters: string): Style {
  // 38:2::r:g:b and 38:5:n are the standard's spelling of 38;2;r;g;b and 38;5;n.
  const codes = parameters.replace(/([34]8:2):\d*:(\d+:\d+:\d+)/g, "$1:$2").split(/[;:]/).map(
    (code) => code === "" ? 0 : Number(code),
  );
  let next: Style = style;
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!;
    if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      at += used;
      if (colour !== undefined) {
        next = { ...next, [code === 38 ? "foreground" : "background"]: colour };
      }
    } else next = simple(next, code);
  }
  return next;
}

const SWITCHES: Readonly<Record<number, Style>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  21: { underline: true },
  22: { bold: undefined, dim: undefined },
  23: { italic: undefined },
  24: { underline: undefined },
  27: { inverse: undefined },
  29: { strike: undefined },
  39: { foreground: undefined },
  49: { background: undefined },
};

function simple(style: Style, code: number): Style {
  if (code === 0) return PLAIN;
  const change = SWITCHES[code];
  if (change !== undefined) return { ...style, ...change };
  if (code >= 30 && code <= 37) return { ...style, foreground: code - 30 };
  if (code >= 90 && code <= 97) return { ...style, foreground: code - 90 + 8 };
  if (code >= 40 && code <= 47) return { ...style, background: code - 40 };
  if (code >= 100 && code <= 107) return { ...style, background: code - 100 + 8 };
  return style;
}

/** The colour behind 38 or 48, and how many codes it takes. */
function extended([kind, ...codes]: number[]): [Colour | undefined, number] {
  if (kind === 5) return [indexed(codes[0] ?? -1), 2];
  if (kind !== 2) return [undefined, 0];
  const [red, green, blue] = codes;
  return [hex([red, green, blue]), 4];
}

function hex(channels: (number | undefined)[]): string | undefined {
  if (!channels.every((value) => value !== undefined && value >= 0 && value <= 255)) {
    return undefined;
  }
  return "#" + channels.map((value) => value!.toString(16).padStart(2, "0")).join("");
}

/** One of the 256 colours: the sixteen, a cube of 6×6×6, and shades of grey. */
function indexed(index: number): Colour | undefined {
  if (!(index >= 0 && index <= 255)) return undefined;
  if (index < 16) return index;
  if (index >= 232) return hex(Array(3).fill(8 + (index - 232) * 10));
  const level = (value: number) => value === 0 ? 0 : 55 + value * 40;
  const cube = index - 16;
  return hex([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level));
}
