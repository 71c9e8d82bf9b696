import { assert, assertEquals, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { ArgumentProblem, installNormalizer, normalizeCall } from "../../lib/service/arguments.ts";
import type { HyphaRpc, MethodMessage } from "../../lib/service/hypha_rpc.ts";
import type { Method } from "../../lib/worker/method.ts";

const handler = () => Promise.resolve(null);
const execute: Method = {
  name: "execute",
  description: "Runs code.",
  parameters: [
    { name: "session_id", schema: { type: "string" }, required: true },
    { name: "script", schema: { type: "string" }, required: true },
    { name: "config", schema: { type: "object" } },
    { name: "progress_callback", schema: {}, callback: true },
    { name: "output_callback", schema: {}, callback: true },
  ],
  handler,
};
const start: Method = {
  name: "start",
  description: "Starts.",
  parameters: [{ name: "config", schema: { type: "object" }, required: true }],
  handler,
};
const shutdown: Method = { name: "shutdown", description: "Ends.", parameters: [], handler };

const callback = { "_rtype": "method", "_rmethod": "session.abc" };
const config = { timeout: 5 };
const none = undefined;

interface Row {
  what: string;
  method?: Method;
  args: unknown[];
  kwargs?: Record<string, unknown>;
  slots: unknown[];
}

const table: Row[] = [
  { what: "positional", args: ["S", "c"], slots: ["S", "c", none, none, none] },
  {
    what: "positional, all",
    args: ["S", "c", config, callback, callback],
    slots: ["S", "c", config, callback, callback],
  },
  {
    what: "keywords",
    args: [],
    kwargs: { script: "c", session_id: "S" },
    slots: ["S", "c", none, none, none],
  },
  {
    what: "mixed",
    args: ["S", "c"],
    kwargs: { config, progress_callback: callback },
    slots: ["S", "c", config, callback, none],
  },
  {
    what: "a callback in the last slot",
    args: ["S", "c"],
    kwargs: { output_callback: callback },
    slots: ["S", "c", none, none, callback],
  },
  {
    what: "callbacks by position after nothing",
    args: ["S", "c", null, null, callback],
    slots: ["S", "c", none, none, callback],
  },
  {
    what: "the controller's context",
    method: start,
    args: [config],
    kwargs: { context: { user: "forged" } },
    slots: [config],
  },
  {
    what: "null counts as missing",
    args: ["S", "c", null],
    kwargs: { progress_callback: null },
    slots: ["S", "c", none, none, none],
  },
  {
    what: "null by position and a value by name",
    args: ["S", null],
    kwargs: { script: "c" },
    slots: ["S", "c", none, none, none],
  },
  { what: "trailing nothing beyond the end", method: start, args: [config, null], slots: [config] },
  { what: "no parameters", method: shutdown, args: [], slots: [] },
  { what: "only a context", method: shutdown, args: [], kwargs: { context: {} }, slots: [] },
  { what: "empty keywords", method: start, args: [config], kwargs: {}, slots: [config] },
];

for (const { what, method = execute, args, kwargs, slots } of table) {
  Deno.test(`arguments: ${what}`, () => {
    const raw = kwargs === undefined ? args : [...args, kwargs];
    const before = structuredClone(raw);
    assertEquals(normalizeCall(method, raw, kwargs !== undefined), slots);
    assertEquals(raw, before);
  });
}

Deno.test("arguments: with_kwargs without an object keeps the last argument", () => {
  assertEquals(normalizeCall(start, [[1]], true), [[1]]);
});

const problems: [string, Method, unknown[], Record<string, unknown> | undefined, string][] = [
  ["missing", execute, ["S"], undefined, 'argument "script" is missing'],
  ["null for a required one", execute, [null, "c"], undefined, 'argument "session_id" is missing'],
  ["unknown", execute, ["S", "c"], { bogus: 1 }, 'no argument "bogus"'],
  ["unknown of a method without any", shutdown, [], { x: 1 }, 'no argument "x"'],
  ["inherited name", execute, ["S", "c"], { toString: 1 }, 'no argument "toString"'],
  ["too many", start, [{}, 1], undefined, "at most 1"],
  ["any for a method without", shutdown, [1], undefined, "takes no arguments"],
  ["twice", execute, ["S", "c"], { script: "d" }, '"script" was given both'],
];

for (const [what, method, args, kwargs, message] of problems) {
  Deno.test(`arguments: ${what} is carried as a problem`, () => {
    const raw = kwargs === undefined ? args : [...args, kwargs];
    const slots = normalizeCall(method, raw, kwargs !== undefined);
    assertEquals(slots.length, Math.max(1, method.parameters.length));
    const [problem] = slots;
    assert(problem instanceof ArgumentProblem);
    const error = assertThrows(
      () => {
        throw problem.toError(method);
      },
      WorkerError,
      message,
    );
    assertEquals(error.code, "invalid_argument");
    assert(error.message.startsWith(`Cannot call ${method.name}: `));
  });
}

Deno.test("arguments: only calls of the service's methods are rewritten", () => {
  const handlers: ((event: MethodMessage) => void)[] = [];
  const rpc: HyphaRpc = {
    on: (_event, fn) => handlers.push(fn),
    off: (_event, fn) => handlers.splice(handlers.findIndex((one) => one === fn), 1),
    disconnect: () => Promise.resolve(),
  };
  const installed = installNormalizer(rpc, "worker", [execute, start]);
  const run = (message: MethodMessage) => {
    for (const fn of handlers) fn(message);
    return message;
  };
  assertEquals(
    run({ method: "services.worker.start", args: [config, { context: {} }], "with_kwargs": true }),
    { method: "services.worker.start", args: [config] },
  );
  assertEquals(run({ method: "services.worker.start" }).args?.length, 1);
  const others: MethodMessage[] = [
    { method: "services.other.start", args: [1, { a: 1 }], "with_kwargs": true },
    { method: "services.worker.start.inner", args: [1], "with_kwargs": true },
    { method: "services.worker.unknown", args: [1], "with_kwargs": true },
    { method: "services.worker.start", _enc: { v: 2 } },
    { method: 5 },
    {},
  ];
  for (const message of others) assertEquals(run(structuredClone(message)), message);
  installed[Symbol.dispose]();
  assertEquals(handlers.length, 0);
});
