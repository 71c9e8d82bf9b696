/**
 * Reading notebooks: from the text of a file to a {@linkcode Notebook} of the newest format.
 *
 * What is older (4.0 to 4.4) is brought to 4.5, whose cells have ids. What no notebook can have is refused with its
 * place in the file, since Jupyter would refuse what is saved as well.
 */
import { messageOf, WorkerError } from "../errors.ts";
import {
  type Cell,
  type CellOutput,
  isJsonType,
  type MimeBundle,
  newCellId,
  type Notebook,
} from "./document.ts";

type Fields = Record<string, unknown>;

/** The minor format this reader knows all of. */
const MINOR = 5;
/** Names of a cell in format 4.5, besides those of its type. */
const CELL_NAMES = ["id", "cell_type", "metadata", "source"];
const CELL_TYPES: Readonly<Record<string, readonly string[]>> = {
  code: ["outputs", "execution_count"],
  markdown: ["attachments"],
  raw: ["attachments"],
};
const OUTPUT_TYPES: Readonly<Record<string, readonly string[]>> = {
  stream: ["name", "text"],
  display_data: ["data", "metadata"],
  execute_result: ["data", "metadata", "execution_count"],
  error: ["ename", "evalue", "traceback"],
};
const ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Reads a notebook.
 *
 * @param name what errors call it, such as its path
 * @throws WorkerError `usage` that says what is wrong, and where
 */
export function readNotebook(text: string, name: string): Notebook {
  const reader = new Reader(name);
  const content = reader.json(text);
  const major = content.nbformat;
  if (typeof major !== "number") throw reader.refusal("it has no nbformat: it is not a notebook");
  if (major !== 4) throw reader.format(major);
  const minor = reader.integer(content.nbformat_minor ?? 0, "nbformat_minor");
  const cells = content.cells;
  if (!Array.isArray(cells)) throw reader.refusal("cells is not a list");
  const strict = minor <= MINOR;
  const notebook: Notebook = {
    nbformat: 4,
    nbformat_minor: Math.max(minor, MINOR),
    metadata: reader.record(content.metadata ?? {}, "metadata"),
    cells: cells.map((cell, index) => reader.cell(cell, `cells[${index}]`, strict)),
  };
  const seen = new Set<string>();
  for (const cell of notebook.cells) {
    while (!ID.test(cell.id) || seen.has(cell.id)) cell.id = newCellId();
    seen.add(cell.id);
  }
  return notebook;
}

class Reader {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  refusal(reason: string, suggestion?: string): WorkerError {
    return new WorkerError(
      "usage",
      `Cannot read ${this.#name}: ${reason}${suggestion === undefined ? "" : `; ${suggestion}`}`,
    );
  }

  format(major: number): WorkerError {
    return major < 4
      ? this.refusal(
        `it is in notebook format ${major}, which is older than 4`,
        `jupyter nbconvert --to notebook --nbformat 4 brings it up to date`,
      )
      : this.refusal(`it is in notebook format ${major}; the newest that is known here is 4`);
  }

  json(text: string): Fields {
    let content: unknown;
    try {
      content = parseJson(text.replace(/^\uFEFF/, ""));
    } catch (error) {
      throw this.refusal(
        text.trim() === "" ? "it is empty" : `it is not JSON: ${shorten(messageOf(error))}`,
      );
    }
    if (!isFields(content)) throw this.refusal("it is not a notebook, which is a JSON object");
    return content;
  }

  record(value: unknown, place: string): Fields {
    if (isFields(value)) return value;
    throw this.refusal(`${place} is not an object`);
  }

  integer(value: unknown, place: string): number {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
    throw this.refusal(`${place} is not a number`);
  }

  /** A text that may be a list of its lines. */
  text(value: unknown, place: string): string {
    if (typeof value === "string") return value;
    if (isTexts(value)) return value.join("");
    throw this.refusal(`${place} is not a text`);
  }

  bundle(value: unknown, place: string): MimeBundle {
    const bundle = this.record(value, place);
    return Object.fromEntries(
      Object.entries(bundle).map(([type, content]) => [
        type,
        // In JSON types a list of texts is a list.
        isTexts(content) && !isJsonType(type) ? content.join("") : content,
      ]),
    );
  }

  cell(value: unknown, place: string, strict: boolean): Cell {
    const { cell_type: type, ...given } = this.record(value, place);
    const names = typeof type === "string" && Object.hasOwn(CELL_TYPES, type)
      ? CELL_TYPES[type]
      : undefined;
    if (names === undefined) {
      throw this.refusal(`${place}.cell_type is ${show(type)}, not code, markdown or raw`);
    }
    const common = {
      // A newer format may have more; what this one does not have would make the notebook invalid.
      ...(strict ? pick(given, [...CELL_NAMES, ...names]) : given),
      id: typeof given.id === "string" ? given.id : "",
      metadata: this.record(given.metadata ?? {}, `${place}.metadata`),
      source: this.text(given.source ?? "", `${place}.source`),
    };
    if (type === "code") {
      const outputs = given.outputs ?? [];
      if (!Array.isArray(outputs)) throw this.refusal(`${place}.outputs is not a list`);
      const count = given.execution_count ?? null;
      return {
        ...common,
        cell_type: "code",
        outputs: outputs.map((output, index) =>
          this.output(output, `${place}.outputs[${index}]`, strict)
        ),
        execution_count: count === null ? null : this.integer(count, `${place}.execution_count`),
      };
    }
    const { attachments } = given;
    const files = attachments === undefined || attachments === null
      ? undefined
      : this.record(attachments, `${place}.attachments`);
    return {
      ...common,
      cell_type: type as "markdown" | "raw",
      ...(files === undefined ? {} : {
        attachments: Object.fromEntries(
          Object.entries(files).map(([name, bundle]) => [
            name,
            this.bundle(bundle, `${place}.attachments.${name}`),
          ]),
        ),
      }),
    };
  }

  output(value: unknown, place: string, strict: boolean): CellOutput {
    const given = this.record(value, place);
    const { output_type: type } = given;
    const names = typeof type === "string" && Object.hasOwn(OUTPUT_TYPES, type)
      ? OUTPUT_TYPES[type]
      : undefined;
    if (names === undefined) {
      if (!strict) return given as unknown as CellOutput;
      throw this.refusal(`${place}.output_type is ${show(type)}, which no output of format 4 has`);
    }
    const rest = strict ? pick(given, names) : given;
    if (type === "stream") {
      return {
        ...rest,
        output_type: "stream",
        name: given.name === "stderr" ? "stderr" : "stdout",
        text: this.text(given.text ?? "", `${place}.text`),
      };
    }
    if (type === "error") {
      const traceback = given.traceback ?? [];
      if (!isTexts(traceback)) throw this.refusal(`${place}.traceback is not a list of texts`);
      return {
        ...rest,
        output_type: "error",
        ename: String(given.ename ?? ""),
        evalue: String(given.evalue ?? ""),
        traceback,
      };
    }
    const shown = {
      ...rest,
      data: this.bundle(given.data ?? {}, `${place}.data`),
      metadata: this.record(given.metadata ?? {}, `${place}.metadata`),
    };
    if (type === "display_data") return { ...shown, output_type: "display_data" };
    const count = given.execution_count ?? null;
    return {
      ...shown,
      output_type: "execute_result",
      execution_count: count === null ? null : this.integer(count, `${place}.execution_count`),
    };
  }
}

/** Python writes numbers into notebooks that JSON does not have. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const plain = text.replace(
      /"[^"\\]*(?:\\.[^"\\]*)*"|\bNaN\b|-?\bInfinity\b/gs,
      (part) => part.startsWith('"') ? part : "null",
    );
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}

function pick(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => names.includes(name)));
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function show(value: unknown): string {
  return value === undefined ? "missing" : shorten(JSON.stringify(value));
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
