/** The part of `@std/assert` the tests use, with its types; see `path.ts` for why it is re-exported. */
import * as std from "deno-std/assert/mod.js";

// deno-lint-ignore no-explicit-any -- the shape of error constructors in the standard library
type ErrorClass<E extends Error = Error> = new (...args: any[]) => E;

/** Fails unless the expression is truthy. */
export function assert(expression: unknown, message?: string): asserts expression {
  std.assert(expression, message);
}
/** Fails unless both values are deeply equal. */
export const assertEquals: <T>(actual: T, expected: T, message?: string) => void = std.assertEquals;
/** Fails when both values are deeply equal. */
export const assertNotEquals: <T>(actual: T, expected: T, message?: string) => void =
  std.assertNotEquals;
/** Fails unless the text matches the expression. */
export const assertMatch: (actual: string, expected: RegExp, message?: string) => void =
  std.assertMatch;
/** Fails unless the text contains the other. */
export const assertStringIncludes: (actual: string, expected: string, message?: string) => void =
  std.assertStringIncludes;
/** Fails unless `actual` contains everything in `expected`. */
export const assertObjectMatch: (
  actual: Record<PropertyKey, unknown>,
  expected: Record<PropertyKey, unknown>,
  message?: string,
) => void = std.assertObjectMatch;
/** Fails always. */
export const fail: (message?: string) => never = std.fail;

/** Fails unless the promise rejects with the given class and a message that contains the text. */
export const assertRejects: <E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
) => Promise<E> = std.assertRejects;

/** Fails unless the function throws the given class with a message that contains the text. */
export const assertThrows: <E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
) => E = std.assertThrows;
