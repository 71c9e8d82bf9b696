/** pip requirements: which are accepted, and which spellings mean the same. */
import { cleanUrl, textProblem } from "./entry.ts";

const REQUIREMENT =
  /^([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[\w.,\s-]*\])?\s*([^;]*?)\s*(?:;\s*([^;]+))?$/;
const SPECIFIER = /^(?:===|==|~=|!=|<=|>=|<|>)\s*[\w.*+!][\w.*+!-]*$/;
const MARKER = /^[\w\s.'"<>=!~()+*,/-]+$/;
const SCHEMES = [
  "https",
  "http",
  ...["git", "hg", "svn", "bzr"].flatMap((tool) =>
    ["https", "http"].map((way) => `${tool}+${way}`)
  ),
];
/** What pip takes for a file when there is one of that name. */
const ARCHIVE = /\.(?:whl|zip|tar|t[gblx]z|tlz|tar\.(?:gz|bz2|xz|lz|lzma))(?:\s*\[.*\])?$/i;

/** Checks a URL as pip reads it. Throws an Error with the reason. */
function checkUrl(text: string): string {
  // pip runs as the worker's user: the code of a tenant would come with the operator's identity.
  if (/^[a-z]+\+ssh:/i.test(text)) {
    throw new Error("ssh would use the worker's own keys; write git+https:// instead");
  }
  const url = cleanUrl(text, SCHEMES);
  // What stands behind @ becomes an argument of git, hg or svn.
  if (/@(?:-|%2d)/i.test(url)) {
    throw new Error("its URL cannot be used: a revision has no dash first");
  }
  return url;
}

/** The normal form of a package's name in Python's index. */
export function pythonName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}

/**
 * The normal form of a requirement.
 *
 * @throws Error whose message is the reason, to be put behind the name of the entry
 */
export function parseRequirement(text: string): string {
  const problem = textProblem(text);
  if (problem !== undefined) throw new Error(problem);
  const trimmed = text.trim();
  // pip expands ${NAME} from its environment, and joins a line that ends in a backslash with the next.
  if (/[$\\`]/.test(trimmed)) throw new Error("a requirement has no $, ` or backslash");
  if (/\s-/.test(trimmed)) throw new Error("it contains an option");
  if (/^#|\s#/.test(trimmed)) throw new Error("it contains a comment");
  if (/^[A-Za-z][\w+.-]*:/.test(trimmed)) return checkUrl(trimmed);
  if (/^[./~]/.test(trimmed) || ARCHIVE.test(trimmed.replace(/\s*[@;].*/, ""))) {
    throw new Error("files of the worker's machine cannot be installed");
  }
  const match = REQUIREMENT.exec(trimmed);
  if (match?.[1] === undefined) throw new Error("it is not a requirement");
  const name = pythonName(match[1]) + normalExtras(match[2]);
  const marker = normalMarker(match[4]);
  const rest = match[3] ?? "";
  if (rest.startsWith("@")) return `${name} @ ${checkUrl(rest.slice(1).trim())}${marker}`;
  const specifiers = rest.replace(/^\((.*)\)$/, "$1").trim();
  const parts = specifiers === "" ? [] : specifiers.split(",").map((part) => part.trim());
  for (const part of parts) {
    if (/^=[^=]/.test(part)) throw new Error(`pip writes "=${part}", with two equals signs`);
    if (!SPECIFIER.test(part)) throw new Error("its version cannot be understood");
  }
  const versions = [...new Set(parts.map((part) => part.replace(/\s+/g, "")))].sort().join(",");
  return `${name}${versions}${marker}`;
}

function normalExtras(text: string | undefined): string {
  const extras = (text ?? "[]").slice(1, -1).split(",").map((extra) => extra.trim().toLowerCase());
  const named = [...new Set(extras)].filter((extra) => extra !== "").sort();
  return named.length === 0 ? "" : `[${named.join(",")}]`;
}

function normalMarker(text: string | undefined): string {
  if (text === undefined) return "";
  if (!MARKER.test(text)) throw new Error("its marker cannot be understood");
  const spaced = text.trim().replace(/\s+/g, " ").replace(/ ?((?:[<>=!~]=?=?)+) ?/g, " $1 ");
  // White space inside quotes is not told from white space outside, so such markers stay as they are.
  const plain = /(['"])[^'"]*[\s<>=!~][^'"]*\1/.test(text) ? text.trim() : spaced;
  return ` ; ${plain.includes("'") ? plain : plain.replaceAll('"', "'")}`;
}
