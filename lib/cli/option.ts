/** Reading the options of a command: flags, then environment variables; and their help. */
import { parseArgs } from "@std/cli";
import { WorkerError } from "../errors.ts";

/** One option of a command. */
export interface Option {
  /** Flag without dashes. */
  readonly name: string;
  /** What it takes; `flag` takes nothing. */
  readonly type: "text" | "flag";
  /** One line of help. */
  readonly help: string;
  /** Placeholder of the value in the help. */
  readonly value?: string;
  /** One-letter form. */
  readonly short?: string;
  /** What holds when it is not given, for the help. */
  readonly default?: string;
  /** Whether environment variables may give it. @default true */
  readonly environment?: boolean;
}

/** Parsed options: text or `true` by flag name; the remaining arguments; those behind `--`. */
export interface ParsedOptions {
  readonly values: Readonly<Record<string, string | true | undefined>>;
  readonly rest: readonly string[];
  readonly passed: readonly string[];
  readonly help: boolean;
}

/** The spellings of an option's environment variable, most important first. */
export function environmentNames(option: Option): string[] {
  const name = option.name.toUpperCase().replaceAll("-", "_");
  return [`HYPHA_${name}`, `CONDA_${name}`, `HYPHA_CONDA_${name}`];
}

/** Reads options from arguments, then from environment variables. Throws `usage` naming the argument. */
export function readOptions(
  options: readonly Option[],
  args: readonly string[],
  environment: (name: string) => string | undefined,
): ParsedOptions {
  const aliases = Object.fromEntries(
    options.filter((option) => option.short).map((option) => [option.short!, option.name]),
  );
  const unknown: string[] = [];
  const text = options.filter((option) => option.type === "text").map((option) => option.name);
  const flags = options.filter((option) => option.type === "flag").map((option) => option.name);
  const parsed = parseArgs(args, {
    string: text,
    boolean: [...flags, "help"],
    alias: { ...aliases, h: "help" },
    "--": true,
    unknown: (arg, key) => {
      if (key === undefined) return true;
      unknown.push(arg.replace(/=.*/s, ""));
      return false;
    },
  });
  if (unknown[0] !== undefined) throw unknownOption(unknown[0], options);
  const values: Record<string, string | true | undefined> = {};
  for (const option of options) {
    const given = parsed[option.name];
    if (option.type === "flag") {
      values[option.name] = given === true || isOn(option, environment) ? true : undefined;
      continue;
    }
    if (given === "") throw usage(`Option --${option.name} needs a value`);
    values[option.name] = (given as string | undefined) ?? fromEnvironment(option, environment);
  }
  return {
    values,
    rest: parsed._.map(String),
    passed: parsed["--"] ?? [],
    help: parsed.help === true,
  };
}

function fromEnvironment(
  option: Option,
  environment: (name: string) => string | undefined,
): string | undefined {
  if (option.environment === false) return undefined;
  for (const name of environmentNames(option)) {
    const value = environment(name);
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}

function isOn(option: Option, environment: (name: string) => string | undefined): boolean {
  const value = fromEnvironment(option, environment)?.toLowerCase();
  return value !== undefined && !["0", "false", "no", "off"].includes(value);
}

/** An error of the command line: one clear line, exit code 2. */
export function usage(message: string): WorkerError {
  return new WorkerError("usage", message);
}

function unknownOption(given: string, options: readonly Option[]): WorkerError {
  const name = given.replace(/^-+/, "");
  const near = options.map((option) => option.name)
    .map((known) => ({ known, distance: editDistance(name, known) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const hint = near !== undefined && near.distance <= 3 ? `; did you mean --${near.known}?` : "";
  return usage(`Unknown option ${given}${hint}`);
}

/** Number of letters to insert, remove or change to get from one word to the other. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Help lines of a table. */
export function optionsHelp(options: readonly Option[]): string {
  const rows = options.map((option) => {
    const flag = `${option.short ? `-${option.short}, ` : ""}--${option.name}`;
    return {
      left: option.value ? `${flag} ${option.value}` : flag,
      right: option.help + (option.default ? ` [${option.default}]` : ""),
    };
  });
  const width = Math.max(...rows.map((row) => row.left.length));
  return rows.map((row) => `  ${row.left.padEnd(width)}  ${row.right}`).join("\n");
}
