import { assert, assertEquals, assertRejects } from "@std/assert";
// The client people use from JavaScript, which is also the one the worker uses.
import { hyphaWebsocketClient } from "hypha-rpc";
import { stackPaths } from "../stack/stack.ts";
import { Stage } from "./stage.ts";

// deno-lint-ignore no-explicit-any -- the client's services have the methods of the other side
type Service = Record<string, (...args: any[]) => Promise<any>>;

/** A JavaScript client in the workspace of `user-1`. */
async function javaScriptClient(stage: Stage) {
  const server = await hyphaWebsocketClient.connectToServer({
    server_url: stage.server.url,
    workspace: "ws-user-user-1",
    token: await stage.server.userToken({ user: "user-1" }),
    client_id: `js-${crypto.randomUUID()}`,
  });
  const worker = await server.getService("conda-worker") as Service;
  return { server, worker };
}

// The client keeps timers and a socket for some time after its end.
const unsanitized = { sanitizeOps: false, sanitizeResources: false };

Deno.test("clients of every kind reach the worker", unsanitized, async (t) => {
  await using stage = await Stage.start();
  const manifest = {
    type: "conda-jupyter-kernel",
    dependencies: ["python=3.11"],
    channels: [stackPaths.channel],
  };
  const { server, worker } = await javaScriptClient(stage);
  const call = (name: string, ...args: unknown[]) => worker[name]!(...args);
  /** Keyword arguments, as the JavaScript client marks them. */
  const keywords = (values: Record<string, unknown>) => ({ ...values, _rkwargs: true });

  await t.step("JavaScript: by position, by name, mixed, with callbacks", async () => {
    const id = await call("start", { id: "js", workspace: "ws-user-user-1", manifest });
    assertEquals(id, "js");
    assertEquals((await call("execute", id, "x = 20 + 1")).status, "ok");
    const named = await call("execute", keywords({ session_id: id, script: "x * 2" }));
    assertEquals(named.outputs[0].data["text/plain"], "42");
    const mixed = await call("execute", id, keywords({ script: "x", config: { timeout: 60 } }));
    assertEquals(mixed.outputs[0].data["text/plain"], "21");
    const live: { name: string; text: string }[] = [];
    const progress: { type: string }[] = [];
    await call(
      "execute",
      id,
      "import sys\nprint('out')\nprint('err', file=sys.stderr)",
      { timeout: 60 },
      (message: { type: string }) => void progress.push(message),
      async (output: { name: string; text: string }) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        live.push(output);
      },
    );
    assertEquals(live.map(({ name, text }) => [name, text]), [["stdout", "out\n"], [
      "stderr",
      "err\n",
    ]]);
    assertEquals(progress.map(({ type }) => type), ["info", "success"]);
  });

  await t.step("JavaScript: what is wrong is named", async () => {
    const refused = async (promise: Promise<unknown>) =>
      (await assertRejects(() => promise) as Error).message;
    assert((await refused(call("execute", "js"))).includes('"script" is missing'));
    assert((await refused(call("execute", "js", 5))).includes('"script" must be a text'));
    assert((await refused(call("execute", "nobody", "1"))).includes("not found"));
    assert((await refused(call("stop"))).includes('"session_id" is missing'));
    const unknown = call("execute", keywords({ session_id: "js", script: "1", colour: "red" }));
    assert((await refused(unknown)).includes("colour"));
  });

  await t.step("JavaScript: binary and large results travel whole", async () => {
    const result = await call("execute", "js", "print('x' * 3_000_000)", { timeout: 60 });
    assertEquals(result.outputs[0].text.length, 3_000_001);
  });

  await t.step("Python without async", async () => {
    const { code, stdout, stderr } = await stage.rawPython(`
import os, sys
from hypha_rpc.sync import connect_to_server
server = connect_to_server({"server_url": os.environ["SERVER"], "workspace": "ws-user-user-1", "token": os.environ["TOKEN_USER_1"]})
w = server.get_service("conda-worker")
w.start({"id": "sync", "workspace": "ws-user-user-1", "manifest": {"type": "conda-jupyter-kernel", "dependencies": ["python=3.11"], "channels": [os.environ["CHANNEL"]]}})
seen = []
r = w.execute("sync", "print('live'); 6 * 7", config={"timeout": 60}, output_callback=lambda o: seen.append(o["type"]))
assert r["outputs"][-1]["data"]["text/plain"] == "42", r
assert seen == ["stream", "execute_result"], seen
try:
    w.execute("sync")
    raise SystemExit("no error")
except Exception as error:
    assert '"script" is missing' in str(error), error
w.stop("sync")
print("DONE")
sys.stdout.flush()
os._exit(0)
`);
    assertEquals(code, 0, stderr);
    assert(stdout.includes("DONE"), stdout);
  });

  await t.step("callbacks that fail, hang or vanish do not hurt the cell", async () => {
    let calls = 0;
    const failing = await call("execute", "js", "for i in range(3): print(i)", {}, null, () => {
      calls++;
      throw new Error("the caller's own fault");
    });
    assertEquals([failing.status, failing.outputs[0].text], ["ok", "0\n1\n2\n"]);
    assert(calls >= 1);
    const hanging = await call(
      "execute",
      "js",
      "for i in range(3): print(i)",
      {},
      null,
      () => new Promise(() => {}),
    );
    assertEquals([hanging.status, hanging.outputs[0].text], ["ok", "0\n1\n2\n"]);
    // A client that goes away in the middle: its cell ends all the same.
    const leaving = await javaScriptClient(stage);
    const begun = Promise.withResolvers<void>();
    const abandoned = leaving.worker.execute!(
      "js",
      "import time\nfor i in range(20): print(i); time.sleep(0.05)\nfinished = True",
      { timeout: 60 },
      null,
      () => begun.resolve(),
    );
    abandoned.catch(() => {});
    await begun.promise;
    await leaving.server.disconnect();
    const after = await call("execute", "js", "finished");
    assertEquals(after.outputs[0].data["text/plain"], "True");
  });

  await call("stop", "js");
  await server.disconnect();
  assertEquals(await stage.sessionDirectories(), []);
});
