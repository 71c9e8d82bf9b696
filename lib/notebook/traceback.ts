/** Tracebacks of cells as Jupyter writes them into notebooks: in colour, with the lines around the failing one. */
import type { ExecutionError } from "../interpreter/outputs.ts";

const WIDTH = 75;
const TITLE = "Traceback (most recent call last)";
/** Lines shown before and after the one that failed. */
const AROUND = 2;
const FRAME = /^([\s|+-]*)File "(.+)", line (\d+)(?:, in (.+))?$/;
const CELL = /^<cell (\d+)>$/;

const red = (text: string) => `\x1b[31m${text}\x1b[39m`;
const green = (text: string) => `\x1b[32m${text}\x1b[39m`;
const cyan = (text: string) => `\x1b[36m${text}\x1b[39m`;

/**
 * The `traceback` of an error output.
 *
 * @param sourceOf gives the code of the cell with an execution count, when it is known
 */
export function jupyterTraceback(
  { ename, traceback }: ExecutionError,
  sourceOf: (count: number) => string | undefined,
): string[] {
  const lines = [...traceback];
  const entries = [red("-".repeat(WIDTH))];
  if (lines[0] === `${TITLE}:`) {
    lines.shift();
    const gap = " ".repeat(Math.max(1, WIDTH - ename.length - TITLE.length));
    entries.push(`${red(ename)}${gap}${TITLE}`);
  }
  let frame: string[] = [];
  const flush = () => {
    if (frame.length > 0) entries.push(frame.join("\n"));
    frame = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const match = FRAME.exec(line);
    if (match === null) {
      if (!/^[\s|+]/.test(line)) flush();
      frame.push(/^\S/.test(line) ? named(line) : line);
      continue;
    }
    flush();
    const [, indent = "", file = "", number = "", name] = match;
    frame.push(indent.replace(/^ {2}$/, "") + place(file, number, name));
    const around = indent.trim() === "" ? context(file, Number(number), sourceOf) : undefined;
    if (around === undefined) continue;
    frame.push(...around);
    // The line itself, and the marks below it, are shown already; those of a syntax error say more.
    if (name === undefined) continue;
    while (/^ {4}/.test(lines[at + 1] ?? "")) at++;
  }
  flush();
  return entries;
}

function place(file: string, line: string, name: string | undefined): string {
  const count = CELL.exec(file)?.[1];
  const where = count === undefined
    ? `File ${green(`${file}:${line}`)}`
    : `Cell ${green(`In[${count}], line ${line}`)}`;
  const inside = name === undefined || name === "<module>" ? "" : `, in ${cyan(name)}`;
  return where + inside;
}

/** The lines of a cell around one of them, as IPython marks it. */
function context(
  file: string,
  line: number,
  sourceOf: (count: number) => string | undefined,
): string[] | undefined {
  const count = CELL.exec(file)?.[1];
  const source = (count === undefined ? undefined : sourceOf(Number(count)))?.split(/\r\n|\r|\n/);
  if (source === undefined || line < 1 || line > source.length) return undefined;
  const first = Math.max(1, line - AROUND);
  const last = Math.min(source.length, line + AROUND);
  const width = String(last).length;
  return source.slice(first - 1, last).map((text, index) => {
    const number = first + index;
    return number === line
      ? `${green(`----> ${String(number).padStart(width)}`)} ${text}`
      : `      ${green(String(number).padStart(width))} ${text}`;
  });
}

/** The last line of a traceback: the error's name in colour. */
function named(line: string): string {
  const match = /^([A-Za-z_][\w.]*)(:.*)?$/s.exec(line);
  return match === null ? line : red(match[1]!) + (match[2] ?? "");
}
