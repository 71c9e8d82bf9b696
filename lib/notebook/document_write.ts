/** Writing notebooks, as Jupyter does: keys sorted, texts as lists of lines, so that differences stay small. */
import { basename, dirname, join } from "@std/path";
import { messageOf, WorkerError } from "../errors.ts";
import type { Cell, MimeBundle, Notebook } from "./document.ts";

/** The text of a notebook's file. */
export function formatNotebook(notebook: Notebook): string {
  const { cells, ...rest } = notebook;
  return JSON.stringify(sorted({ ...rest, cells: cells.map(cellOf) }), null, 1) + "\n";
}

/**
 * Writes a notebook so that there is a whole one at any moment: the old or the new. Links are followed, and a file
 * that is there keeps its rights.
 *
 * @throws WorkerError `usage` when it cannot be written there
 */
export async function writeNotebook(notebook: Notebook, path: string): Promise<void> {
  const target = await Deno.realPath(path).catch(() => path);
  const draft = join(dirname(target), `.${basename(target)}.${crypto.randomUUID().slice(0, 8)}`);
  try {
    const mode = await Deno.stat(target).then((info) => info.mode, () => null);
    await Deno.writeTextFile(draft, formatNotebook(notebook), { createNew: true });
    if (mode !== null) await Deno.chmod(draft, mode & 0o777);
    await Deno.rename(draft, target);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw new WorkerError("usage", `Cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** A line with its end, as Python's `splitlines` takes texts apart: joined they are the same text again. */
const LINE =
  // deno-lint-ignore no-control-regex -- some of them end lines in Python
  /[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])|[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+$/g;

function linesOf(text: string): string[] {
  return text.match(LINE) ?? [];
}

/** Types that are split into lines; pictures, for example, are not. */
function isText(type: string): boolean {
  return type.startsWith("text/") || type === "application/javascript" || type === "image/svg+xml";
}

function bundleOf(bundle: MimeBundle): MimeBundle {
  return Object.fromEntries(
    Object.entries(bundle).map(([type, content]) => [
      type,
      typeof content === "string" && isText(type) ? linesOf(content) : content,
    ]),
  );
}

function cellOf(cell: Cell): Record<string, unknown> {
  const source = linesOf(cell.source);
  if (cell.cell_type !== "code") return { ...cell, source };
  const outputs = cell.outputs.map((output) => {
    if (output.output_type === "stream") return { ...output, text: linesOf(output.text) };
    if (output.output_type === "error") return output;
    // Of a newer format, perhaps.
    return output.data === undefined ? output : { ...output, data: bundleOf(output.data) };
  });
  return { ...cell, source, outputs };
}

/** The same value with the keys of all objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map((
      [key, one],
    ) => [key, sorted(one)]),
  );
}
