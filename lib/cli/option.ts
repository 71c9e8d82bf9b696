/** Reading the options of a command: arguments, then environment variables, then the configuration file; and their help. */
import { parseArgs } from "@std/cli";
import { WorkerError } from "../errors.ts";
import { type Paint, paint } from "./colour.ts";
import { nearest } from "../nearest.ts";

/** One option of a command. */
export interface Option {
  /** Flag without dashes. */
  readonly name: string;
  /** What it takes: a value, nothing, or a value each time it is given. */
  readonly type: "text" | "flag" | "list";
  /** One line of help. */
  readonly help: string;
  /** What it is about; options of one group stand together in long helps. */
  readonly group?:
    | "Server"
    | "Environment"
    | "Session"
    | "Monitoring"
    | "Notebook"
    | "Kubernetes"
    | "Job"
    | "Permission";
  /** Placeholder of the value in the help. `DIR` and `FILE` are paths; small letters between `|` are the choices. */
  readonly value?: string;
  /** One-letter form. */
  readonly short?: string;
  /** What holds when it is not given, for the help. */
  readonly default?: string;
  /** Whether environment variables may give it. @default true */
  readonly environment?: boolean;
  /** How its environment variables end. @default its name */
  readonly variable?: string;
  /** Whether a configuration file may give it. @default true */
  readonly file?: boolean;
  /** Another option for the same; of the two the one from the more important source counts. */
  readonly instead?: string;
}

/** Where the value of an option comes from, the most important first. */
export type Source = "argument" | "variable" | "file";

/** What a configuration file says for one command. */
export interface FileValues {
  /** Absolute path of the file. */
  readonly path: string;
  /** The value of an option; lists for those that may be given several times. */
  value(option: Option): string | boolean | readonly string[] | undefined;
}

/** The configuration file of a command. */
export interface Configuration {
  /**
   * Reads it; `undefined` when there is none. Gets the path that arguments or variables name.
   *
   * @throws WorkerError `usage` that names the file and the key
   */
  read(given: string | undefined): FileValues | undefined;
  /** Where in the file the option is that a message names, when that is where it came from. */
  origin(message: string): string | undefined;
}

/** Environment variables by name, and the configuration file below them. */
export interface Environment {
  (name: string): string | undefined;
  /** @default none */
  readonly configuration?: Configuration;
}

/** Parsed options. */
export interface ParsedOptions {
  /** Text, or `true`, by name. */
  readonly values: Readonly<Record<string, string | true | undefined>>;
  /** Values of options that may be given several times, by name. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
  /** Where the values that were given come from, by name. */
  readonly sources: Readonly<Record<string, Source | undefined>>;
  /** Absolute path of the configuration file that was read. */
  readonly file: string | undefined;
  /** Arguments that are no options. */
  readonly rest: readonly string[];
  /** Those behind `--`. */
  readonly passed: readonly string[];
  readonly help: boolean;
}

/** How arguments are read. */
export interface ReadOptions {
  /** Whether options end at the first argument that is none, as those of programs that run scripts do. @default false */
  readonly stopEarly?: boolean;
}

/** Names the configuration file. Commands that have it among their options read one. */
export const CONFIG: Option = {
  name: "config",
  type: "text",
  value: "FILE",
  help: "Configuration file, or none",
  default: "hypha-conda-worker.toml or .yaml, if there",
  variable: "config-file",
  file: false,
};

/** The spellings of an option's environment variable, most important first. */
export function environmentNames(option: Option): string[] {
  const name = (option.variable ?? option.name).toUpperCase().replaceAll("-", "_");
  return [`HYPHA_${name}`, `CONDA_${name}`, `HYPHA_CONDA_${name}`];
}

/** The values between which an option lets choose; empty when it takes any. */
export function choicesOf(option: Option): string[] {
  const words = option.value?.split("|") ?? [];
  return words.length < 2 ? [] : words.filter((word) => word === word.toLowerCase());
}

interface Given {
  readonly source: Source;
  /** A flag that is switched off is given, too. */
  readonly value: string | boolean | readonly string[];
}

/**
 * Reads options from arguments, then from environment variables, then from the configuration file.
 *
 * @throws WorkerError `usage` that names the argument, or the file and its key
 */
export function readOptions(
  options: readonly Option[],
  args: readonly string[],
  environment: Environment,
  { stopEarly = false }: ReadOptions = {},
): ParsedOptions {
  const parsed = parse(options, args, stopEarly);
  const given = new Map<string, Given>();
  for (const option of options) {
    const off = args.includes(`--${option.name}=false`);
    const argument = fromArguments(option, parsed[option.name], off);
    if (argument !== undefined) {
      given.set(option.name, { source: "argument", value: argument });
      continue;
    }
    const variable = fromEnvironment(option, environment);
    if (variable !== undefined) given.set(option.name, { source: "variable", value: variable });
  }
  const file = options.includes(CONFIG)
    ? environment.configuration?.read(given.get(CONFIG.name)?.value as string | undefined)
    : undefined;
  for (const option of options) {
    const value = option.file === false || given.has(option.name) ? undefined : file?.value(option);
    if (value !== undefined) given.set(option.name, { source: "file", value });
  }
  return { ...collect(options, given), file: file?.path, ...remaining(parsed) };
}

function parse(options: readonly Option[], args: readonly string[], stopEarly: boolean) {
  const aliases = Object.fromEntries(
    options.filter((option) => option.short).map((option) => [option.short!, option.name]),
  );
  const unknown: string[] = [];
  const names = (...types: Option["type"][]) =>
    options.filter((option) => types.includes(option.type)).map((option) => option.name);
  const parsed = parseArgs(args, {
    // Arguments are text, also those that look like numbers: 12e5 is the beginning of a key.
    string: [...names("text", "list"), "_"],
    boolean: [...names("flag"), "help"],
    collect: names("list"),
    alias: { ...aliases, h: "help" },
    "--": true,
    stopEarly,
    unknown: (arg, key) => {
      if (key === undefined) return true;
      unknown.push(arg.replace(/=.*/s, ""));
      return false;
    },
  });
  if (unknown[0] !== undefined) throw unknownOption(unknown[0], options);
  return parsed;
}

function remaining(parsed: ReturnType<typeof parse>) {
  return {
    rest: parsed._.map(String),
    passed: parsed["--"] ?? [],
    help: parsed.help === true,
  };
}

/** Values of options, but for those that give way to another for the same. */
function collect(options: readonly Option[], given: ReadonlyMap<string, Given>) {
  const rank: readonly Source[] = ["argument", "variable", "file"];
  const values: Record<string, string | true | undefined> = {};
  const lists: Record<string, readonly string[]> = {};
  const sources: Record<string, Source | undefined> = {};
  for (const option of options) {
    const own = given.get(option.name);
    const other = option.instead === undefined ? undefined : given.get(option.instead);
    const counts = own !== undefined &&
      (other === undefined || rank.indexOf(own.source) <= rank.indexOf(other.source));
    if (option.type === "list") {
      lists[option.name] = counts ? own.value as readonly string[] : [];
    } else {
      values[option.name] = counts && own.value !== false ? own.value as string | true : undefined;
    }
    sources[option.name] = counts ? own.source : undefined;
  }
  return { values, lists, sources };
}

function fromArguments(option: Option, given: unknown, off: boolean): Given["value"] | undefined {
  if (option.type === "flag") return given === true ? true : off ? false : undefined;
  const values = given === undefined ? [] : [given].flat() as string[];
  if (values.includes("")) throw usage(`Option --${option.name} needs a value`);
  if (option.type === "list") return values.length === 0 ? undefined : values;
  return values.at(-1);
}

function fromEnvironment(option: Option, environment: Environment): Given["value"] | undefined {
  if (option.environment === false) return undefined;
  for (const name of environmentNames(option)) {
    const value = environment(name);
    if (value === undefined || value === "") continue;
    if (option.type === "list") return splitList(value);
    if (option.type === "text") return value;
    return !["0", "false", "no", "off"].includes(value.toLowerCase());
  }
  return undefined;
}

/** The parts of a text with commas. */
function splitList(text: string): string[] {
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

/** An error of the command line: one clear line, exit code 2. */
export function usage(message: string): WorkerError {
  return new WorkerError("usage", message);
}

function unknownOption(given: string, options: readonly Option[]): WorkerError {
  const names = options.flatMap((option) =>
    option.short ? [option.name, option.short] : option.name
  );
  const near = nearest(given.replace(/^-+/, ""), [...names, "help"]);
  const hint = near === undefined ? "" : `; did you mean ${near.length === 1 ? "-" : "--"}${near}?`;
  return usage(`Unknown option ${given}${hint}`);
}

/** How help looks. */
export interface HelpStyle {
  /** @default no colours */
  readonly paint?: Paint;
  /** Columns after which lines are broken. @default never */
  readonly width?: number;
}

/** Help lines of a table. */
export function optionsHelp(options: readonly Option[], style: HelpStyle = {}): string {
  return rows(
    options.map((option) => {
      const flag = `${option.short ? `-${option.short}, ` : ""}--${option.name}`;
      return {
        left: option.value ? `${flag} ${option.value}` : flag,
        right: option.help + (option.default ? ` [${option.default}]` : ""),
      };
    }),
    style,
  );
}

/** Two columns; the right one is broken where lines would be too long. */
export function rows(
  all: readonly { left: string; right: string }[],
  { paint: { name } = paint(false), width = Infinity }: HelpStyle = {},
): string {
  const left = Math.max(...all.map((row) => row.left.length));
  const indent = 2 + left + 2;
  // Where there is no room for two columns, lines are left to the terminal.
  const right = width - indent < 24 ? Infinity : width - indent;
  return all.map((row) => {
    const lines = wrap(row.right, right);
    const gap = " ".repeat(left - row.left.length);
    return `  ${name(row.left)}${gap}  ${lines.join(`\n${" ".repeat(indent)}`)}`.trimEnd();
  }).join("\n");
}

/** Breaks a text at spaces into lines of at most so many characters. */
export function wrap(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
