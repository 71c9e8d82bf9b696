/**
 * What a method of the worker is: one record from which registration, schema, argument handling, documents
 * and tests come (architecture decision 4). Nothing here knows Hypha RPC.
 */
import type { Caller } from "./caller.ts";

/** The part of JSON Schema that parameters use. */
export interface JsonSchema {
  type?: "string" | "number" | "integer" | "boolean" | "object" | "array" | "null";
  /** One of several shapes: told to callers, checked by whoever reads the value. */
  anyOf?: readonly JsonSchema[];
  description?: string;
  enum?: readonly unknown[];
  default?: unknown;
  examples?: readonly unknown[];
  properties?: Readonly<Record<string, JsonSchema>>;
  required?: readonly string[];
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema;
  minimum?: number;
  maximum?: number;
}

/** One parameter of a method, in the position positional callers use. */
export interface Parameter {
  /** Name for keyword callers. */
  readonly name: string;
  /** Meaning and shape. A callback has no JSON shape: it only says what it receives. */
  readonly schema: JsonSchema;
  /** Whether a call without it is refused. `null` counts as missing, as Hypha's server sends it. */
  readonly required?: boolean;
  /** Whether it is a function the caller wants called while the method runs. */
  readonly callback?: boolean;
  /** Whether the callback's answer is wanted; the handler gets an {@linkcode Ask}. */
  readonly answers?: boolean;
}

/**
 * Receives messages while a method runs. Never throws; the service throttles it. When it returns a promise too much
 * waits for the caller: more should come when that resolves, which it always does.
 */
export type Notify = (message: unknown) => void | Promise<void>;

/** Asks the caller while a method runs; rejects when the caller fails or is gone. */
export type Ask = (message: unknown) => Promise<unknown>;

/** What a handler gets besides its arguments. */
export interface Call {
  /** Who calls, as the server stamped it. */
  readonly caller: Caller;
  /** Fires when nobody waits for the result any more. */
  readonly signal: AbortSignal;
}

/** Arguments by name. Parameters marked `callback` hold a {@linkcode Notify} (or {@linkcode Ask}) or `undefined`. */
export type Arguments = Readonly<Record<string, unknown>>;

/** One method of the worker. */
export interface Method {
  /** Name on the wire. */
  readonly name: string;
  /** What it does, for people and for LLM tool callers. */
  readonly description: string;
  /** Parameters in positional order, without the context. */
  readonly parameters: readonly Parameter[];
  /** Does the work. Throws a `WorkerError`; anything else is a fault of the worker. */
  handler(args: Arguments, call: Call): Promise<unknown>;
}
