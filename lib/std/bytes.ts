/** The part of `@std/bytes` this project uses, with its types; see `path.ts` for why it is re-exported. */
import { concat as concatUntyped } from "deno-std/bytes/concat.js";

/** Bytes one after the other, as an array of their own. */
export const concat: (parts: readonly Uint8Array[]) => Uint8Array<ArrayBuffer> = concatUntyped;
