import { assert, assertEquals, assertRejects } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import { methodSchema, registerWorker, serviceConfig } from "../../lib/service/register.ts";
import type { Call, Method, Notify } from "../../lib/worker/method.ts";
import { fakeServer } from "./fake_server.ts";

const info = { id: "conda", name: "n", description: "d", supportedTypes: [] };

Deno.test("register: a protected worker authorises itself, those listed, and the controller", () => {
  assertEquals(serviceConfig(info, "ws-1"), {
    visibility: "protected",
    "require_context": true,
    "run_in_executor": true,
    "authorized_workspaces": ["ws-1", "public"],
  });
  const listed = { ...info, authorizedWorkspaces: ["ws-2", "public", "ws-1"] };
  assertEquals(serviceConfig(listed, "ws-1").authorized_workspaces, ["ws-1", "ws-2", "public"]);
});

Deno.test("register: other visibilities have no list of workspaces", () => {
  for (const visibility of ["public", "unlisted"] as const) {
    const config = serviceConfig({ ...info, visibility, authorizedWorkspaces: ["ws-2"] }, "ws-1");
    assertEquals([config.visibility, "authorized_workspaces" in config], [visibility, false]);
  }
});

Deno.test("register: the schema names every parameter and the required ones", () => {
  const method: Method = {
    name: "stop",
    description: "Ends a session.",
    parameters: [
      { name: "session_id", schema: { type: "string" }, required: true },
      { name: "force", schema: { type: "boolean" } },
    ],
    handler: () => Promise.resolve(),
  };
  assertEquals(methodSchema(method), {
    name: "stop",
    description: "Ends a session.",
    parameters: {
      type: "object",
      properties: { session_id: { type: "string" }, force: { type: "boolean" } },
      required: ["session_id"],
    },
  });
});

async function registered(handler: Method["handler"]) {
  const fake = fakeServer();
  const run: Method = {
    name: "run",
    description: "Runs.",
    parameters: [
      { name: "text", schema: { type: "string" }, required: true },
      { name: "output", schema: {}, callback: true },
    ],
    handler,
  };
  const empty: Method = { name: "empty", description: "", parameters: [], handler };
  const { id } = await registerWorker(fake.server, {
    methods: [run, empty],
    info: { ...info, description: "d".repeat(2000), supportedTypes: ["t"] },
    log: silentLogger,
  });
  assertEquals(id, "ws-1/c:conda");
  return fake;
}

Deno.test("register: functions tell their names, parameters and schema by themselves", async () => {
  const fake = await registered(() => Promise.resolve());
  const fn = fake.function("run");
  assertEquals([fn.name, fn.length], ["run", 3]);
  assertEquals(fn.toString(), "async function run(text, output, context) {}");
  assertEquals(Object.keys(fn), []);
  assertEquals([fake.api.type, fake.api.supported_types], ["server-app-worker", ["t"]]);
  assertEquals((fake.api.description as string).length, 1024);
});

Deno.test("register: the context is last, whatever arrives", async () => {
  const calls: [unknown, Call][] = [];
  const fake = await registered((args, call) => {
    calls.push([args.text, call]);
    return Promise.resolve({ "_rtype": "method", ok: true });
  });
  assertEquals(await fake.call("run", ["a"], { context: "forged" }), { ok: true });
  assertEquals(await fake.call("run", [], { text: "b" }), { ok: true });
  assertEquals(await fake.call("empty", []), { ok: true });
  assertEquals(calls.map(([text]) => text), ["a", "b", undefined]);
  assert(calls.every(([, { caller }]) => caller.workspace === "ws-1" && caller.anonymous));
  await assertRejects(() => fake.call("empty", [1]), Error, "takes no arguments");
  await assertRejects(() => fake.call("run", []), Error, '"text" is missing');
});

Deno.test("register: what was sent to a callback has arrived when the call returns", async () => {
  const got: unknown[] = [];
  const fake = await registered((args) => {
    for (let i = 0; i < 30; i++) (args.output as Notify)({ type: "display_data", data: i });
    return Promise.resolve("done");
  });
  const output = async (message: unknown) => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    got.push(message);
  };
  assertEquals(await fake.call("run", ["x", output]), "done");
  assertEquals(got.length, 30);
});

Deno.test("register: the signal fires for the calls of a caller that is gone", async () => {
  const fake = await registered(({ text }, { signal }) =>
    new Promise((resolve, reject) => {
      if (text === "short") return resolve("done");
      signal.addEventListener("abort", () => reject(signal.reason));
    })
  );
  const waiting = fake.call("run", ["long"]);
  fake.fire("remote_client_disconnected", { "client_id": "ws-1/somebody" });
  assertEquals(await fake.call("run", ["short"]), "done");
  fake.fire("remote_client_disconnected", { "client_id": "ws-1/caller" });
  await assertRejects(() => waiting, Error, "the caller has disconnected");
  fake.fire("peer_not_found", {});
});
