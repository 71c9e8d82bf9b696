/**
 * Conda match specs, as far as this worker must understand them: is it one, which package does it name, and
 * which spellings mean the same.
 *
 * Two spellings get one normal form only where conda, mamba, micromamba and rattler all read them alike:
 * - `=1.26`, `1.26.*` and `=1.26.*` are "1.26 and what begins with it": normal form `=1.26`;
 * - `1.26` behind a space and `==1.26` are exactly that version: normal form `==1.26`;
 * - `*` and `=*` are any version: normal form nothing;
 * - the order of what `,` or `|` joins means nothing.
 *
 * With a build behind it, `=1.26` is the exact version for some and the beginning of one for others, so specs
 * with builds keep their version as it was written. So do versions with parentheses and with a star that
 * follows no dot.
 */
import { cleanUrl, refuseToken, textProblem } from "./entry.ts";
import { parseChannel } from "./channel.ts";
import { parsePackageUrl, SUBDIR } from "./package_url.ts";

/** A spec that was taken apart. */
export interface MatchSpec {
  /** The spelling that is passed on and that decides the environment's key. */
  readonly text: string;
  /** Name of the package, in lower case. */
  readonly name: string;
  /** The channel it insists on, in normal form, or the URL of the package itself. */
  readonly origin?: string;
}

/** What no match spec can contain, but what means something to a shell. */
const FOREIGN = /[;&$`\\{}?#]/;
const NAME = /^[A-Za-z0-9_][\w.-]*/;
const VERSION_PART = /^(?:===?|!==?|<=|>=|~=|[=<>])?[A-Za-z0-9*][\w.+!*]*(?:-[\w.+!*]+)*$/;
const BUILD = /^[A-Za-z0-9_*][\w.+*]*(?:-[\w.+*]+)*$/;
const BUILD_TOKEN = /^(.*[^=!<>~|,(])=([^=!<>~|,]+)$/;
const FIELD = /\s*([a-z_0-9]+)\s*=\s*(?:'([^']*)'|"([^"]*)"|([^\s,'"\]]+))\s*(,|$)/y;

/** Fields in brackets that decide nothing else, and what they may say. */
const FIELDS: Readonly<Record<string, RegExp>> = {
  build: BUILD,
  build_number: /^(?:==?|!=|<=|>=|<|>)?\d+$/,
  license: /^[A-Za-z0-9][\w.+ ()-]*$/,
  license_family: /^[A-Za-z0-9][\w.+ ()-]*$/,
  md5: /^[0-9a-fA-F]{32}$/,
  sha256: /^[0-9a-fA-F]{64}$/,
  subdir: SUBDIR,
};

/**
 * Takes a spec apart.
 *
 * @throws Error whose message is the reason, to be put behind the name of the entry
 */
export function parseMatchSpec(text: string): MatchSpec {
  const problem = textProblem(text);
  if (problem !== undefined) throw new Error(problem);
  const trimmed = text.trim();
  if (/^[A-Za-z][\w+.-]*:\/\//.test(trimmed) && !trimmed.includes("::")) return parseUrl(trimmed);
  const foreign = FOREIGN.exec(trimmed);
  if (foreign !== null) throw new Error(`a package spec has no ${JSON.stringify(foreign[0])}`);
  if (/\s-/.test(trimmed)) throw new Error("it contains an option");
  if (/^[./~]/.test(trimmed) || /\.(?:conda|tar\.bz2)$/i.test(trimmed)) {
    throw new Error("files of the worker's machine cannot be installed");
  }
  const separator = trimmed.lastIndexOf("::");
  const prefix = separator < 0 ? undefined : parsePrefix(trimmed.slice(0, separator));
  const spec = separator < 0 ? trimmed : trimmed.slice(separator + 2).trimStart();
  const name = NAME.exec(spec)?.[0];
  if (name === undefined) throw new Error("it does not start with a package's name");
  return assemble(name.toLowerCase(), prefix, spec.slice(name.length));
}

/** A channel, perhaps with a platform behind it. */
function parsePrefix(text: string): string {
  const [, channel, subdir] = /^(.+)\/([^/]+)$/.exec(text) ?? [];
  if (channel !== undefined && subdir !== undefined && SUBDIR.test(subdir)) {
    return `${parseChannel(channel)}/${subdir}`;
  }
  return parseChannel(text);
}

function assemble(name: string, prefix: string | undefined, rest: string): MatchSpec {
  const at = rest.indexOf("[");
  const fields = at < 0 ? new Map<string, string>() : parseFields(rest.slice(at).trim());
  let constraint = splitConstraint(at < 0 ? rest : rest.slice(0, at));
  let channel = prefix;
  const inner = fields.get("channel");
  if (inner !== undefined) {
    if (prefix !== undefined) throw new Error("its channel is given twice");
    channel = parseChannel(inner);
    fields.delete("channel");
  }
  const version = fields.get("version");
  if (version !== undefined) {
    if (constraint.version !== "") throw new Error("its version is given twice");
    if (fields.has("build")) fields.set("version", normalVersion(tighten(version), true));
    else {
      fields.delete("version");
      constraint = { version: tighten(version), build: "" };
    }
  }
  if (fields.has("build") && constraint.build !== "") throw new Error("its build is given twice");
  const bracket = [...fields].sort(([a], [b]) => a < b ? -1 : 1)
    .map(([key, value]) => `${key}='${value}'`).join(",");
  const origin = channel === undefined ? "" : `${channel}::`;
  return {
    text: `${origin}${name}${constraintText(constraint)}${bracket === "" ? "" : `[${bracket}]`}`,
    name,
    ...(channel === undefined ? {} : { origin: channel }),
  };
}

/** What stands behind the name: a version and a build, as they were written but for white space. */
interface Constraint {
  readonly version: string;
  readonly build: string;
  /** What stands between the two. */
  readonly join?: string;
}

/** Removes the white space that means nothing. */
function tighten(text: string): string {
  return text.trim().replace(/\s+/g, " ").replace(/ ?([=<>!~|,()]+) ?/g, "$1");
}

function splitConstraint(rest: string): Constraint {
  const text = tighten(rest);
  if (text === "") return { version: "", build: "" };
  // The name ends where an operator or a space begins.
  if (!/^\s*[=<>!~(]|^\s/.test(rest)) throw new Error("its version cannot be understood");
  // Operators join what stands on both sides, so a space that is left separates version and build.
  const [version = "", build, ...more] = text.split(" ");
  if (more.length > 0) throw new Error("its version cannot be understood");
  if (build !== undefined) return checkConstraint({ version, build, join: " " });
  const [, before, after] = BUILD_TOKEN.exec(version) ?? [];
  return before !== undefined && after !== undefined
    ? checkConstraint({ version: before, build: after, join: "=" })
    : checkConstraint({ version, build: "" });
}

function checkConstraint(constraint: Constraint): Constraint {
  if (constraint.build !== "" && !BUILD.test(constraint.build)) {
    throw new Error("its build cannot be understood");
  }
  return constraint;
}

function constraintText({ version, build, join = "=" }: Constraint): string {
  if (version === "") return "";
  const text = build === ""
    ? normalVersion(version, false)
    : `${normalVersion(version, true)}${join}${build}`;
  return text === "" || /^[=<>!~]/.test(text) ? text : ` ${text}`;
}

/** The normal form of a version's constraint; see the head of this file. */
function normalVersion(text: string, withBuild: boolean): string {
  if (/[()]/.test(text)) return checkParentheses(text);
  const alternatives = text.split("|").map((all) => {
    const parts = all.split(",");
    for (const part of parts) {
      if (!VERSION_PART.test(part)) throw new Error("its version cannot be understood");
    }
    return parts;
  });
  const [first, ...others] = alternatives;
  if (first?.length === 1 && others.length === 0) {
    return withBuild ? text : normalSingle(first[0]!);
  }
  // conda drops "==" at the very beginning, and what is left is compared as text, so the order tells.
  if (alternatives.flat().some((part) => part.startsWith("=="))) return text;
  return unique(alternatives.map((parts) => unique(parts).join(","))).join("|");
}

/** Operators in the order people write them. */
const ORDER = [">=", ">", "~=", "=", "", "!=", "<=", "<"];

function unique(parts: readonly string[]): string[] {
  const rank = (part: string) => ORDER.indexOf(/^[=<>!~]*/.exec(part)![0]);
  return [...new Set(parts)].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function normalSingle(part: string): string {
  const [, operator = "", operand = ""] = /^([=<>!~]*)(.*)$/.exec(part) ?? [];
  const stem = operand.endsWith(".*") ? operand.slice(0, -2) : operand;
  if (operator === "" || operator === "=") {
    if (operand === "*") return "";
    if (!stem.includes("*") && (operator === "=" || stem !== operand)) return `=${stem}`;
    if (!operand.includes("*")) return `==${operand}`;
  }
  return part;
}

/** Versions may be grouped; then they are kept as they are. */
function checkParentheses(text: string): string {
  let depth = 0;
  for (const character of text) {
    if (character === "(") depth++;
    if (character === ")" && --depth < 0) break;
  }
  const parts = text.replace(/[()]/g, "").split(/[,|]/);
  const joined = /^\(*[^(),|]+\)*(?:[,|]\(*[^(),|]+\)*)*$/.test(text);
  if (depth !== 0 || !joined || !parts.every((part) => VERSION_PART.test(part))) {
    throw new Error("its version cannot be understood");
  }
  return text;
}

function parseFields(bracket: string): Map<string, string> {
  const fields = new Map<string, string>();
  const content = /^\[([^[\]]*)\]$/.exec(bracket)?.[1];
  if (content === undefined) throw new Error("what is in brackets cannot be understood");
  FIELD.lastIndex = 0;
  for (let end = content.trim() === ""; !end;) {
    const match = FIELD.exec(content);
    const key = match?.[1];
    if (match === null || key === undefined) {
      throw new Error("what is in brackets cannot be understood");
    }
    const value = (match[2] ?? match[3] ?? match[4] ?? "").trim();
    const pattern = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
    if (pattern === undefined && key !== "version" && key !== "channel") {
      throw new Error(`"${key}" cannot be asked for in brackets`);
    }
    if (fields.has(key)) throw new Error(`its ${key} is given twice`);
    if (value === "" || (pattern !== undefined && !pattern.test(value))) {
      throw new Error(`its ${key} cannot be understood`);
    }
    fields.set(key, value);
    end = match[5] !== ",";
  }
  return fields;
}

function parseUrl(text: string): MatchSpec {
  const url = cleanUrl(text, ["http", "https"]);
  refuseToken(url);
  const { name } = parsePackageUrl(url);
  return { text: url, name, origin: url };
}
