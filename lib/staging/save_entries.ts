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
import { entryPath, fileTarget, parseEntries, splitEntry } from "./entry_text.ts";
import { isPattern } from "./glob.ts";

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

function parseEntry(text: string): SaveEntry {
  const what = JSON.stringify(text);
  const hint = 'a folder or a pattern takes files with ":" along';
  const { source, target } = splitEntry(text, what, refuse, hint);
  const from = entryPath(source, what, refuse);
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
      target: target === undefined ? base : entryPath(target, what, refuse),
      text,
    };
  }
  const to = entryPath(target ?? source, what, refuse);
  if (folder) return { kind: "folder", source: from, target: to, text };
  return { kind: "file", source: from, target: fileTarget(from, target, to), text };
}

/**
 * Parses a list of entries.
 *
 * @param value `null` and `undefined` mean none, one text stands for a list of one.
 * @param name What the list is called, for messages.
 * @throws {WorkerError} `invalid_argument` that names the entry.
 */
export function parseSaveEntries(value: unknown, name = "files_to_save"): SaveEntry[] {
  return parseEntries(value, name, parseEntry, refuse, MAX_ENTRIES);
}
