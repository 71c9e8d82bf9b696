/** A session's files through the whole stack: the Python client, a real server, the worker, real sessions. */
import { assertEquals } from "@std/assert";
import { Stage } from "./stage.ts";

Deno.test("clients reach the files of their sessions", async (t) => {
  await using stage = await Stage.start({ args: ["--max-stage-size=1MB"] });
  const python = (body: string) =>
    stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
manager = await server.get_service("public/artifact-manager")
import urllib.parse, urllib.request
def put(alias, path, content):
    url = "%s/ws-user-user-1/artifacts/%s/files/%s?use_proxy=false" % (SERVER, alias, urllib.parse.quote(path))
    request = urllib.request.Request(url, data=content, method="PUT",
        headers={"authorization": "Bearer " + os.environ["TOKEN_USER_1"]})
    urllib.request.urlopen(request).read()
async def artifact(alias, **contents):
    made = await manager.create(alias=alias, type="generic", manifest={"name": alias}, stage=True)
    for path, content in contents.items():
        await asyncio.to_thread(put, alias, path, content)
    await manager.commit(made.id)
async def names(alias, folder=""):
    return sorted(f["name"] for f in await manager.list_files("ws-user-user-1/" + alias, folder))
async def content(alias, path):
    url = await manager.get_file("ws-user-user-1/" + alias, path)
    return await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
async def logs(id):
    return [i["content"] for i in (await w.get_logs(id))["items"]]
${body}`);

  await t.step(
    "write, list, read, remove, by position and by name, also while a cell runs",
    async () => {
      await python(`
await w.start(config("s"))
call = asyncio.ensure_future(w.execute("s", "import os, time\\nwhile not os.path.exists('go/on'): time.sleep(0.01)\\nopen('seen', 'w').write(open('go/on').read())", {"timeout": 300}))
check(await w.list_files("s") == {"path": "", "items": [], "offset": 0, "next_offset": None})
check(await w.write_file("s", "go/on", "hällo") == {"path": "go/on", "written": 6, "size": 6})
await call
read = await w.read_file(session_id="s", path="seen")
check(read == {"path": "seen", "content": "hällo", "encoding": "utf-8", "size": 6, "offset": 0, "length": 6, "next_offset": None, "eof": True}, read)
blob = bytes(range(256))
check((await w.write_file("s", "b/blob", blob))["size"] == 256)
check((await w.read_file("s", "b/blob", encoding="bytes"))["content"] == blob)
check((await w.read_file("s", "b/blob", 250, 3, "base64"))["content"] == "+vv8")
check((await w.write_file("s", "b/blob", "AAEC", append=True, encoding="base64"))["size"] == 259)
check("not UTF-8" in await fails(w.read_file("s", "b/blob")))
check("not base64" in await fails(w.write_file("s", "x", "!!", encoding="base64")))
listing = await w.list_files("s", recursive=True)
check([i["path"] for i in listing["items"]] == ["b", "b/blob", "go", "go/on", "seen"], listing)
below = (await w.list_files("s", "b/"))["items"]
check(below[0]["path"] == "b/blob" and below[0]["name"] == "blob" and below[0]["size"] == 259 and below[0]["type"] == "file", below)
check(below[0]["modified"].startswith("20"))
page = await w.list_files("s", "", True, 1, 2)
check([i["path"] for i in page["items"]] == ["b/blob", "go"] and page["next_offset"] == 3, page)
await w.remove_file("s", "seen")
check("not empty" in await fails(w.remove_file("s", "b")))
await w.remove_file("s", "b", recursive=True)
check([i["path"] for i in (await w.list_files("s"))["items"]] == ["go"])`);
    },
  );

  await t.step("a large text is read in pages that end at whole characters", async () => {
    await python(`
await w.execute("s", "open('large', 'w').write('aä€😀' * 1000003)")
text, offset, pages = "", 0, 0
while offset is not None:
    page = await w.read_file("s", "large", offset)
    check(page["length"] <= 8 * 2**20 and page["eof"] == (page["next_offset"] is None))
    text += page["content"]; offset = page["next_offset"]; pages += 1
check(text == "aä€😀" * 1000003 and pages == 2, pages)
for length in range(1, 11):
    page = await w.read_file("s", "large", 0, length)
    check("aä€😀a".startswith(page["content"]) if length else True, page)
check("must be at most" in await fails(w.read_file("s", "large", 0, 2**30)))
check("more than 8388608 bytes" in await fails(w.write_file("s", "x", b"x" * (8 * 2**20 + 1))))`);
  });

  await t.step("paths that lead out are refused, and strangers are", async () => {
    await python(`
await w.execute("s", "import os; os.symlink('/etc', 'etc')")
for path in ["../x", "/etc/passwd", "a/../../x", "etc/passwd", "a\\\\b", "nul\\0"]:
    for call in (w.read_file("s", path), w.write_file("s", path, "x"), w.list_files("s", path), w.remove_file("s", path)):
        error = await fails(call)
        check("Cannot" in error and "root:" not in error, error)
check('link to "/etc"' in await fails(w.read_file("s", "etc/passwd")))
check("does not exist" in await fails(w.read_file("s", "none")))
other = await connect("user-2")
error = await fails(other.get_service("ws-user-user-1/conda-worker"))`);
  });

  await t.step("outputs are uploaded, with progress in bytes", async () => {
    await python(`
await artifact("results")
await w.execute("s", "import os; os.makedirs('out/deep', exist_ok=True)\\nfor n in ('a.csv', 'b.csv', 'deep/50% #1 ü.csv', 'c.txt'): open('out/' + n, 'w').write(n)")
progress = []
result = await w.upload_outputs("s", ["out/**/*.csv:tables/", "out/c.txt:c.txt"], "results", progress.append)
check(result["committed"] and result["artifact_id"] == "ws-user-user-1/results", result)
check(sorted(f["path"] for f in result["files"]) == ["c.txt", "tables/a.csv", "tables/b.csv", "tables/deep/50% #1 ü.csv"], result)
check(await names("results") == ["c.txt", "tables"])
check(await content("results", "tables/a.csv") == b"a.csv")
check(progress[-1]["bytes"]["done"] == result["bytes"], progress)
check("does not exist" in await fails(w.upload_outputs("s", ["out/a.csv", "nope"], "results")))
check("artifact does not exist" in await fails(w.upload_outputs("s", ["out/a.csv"], "none")))
other = await connect("user-2")
theirs = await other.get_service("public/artifact-manager")
await theirs.commit((await theirs.create(alias="foreign", type="generic", manifest={"name": "foreign"}, stage=True)).id)
check("permission denied" in await fails(w.upload_outputs("s", ["out/a.csv"], "ws-user-user-2/foreign")))
check("workspace/alias" in await fails(w.upload_outputs("s", ["out/a.csv"], "../x")))`);
  });

  await t.step("files_to_save are in the artifact when the session has been stopped", async () => {
    await python(`
await artifact("app", **{"main.py": b"print('main')"})
def saving(id, *entries, **more):
    c = config(id, artifact_id="ws-user-user-1/app", token=os.environ["TOKEN_USER_1"], **more)
    c["manifest"]["files_to_save"] = list(entries)
    return c
await w.start(saving("saved", "model.bin", "runs/*.json", "logs/:all logs/", "missing"))
await w.execute("saved", """
import os
os.makedirs("runs"); os.makedirs("logs/deep")
open("model.bin", "wb").write(os.urandom(100)); open("runs/1.json", "w").write("{}"); open("runs/2.txt", "w").write("")
open("logs/deep/l", "w").write("line"); open("logs/empty", "w").close(); os.symlink("/etc/passwd", "logs/link")""")
await w.stop("saved")
check(await names("app") == ["all logs", "main.py", "model.bin", "runs"], await names("app"))
check(await names("app", "runs") == ["1.json"] and await names("app", "all logs") == ["deep", "empty"])
check(await content("app", "all logs/deep/l") == b"line")
entries = await logs("saved")
check(any("Saved 4 files" in e for e in entries) and any('"missing": it does not exist' in e for e in entries), entries)
check(any("links are not followed" in e for e in entries), entries)
for call in (w.list_files("saved"), w.read_file("saved", "model.bin"), w.upload_outputs("saved", ["x"])):
    check("its files are gone" in await fails(call))

# A crash does not lose them, and a failure keeps no session from ending.
await w.start(saving("crashed", "late"))
await w.execute("crashed", "import os; open('late', 'w').write('kept'); os._exit(1)")
await w.stop("crashed")
check(await content("app", "late") == b"kept")
# Nor does the death of everything that was Python.
await w.start(saving("killed", "early"))
pid = (await w.execute("killed", "open('early', 'w').write('kept'); import os; os.getppid()"))["outputs"][-1]["data"]["text/plain"]
import signal
os.kill(int(pid), signal.SIGKILL)
async def dead(): return (await w.get_session_info("killed"))["status"] == "dead"
await until(dead, "its death is noticed")
await w.stop("killed")
check(await content("app", "early") == b"kept", await logs("killed"))
broken = saving("broken", "late")
broken["artifact_id"] = "ws-user-user-1/none"
await w.start(broken)
await w.execute("broken", "open('late', 'w').write('lost')")
await w.stop("broken")
check((await w.get_session_info("broken"))["status"] == "stopped")
check(any("Cannot save" in e and "does not exist" in e for e in await logs("broken")), await logs("broken"))
check("files_to_save" in await fails(w.start(saving("bad", 5))))
check('".."' in await fails(w.start(saving("bad", "../x"))))`);
  });

  await t.step("what is too much is not staged, and versions can be named", async () => {
    await python(`
await artifact("data", a=b"first", big=b"x" * 2000000)
await manager.edit("ws-user-user-1/data", stage=True, version="new")
await asyncio.to_thread(put, "data", "a", b"second")
await manager.commit("ws-user-user-1/data")
def staging(id, artifact_id, *entries, **more):
    c = config(id, artifact_id=artifact_id, token=os.environ["TOKEN_USER_1"], **more)
    c["manifest"]["files_to_stage"] = list(entries)
    return c
async def staged(id, *args, **more):
    await w.start(staging(id, *args, **more))
    text = (await w.read_file(id, "a"))["content"]
    await w.stop(id)
    return text
check(await staged("v", "ws-user-user-1/data", "a") == "second")
check(await staged("v", "ws-user-user-1/data@v0", "a") == "first")
check(await staged("v", "ws-user-user-1/data", "a", version="v0") == "first")
error = await fails(w.start(staging("v", "ws-user-user-1/data@v0", "big")))
check("more than 1.0 MB" in error, error)`);
  });

  await t.step("nothing of a session is left when it ends", async () => {
    await python(`
await w.write_file("s", "kept-open", "x")
await w.stop("s")`);
    assertEquals(await stage.sessionDirectories(), []);
  });
});
