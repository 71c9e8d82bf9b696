import { assert, assertEquals } from "@std/assert";
import { Stage } from "./stage.ts";

Deno.test("clients use a worker directly", async (t) => {
  await using stage = await Stage.start({ args: ["--visibility=public"] });
  await stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
check(await worker.start(config("s")) == "s")`);

  await t.step("positional, keyword and mixed arguments all arrive", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
seen = []
async def aprogress(p): seen.append(("async", p["message"]))
def progress(p): seen.append(("sync", p["message"]))
def output(o): seen.append(("output", o["text"]))
for call in [
    lambda: w.execute("s", "print(6*7)", {"timeout": 90}, progress, output),
    lambda: w.execute(session_id="s", script="print(6*7)", config={"timeout": 90}, progress_callback=progress, output_callback=output),
    lambda: w.execute("s", "print(6*7)", config={"timeout": 90}, output_callback=output, progress_callback=aprogress),
    lambda: w.execute("s", script="print(6*7)", progress_callback=aprogress, output_callback=output),
]:
    seen.clear()
    result = await call()
    check(result["status"] == "ok" and result["error"] is None and stdout(result) == "42\\n", result)
    check(("output", "42\\n") in seen and len(seen) == 3, seen)
logs = await w.get_logs("s", type="stdout", limit=2, offset=1)
check(logs["offset"] == 1 and logs["limit"] == 2 and len(logs["items"]) == 2, logs)
check(logs["total"] == 4, logs)
check(all(i["type"] == "stdout" and i["timestamp"] for i in logs["items"]), logs)
logs = await w.get_logs("s", "stdout", 3)
check(len(logs["items"]) == 1, logs)`);
  });

  await t.step("wrong arguments are refused by name", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
for call, words in [
    (lambda: w.execute("s"), ["script", "missing"]),
    (lambda: w.execute("s", 5), ["script"]),
    (lambda: w.execute("s", "1", nonsense=1), ["nonsense"]),
    (lambda: w.execute("s", "1", {"timeout": "soon"}), ["timeout"]),
    (lambda: w.get_logs("s", type="nonsense"), ["type"]),
    (lambda: w.get_logs("s", offset=-1), ["offset"]),
    (lambda: w.execute("nobody", "1"), ["SessionNotFoundError", "nobody not found"]),
    (lambda: w.get_session_info("nobody"), ["not found"]),
    (lambda: w.start(config("s")), ["already exists"]),
    (lambda: w.start(config("../../etc")), ["config.id"]),
    (lambda: w.start({"id": "x", "workspace": "ws-user-user-1", "manifest": {"dependencies": ["--help"]}}), ["--help"]),
    (lambda: w.start({"id": "x", "workspace": "ws-user-user-1", "manifest": {"type": "web-app"}}), ["web-app"]),
]:
    error = await fails(call())
    check(all(word in error for word in words), words, error)
await w.stop("nobody")
sessions = await w.list_sessions("ws-user-user-1")
check([s["session_id"] for s in sessions] == ["ws-user-user-1/s"], sessions)`);
  });

  await t.step("a session behaves as a notebook", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
run = lambda code, **more: w.execute("s", code, **more)
result = await run("x = 40\\nx + 2")
check(result["outputs"][0]["data"] == {"text/plain": "42"}, result)
check(result["outputs"][0]["type"] == "execute_result" and result["outputs"][0]["execution_count"] > 0, result)
result = await run("def f():\\n    return 1/0\\n\\nf()")
check(result["status"] == "error" and result["error"]["ename"] == "ZeroDivisionError", result)
check('line 4, in <module>' in result["error"]["traceback"][1] and "line 2, in f" in "\\n".join(result["error"]["traceback"]), result)
check(stdout(await run("import asyncio\\nawait asyncio.sleep(0.01)\\nprint(x)")) == "40\\n")
result = await run("import time\\ntime.sleep(30)", config={"timeout": 0.5})
check(result["status"] == "error" and result["error"]["ename"] == "TimeoutError", result)
check(stdout(await run("print(x)")) == "40\\n")
result = await run("import os, sys; os.system('echo shell'); print('err', file=sys.stderr); os.path.basename(os.getcwd())")
check(stdout(result) == "shell\\n" and result["outputs"][-1]["data"]["text/plain"] == "'work'", result)
results = await asyncio.gather(*[run("order = globals().setdefault('order', [])\\norder.append(%d)\\nprint(%d)" % (n, n)) for n in range(10)])
check([stdout(r) for r in results] == ["%d\\n" % n for n in range(10)], results)
check(stdout(await run("print(order == list(range(10)))")) == "True\\n")
old = await w.execute_code("s", "print('hello')\\n21*2")
check(old["success"] and old["stdout"] == "hello\\n" and old["result"] == "42" and old["error"] is None and old["timing"]["execution_time"] > 0, old)
old = await w.execute_code("s", "1/0")
check(not old["success"] and "ZeroDivisionError" in old["error"], old)`);
  });

  await t.step("output arrives while the cell runs", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
first = asyncio.Event()
cell = asyncio.ensure_future(w.execute("s", "import time, os\\nprint('now', flush=True)\\nwhile not os.path.exists('go'): time.sleep(0.01)",
                                       {"timeout": 300}, output_callback=lambda o: first.set()))
await asyncio.wait_for(first.wait(), 120)
check(not cell.done())
other = await connect()
info = await w.get_session_info("s")
open(os.path.join(info["working_directory"], "go"), "w").close()
check((await cell)["status"] == "ok")`);
  });

  await t.step("five thousand prints do not disconnect the worker", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
got = []
result = await w.execute("s", "for n in range(5000): print(n, flush=True)", output_callback=lambda o: got.append(o["text"]))
check(stdout(result) == "".join("%d\\n" % n for n in range(5000)))
check("".join(got) == stdout(result), len(got))`);
  });

  await t.step(
    "a killed process is reported at once, and the session can be started again",
    async () => {
      await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
await w.start(config("crash"))
result = await w.execute("crash", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
check(result["error"]["ename"] == "DeadKernelError" and result["state_lost"], result)
error = await fails(w.execute("crash", "1"))
check("Kernel for session" in error and "not alive" in error, error)
check((await w.get_session_info("crash"))["status"] == "dead")
await w.stop("crash")
await w.start(config("crash"))
check(stdout(await w.execute("crash", "print(1)")) == "1\\n")
await w.stop("crash")`);
    },
  );

  await t.step("HTTP callers get the same answers", async () => {
    const token = await stage.server.userToken({ user: "user-1" });
    const id = await stage.python(`
server = await connect()
print((await server.get_service("conda-worker")).id)`);
    const service = id.trim().split("/")[1];
    const url = `${stage.server.url}/ws-user-user-1/services/${service}/execute`;
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ session_id: "ws-user-user-1/s", script: "print('by http')" }),
    });
    const result = await response.json();
    assertEquals(response.status, 200, JSON.stringify(result));
    assertEquals(result.outputs[0].text, "by http\n");
    const refused: [body: Record<string, unknown>, words: string[]][] = [
      [{ session_id: "ws-user-user-1/s" }, ["script", "is missing"]],
      [{ session_id: "ws-user-user-1/s", script: 5 }, ["script", "must be a text"]],
      [{ session_id: "ws-user-user-1/s", script: "1", colour: "red" }, ["colour"]],
      [{ session_id: "nobody", script: "1" }, ["nobody not found", "list_sessions"]],
    ];
    for (const [body, words] of refused) {
      const response = await fetch(url, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      assert(response.status >= 400, `${response.status}: ${text}`);
      for (const word of words) assert(text.includes(word), text);
    }
  });

  await t.step("sessions belong to their workspace", async () => {
    await stage.python(`
mine = await connect()
worker_id = (await mine.get_service("conda-worker")).id
other = await connect("user-2")
w = await other.get_service(worker_id)
full = "ws-user-user-1/s"
for call in [
    lambda: w.execute(full, "1"), lambda: w.execute_code(full, "1"), lambda: w.stop(full), lambda: w.get_logs(full),
    lambda: w.get_session_info(full), lambda: w.list_sessions("ws-user-user-1"), lambda: w.close_workspace("ws-user-user-1"),
    lambda: w.start(config("t")), lambda: w.start(config("ws-user-user-1/t", workspace="ws-user-user-2")),
    lambda: w.shutdown(),
]:
    error = await fails(call())
    check("PermissionDenied" in error or "config.id" in error, error)
# The same short id is another session in another workspace.
check("not found" in await fails(w.execute("s", "1")))
await w.start(config("s", workspace="ws-user-user-2"))
check(stdout(await w.execute("s", "print('x' in globals())")) == "False\\n")
await w.stop("s")
mine_w = await mine.get_service("conda-worker")
check(stdout(await mine_w.execute("s", "print(x)")) == "40\\n")
nobody = await connect_to_server({"server_url": SERVER})
w = await nobody.get_service(worker_id)
check("anonymous" in await fails(w.start(config("a", workspace=nobody.config.workspace))))
check("PermissionDenied" in await fails(w.execute(full, "1")))`);
  });

  await t.step("sessions do not see the worker's token or each other's", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
await w.start(config("secret", token="a-token-of-this-session"))
result = await w.execute("secret", "import os; print(os.environ.get('HYPHA_TOKEN'), hypha_config['token'], os.environ['HYPHA_WORKSPACE'], hypha_config['client_id'])")
check(stdout(result) == "a-token-of-this-session a-token-of-this-session ws-user-user-1 secret\\n", result)
result = await w.execute("s", "import os; print('HYPHA_TOKEN' in os.environ, [k for k, v in os.environ.items() if 'eyJ' in v or 'TOKEN' in k])")
check(stdout(result) == "False []\\n", result)
await w.stop("secret")`);
    assert(!stage.worker.stderr.includes("a-token-of-this-session"));
  });
});
