/** What `get_logs` tells, at each moment of a session's life. */
import { Stage } from "./stage.ts";

Deno.test("the log of a session can be read at any moment of its life", async (t) => {
  await using stage = await Stage.start();
  const python = (body: string) =>
    stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
w = await server.get_service("conda-worker")
def times(logs):
    found = [i["timestamp"] for i in logs["items"]]
    check(found == sorted(found) and all(t.endswith("Z") and t.startswith("20") for t in found), found)
    return found
async def paged(id, limit, **more):
    items, offset = [], 0
    while True:
        page = await w.get_logs(id, offset=offset, limit=limit, **more)
        check(page["offset"] == offset and page["limit"] == limit and len(page["items"]) <= limit, page)
        if not page["items"]: return items
        items += page["items"]; offset += len(page["items"])
${body}`);

  await t.step("while it starts: each step of the making of its environment", async () => {
    await stage.managers.setFaults({ hang: "link" });
    await python(`
c = config("starting")
c["manifest"]["dependencies"] = ["python=3.11", "toy-a"]
start = asyncio.ensure_future(w.start(c))
async def linking():
    try: return "Linking" in str(await w.get_logs("starting"))
    except Exception: return False
await until(linking, "its environment is linked")
logs = await w.get_logs("starting")
times(logs)
check({i["type"] for i in logs["items"]} == {"progress"} and logs["total"] == len(logs["items"]), logs)
check("error" not in logs)
texts = [i["content"] for i in logs["items"]]
for earlier, later in [("Starting conda environment session", "Checking for cached conda environment"),
                       ("Checking for cached conda environment", "Creating new conda environment")]:
    check(texts.index(earlier) < texts.index(later), texts)
check((await w.get_logs("starting", type="stdout"))["items"] == [])
await w.stop("starting")
await fails(start)`);
    await stage.managers.setFaults({});
  });

  await t.step(
    "while it runs: output of the running cell, in order, in pages, by type",
    async () => {
      await python(`
await w.start(config("running"))
for n in range(3): await w.execute("running", "print('cell %d')" % n)
code = "import os, sys, time\\nprint('begun')\\nprint('wrong', file=sys.stderr)\\nwhile not os.path.exists('go'): time.sleep(0.01)\\nprint('over')"
cell = asyncio.ensure_future(w.execute("running", code, {"timeout": 300}))
async def begun(): return "wrong" in str(await w.get_logs("running", type="stderr"))
await until(begun, "the output of the running cell is there")
check(not cell.done())
out = await w.get_logs("running", type="stdout")
check([i["content"] for i in out["items"]] == ["cell 0\\n", "cell 1\\n", "cell 2\\n", "begun\\n"] and out["total"] == 4, out)
check((await w.get_logs("running", "stdout", 1, 2))["items"] == out["items"][1:3])
# A page is the same before and after the log has grown.
page = await w.get_logs("running", limit=3)
await w.write_file("running", "go", "")
await cell
check((await w.get_logs("running", limit=3))["items"] == page["items"])
everything = await w.get_logs("running")
times(everything)
check(await paged("running", 2) == everything["items"], everything)
check(await paged("running", 1, type="stdout") == [i for i in everything["items"] if i["type"] == "stdout"])
await w.execute("running", "1 / 0")
logs = await w.get_logs("running", type="error")
check("ZeroDivisionError" in logs["items"][-1]["content"] and "ZeroDivisionError" in logs["error"][-1], logs)
far = await w.get_logs("running", offset=10**6)
check(far["items"] == [] and far["total"] >= 6, far)`);
    },
  );

  await t.step("after it was stopped, and as long as others are not many", async () => {
    await python(`
before = await w.get_logs("running")
await w.stop("running")
after = await w.get_logs("running")
check(after["items"][:before["total"]] == before["items"], after)
check(after["items"][-1]["content"] == "Session stopped" and after["items"][-1]["type"] == "info", after)
times(after)
check("not found" in await fails(w.get_logs("never-started")))`);
  });

  await t.step(
    "after a failed start: what the script put out, its traceback, and nothing runs",
    async () => {
      await python(`
manager = await server.get_service("public/artifact-manager")
import urllib.request
made = await manager.create(alias="failing", type="generic", manifest={"name": "failing"}, stage=True)
url = "%s/ws-user-user-1/artifacts/failing/files/main.py?use_proxy=false" % SERVER
request = urllib.request.Request(url, data=b"print('before it failed')\\nraise RuntimeError('no data')", method="PUT",
    headers={"authorization": "Bearer " + os.environ["TOKEN_USER_1"]})
await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())
await manager.commit(made.id)
c = config("failed", artifact_id="ws-user-user-1/failing", token=os.environ["TOKEN_USER_1"])
c["manifest"]["entry_point"] = "main.py"
error = await fails(w.start(c))
check("RuntimeError: no data" in error and "line 2" in error, error)
logs = await w.get_logs("failed")
times(logs)
check("before it failed\\n" in [i["content"] for i in logs["items"] if i["type"] == "stdout"], logs)
check("RuntimeError: no data" in "".join(logs["error"]), logs)
check((await w.get_session_info("failed"))["status"] == "failed" and await w.list_sessions() == [])`);
    },
  );

  await t.step(
    "through the controller: the reason of a failed start, and the end of the log",
    async () => {
      await python(`
m = manifest()
m["startup_config"] = {"wait_for_service": "default", "timeout": 5}
script = "import sys\\nprint('looking for the model')\\nprint('no such model', file=sys.stderr)"
error = await fails(apps.install(app_id="silent", overwrite=True, manifest=m, files=files(main_dot_py=script)))
check("looking for the model" in error and "no such model" in error, error)
# An error of a later cell is the reason, too.
script = "import asyncio\\nasync def later():\\n    await asyncio.sleep(0.1)\\n    raise RuntimeError('the model is broken')\\nawait later()"
error = await fails(apps.install(app_id="broken", overwrite=True, manifest=m, files=files(main_dot_py=script)))
check("RuntimeError: the model is broken" in error, error)
check(await apps.list_running() == [] and await w.list_sessions() == [])`);
    },
  );
});
