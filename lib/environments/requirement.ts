/** pip requirements: which are accepted, and which spellings mean the same. */
import { hasCredentials, textProblem } from "./match_spec.ts";

const REQUIREMENT =
  /^([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[\w.,\s-]*\])?\s*(.*?)\s*(?:;\s*(.+))?$/;
const SPECIFIER = /^(?:===|==|~=|!=|<=|>=|<|>)\s*[\w.*+!-]+$/;
const URL_REQUIREMENT = /^(?:(?:git|hg|svn|bzr)\+(?:https?|ssh)|https?):\/\/[^\s"'`\\<>|;{}]+$/;

function checkUrl(url: string): string {
  if (!URL_REQUIREMENT.test(url)) throw new Error("its URL cannot be used");
  if (hasCredentials(url)) throw new Error("its URL contains credentials");
  return url;
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
  if (/^[\w+]+:/.test(trimmed)) return checkUrl(trimmed);
  if (/^[./~]/.test(trimmed) || /\.(?:whl|zip|tar\.gz)$/.test(trimmed.replace(/.* @ .*/, ""))) {
    throw new Error("files of the worker's machine cannot be installed");
  }
  const match = REQUIREMENT.exec(trimmed);
  if (match?.[1] === undefined) throw new Error("it is not a requirement");
  const name = match[1].toLowerCase().replace(/[-_.]+/g, "-");
  const extras = (match[2] ?? "").replace(/\s+/g, "").toLowerCase();
  const marker = match[4] === undefined ? "" : ` ; ${match[4].trim().replace(/\s+/g, " ")}`;
  const rest = match[3] ?? "";
  if (rest.startsWith("@")) {
    return `${name}${extras} @ ${checkUrl(rest.slice(1).trim())}${marker}`;
  }
  const specifiers = rest.replace(/^\((.*)\)$/, "$1").trim();
  const parts = specifiers === "" ? [] : specifiers.split(",").map((part) => part.trim());
  for (const part of parts) {
    if (/^=[^=]/.test(part)) throw new Error(`pip writes "=${part}", with two equals signs`);
    if (!SPECIFIER.test(part)) throw new Error("its version cannot be understood");
  }
  const versions = parts.map((part) => part.replace(/\s+/g, "")).sort().join(",");
  return `${name}${extras}${versions}${marker}`;
}
