/** The part of `@std/yaml` this project uses, with its types; see `path.ts` for why it is re-exported. */
import * as yaml from "deno-std/yaml/mod.js";

/** Parses one YAML document. Throws a `SyntaxError` that names line and column. */
export const parse: (content: string) => unknown = yaml.parse;
/** Writes a value as a YAML document. */
export const stringify: (data: unknown) => string = yaml.stringify;
