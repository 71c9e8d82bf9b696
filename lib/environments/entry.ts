/**
 * Entries of manifests: how they are checked before anything else, and how they are named in refusals.
 *
 * Functions that take one entry apart throw a plain `Error` with the reason; {@linkcode refusing} puts the
 * place in the manifest in front of it.
 */
import { messageOf, WorkerError } from "../errors.ts";

/** More entries than this are a mistake or an attack. */
const MAX_ENTRIES = 500;
/** Longest entry, in characters. */
const MAX_LENGTH = 1000;
/** Most characters of an entry that come back in a refusal. */
const SHOWN = 120;

const CREDENTIALS =
  "its URL contains credentials, which whoever sees the manifest or the environment could read";
/** Control characters, line ends, and what is not seen but changes what is (direction, zero width). */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;
/** Names through which an object is changed rather than filled. */
const PROTOTYPE_NAMES: readonly string[] = ["__proto__", "constructor", "prototype"];

/** A text that goes out: without credentials, which an entry may be refused for, and with nothing unseen in it. */
function harmless(text: string): string {
  return text.replace(/:\/\/[^\s"/]*@/g, "://***@")
    .replace(/[^\s"/:]+:[^\s"/:@][^\s"/@]*@/g, "***@")
    .replace(/\/t\/[\w-]+/g, "/t/***")
    .replace(new RegExp(INVISIBLE, "gu"), (character) => {
      return `\\u{${character.codePointAt(0)!.toString(16)}}`;
    });
}

/** The refusal of an entry. */
export function invalidEntry(entry: string, reason: string): WorkerError {
  const place = harmless(entry);
  return new WorkerError("invalid_spec", `Cannot use ${place}: ${harmless(reason)}`, {
    context: { entry: place },
  });
}

/** An entry in a refusal: short, and harmless. */
export function showEntry(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return Array.isArray(value) ? "a list" : "a mapping";
  }
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  // Before it is cut: half of a password is still worth hiding.
  const shown = harmless(text);
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}…` : shown;
}

/** Does something with an entry; what it throws becomes the entry's refusal. */
export function refusing<T>(entry: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof WorkerError) throw error;
    throw invalidEntry(entry, messageOf(error));
  }
}

/** Whether a value is a mapping of names to values. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * What a mapping has under a name; never what it inherits.
 *
 * @throws WorkerError `invalid_spec` when the mapping has a name that changes objects
 */
export function fieldsOf(value: Record<string, unknown>, entry: string): Map<string, unknown> {
  for (const name of PROTOTYPE_NAMES) {
    if (Object.hasOwn(value, name)) {
      throw invalidEntry(`${entry}.${name}`, "the name has a meaning of its own in programs");
    }
  }
  return new Map(Object.entries(value));
}

/** A list from what a manifest has: a list, one thing, or nothing. */
export function listOf(value: unknown, name: string): unknown[] {
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length > MAX_ENTRIES) {
    throw invalidEntry(name, `it has more than ${MAX_ENTRIES} entries`);
  }
  return list;
}

/** Why a text is not acceptable at all, whatever it is for; `undefined` when it is. */
export function textProblem(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
  if (text.trim() === "") return "it is empty";
  if (INVISIBLE.test(text)) {
    return "it contains a control character, a line break or an invisible one";
  }
  if (text.trim().startsWith("-")) return "it starts with a dash, as an option does";
  return undefined;
}

/** Why an entry of another type than text is refused. */
export function typeProblem(value: unknown, what: string): string {
  if (typeof value === "number") {
    return `${what} is a text; put it in quotes, since YAML reads 3.10 as the number 3.1`;
  }
  return `${what} is a text`;
}

/** Whether a URL carries a user name or a password. */
function hasCredentials(url: string): boolean {
  // Servers that fetch from others have a URL within the URL.
  return /^[\w+.-]+:\/\/[^/?#]*@/.test(url) || /:\/\/[^/\s]*:[^/\s]*@/.test(url);
}

/** Throws when the URL of a channel, or of one of its packages, has a token in its path, as conda writes it. */
export function refuseToken(url: string): void {
  if (/\/t\/[\w-]+(?:\/|$)/.test(url)) throw new Error(CREDENTIALS);
}

/**
 * A URL of which every character means what it says, with scheme and host in lower case.
 *
 * @throws Error with the reason
 */
export function cleanUrl(text: string, schemes: readonly string[]): string {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/.exec(text);
  const [, scheme, authority, rest] = match ?? [];
  const list = schemes.join(", ").replace(/, ([^,]*)$/, " or $1");
  if (scheme === undefined || authority === undefined || rest === undefined) {
    throw new Error(`it is not a URL (${list})`);
  }
  if (!schemes.includes(scheme.toLowerCase())) {
    throw new Error(`its URL cannot be used: only ${list} can`);
  }
  if (!/^[!-~]*$/.test(text) || /["'`$\\<>|;{}^]/.test(text)) {
    throw new Error("its URL cannot be used: it has special characters");
  }
  if (hasCredentials(text)) {
    throw new Error(CREDENTIALS);
  }
  const local = scheme.toLowerCase() === "file";
  if (local ? authority !== "" : !/^(?:git@)?[A-Za-z0-9[]/.test(authority)) {
    throw new Error("its URL cannot be used: it has no proper host");
  }
  return `${scheme.toLowerCase()}://${authority.toLowerCase()}${rest}`;
}
