/**
 * Options of pip that a manifest may give.
 *
 * Only those that say which packages are taken from which servers. Refused is whatever names a file or a place
 * of the worker's machine (`-r`, `-e`, `-c`, `--target`, …), whatever runs or configures something
 * (`--config-settings`, `--global-option`, …), and `--trusted-host`, which turns off the check of certificates
 * while what is downloaded goes to a cache that others share.
 */
import { cleanUrl } from "./entry.ts";
import { pythonName } from "./requirement.ts";

const SHORT: Readonly<Record<string, string>> = { "-i": "--index-url", "-f": "--find-links" };
const FLAGS: readonly string[] = ["--pre", "--no-deps", "--prefer-binary", "--no-index"];
const URLS: readonly string[] = ["--index-url", "--extra-index-url", "--find-links"];
const NAMES: readonly string[] = ["--only-binary", "--no-binary"];

/** Every option that is allowed, for messages and documents. */
export const PIP_OPTIONS: readonly string[] = [...URLS, ...NAMES, ...FLAGS];

/** Whether a line of a pip section is one of options. */
export function isPipOption(line: string): boolean {
  return line.trimStart().startsWith("-");
}

/**
 * The options of a line, each value in an argument of its own: `-i URL` is `["--index-url", URL]`.
 *
 * @throws Error whose message is the reason, to be put behind the name of the entry
 */
export function parsePipOptions(line: string): string[] {
  if (line.length > 1000) throw new Error("it is longer than 1000 characters");
  if (/[^ -~]/.test(line)) {
    throw new Error("it contains a control character, a line break or an invisible one");
  }
  if (/[$\\`'"]/.test(line)) throw new Error("an option has no $, quotes, ` or backslash");
  const words = line.trim().split(/ +/);
  const options: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [, name = word, joined] = /^(-[^=]*)=(.*)$/.exec(word) ?? [];
    const option = Object.hasOwn(SHORT, name) ? SHORT[name]! : name;
    if (FLAGS.includes(option) && joined === undefined) {
      options.push(option);
      continue;
    }
    if (!URLS.includes(option) && !NAMES.includes(option)) throw refusal(name);
    const value = joined ?? words.shift() ?? "";
    options.push(option, URLS.includes(option) ? parseUrl(value) : parseNames(option, value));
  }
  return options;
}

function refusal(name: string): Error {
  // What follows a short option may be its value, and is none of anybody's business.
  const shown = /^--[\w-]{0,40}/.exec(name)?.[0] ?? name.slice(0, 2);
  const reason = shown.startsWith("-")
    ? `pip's option ${shown} is not allowed`
    : "it is not an option";
  return new Error(`${reason}; allowed are ${PIP_OPTIONS.join(", ")}`);
}

function parseUrl(value: string): string {
  const url = cleanUrl(value, ["https", "http"]);
  return url.replace(/\/+$/, "");
}

function parseNames(option: string, value: string): string {
  const names = value.split(",").map((name) => name.trim());
  for (const name of names) {
    if (!/^(?::all:|:none:|[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)$/.test(name)) {
      throw new Error(`${option} takes names of packages, :all: or :none:`);
    }
  }
  // ":none:" takes back what stands before it, so the order is kept.
  return names.map((name) => name.startsWith(":") ? name : pythonName(name)).join(",");
}
