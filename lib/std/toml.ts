/** The part of `@std/toml` this project uses, with its types; see `path.ts` for why it is re-exported. */
import * as toml from "deno-std/toml/mod.js";

/** Parses a TOML document. Throws a `SyntaxError` that names line and column. */
export const parse: (content: string) => Record<string, unknown> = toml.parse;
