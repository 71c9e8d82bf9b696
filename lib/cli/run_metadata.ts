/**
 * What a script says of its own environment: inline metadata in a comment (PEP 723), with a table of ours for
 * packages of conda.
 *
 * ```python
 * # /// script
 * # requires-python = ">=3.11"
 * # dependencies = ["rich"]
 * #
 * # [tool.hypha-conda-worker]
 * # channels = ["conda-forge"]
 * # dependencies = ["numpy>=2"]
 * # ///
 * ```
 */
import { parse as parseToml } from "@std/toml";
import { invalidEntry, isRecord, showEntry } from "../environments/entry.ts";
import { parseRequirement } from "../environments/requirement.ts";
import { messageOf, type WorkerError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { usage } from "./option.ts";

/** What code asks for. */
export interface CodeMetadata {
  /** Package specs of conda, and lists of pip requirements, as manifests have them. */
  readonly dependencies: readonly unknown[];
  /** Channels, the most important first; empty when none is named. */
  readonly channels: readonly string[];
  /** What is not as it should be, but can be done without. */
  readonly warnings: readonly string[];
}

/** The tool's name in the metadata of scripts and notebooks. */
export const TOOL = "hypha-conda-worker";
const TABLE_KEYS = ["dependencies", "channels"];
const OPENING = /^# \/\/\/ ([a-zA-Z0-9-]+)$/;
const CONTENT = /^#(?: .*)?$/;
const CLOSING = "# ///";

/** A block of metadata in the comments of a script. */
export interface Block {
  /** What stands behind `# ///` in its first line. */
  readonly type: string;
  /** Number of its first line, counted from 1. */
  readonly line: number;
  /** The lines between, without their comment signs. */
  readonly content: readonly string[];
  /** Whether it has an end. */
  readonly closed: boolean;
}

/**
 * Reads the metadata of a script; `undefined` when it has none.
 *
 * @param name what errors call the script
 * @throws WorkerError `usage` or `invalid_spec` that names the line
 */
export function readCodeMetadata(text: string, name: string): CodeMetadata | undefined {
  const blocks = findBlocks(text).filter((block) => block.type === "script");
  const warnings = blocks.filter((block) => !block.closed).map(({ line }) =>
    `${name}, line ${line}: the block "# /// script" has no end "# ///", so it is ignored`
  );
  const [block, another] = blocks.filter((block) => block.closed);
  if (another !== undefined) {
    throw usage(
      `Cannot read the metadata of ${name}: there is a block "# /// script" in line ${
        block!.line
      } and another one in line ${another.line}`,
    );
  }
  if (block === undefined) {
    return warnings.length === 0 ? undefined : { dependencies: [], channels: [], warnings };
  }
  const { dependencies, channels } = new MetadataReader(block, name).read();
  return { dependencies, channels, warnings };
}

/** All blocks of metadata, as the reference implementation of the PEP finds them. */
export function findBlocks(text: string): Block[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const type = OPENING.exec(lines[at]!)?.[1];
    if (type === undefined) continue;
    let end = at + 1;
    while (end < lines.length && CONTENT.test(lines[end]!)) end++;
    // Of several closing lines the last one counts, and there is something between.
    const closing = lines.slice(at + 2, end).lastIndexOf(CLOSING) + at + 2;
    const closed = closing >= at + 2;
    const content = closed ? lines.slice(at + 1, closing) : [];
    blocks.push({ type, line: at + 1, content: content.map((line) => line.slice(2)), closed });
    if (closed) at = closing;
  }
  return blocks;
}

class MetadataReader {
  readonly #block: Block;
  readonly #name: string;

  constructor(block: Block, name: string) {
    this.#block = block;
    this.#name = name;
  }

  read(): Omit<CodeMetadata, "warnings"> {
    const fields = this.#parse();
    const pip = this.#texts(fields.dependencies, "dependencies");
    for (const [index, text] of pip.entries()) {
      try {
        parseRequirement(text);
      } catch (error) {
        const place = `dependencies[${index}] (${showEntry(text)})`;
        throw this.#invalid(place, messageOf(error), text);
      }
    }
    const python = fields["requires-python"];
    if (python !== undefined && typeof python !== "string") {
      throw this.#invalid("requires-python", "it is not a text", "requires-python");
    }
    const own = this.#table(fields.tool);
    return {
      dependencies: [
        ...(python === undefined ? [] : [this.#python(python)]),
        ...own.dependencies,
        ...(pip.length === 0 ? [] : [{ pip }]),
      ],
      channels: own.channels,
    };
  }

  #parse(): Record<string, unknown> {
    try {
      return parseToml(this.#block.content.join("\n"));
    } catch (error) {
      const message = messageOf(error);
      const [, line, rest] = /line (\d+)(.*)/s.exec(message) ?? [];
      const where = line === undefined
        ? `line ${this.#block.line}: ${message}`
        : `line ${this.#block.line + Number(line)}${rest}`;
      throw usage(`Cannot read the metadata of ${this.#name}: it is not TOML: ${where}`);
    }
  }

  #table(tool: unknown): { dependencies: readonly unknown[]; channels: readonly string[] } {
    const table = isRecord(tool) ? tool[TOOL] : undefined;
    if (table === undefined) return { dependencies: [], channels: [] };
    const place = `tool.${TOOL}`;
    if (!isRecord(table)) throw this.#invalid(place, "it is not a table", TOOL);
    for (const key of Object.keys(table)) {
      if (TABLE_KEYS.includes(key)) continue;
      const near = nearest(key, TABLE_KEYS);
      const hint = near === undefined
        ? `its keys are ${TABLE_KEYS.join(" and ")}`
        : `did you mean ${near}?`;
      throw this.#invalid(`${place}.${key}`, `there is no such key; ${hint}`, key);
    }
    const { dependencies } = table;
    if (dependencies !== undefined && !Array.isArray(dependencies)) {
      throw this.#invalid(`${place}.dependencies`, "it is not a list", TOOL);
    }
    return {
      dependencies: dependencies ?? [],
      channels: this.#texts(table.channels, `${place}.channels`),
    };
  }

  #texts(value: unknown, place: string): string[] {
    if (value === undefined) return [];
    const key = place.split(".").at(-1)!;
    if (!Array.isArray(value)) throw this.#invalid(place, "it is not a list of texts", key);
    return value.map((one, index) => {
      if (typeof one === "string") return one;
      throw this.#invalid(`${place}[${index}] (${showEntry(one)})`, "it is not a text", key);
    });
  }

  #python(text: string): string {
    try {
      return pythonSpec(text);
    } catch (error) {
      const place = `requires-python (${showEntry(text)})`;
      throw this.#invalid(place, messageOf(error), "requires-python");
    }
  }

  /** A refusal that names the line in which something stands. */
  #invalid(place: string, reason: string, text: string): WorkerError {
    const index = this.#block.content.findIndex((line) => line.includes(text));
    const line = this.#block.line + 1 + Math.max(0, index);
    return invalidEntry(`the metadata of ${this.#name}, line ${line}: ${place}`, reason);
  }
}

/**
 * The package spec of conda for versions of Python in the form of Python's own packages, such as `>=3.11,<4`.
 *
 * @throws Error whose message is the reason
 */
export function pythonSpec(specifiers: string): string {
  const parts = specifiers.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const versions = parts.map((part) => {
    const [, operator, version] =
      /^(===|==|~=|!=|<=|>=|<|>)\s*(\d+(?:\.\w+)*(?:\.\*)?)$/.exec(part) ??
        [];
    const star = version?.endsWith(".*") === true;
    if (operator === undefined || (star && operator !== "==" && operator !== "!=")) {
      throw new Error("it is not a list of versions such as >=3.11,<4");
    }
    if (operator === "==" && star) return version;
    return `${operator === "===" ? "==" : operator}${version}`;
  });
  return versions.length === 0 ? "python" : `python ${versions.join(",")}`;
}

/**
 * What a notebook says of its environment: in its metadata under the tool's name, as in the table of scripts, or in
 * the comment of a script in one of its code cells.
 *
 * @throws WorkerError `usage` or `invalid_spec` that names the place
 */
export function readNotebookMetadata(
  metadata: Readonly<Record<string, unknown>>,
  code: readonly string[],
  name: string,
): CodeMetadata {
  const own = metadata[TOOL];
  const place = `metadata.${TOOL} of ${name}`;
  if (own !== undefined && !isRecord(own)) throw invalidEntry(place, "it is not an object");
  for (const key of Object.keys(own ?? {})) {
    if (TABLE_KEYS.includes(key)) continue;
    throw invalidEntry(
      `${place}: ${key}`,
      `there is no such key; its keys are ${TABLE_KEYS.join(" and ")}`,
    );
  }
  const { dependencies = [], channels = [] } = own ?? {};
  if (!Array.isArray(dependencies)) {
    throw invalidEntry(`${place}: dependencies`, "it is not a list");
  }
  if (!Array.isArray(channels) || channels.some((one) => typeof one !== "string")) {
    throw invalidEntry(`${place}: channels`, "it is not a list of texts");
  }
  const inline = code.map((source) => readCodeMetadata(source, name))
    .filter((found) => found !== undefined);
  if (inline.length > 1) {
    throw usage(`Cannot read the metadata of ${name}: two cells have a block "# /// script"`);
  }
  return {
    dependencies: [...dependencies, ...inline.flatMap((one) => one.dependencies)],
    channels: [...channels, ...inline.flatMap((one) => one.channels)],
    warnings: inline.flatMap((one) => one.warnings),
  };
}
