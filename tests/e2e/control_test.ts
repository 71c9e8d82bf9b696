import { eventually, isAlive, Stage } from "./stage.ts";

Deno.test("clients control their sessions", async (t) => {
  await using stage = await Stage.start();
  const python = (body: string) =>
    stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
async def running(id, code, **more):
    begun = asyncio.Event()
    call = asyncio.ensure_future(w.execute(id, "print('begun', flush=True)\\n" + code, output_callback=lambda o: begun.set(), **more))
    await asyncio.wait_for(begun.wait(), 120)
    return call
${body}`);
  await python(`await w.start(config("s"))`);

  await t.step("interrupt ends the running cell and keeps the variables", async () => {
    await python(`
check(await w.interrupt("s") == {"interrupted": False})
call = await running("s", "kept = 1\\nwhile True: pass", config={"timeout": 0})
check(await w.interrupt("s") == {"interrupted": True})
check((await call)["error"]["ename"] == "KeyboardInterrupt")
call = await running("s", "import asyncio; await asyncio.sleep(1000)", config={"timeout": 0})
await w.interrupt("s")
check((await call)["error"]["ename"] == "KeyboardInterrupt")
check(stdout(await w.execute("s", "print(kept)")) == "1\\n")`);
  });

  await t.step(
    "a queued execution can be cancelled, and a running one is interrupted",
    async () => {
      await python(`
call = await running("s", "while True: pass", config={"timeout": 0, "execution_id": "one"})
queued = asyncio.ensure_future(w.execute("s", "never = 1", {"execution_id": "two"}))
last = asyncio.ensure_future(w.execute("s", "print('never' in globals())", {"execution_id": "three"}))
while (await w.get_session_info("s"))["pending_executions"] < 3: await asyncio.sleep(0.02)
check(await w.cancel("s", "two") == {"cancelled": True})
check("cancelled" in await fails(queued))
check(await w.cancel("s", "one") == {"cancelled": True})
check((await call)["error"]["ename"] == "KeyboardInterrupt")
result = await last
check(stdout(result) == "False\\n" and result["execution_id"] == "three", result)
check(await w.cancel("s", "one") == {"cancelled": False})`);
    },
  );

  await t.step("the queue is bounded, with a clear refusal", async () => {
    await python(`
call = await running("s", "while True: pass", config={"timeout": 0})
calls = [asyncio.ensure_future(w.execute("s", "1", {"execution_id": "q%d" % n})) for n in range(70)]
refused, waiting = set(), set(calls)
while len(refused) < 6:
    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    refused |= done
errors = [str(c.exception()) for c in refused]
check(all("64 executions" in e for e in errors), errors)
await w.interrupt("s")
results = await asyncio.gather(*waiting)
check(len(results) == 64 and all(r["status"] == "ok" for r in results))`);
  });

  await t.step(
    "restart gives a fresh namespace under the same id, also after a crash",
    async () => {
      await python(`
await w.execute("s", "x = 1\\nopen('file', 'w').close()")
call = await running("s", "while True: pass", config={"timeout": 0})
await w.restart("s")
result = await call
check(result["state_lost"] and "restarted" in result["error"]["evalue"], result)
check(stdout(await w.execute("s", "import os; print('x' in globals(), os.path.exists('file'))")) == "False True\\n")
await w.execute("s", "import os; os._exit(5)")
check("exit code 5" in await fails(w.execute("s", "1")))
await w.restart("s")
check(stdout(await w.execute("s", "print(1)")) == "1\\n")`);
    },
  );

  await t.step(
    "a cell that ignores its interrupt is killed, and the session goes on afresh",
    async () => {
      await python(`
code = "y = 1\\ndef spin():\\n    while True: pass\\nwhile True:\\n    try: spin()\\n    except KeyboardInterrupt: print(0)"
result = await w.execute("s", code, {"timeout": 3})
check(result["error"]["ename"] == "TimeoutError" and result.get("state_lost"), result)
check(stdout(await w.execute("s", "print('y' in globals())")) == "False\\n")
check((await w.get_session_info("s"))["status"] == "running")`);
    },
  );

  await t.step("a second interrupt ends a cell that has caught the first", async () => {
    await python(`
seen = {word: asyncio.Event() for word in ["trying", "caught"]}
def output(message):
    for word in seen:
        if word in str(message): seen[word].set()
code = "import time\\ntry:\\n  print('trying', flush=True)\\n  time.sleep(1000)\\nexcept KeyboardInterrupt: print('caught', flush=True)\\ntime.sleep(1000)"
call = asyncio.ensure_future(w.execute("s", code, {"timeout": 0}, output_callback=output))
for word in ["trying", "caught"]:
    await asyncio.wait_for(seen[word].wait(), 60)
    check(await w.interrupt("s") == {"interrupted": True})
result = await asyncio.wait_for(call, 60)
check(result["error"]["ename"] == "KeyboardInterrupt" and "caught" in stdout(result), result)`);
  });

  await t.step("how a session died is told, and restart revives it", async () => {
    await python(`
await w.execute("s", "import os")
for code, exit, signal, words in [
        ("os.write(2, b'last words\\\\n'); os._exit(5)", 5, None, "exit code 5"),
        ("import ctypes; ctypes.string_at(0)", None, "SIGSEGV", "Segmentation fault"),
        ("os.kill(os.getpid(), 9)", None, "SIGKILL", "out of memory, or killed from outside")]:
    result = await w.execute("s", code)
    check(result["status"] == "error" and result["state_lost"], result)
    later = await fails(w.execute("s", "1"))
    check(words in later and "is not alive" in later and "restart" in later, later)
    info = await w.get_session_info("s")
    check(info["status"] == "dead" and info["pid"] is None and info["usage"] is None, info)
    check(info["death"]["code"] == exit and info["death"]["signal"] == signal, info)
    check("last words" == info["death"]["stderr"] or exit is None, info)
    check([i["status"] for i in await w.list_sessions() if i["id"].endswith("/s")] == ["dead"])
    logs = await w.get_logs("s", type="error")
    check("ended with" in logs["items"][-1]["content"], logs)
    await w.restart("s")
    check((await w.get_session_info("s"))["death"] is None)
    await w.execute("s", "import os")`);
  });

  await t.step(
    "sessions of a fork server that was killed are restarted in another one, and nothing is left",
    async () => {
      const [pid] = JSON.parse(
        await python(`
await w.start(config("neighbour"))
daemon = """
import os, time
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(write, b"%d" % os.getpid())
        time.sleep(1000)
    os._exit(0)
os.wait()
print(os.read(read, 20).decode(), os.getppid())"""
pid, server = map(int, stdout(await w.execute("s", daemon)).split())
call = await running("neighbour", "import time; time.sleep(1000)", config={"timeout": 0})
os.kill(server, 9)
result = await asyncio.wait_for(call, 60)
check(result["state_lost"] and "fork server of its environment ended with signal SIGKILL" in result["error"]["evalue"], result)
check("fork server" in await fails(w.execute("neighbour", "1")))
await asyncio.gather(w.restart("s"), w.restart("neighbour"))
servers = [int(stdout(await w.execute(id, "import os; print(os.getppid())"))) for id in ["s", "neighbour"]]
check(servers[0] == servers[1] != server, servers)
await w.stop("neighbour")
print(json.dumps([pid]))`),
      ) as [number];
      await eventually(async () => !await isAlive(pid), "the daemon of the session ends");
    },
  );

  await t.step("a session is told what it may use of the machine", async () => {
    await python(`
resources = (await w.get_session_info("s"))["resources"]
check(0 < resources["cpus"] <= resources["cpu_affinity"], resources)
check(0 < resources["memory_limit"] <= resources["memory_total"], resources)
check(isinstance(resources["gpu"]["devices"], list) and "CUDA_VISIBLE_DEVICES" in resources["gpu"]["visible"], resources)`);
  });

  await t.step("input asks the client, and fails at once without one", async () => {
    await python(`
asked = []
def answer(question):
    asked.append(question)
    return "forty two"
async def aanswer(question):
    await asyncio.sleep(0.01)
    return "secret"
result = await w.execute("s", "print(input('value? ').split())", input_callback=answer)
check(stdout(result) == "['forty', 'two']\\n", result)
check(dict(asked[0]) == {"prompt": "value? ", "password": False}, asked)
result = await w.execute("s", "import getpass; print(len(getpass.getpass()))", input_callback=aanswer)
check(stdout(result) == "6\\n", result)
def broken(question): raise ValueError("no idea")
result = await w.execute("s", "input()", input_callback=broken)
check(result["error"]["ename"] == "EOFError", result)
result = await w.execute("s", "input()")
check(result["error"]["ename"] == "InputNotAvailable", result)
async def slow(question): await asyncio.sleep(1000)
result = await w.execute("s", "input()", {"timeout": 0.5}, input_callback=slow)
check(result["error"]["ename"] == "TimeoutError", result)
check(stdout(await w.execute("s", "import sys; print(repr(sys.stdin.read()))")) == "''\\n")`);
  });

  await t.step("variables of one execution, silent cells, and cells without history", async () => {
    await python(`
show = "import os; print(os.environ.get('ONCE'), 'HOME' in os.environ)"
check(stdout(await w.execute("s", show, {"env": {"ONCE": "1", "HOME": None}})) == "1 False\\n")
check(stdout(await w.execute("s", show)) == "None True\\n")
check("not a name" in await fails(w.execute("s", "1", {"env": {"A=B": "1"}})))
before = (await w.execute("s", "1"))["execution_count"]
result = await w.execute("s", "quiet = 5\\nquiet", {"silent": True})
check(result["outputs"] == [], result)
result = await w.execute("s", "quiet", {"store_history": False})
check(result["outputs"][0]["data"]["text/plain"] == "5", result)
check((await w.execute("s", "1"))["execution_count"] == before + 1)`);
  });

  await t.step("completion, inspection and the list of variables", async () => {
    await python(`
await w.execute("s", "def documented(a, b=2):\\n    'Adds things.'\\n    return a + b\\nnumbers = [1, 2, 3]")
result = await w.complete("s", "docum")
check(result["matches"] == ["documented"] and result["cursor_start"] == 0 and result["cursor_end"] == 5, result)
result = await w.complete("s", "x = numbers.app + 1", 15)
check("append" in "".join(result["matches"]), result)
result = await w.inspect("s", "documented(1)", 3)
check(result["found"] and "Adds things." in result["data"]["text/plain"] and "(a, b=2)" in result["data"]["text/plain"], result)
check("return a + b" in (await w.inspect("s", "documented", 3, 1))["data"]["text/plain"])
check(not (await w.inspect("s", "nothing_here"))["found"])
variables = {v["name"]: v for v in await w.list_variables("s")}
check(variables["numbers"]["type"] == "list" and variables["numbers"]["length"] == 3, variables)
check("display" not in variables and "hypha_config" not in variables, variables)`);
  });

  await t.step("limits of an app hold, and what a session uses is told", async () => {
    await python(`
def limited(id, **more):
    c = config(id)
    c["manifest"].update(more)
    return c
await w.start(limited("small", limits={"memory": "1GiB", "open_files": 64, "file_size": "1MB"}, env={"FROM_APP": "yes"}))
result = await w.execute("small", "x = bytearray(2 * 2**30)")
check(result["error"]["ename"] == "MemoryError", result)
result = await w.execute("small", "import os; files = [open('/dev/null') for _ in range(100)]")
check(result["error"]["ename"] == "OSError", result)
check(stdout(await w.execute("small", "print(os.environ['FROM_APP'])")) == "yes\\n")
await w.execute("small", "x = bytearray(50 * 2**20)\\nimport subprocess; p = subprocess.Popen(['sleep', '100'])")
info = await w.get_session_info("small")
check(info["usage"]["memory_bytes"] > 50 * 2**20 and info["usage"]["processes"] == 2, info)
check(info["limits"]["memory"] == 2**30, info)
check("limits.memory" in await fails(w.start(limited("bad", limits={"memory": "lots"}))))
await w.stop("small")
check((await w.get_session_info("small"))["usage"] is None)`);
  });

  await t.step("plots are drawn without searching the machine's fonts anew", async () => {
    await python(`
c = config("plots")
c["manifest"]["dependencies"] = ["python=3.11", "matplotlib"]
await w.start(c)
look = """
import glob, os
[path] = glob.glob(os.path.expanduser("~/.cache/matplotlib/fontlist-*.json"))
print(os.path.basename(path), os.stat(path).st_mtime_ns)"""
before = stdout(await w.execute("plots", look))
check("fontlist" in before, before)
result = await w.execute("plots", "import matplotlib.pyplot as plt\\nplt.plot([1, 3, 2]);", {"timeout": 300})
check(result["status"] == "ok" and "image/png" in result["outputs"][-1]["data"], result)
check(stdout(await w.execute("plots", look)) == before)
await w.stop("plots")`);
  });

  await t.step("idle and old sessions end by themselves, busy ones do not", async () => {
    await python(`
def limited(id, **more):
    c = config(id)
    c["manifest"].update(more)
    return c
await w.start(limited("idle", idle_timeout=0.5))
await w.start(limited("old", max_lifetime=1))
await w.start(limited("busy", idle_timeout=5))
code = "import os, time\\nend = time.monotonic() + 6\\nwhile time.monotonic() < end or not os.path.exists('go'): time.sleep(0.02)\\nprint('done')"
call = asyncio.ensure_future(w.execute("busy", code, {"timeout": 300}))
for id in ["idle", "old"]:
    async def stopped(): return (await w.get_session_info(id))["status"] == "stopped"
    await until(stopped, id)
check(not call.done())
await w.write_file("busy", "go", "")
logs = await w.get_logs("idle", type="info")
check("nothing was executed" in logs["items"][0]["content"], logs)
check(stdout(await call) == "done\\n")`);
  });
});
