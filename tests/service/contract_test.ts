/** The contract with a real Hypha server and its real Python client. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import type { ConnectionEvent } from "../../lib/service/connection.ts";
import { registerWorker } from "../../lib/service/register.ts";
import { type HyphaServer, startHypha } from "../stack/hypha.ts";
import { runPythonClient } from "../stack/python_client.ts";
import { connectTestWorker, methodsOfTest, type Seen } from "./sample_worker.ts";

const PRELUDE = `
import asyncio, json, os
from hypha_rpc import connect_to_server

def plain(value):
    if isinstance(value, dict): return {k: plain(v) for k, v in dict.items(value)}
    if isinstance(value, (list, tuple)): return [plain(v) for v in value]
    return value

results = {}
async def attempt(name, call):
    try: results[name] = plain(await call)
    except Exception as error: results[name] = "ERROR " + str(error)

async def connect():
    return await connect_to_server({"server_url": os.environ["URL"], "token": os.environ["TOKEN"],
        "workspace": os.environ["WORKSPACE"]})
`;

/** Runs `body` as the inside of an async function with `server` and `worker`; answers its `results`. */
// deno-lint-ignore no-explicit-any -- whatever the text puts into its results
async function python(hypha: HyphaServer, body: string, user = "user-1"): Promise<any> {
  const lines = body.trim().split("\n").map((line) => `    ${line}`).join("\n");
  const script = `${PRELUDE}
async def main():
    server = await connect()
    worker = await server.get_service(os.environ["WORKER"])
${lines}
    await server.disconnect()
    print("RESULTS" + json.dumps(results))
asyncio.run(main())
`;
  const { code, stdout, stderr } = await runPythonClient(script, {
    env: {
      URL: hypha.url,
      TOKEN: await hypha.userToken({ user }),
      WORKSPACE: hypha.workspaceOf(user),
      WORKER: `${hypha.workspaceOf("user-1")}/conda-worker-test:conda`,
    },
  });
  const line = stdout.split("\n").find((one) => one.startsWith("RESULTS"));
  assert(code === 0 && line !== undefined, stderr.slice(-3000));
  return JSON.parse(line.slice("RESULTS".length));
}

// The client of the worker keeps timers and a socket beyond a test.
const unsanitized = { sanitizeOps: false, sanitizeResources: false };

Deno.test("contract: a real Hypha server and Python client", unsanitized, async (t) => {
  await using hypha = await startHypha();
  const seen: Seen = { calls: [] };
  const events: ConnectionEvent[] = [];
  await using connection = await connectTestWorker(hypha, seen, {
    onEvent: (event) => events.push(event),
  });
  assertEquals(connection.serviceId, "ws-user-user-1/conda-worker-test:conda");

  await t.step("every way to pass arguments delivers all of them", async () => {
    const results = await python(
      hypha,
      `
got = []
async def later(message): got.append(plain(message))
def now(message): got.append(plain(message))
await attempt("mixed", worker.execute("S", "code", config={"timeout": 3}, progress_callback=later))
await attempt("positional", worker.execute("S", "code", {"timeout": 3}, later, now))
await attempt("keywords", worker.execute(session_id="S", script="code", output_callback=now))
await attempt("context", worker.execute("S", "code", config=None, context={"user": "forged"}))
await attempt("logs", worker.get_logs("S", type="stdout", offset=2, limit=5, context={}))
await attempt("load", worker.get_load())
await attempt("start", worker.start({"id": "a/b", "progress_callback": later}, context={}))
results["got"] = got
results["schema"] = plain(worker.execute.__schema__)
`,
    );
    const base = { session_id: "S", script: "code" };
    const both = { progress_callback: "callback", output_callback: "callback" };
    assertEquals(results.mixed.args, {
      ...base,
      config: { timeout: 3 },
      progress_callback: "callback",
    });
    assertEquals(results.positional.args, { ...base, config: { timeout: 3 }, ...both });
    assertEquals(results.keywords.args, { ...base, output_callback: "callback" });
    assertEquals(results.context.args, base);
    assertEquals(results.context.caller, {
      kind: "direct",
      workspace: "ws-user-user-1",
      user: "user-1",
      anonymous: false,
      admin: true,
    });
    assertEquals(results.logs, { items: [], total: 0, type: "stdout", offset: 2, limit: 5 });
    assertEquals([results.load, results.start], [0.5, "a/b"]);
    const progress = { type: "info", message: "Executing" };
    const output = { type: "stream", name: "stdout", text: "the end" };
    const started = { type: "info", message: "Starting" };
    // Two callbacks of one call, one of them async, promise no order between them.
    const got = (results.got as Record<string, string>[]).toSorted((a, b) =>
      (a.message ?? a.text)!.localeCompare((b.message ?? b.text)!)
    );
    assertEquals(got, [progress, progress, started, output, output]);
    assertEquals(results.schema.parameters.required, ["session_id", "script"]);
    assertEquals(Object.keys(results.schema.parameters.properties).length, 5);
  });

  await t.step("wrong arguments and faults are readable errors with the right name", async () => {
    const results = await python(
      hypha,
      `
await attempt("missing", worker.execute("S"))
await attempt("unknown", worker.execute("S", "c", bogus=1))
await attempt("many", worker.get_load(1))
await attempt("type", worker.execute("S", "c", {"timeout": "soon"}))
await attempt("callback", worker.execute("S", "c", output_callback=5))
await attempt("typed", worker.execute("S", "fail"))
await attempt("fault", worker.execute("S", "bug"))
`,
    );
    assertStringIncludes(
      results.missing,
      'InvalidArgumentError: Cannot call execute: argument "sc',
    );
    assertStringIncludes(results.unknown, 'no argument "bogus"');
    assertStringIncludes(results.many, "Cannot call get_load: it takes no arguments");
    assertStringIncludes(results.type, '"config.timeout" must be a number');
    assertStringIncludes(results.callback, '"output_callback" must be a function');
    assertStringIncludes(
      results.typed,
      "SessionNotFoundError: Cannot execute: session S not found",
    );
    assertStringIncludes(results.fault, "WorkerError: Cannot finish execute");
    for (const text of Object.values(results)) assert(!/\.ts\b|file:/.test(String(text)));
  });

  await t.step("HTTP callers are served", async () => {
    const token = await hypha.userToken({ user: "user-1" });
    const url = `${hypha.url}/ws-user-user-1/services/conda-worker-test:conda/execute`;
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ script: "code", session_id: "H", config: { timeout: 1 } }),
    });
    const { args, caller } = await response.json();
    assertEquals(args, { session_id: "H", script: "code", config: { timeout: 1 } });
    assertEquals([caller.kind, caller.user], ["direct", "user-1"]);
  });

  await t.step(
    "5000 rapid notifications arrive joined, in exact order, and do not disconnect",
    async () => {
      const results = await python(
        hypha,
        `
messages = []
await worker.execute("S", "flood", output_callback=lambda message: messages.append(plain(message)))
results["messages"] = len(messages)
results["all"] = "".join(m["text"] for m in messages)
for name in ["stdout", "stderr"]:
    results[name] = "".join(m["text"] for m in messages if m["name"] == name)
`,
      );
      const numbers = Array.from({ length: 5000 }, (_, i) => i);
      const joined = (list: number[]) => list.map((i) => `<${i}>`).join("");
      assertEquals(results.stdout, joined(numbers.filter((i) => i % 7 !== 0)) + "the end");
      assertEquals(results.stderr, joined(numbers.filter((i) => i % 7 === 0)));
      assertEquals(results.all, joined(numbers) + "the end");
      // The stream changes 1430 times, and each run of one stream is a message or a few.
      assert(results.messages < 1600, String(results.messages));
      assertEquals(events, []);
    },
  );

  await t.step("large arguments and results travel whole", async () => {
    const results = await python(
      hypha,
      `
answer = await worker.execute("S", "c" * 2_000_000, config={}, progress_callback=lambda m: None)
results["length"] = len(answer["args"]["script"])
`,
    );
    assertEquals(results.length, 2_000_000);
  });

  await t.step("the signal of a call fires when its caller disconnects", async () => {
    await python(
      hypha,
      `
begun = asyncio.Event()
asyncio.ensure_future(worker.execute("S", "wait", progress_callback=lambda p: begun.set()))
await begun.wait()
`,
    );
    const waiting = seen.calls.findLast((one) => one.args.script === "wait");
    const deadline = performance.now() + 60_000;
    while (!waiting?.call.signal.aborted && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert(waiting?.call.signal.aborted);
  });

  await t.step("strangers are kept out of a protected worker", async () => {
    const { code, stderr } = await runPythonClient(
      `${PRELUDE}
async def main():
    server = await connect()
    await server.get_service(os.environ["WORKER"])
asyncio.run(main())
`,
      {
        env: {
          URL: hypha.url,
          TOKEN: await hypha.userToken({ user: "user-2" }),
          WORKSPACE: hypha.workspaceOf("user-2"),
          WORKER: connection.serviceId,
        },
      },
    );
    assert(code !== 0);
    assertMatch(stderr, /permission|not found|denied/i);
  });

  await t.step(
    "without the controller among the authorised a protected worker is found, and fails",
    async () => {
      await using _plain = await connectTestWorker(hypha, { calls: [] }, {
        clientId: "plain-worker-test",
        info: { supportedTypes: ["plain-type"] },
        register: (server) => {
          // As a worker does that knows nothing of this, such as the one in Python.
          const registerService: typeof server.registerService = (api, options) => {
            const { authorized_workspaces: _, ...config } = api.config as Record<string, unknown>;
            return server.registerService({ ...api, config }, options);
          };
          return registerWorker({
            ...server,
            rpc: server.rpc,
            config: server.config,
            registerService,
          }, {
            methods: methodsOfTest({ calls: [] }),
            log: silentLogger,
            info: {
              id: "conda",
              name: "plain",
              description: "",
              supportedTypes: ["plain-type"],
            },
          });
        },
      });
      const results = await python(
        hypha,
        `
apps = await server.get_service("public/server-apps")
results["found"] = [w["id"] for w in plain(await apps.list_workers()) if "plain-worker-test" in w["id"]]
manifest = {"name": "plain", "type": "plain-type", "entry_point": "main.py"}
await attempt("installed", apps.install(manifest=manifest, files=[{"path": "main.py", "content": "1"}],
    app_id="plain", overwrite=True, wait_for_service=False, timeout=300))
`,
      );
      assertEquals(results.found.length, 1, JSON.stringify(results));
      assertMatch(results.installed, /workspace mismatch|Permission denied/);
    },
  );

  await t.step("the app controller reaches a protected worker", async () => {
    seen.calls.length = 0;
    const results = await python(
      hypha,
      `
apps = await server.get_service("public/server-apps")
manifest = {"name": "demo", "type": "conda-jupyter-kernel", "entry_point": "main.py",
    "dependencies": ["python"], "files_to_stage": ["a.csv"]}
await apps.install(manifest=manifest, files=[{"path": "main.py", "content": "print(1)"}],
    app_id="demo", overwrite=True, wait_for_service=False, timeout=300)
session = await apps.start("demo", wait_for_service=False, timeout=300)
results["id"] = session["id"]
results["worker"] = session["worker_id"]
results["logs"] = plain(await apps.get_logs(session["id"], type="stdout", limit=3))
await apps.stop(session["id"])
`,
    );
    assertEquals(results.worker, connection.serviceId);
    assertEquals(results.logs, { items: [], total: 0, type: "stdout", offset: 0, limit: 3 });
    const start = seen.calls.findLast((one) => one.method === "start");
    assertEquals(start?.call.caller.kind, "controller");
    const config = start?.args.config as Record<string, Record<string, unknown>>;
    assertEquals(config.workspace as unknown, "ws-user-user-1");
    assertEquals(config.manifest?.files_to_stage, ["a.csv"]);
    assert(config.manifest !== undefined && !("_rtype" in config.manifest));
    const stop = seen.calls.findLast((one) => one.method === "stop");
    assertEquals(stop?.args.session_id, results.id);
  });
});

Deno.test("contract: the worker comes back after the server", unsanitized, async (t) => {
  await using hypha = await startHypha();
  const secret = crypto.randomUUID();
  await hypha.restart({ secret });
  const events: ConnectionEvent[] = [];
  const connection = await connectTestWorker(hypha, { calls: [] }, {
    onEvent: (event) => events.push(event),
    checkInterval: 1000,
    checkTimeout: 2000,
    maxBackOff: 1000,
  });

  await t.step("it goes on trying while its token is refused", async () => {
    await hypha.restart({ secret: crypto.randomUUID() });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assertEquals([connection.state, events.length], ["reconnecting", 1]);
  });

  await t.step("and serves again when the server accepts it", async () => {
    await hypha.restart({ secret });
    const deadline = performance.now() + 120_000;
    while (connection.state !== "connected") {
      assert(performance.now() < deadline, "the worker did not come back");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const call = `await attempt("mixed", worker.execute("S", "code", config={"timeout": 3}))`;
    assertEquals((await python(hypha, call)).mixed.args.config, { timeout: 3 });
  });

  await t.step("closing works while the server is away", async () => {
    await hypha.stop();
    await connection.close();
    const types = events.map((event) => event.type);
    assertEquals(types.slice(0, 2), ["lost", "reconnected"]);
    // Whether the loss is noticed before the close is a matter of moments.
    assertEquals(types.at(-1), "closed");
    assertEquals(types.filter((type) => type === "closed").length, 1);
  });
});
