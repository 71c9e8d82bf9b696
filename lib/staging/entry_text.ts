/** What the entries of `files_to_stage` and `files_to_save` have in common. */
import { relativePath } from "./paths.ts";

/** Throws the error of a list, which names the entry. */
export type Refuse = (what: string, reason: string) => never;

/** A relative path, checked; a problem is refused. */
export function entryPath(path: string, what: string, refuse: Refuse): string {
  const checked = relativePath(path);
  return "problem" in checked ? refuse(what, checked.problem) : checked.path;
}

/** Where a file goes; "a.csv:data/" means: into that folder, as with cp. */
export function fileTarget(from: string, target: string | undefined, to: string): string {
  const name = from.slice(from.lastIndexOf("/") + 1);
  const intoFolder = target !== undefined && (target.endsWith("/") || to === "");
  return intoFolder ? (to === "" ? name : `${to}/${name}`) : to;
}

/** The entries of a list; `null` and `undefined` mean none, one text stands for a list of one. */
export function parseEntries<T>(
  value: unknown,
  name: string,
  parse: (text: string) => T,
  refuse: Refuse,
  most = Infinity,
): T[] {
  if (value === null || value === undefined) return [];
  const list: unknown = typeof value === "string" ? [value] : value;
  if (!Array.isArray(list)) return refuse(name, "it must be a list of texts");
  if (list.length > most) refuse(name, `it has more than ${most} entries`);
  return list.map((entry: unknown, index) =>
    typeof entry === "string" ? parse(entry) : refuse(`${name}[${index}]`, "it is not a text")
  );
}

/**
 * The two sides of an entry, `source` or `source:target`.
 *
 * @param hint What is said of names with `:`, which separates the sides.
 */
export function splitEntry(
  text: string,
  what: string,
  refuse: Refuse,
  hint: string,
): { source: string; target: string | undefined } {
  const [source, target, ...more] = text.split(":");
  if (source === undefined || source.trim() === "") return refuse(what, "it names no source");
  if (more.length > 0) {
    refuse(what, `it is ambiguous: ":" separates source and target; ${hint}`);
  }
  if (target !== undefined && target.trim() === "") {
    refuse(what, `it names no target after ":"; ${hint}`);
  }
  return { source, target };
}
