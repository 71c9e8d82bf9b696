/**
 * The configuration file: options of the commands in TOML or YAML, below arguments and environment variables.
 *
 * Keys are the names of options, with dashes or underscores. At the top they count for every command that has the
 * option; in a table that is named after a command (`[run]`, `[env.create]`) for that one, before those at the top.
 * One file is read, the first of: `--config`, `HYPHA_CONFIG_FILE`, the working directory, the user's own directory for
 * configuration. It is read without waiting, once, before the program does anything else.
 */
import { dirname, resolve } from "@std/path";
import { parse as parseToml } from "@std/toml";
import { parse as parseYaml } from "@std/yaml";
import { messageOf } from "../errors.ts";
import { addSecret } from "../log.ts";
import { type Command, COMMANDS } from "./commands.ts";
import { configurationPlaces } from "./config_places.ts";
import { readKey, type Setting } from "./config_value.ts";
import { lineOf } from "./config_line.ts";
import { absolutePath, expandHome } from "./home_path.ts";
import { nearest } from "../nearest.ts";
import { type Environment, type FileValues, type Option, usage } from "./option.ts";

/** Read by nobody but the owner. */
const OTHERS = 0o077;

/** Everything a file says. */
interface Document {
  readonly path: string;
  readonly text: string;
  /** Settings by section, and by name in it; that of the top is empty. */
  readonly sections: ReadonlyMap<string, ReadonlyMap<string, Setting>>;
}

/**
 * Environment variables with the configuration file below them.
 *
 * @param command its name, and that of its own command
 * @param warn is told what is not wrong and not good
 */
export function configuredEnvironment(
  environment: (name: string) => string | undefined,
  command: readonly string[],
  warn: (text: string) => void,
): Environment {
  // From the most particular section to the top.
  const sections = command.map((_, index) => command.slice(0, command.length - index).join("."));
  let document: Document | undefined;
  const used = new Map<string, string>();
  const read = (given: string | undefined): FileValues | undefined => {
    const path = choose(given, environment);
    if (path === undefined) return undefined;
    const found = document = readDocument(path, environment, warn);
    return {
      path,
      value: ({ name }) => {
        const section = [...sections, ""].find((one) => found.sections.get(one)?.has(name));
        if (section === undefined) return undefined;
        used.set(name, section);
        return found.sections.get(section)!.get(name)!.value;
      },
    };
  };
  const origin = (message: string): string | undefined => {
    const name = /--([a-z][a-z0-9-]*)/.exec(message)?.[1] ?? "";
    const section = used.get(name);
    if (section === undefined || document === undefined) return undefined;
    return place(
      document.path,
      document.text,
      section,
      document.sections.get(section)!.get(name)!.key,
    );
  };
  return Object.assign((name: string) => environment(name), { configuration: { read, origin } });
}

/** The file to read; `undefined` when there is none. Throws `usage`. */
function choose(
  given: string | undefined,
  environment: (name: string) => string | undefined,
): string | undefined {
  if (given === "none") return undefined;
  if (given !== undefined) return absolutePath(given, environment);
  for (const paths of configurationPlaces(environment)) {
    const there = paths.filter(isFile);
    const [first, second] = there;
    if (second !== undefined) {
      throw usage(`There are two configuration files, ${first} and ${second}: keep one of them`);
    }
    if (first !== undefined) return trusted(first);
  }
  return undefined;
}

/** A file that nobody has named counts only when nobody else has put it there. Throws `usage`. */
function trusted(path: string): string {
  const { uid } = Deno.statSync(path);
  if (uid === null || uid === 0 || uid === Deno.uid()) return path;
  throw usage(
    `The configuration file ${path} belongs to another user: name it with --config to use it, or say --config none`,
  );
}

/** Whether there is a file; a place that cannot be looked at, such as another user's home, has none. */
function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function readDocument(
  path: string,
  environment: (name: string) => string | undefined,
  warn: (text: string) => void,
): Document {
  let text: string;
  let mode: number | null;
  try {
    text = Deno.readTextFileSync(path);
    mode = Deno.statSync(path).mode;
  } catch (error) {
    throw usage(`Cannot read configuration file ${path}: ${messageOf(error)}`);
  }
  const at = (section: string, key: string) => place(path, text, section, key);
  const locate = (value: string) => resolve(dirname(path), expandHome(value, environment));
  const sections = new Map<string, Map<string, Setting>>();
  const secrets: string[] = [];
  readSection(parseText(path, text), "", undefined, { at, locate, sections, secrets });
  for (const secret of secrets) addSecret(secret);
  if (secrets.length > 0 && mode !== null && (mode & OTHERS) !== 0) {
    warn(`${path} holds a token, and other users may read it: chmod 600 ${path}`);
  }
  return { path, text, sections };
}

function parseText(path: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = /\.ya?ml$/i.test(path) ? parseYaml(text) ?? {} : parseToml(text);
  } catch (error) {
    throw usage(`Cannot read configuration file ${path}: ${firstLine(messageOf(error))}`);
  }
  if (!isTable(value)) {
    throw usage(`Cannot read configuration file ${path}: it must hold names and values`);
  }
  return value;
}

function firstLine(text: string): string {
  return text.split("\n")[0]!.trim();
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

/** Where a key is, for messages. */
function place(path: string, text: string, section: string, key: string): string {
  const line = lineOf(text, section, key);
  const name = section === "" ? key : `${section}.${key}`;
  return `${name} in ${path}${line === undefined ? "" : `, line ${line}`}`;
}

interface Reading {
  readonly at: (section: string, key: string) => string;
  readonly locate: (value: string) => string;
  readonly sections: Map<string, Map<string, Setting>>;
  /** Values that are secrets are added. */
  readonly secrets: string[];
}

/** Reads a table, and those in it. Throws `usage` naming the key. */
function readSection(
  table: Record<string, unknown>,
  section: string,
  command: Command | undefined,
  reading: Reading,
): void {
  const commands = section === "" ? COMMANDS as Record<string, Command> : command?.commands ?? {};
  const known = knownOptions(section, command);
  const settings = new Map<string, Setting>();
  reading.sections.set(section, settings);
  for (const [key, value] of Object.entries(table)) {
    const name = key.replaceAll("_", "-");
    const where = reading.at(section, key);
    if (Object.hasOwn(commands, name) && isTable(value)) {
      const below = section === "" ? name : `${section}.${name}`;
      readSection(value, below, commands[name]!, reading);
      continue;
    }
    const option = known.get(name);
    if (option === undefined) {
      const near = nearest(name, [...known.keys(), ...Object.keys(commands)]);
      throw usage(`Unknown key ${where}${near === undefined ? "" : `; did you mean ${near}?`}`);
    }
    if (settings.has(name)) throw usage(`${where} says the same as ${settings.get(name)!.key}`);
    const setting = readKey(option, key, value, { where, locate: reading.locate });
    settings.set(name, setting);
    if (option.value === "TOKEN") reading.secrets.push(String(setting.value));
  }
}

/**
 * Options a section may have. What a command is told for one call has no variable, and nothing at the top says it to
 * commands that happen to have an option of that name.
 */
function knownOptions(section: string, command: Command | undefined): Map<string, Option> {
  const options = section === ""
    ? Object.values(COMMANDS).flatMap(allOptions).filter((option) => option.environment !== false)
    : allOptions(command!);
  return new Map(
    options.filter((option) => option.file !== false).map((option) => [option.name, option]),
  );
}

function allOptions(command: Command): Option[] {
  return [...command.options, ...Object.values(command.commands ?? {}).flatMap(allOptions)];
}
