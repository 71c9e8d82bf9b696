/**
 * The `files_to_stage` list of a manifest, in its four forms.
 *
 * | entry | meaning |
 * |---|---|
 * | `a.csv` | one file, under its own name |
 * | `models/` | a folder with everything below it |
 * | `source.txt:renamed.txt` | one file under another name |
 * | `raw/:processed/` | a folder under another name |
 *
 * Everything here comes from outside: nothing that could name a place outside of the artifact or of the
 * session's directory gets through.
 */
import { WorkerError } from "../errors.ts";
import { entryPath, fileTarget, parseEntries, splitEntry } from "./entry_text.ts";

/** One parsed entry. Paths are relative, with `/` between segments and none at either end. */
export interface StageEntry {
  /** Whether one file or a whole folder is meant. */
  readonly kind: "file" | "folder";
  /** Path in the source; empty means all of it. */
  readonly source: string;
  /** Path in the session's directory; empty means the directory itself. */
  readonly target: string;
  /** The entry as it was written, for messages. */
  readonly text: string;
}

function refuse(what: string, reason: string): never {
  throw new WorkerError("invalid_argument", `Cannot stage ${what}: ${reason}`, {
    context: { entry: what },
    suggestion:
      'Write files_to_stage entries as "file", "folder/", "file:new name" or "folder/:new folder/", with relative paths.',
  });
}

function parseEntry(text: string): StageEntry {
  const what = JSON.stringify(text);
  const { source, target } = splitEntry(text, what, refuse, 'names with ":" have no form');
  const from = entryPath(source, what, refuse);
  const to = entryPath(target ?? source, what, refuse);
  if (source.endsWith("/") || from === "") {
    return { kind: "folder", source: from, target: to, text };
  }
  return { kind: "file", source: from, target: fileTarget(from, target, to), text };
}

/**
 * Parses the value of `files_to_stage`.
 *
 * @param value What the manifest holds; `null` and `undefined` mean that nothing is staged, one text stands for a
 * list of one.
 * @throws {WorkerError} `invalid_argument` that names the entry: traversal, absolute paths, backslashes, control
 * characters, empty parts, and names with `:` (which no form can express) are refused.
 */
export function parseStageEntries(value: unknown): StageEntry[] {
  return parseEntries(value, "files_to_stage", parseEntry, refuse);
}
