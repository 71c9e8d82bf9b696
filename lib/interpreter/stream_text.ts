/**
 * Text of one stream as a terminal would leave it: what a carriage return goes back over is overwritten, and a
 * backspace takes the character before it. So a progress bar of ten thousand steps is one line.
 */

/** A longer line is no progress bar: its beginning is settled and cannot be overwritten any more. */
const MAX_LINE = 64 * 1024;
/** Pieces that are joined at once; many small strings cost more memory than one. */
const PIECES = 1024;
/** Pieces from this size on are left as they are: joining them would only copy them (characters). */
const LARGE = 16 * 1024;
const CONTROL = /[\r\b]/;
const CONTROLS = /([\r\b\n])/;
/** Text in which characters and columns are not the same: escape sequences and pairs of surrogates. */
// deno-lint-ignore no-control-regex
const UNEVEN = /[\x1b\ud800-\udfff]/;

/** Text that grows at its end and may lose its beginning. */
export class StreamText {
  #settled: string[] = [];
  #pieces: string[] = [];
  #settledSize = 0;
  #line = "";
  #column = 0;
  /** Pieces the line was made of since it was last made one string. */
  #linePieces = 0;

  /** Number of characters. */
  get size(): number {
    return this.#settledSize + this.#line.length;
  }

  /** Adds text at the cursor. */
  append(text: string): void {
    if (this.#column === this.#line.length && !CONTROL.test(text)) this.#extend(text);
    else {
      for (const part of text.split(CONTROLS)) {
        if (part === "\r") this.#column = 0;
        else if (part === "\b") this.#erase();
        else if (part === "\n") this.#endLine();
        else if (part !== "") this.#write(part);
      }
    }
    if (this.#line.length > MAX_LINE) {
      this.#settle(this.#line);
      this.#line = "";
      this.#column = this.#linePieces = 0;
    }
  }

  /** The text as it is now. */
  toString(): string {
    return this.#settled.join("") + this.#pieces.join("") + this.#line;
  }

  /** Takes everything behind the first so many characters away, and returns it as a text of its own. */
  split(at: number): StreamText {
    const all = this.toString();
    const cut = atCharacter(all, at);
    const rest = new StreamText();
    const line = Math.min(this.#line.length, all.length - cut);
    rest.#settle(all.slice(cut, all.length - line));
    rest.#line = all.slice(all.length - line);
    rest.#column = Math.max(0, this.#column - (this.#line.length - line));
    this.#reset(all.slice(0, cut));
    return rest;
  }

  /** Forgets the first so many characters, and the rest of a line that this cuts if it is short. */
  dropStart(count: number): void {
    const all = this.toString();
    let cut = atCharacter(all, count);
    const end = all.indexOf("\n", cut);
    if (end >= 0 && end - cut < 200 && end < all.length - 1) cut = end + 1;
    const rest = this.split(cut);
    this.#settled = rest.#settled;
    this.#pieces = rest.#pieces;
    this.#settledSize = rest.#settledSize;
    this.#line = rest.#line;
    this.#column = rest.#column;
  }

  #reset(text: string): void {
    this.#settled = text === "" ? [] : [text];
    this.#pieces = [];
    this.#settledSize = text.length;
    this.#line = "";
    this.#column = this.#linePieces = 0;
  }

  #extend(text: string): void {
    const end = text.lastIndexOf("\n") + 1;
    if (end === 0) {
      this.#line += text;
      // A string that was put together from thousands of small ones takes many times its size.
      if (++this.#linePieces % PIECES === 0) UNEVEN.test(this.#line);
    } else {
      this.#settle(this.#line + text.slice(0, end));
      this.#line = text.slice(end);
      this.#linePieces = 0;
    }
    this.#column = this.#line.length;
  }

  #write(text: string): void {
    const line = this.#line;
    const behind = this.#column + text.length;
    if (this.#column === line.length) {
      this.#line = line + text;
    } else {
      // With escape sequences nobody knows what stands in which column: the rest of the line gives way.
      const even = !UNEVEN.test(line) && !UNEVEN.test(text);
      this.#line = line.slice(0, this.#column) + text + (even ? line.slice(behind) : "");
    }
    this.#column = behind;
  }

  #erase(): void {
    if (this.#column === 0) return;
    const low = /[\udc00-\udfff]/.test(this.#line.charAt(this.#column - 1));
    const start = this.#column - (low && this.#column > 1 ? 2 : 1);
    this.#line = this.#line.slice(0, start) + this.#line.slice(this.#column);
    this.#column = start;
  }

  #endLine(): void {
    this.#settle(this.#line + "\n");
    this.#line = "";
    this.#column = this.#linePieces = 0;
  }

  #settle(text: string): void {
    if (text === "") return;
    this.#settledSize += text.length;
    if (text.length < LARGE) {
      this.#pieces.push(text);
      if (this.#pieces.length < PIECES) return;
    }
    if (this.#pieces.length > 0) this.#settled.push(this.#pieces.join(""));
    this.#pieces = [];
    if (text.length >= LARGE) this.#settled.push(text);
  }
}

/** A place to cut that is not inside of a pair of surrogates. */
export function atCharacter(text: string, at: number): number {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff && at > 0 ? at - 1 : at;
}
