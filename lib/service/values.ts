/**
 * Values on their way over the wire.
 *
 * Objects with a key `_rtype` mean something to Hypha's codecs: a record of the server arrives with one (a manifest
 * is a `pydantic-model`), and one that is sent would be decoded into something else on the other side, up to a
 * callable function. So no such key gets in or out.
 */
import type { Arguments, JsonSchema, Method, Notify } from "../worker/method.ts";
import { ArgumentProblem } from "./arguments.ts";

/** A function of the caller, called over the wire. */
export type RemoteFunction = (message: unknown) => unknown;

const RESERVED = new Set(["_rtype", "_rkwargs", "__rpc_object__", "__proto__"]);
const MAX_DEPTH = 100;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class TooDeep extends Error {}

function clean(value: unknown, wrap: (remote: RemoteFunction) => Notify, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new TooDeep();
  if (typeof value === "function") return wrap(value as RemoteFunction);
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map((item) => clean(item, wrap, depth + 1));
  if (value instanceof Set) return clean([...value], wrap, depth);
  const entries = value instanceof Map ? value.entries() : Object.entries(value);
  const result: Record<string, unknown> = {};
  for (const [key, item] of entries) {
    if (!RESERVED.has(String(key))) result[String(key)] = clean(item, wrap, depth + 1);
  }
  return result;
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? "a text" : `a ${typeof value}`;
}

const EXPECTED: Record<NonNullable<JsonSchema["type"]>, string> = {
  string: "a text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  object: "an object",
  array: "a list",
  null: "nothing",
};

function hasType(value: unknown, type: NonNullable<JsonSchema["type"]>): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "number":
      return typeof value === "number" && !Number.isNaN(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value) && !ArrayBuffer.isView(value);
    case "null":
      return value === null || value === undefined;
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
  }
}

/**
 * What is wrong with a value, or `undefined`. Values are never repeated, since they may be secret.
 *
 * `null` is accepted for what is not required: records of the Hypha server name every unset field.
 */
export function validate(
  value: unknown,
  schema: JsonSchema,
  path: string,
): ArgumentProblem | undefined {
  const problem = (reason: string) => new ArgumentProblem(path, `argument "${path}" ${reason}`);
  if (schema.type !== undefined && !hasType(value, schema.type)) {
    return problem(`must be ${EXPECTED[schema.type]}, not ${typeName(value)}`);
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    return problem(`must be one of ${schema.enum.map((item) => JSON.stringify(item)).join(", ")}`);
  }
  if (typeof value === "number") {
    if (schema.minimum !== undefined && value < schema.minimum) {
      return problem(`must be at least ${schema.minimum}`);
    }
    if (schema.maximum !== undefined && value > schema.maximum) {
      return problem(`must be at most ${schema.maximum}`);
    }
  }
  if (Array.isArray(value) && schema.items !== undefined) {
    for (const [index, item] of value.entries()) {
      const found = validate(item, schema.items, `${path}[${index}]`);
      if (found) return found;
    }
  }
  return isObject(value) ? validateObject(value, schema, path) : undefined;
}

function validateObject(
  value: Record<string, unknown>,
  schema: JsonSchema,
  path: string,
): ArgumentProblem | undefined {
  for (const name of schema.required ?? []) {
    if (value[name] === undefined || value[name] === null) {
      return new ArgumentProblem(`${path}.${name}`, `argument "${path}.${name}" is missing`);
    }
  }
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined || item === null) continue;
    const known = schema.properties !== undefined && Object.hasOwn(schema.properties, name)
      ? schema.properties[name]
      : undefined;
    const rule = known ?? schema.additionalProperties;
    if (rule === false) {
      return new ArgumentProblem(`${path}.${name}`, `there is no argument "${path}.${name}"`);
    }
    if (typeof rule !== "object") continue;
    const found = validate(item, rule, `${path}.${name}`);
    if (found) return found;
  }
  return undefined;
}

/**
 * Decoded arguments as the handler gets them: cleaned, checked, and with every function of the caller (also those
 * inside of objects, as the controller's `config.progress_callback`) turned into a `Notify`.
 *
 * @param slots One value per parameter, see `arguments.ts`.
 * @param wrap Turns a function of the caller into a `Notify`.
 * @throws {WorkerError} `invalid_argument` that names the argument.
 */
export function readArguments(
  method: Method,
  slots: readonly unknown[],
  wrap: (remote: RemoteFunction) => Notify,
): Arguments {
  const found = slots.find((value) => value instanceof ArgumentProblem);
  if (found instanceof ArgumentProblem) throw found.toError(method);
  const result: Record<string, unknown> = {};
  for (const [index, parameter] of method.parameters.entries()) {
    const { name } = parameter;
    const raw = slots[index];
    let problem: ArgumentProblem | undefined;
    if (raw === undefined || raw === null) {
      if (parameter.required) problem = new ArgumentProblem(name, `argument "${name}" is missing`);
    } else if (parameter.callback) {
      if (typeof raw === "function") {
        const remote = raw as RemoteFunction;
        result[name] = parameter.answers
          ? async (message: unknown) => await remote(toWire(message))
          : wrap(remote);
      } else {
        problem = new ArgumentProblem(
          name,
          `argument "${name}" must be a function, not ${typeName(raw)}`,
        );
      }
    } else {
      try {
        result[name] = clean(raw, wrap, 0);
        problem = validate(result[name], parameter.schema, name);
      } catch (error) {
        if (!(error instanceof TooDeep)) throw error;
        problem = new ArgumentProblem(name, `argument "${name}" is nested too deeply`);
      }
    }
    if (problem !== undefined) throw problem.toError(method);
  }
  return result;
}

/**
 * A copy of a value that every client can decode: dates become ISO texts, big integers numbers or texts, errors
 * their message; functions and reserved keys are left out. Bytes, maps and sets stay.
 */
export function toWire(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case "function":
    case "symbol":
      return undefined;
    case "object":
      break;
    default:
      return value;
  }
  if (value === null || depth > MAX_DEPTH) return null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Uint8Array) return value;
  // Other views would send their whole buffer.
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  }
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map((item) => toWire(item, depth + 1));
  if (value instanceof Set) return [...value].map((item) => toWire(item, depth + 1));
  const entries = value instanceof Map ? value.entries() : Object.entries(value);
  const result: Record<string, unknown> = {};
  for (const [key, item] of entries) {
    if (!RESERVED.has(String(key))) result[String(key)] = toWire(item, depth + 1);
  }
  return result;
}
