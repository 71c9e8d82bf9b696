/** Parameters of a notebook: values that a run gives, in a cell behind the one that has the defaults (papermill's way). */
import { WorkerError } from "../errors.ts";
import { type Cell, codeCell, type Notebook, tagsOf } from "./document.ts";

/** The tag of the cell that holds the defaults. */
const DEFAULTS = "parameters";
/** The tag of the cell that holds the values of a run. */
const INJECTED = "injected-parameters";
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const KEYWORDS = new Set(
  ("False None True and as assert async await break class continue def del elif else except finally for from " +
    "global if import in is lambda nonlocal not or pass raise return try while with yield").split(
      " ",
    ),
);

/** A parameter: its name, and its value as Python code. */
export interface Parameter {
  readonly name: string;
  readonly code: string;
}

/**
 * Reads `name=value`. A value is Python's `True`, `False` or `None`, a number, or JSON (a list, an object, a text in
 * quotes); everything else is a text.
 *
 * @throws WorkerError `usage` that names the parameter
 */
export function parseParameter(text: string): Parameter {
  const at = text.indexOf("=");
  const name = at < 0 ? text : text.slice(0, at).trim();
  if (at < 0) throw refusal(text, 'it is not written as "name=value"');
  if (!NAME.test(name) || KEYWORDS.has(name)) throw refusal(text, "its name is none in Python");
  return { name, code: valueCode(text.slice(at + 1), text) };
}

function refusal(text: string, reason: string): WorkerError {
  return new WorkerError("usage", `Cannot use parameter ${text}: ${reason}`);
}

function valueCode(value: string, whole: string): string {
  const trimmed = value.trim();
  if (["True", "False", "None"].includes(trimmed)) return trimmed;
  // Digits stay as they are: Python's integers have no greatest one.
  if (/^[+-]?(?:\d+|(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?)$/.test(trimmed)) {
    return trimmed.replace(/^([+-]?)0+(?=\d)/, "$1");
  }
  if (/^[[{"]/.test(trimmed) || ["true", "false", "null"].includes(trimmed)) {
    try {
      return pythonCode(JSON.parse(trimmed));
    } catch {
      throw refusal(whole, "its value begins as JSON does, and is none");
    }
  }
  return pythonCode(value);
}

/** A JSON value as Python code. */
function pythonCode(value: unknown): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonCode).join(", ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).map(([key, one]) =>
      `${pythonCode(key)}: ${pythonCode(one)}`
    );
    return `{${entries.join(", ")}}`;
  }
  // JSON's texts and numbers are Python's, too.
  return JSON.stringify(value);
}

/**
 * Puts parameters into a notebook: into the cell of an earlier run if there is one, else behind the cell with the
 * defaults, else first. Of a name that is given twice the last counts. Returns whether there is a place for them.
 */
export function injectParameters(notebook: Notebook, parameters: readonly Parameter[]): boolean {
  const { cells } = notebook;
  const code = new Map(parameters.map(({ name, code }) => [name, code]));
  const source = ["# Parameters", ...[...code].map(([name, value]) => `${name} = ${value}`)].join(
    "\n",
  );
  const tagged = (tag: string) =>
    cells.findIndex((cell) => isCode(cell) && tagsOf(cell).includes(tag));
  const injected = codeCell(source, { tags: [INJECTED] });
  const earlier = tagged(INJECTED);
  const defaults = tagged(DEFAULTS);
  if (earlier >= 0) cells.splice(earlier, 1, { ...injected, id: cells[earlier]!.id });
  else cells.splice(defaults + 1, 0, injected);
  return earlier >= 0 || defaults >= 0;
}

function isCode(cell: Cell): boolean {
  return cell.cell_type === "code";
}
