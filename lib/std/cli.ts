/** The part of `@std/cli` this project uses, with its types; see `path.ts` for why it is re-exported. */
import { parseArgs as parseArgsUntyped } from "deno-std/cli/parse_args.js";

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions {
  /** Flags that take no value. */
  boolean?: readonly string[];
  /** Flags that take a value, kept as text. */
  string?: readonly string[];
  /** Flags that may be given several times. */
  collect?: readonly string[];
  /** Other spellings of a flag. */
  alias?: Record<string, string | readonly string[]>;
  /** Values of flags that are not given. */
  default?: Record<string, unknown>;
  /** Puts everything after `--` into the `--` key. */
  "--"?: boolean;
  /** Stops at the first argument that is not a flag. */
  stopEarly?: boolean;
  /** Called with each argument that is no known flag; `false` drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Parsed arguments: flags by name, the rest in `_`. */
export interface ParsedArgs {
  [flag: string]: unknown;
  /** Arguments that are not flags. */
  _: (string | number)[];
  /** Arguments after `--`, when asked for. */
  "--"?: string[];
}

/** Parses a command line. */
export const parseArgs: (args: readonly string[], options?: ParseOptions) => ParsedArgs =
  parseArgsUntyped;
