/**
 * The files of a session that go into an artifact: `files_to_save` of a manifest, and the `files` of an upload.
 *
 * | entry | meaning |
 * |---|---|
 * | `a.csv` | one file, under its own name |
 * | `results/` | a folder with everything below it |
 * | `a.csv:first.csv` | one file under another name |
 * | `results/:run-1/` | a folder under another name |
 * | `results/*.csv` | all files that match, under their own names |
 * | `results/*.csv:tables/` | all files that match, in another folder |
 *
 * Sources are paths in the session's working directory, targets paths in the artifact.
 */
import { WorkerError } from "../errors.ts";
import { isPattern } from "./glob.ts";
import { relativePath } from "./paths.ts";

/** One parsed entry. Paths are relative, with `/` between segments and none at either end. */
export interface SaveEntry {
  /** Whether one file, a folder, or all files that match a pattern are meant. */
  readonly kind: "file" | "folder" | "pattern";
  /** The file or folder; of a pattern the folder below which it is looked for. Empty means all of it. */
  readonly source: string;
  /** The pattern, relative to `source`. */
  readonly pattern?: string;
  /** Path in the artifact; empty means its root. Of a pattern the folder that stands for `source`. */
  readonly target: string;
  /** The entry as it was written, for messages. */
  readonly text: string;
}

/** Most entries of one list. */
const MAX_ENTRIES = 1000;

function refuse(what: string, reason: string): never {
  throw new WorkerError("invalid_argument", `Cannot upload ${what}: ${reason}`, {
    context: { entry: what },
    suggestion:
      'Write entries as "file", "folder/", "file:new name", "folder/:new folder/" or with a pattern such as ' +
      '"results/*.csv", with relative paths.',
  });
}

function checkPath(path: string, what: string): string {
  const checked = relativePath(path);
  return "problem" in checked ? refuse(what, checked.problem) : checked.path;
}

function parseEntry(text: string): SaveEntry {
  const what = JSON.stringify(text);
  const [source, target, ...more] = text.split(":");
  if (source === undefined || source.trim() === "") refuse(what, "it names no source");
  if (more.length > 0) {
    refuse(
      what,
      'it is ambiguous: ":" separates source and target; a folder or a pattern takes files with ":" along',
    );
  }
  if (target !== undefined && target.trim() === "") refuse(what, 'it names no target after ":"');
  const from = checkPath(source, what);
  if (target !== undefined && isPattern(target)) refuse(what, "its target is a pattern");
  const folder = source.endsWith("/") || from === "";
  if (isPattern(from)) {
    const parts = from.split("/");
    const first = parts.findIndex(isPattern);
    const base = parts.slice(0, first).join("/");
    const rest = parts.slice(first).join("/");
    return {
      kind: "pattern",
      source: base,
      pattern: folder ? `${rest}/**` : rest,
      target: target === undefined ? base : checkPath(target, what),
      text,
    };
  }
  const to = checkPath(target ?? source, what);
  if (folder) return { kind: "folder", source: from, target: to, text };
  // "a.csv:data/" means: into that folder, as with cp.
  const name = from.slice(from.lastIndexOf("/") + 1);
  const intoFolder = target !== undefined && (target.endsWith("/") || to === "");
  return {
    kind: "file",
    source: from,
    target: intoFolder ? (to === "" ? name : `${to}/${name}`) : to,
    text,
  };
}

/**
 * Parses a list of entries.
 *
 * @param value `null` and `undefined` mean none, one text stands for a list of one.
 * @param name What the list is called, for messages.
 * @throws {WorkerError} `invalid_argument` that names the entry.
 */
export function parseSaveEntries(value: unknown, name = "files_to_save"): SaveEntry[] {
  if (value === null || value === undefined) return [];
  const list = typeof value === "string" ? [value] : value;
  if (!Array.isArray(list)) refuse(name, "it must be a list of texts");
  if (list.length > MAX_ENTRIES) refuse(name, `it has more than ${MAX_ENTRIES} entries`);
  return list.map((entry: unknown, index) => {
    if (typeof entry !== "string") refuse(`${name}[${index}]`, "it is not a text");
    return parseEntry(entry);
  });
}
