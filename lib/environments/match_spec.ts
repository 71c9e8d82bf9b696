/**
 * Conda match specs, as far as this worker must understand them: is it one, which package does it name, and
 * which spellings mean the same.
 */

/** A spec that was taken apart. */
export interface MatchSpec {
  /** The spelling that is passed on and that decides the environment's key. */
  readonly text: string;
  /** Name of the package, in lower case. */
  readonly name: string;
}

const CONTROL = /[\p{Cc}\u2028\u2029]/u;
/** What no match spec can contain, but what means something to a shell. */
const FOREIGN = /[;&$`\\{}?#]/;
const NAME = /^(?:([\w.+/-]+)(?:\/([\w-]+))?::)?([A-Za-z0-9_][\w.-]*)/;
/** After the name: a version, perhaps a build. Brackets come apart before. */
const CONSTRAINT = /^(?:\s*(?:[=<>!~|,]+\s*|\s)[\w.*+!<>=~|,()^-]*(?:\s+[\w.*+!<>=~|,()^-]+)*)?$/;
const BRACKET = /^\[[\w\s='"<>!~|,.*+:/()-]*\]$/;

/** Why a text is not acceptable at all, whatever it is for; `undefined` when it is. */
export function textProblem(text: string): string | undefined {
  if (text.trim() === "") return "it is empty";
  if (text.length > 1000) return "it is longer than 1000 characters";
  if (CONTROL.test(text)) return "it contains a control character or a line break";
  if (text.trim().startsWith("-")) return "it starts with a dash, as an option does";
  return undefined;
}

/** Whether a URL carries a user name or a password. */
export function hasCredentials(url: string): boolean {
  const match = /^([\w+.-]+):\/\/([^/?#]*)@/.exec(url);
  return match !== null && !(match[2] === "git" && /(?:^|\+)ssh$/.test(match[1] ?? ""));
}

/** Removes the white space that means nothing. */
function tighten(text: string): string {
  return text.trim().replace(/\s+/g, " ").replace(/\s*([=<>!~|,]+)\s*/g, "$1");
}

/**
 * Takes a spec apart.
 *
 * @throws Error whose message is the reason, to be put behind the name of the entry
 */
export function parseMatchSpec(text: string): MatchSpec {
  const problem = textProblem(text);
  if (problem !== undefined) throw new Error(problem);
  const trimmed = text.trim();
  if (/^\w+:\/\//.test(trimmed)) return parseUrl(trimmed);
  const foreign = FOREIGN.exec(trimmed);
  if (foreign !== null) throw new Error(`a package spec has no ${JSON.stringify(foreign[0])}`);
  if (/\s-/.test(trimmed)) throw new Error("it contains an option");
  if (/^[./~]/.test(trimmed) || /\.(?:conda|tar\.bz2)$/.test(trimmed)) {
    throw new Error("files of the worker's machine cannot be installed");
  }
  const match = NAME.exec(trimmed);
  const name = match?.[3];
  if (match === null || name === undefined) {
    throw new Error("it does not start with a package's name");
  }
  let rest = trimmed.slice(match[0].length);
  const bracketAt = rest.indexOf("[");
  const bracket = bracketAt < 0 ? "" : rest.slice(bracketAt).trim();
  if (bracketAt >= 0) rest = rest.slice(0, bracketAt);
  if (bracket !== "" && !BRACKET.test(bracket)) {
    throw new Error("what is in brackets cannot be understood");
  }
  if (!CONSTRAINT.test(rest.trimEnd())) throw new Error("its version cannot be understood");
  const channel = match[0].slice(0, match[0].length - name.length);
  const separator = /^\s+[^\s=<>!~|,]/.test(rest) ? " " : "";
  return {
    text: `${channel}${name.toLowerCase()}${separator}${tighten(rest)}${tighten(bracket)}`,
    name: name.toLowerCase(),
  };
}

function parseUrl(url: string): MatchSpec {
  const match =
    /^https?:\/\/[^\s"'`$\\<>|;{}]+\/([^/\s]+)-[^-/\s]+-[^-/\s]+\.(?:conda|tar\.bz2)(#\w+)?$/
      .exec(url);
  if (match?.[1] === undefined) {
    throw new Error("only the URL of a .conda or .tar.bz2 package is a spec");
  }
  if (hasCredentials(url)) throw new Error("the URL contains credentials");
  return { text: url, name: match[1].toLowerCase() };
}
