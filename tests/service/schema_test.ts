/** What the schemas of the methods tell a program that chooses calls by them, such as a language model with tools. */
import { assert, assertEquals } from "@std/assert";
import { methodSchema } from "../../lib/service/register.ts";
import { validate } from "../../lib/service/values.ts";
import type { JsonSchema, Method } from "../../lib/worker/method.ts";
import type { MethodContext } from "../../lib/worker/method_support.ts";
import { workerMethods } from "../../lib/worker/methods.ts";

// Only the table is read; no handler is called.
const METHODS = workerMethods({} as MethodContext);

/** A schema and those within it, with their paths. */
function* within(path: string, schema: JsonSchema): Generator<[string, JsonSchema]> {
  yield [path, schema];
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    yield* within(`${path}.${name}`, field);
  }
}

/** Everything callers can fill in, with its path. */
function* fields(method: Method): Generator<[string, JsonSchema]> {
  for (const parameter of method.parameters) {
    if (!parameter.callback) yield* within(`${method.name}.${parameter.name}`, parameter.schema);
  }
}

/** Whether a value is one that a schema describes, also by one of several shapes. */
function describes(schema: JsonSchema, value: unknown): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some((one) => describes(one, value));
  if (validate(value, schema, "value") !== undefined) return false;
  const { items } = schema;
  return !Array.isArray(value) || items === undefined ||
    value.every((item) => describes(items, item));
}

Deno.test("schemas: each method says what it does and what it returns, in sentences", () => {
  for (const { name, description } of METHODS) {
    assert(/^[A-Z].{20,}\.$/s.test(description), `${name}: ${description}`);
    assert(/\breturns?\b/i.test(description), `${name} does not say what it returns`);
    // What is used as the name of a tool by those who offer tools.
    assert(/^[a-z_]{1,64}$/.test(name), name);
  }
  assertEquals(new Set(METHODS.map((method) => method.name)).size, METHODS.length);
});

Deno.test("schemas: each parameter and each field has a meaning, a type, and an example or what stands for one", () => {
  for (const method of METHODS) {
    for (const [path, schema] of fields(method)) {
      const { description = "", type, anyOf, examples, properties } = schema;
      assert(/^[A-Z].{5,}\.$/s.test(description), `${path}: ${description}`);
      assert(type !== undefined || (anyOf?.length ?? 0) > 1, `${path} has no type`);
      for (const shape of anyOf ?? []) {
        assert((shape.description ?? "").length > 5, `a shape of ${path} has no meaning`);
      }
      if (type === "array") assert(schema.items?.description !== undefined, `${path} has no items`);
      const shown = (examples?.length ?? 0) > 0 || schema.enum !== undefined ||
        schema.default !== undefined || type === "boolean" ||
        Object.keys(properties ?? {}).length > 0;
      assert(shown, `${path} has neither example, default nor choices`);
    }
  }
});

Deno.test("schemas: examples, defaults and choices are values that are accepted", () => {
  let examples = 0;
  for (const method of METHODS) {
    for (const [path, schema] of fields(method)) {
      const { examples: shown = [], default: initial, enum: choices = [] } = schema;
      for (const value of [...shown, ...choices, ...(initial === undefined ? [] : [initial])]) {
        assert(describes(schema, value), `${path}: ${JSON.stringify(value)}`);
        examples++;
      }
    }
  }
  assert(examples > 60, String(examples));
});

Deno.test("schemas: functions are told apart from what can be written down", () => {
  const callbacks = METHODS.flatMap((method) => method.parameters).filter((one) => one.callback);
  assert(callbacks.length > 5);
  for (const { schema, required } of callbacks) {
    assert(schema.description!.startsWith("A function that is called with"), schema.description);
    // Whoever cannot pass one must be able to do without.
    assert(required !== true);
  }
});

Deno.test("schemas: they are plain JSON of the shape that tools have", () => {
  for (const method of METHODS) {
    const schema = methodSchema(method);
    assertEquals(JSON.parse(JSON.stringify(schema)), schema);
    const { type, properties, required } = schema.parameters as JsonSchema;
    assertEquals(type, "object");
    assertEquals(Object.keys(properties!), method.parameters.map(({ name }) => name));
    for (const name of required!) assert(Object.hasOwn(properties!, name), name);
    assert(JSON.stringify(schema).length < 16_000, `${method.name} is too long to be read`);
  }
});
