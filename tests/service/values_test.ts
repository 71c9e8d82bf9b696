import { assert, assertEquals, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { readArguments, toWire, validate } from "../../lib/service/values.ts";
import type { JsonSchema, Method } from "../../lib/worker/method.ts";

function methodWith(schema: JsonSchema, more: { required?: boolean; callback?: boolean } = {}) {
  const method: Method = {
    name: "start",
    description: "",
    parameters: [{ name: "config", schema, ...more }],
    handler: () => Promise.resolve(),
  };
  return method;
}

const wrap = () => () => {};

Deno.test("values: reserved keys and codec types are removed at every depth", () => {
  const manifest = {
    "_rtype": "pydantic-model",
    name: "app",
    list: [{ "_rtype": "x", a: 1 }],
    map: new Map<string, unknown>([["k", new Map([["_rtype", 1], ["n", 2]])]]),
    set: new Set([1, 2]),
    bytes: new Uint8Array([1]),
    date: new Date(0),
  };
  assertEquals(readArguments(methodWith({ type: "object" }), [{ manifest }], wrap), {
    config: {
      manifest: {
        name: "app",
        list: [{ a: 1 }],
        map: { k: { n: 2 } },
        set: [1, 2],
        bytes: new Uint8Array([1]),
        date: "1970-01-01T00:00:00.000Z",
      },
    },
  });
});

Deno.test("values: functions become Notify wherever they are", () => {
  const remotes: unknown[] = [];
  const progress = () => {};
  const args = readArguments(
    methodWith({ type: "object" }),
    [{ progress_callback: progress, deep: [{ f: progress }] }],
    (remote) => {
      remotes.push(remote);
      return () => {};
    },
  );
  const config = args.config as Record<string, unknown>;
  assertEquals(remotes, [progress, progress]);
  assert(typeof config.progress_callback === "function" && config.progress_callback !== progress);
});

Deno.test("values: an object nested without end is refused", () => {
  let deep: unknown = {};
  for (let i = 0; i < 200; i++) deep = { deep };
  assertThrows(() => readArguments(methodWith({}), [deep], wrap), WorkerError, "too deeply");
});

Deno.test("values: a missing required argument is refused also without the normaliser", () => {
  assertThrows(
    () => readArguments(methodWith({}, { required: true }), [], wrap),
    WorkerError,
    '"config" is missing',
  );
  assertEquals(readArguments(methodWith({}), [null], wrap), {});
});

Deno.test("values: a callback must be a function", () => {
  assertThrows(
    () => readArguments(methodWith({}, { callback: true }), ["print"], wrap),
    WorkerError,
    "must be a function, not a text",
  );
});

const schema: JsonSchema = {
  type: "object",
  required: ["id"],
  additionalProperties: { type: "string" },
  properties: {
    id: { type: "string" },
    count: { type: "integer", minimum: 0, maximum: 9 },
    ratio: { type: "number" },
    on: { type: "boolean" },
    mode: { type: "string", enum: ["a", "b"] },
    list: { type: "array", items: { type: "string" } },
    inner: { type: "object", additionalProperties: false, properties: { x: {} } },
  },
};

const rows: [unknown, string | undefined][] = [
  [
    { id: "1", count: 2.0, ratio: 0.5, on: true, mode: "a", list: ["x"], inner: { x: 1 } },
    undefined,
  ],
  [{ id: "1", count: null, list: undefined }, undefined],
  ["text", '"c" must be an object, not a text'],
  [[], "not a list"],
  [new Uint8Array(), "must be an object"],
  [{}, '"c.id" is missing'],
  [{ id: null }, '"c.id" is missing'],
  [{ id: 1 }, '"c.id" must be a text, not a number'],
  [{ id: "1", count: 1.5 }, "must be a whole number"],
  [{ id: "1", count: -1 }, "at least 0"],
  [{ id: "1", count: 10 }, "at most 9"],
  [{ id: "1", ratio: NaN }, "must be a number"],
  [{ id: "1", on: 1 }, "must be true or false"],
  [{ id: "1", mode: "c" }, 'one of "a", "b"'],
  [{ id: "1", list: "x" }, "must be a list, not a text"],
  [{ id: "1", list: ["x", 2] }, '"c.list[1]" must be a text'],
  [{ id: "1", inner: { y: 1 } }, 'no argument "c.inner.y"'],
  [{ id: "1", other: 5 }, '"c.other" must be a text'],
  [{ id: "1", constructor: 5 }, '"c.constructor" must be a text'],
];
for (const [value, message] of rows) {
  Deno.test(`values: ${JSON.stringify(value)} is ${message ?? "accepted"}`, () => {
    const found = validate(value, schema, "c");
    if (message === undefined) assertEquals(found, undefined);
    else assert(found?.reason.includes(message), found?.reason);
  });
}

Deno.test("values: messages never repeat a value", () => {
  const found = validate({ id: { token: "secret" } }, schema, "c");
  assert(found !== undefined && !found.reason.includes("secret"));
});

Deno.test("values: results are made of what every client decodes", () => {
  class Thing {
    a = 1;
  }
  const view = new Float32Array([1, 2, 3, 4]).subarray(1, 3);
  assertEquals(
    toWire({
      date: new Date(0),
      big: 5n,
      huge: 2n ** 70n,
      fn: () => {},
      error: new TypeError("x"),
      thing: new Thing(),
      set: new Set([1n]),
      "_rtype": "method",
      nested: [{ "__rpc_object__": 1, ok: null, no: undefined }],
      bytes: new Uint8Array([1]),
    }),
    {
      date: "1970-01-01T00:00:00.000Z",
      big: 5,
      huge: String(2n ** 70n),
      fn: undefined,
      error: "TypeError: x",
      thing: { a: 1 },
      set: [1],
      nested: [{ ok: null, no: undefined }],
      bytes: new Uint8Array([1]),
    },
  );
  assertEquals((toWire(view) as Uint8Array).byteLength, 8);
});
