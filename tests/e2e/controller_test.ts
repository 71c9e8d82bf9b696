import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { eventually, isAlive, Stage } from "./stage.ts";

Deno.test("apps run through the app controller", async (t) => {
  await using stage = await Stage.start();

  await t.step("install, start, list, logs, stop; one environment for both starts", async () => {
    const stdout = await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
messages = []
app = await apps.install(app_id="first", overwrite=True, timeout=300, progress_callback=lambda p: messages.append(p["message"]),
    manifest=manifest(files_to_stage=["data/"]), files=files(main_dot_py="print('hello from the script')\\nanswer = 42", data__a_dot_txt="A"))
for text in ["Starting conda environment session", "Fetching application script", "Setting up conda environment",
             "Checking for cached conda environment", "Creating new conda environment", "Installing packages",
             "Executing initialization script", "started successfully"]:
    check(any(text in m for m in messages), text, messages)
messages.clear()
session = await apps.start(app["id"], progress_callback=lambda p: messages.append(p["message"]))
check(any("Found cached environment" in m for m in messages), messages)
check(not any("Creating" in m for m in messages), messages)
running = await apps.list_running()
check([r["id"] for r in running] == [session["id"]], running)
logs = await apps.get_logs(session["id"])
check(any("hello from the script" in i["content"] for i in logs["items"]), logs)
logs = await apps.get_logs(session["id"], type="stdout", offset=0, limit=1)
check(logs["items"][0]["content"] == "hello from the script\\n", logs)
worker = await server.get_service(session["worker_id"])
check(stdout(await worker.execute(session["id"], "print(answer, open('data/a.txt').read())")) == "42 A\\n")
info = await worker.get_session_info(session["id"])
check(info["status"] == "running" and info["app_id"] == "first" and info["client_id"] == session["client_id"], info)
await apps.stop(session["id"])
check(await apps.list_running() == [])
check(await worker.list_sessions("ws-user-user-1") == [])
print("done")`);
    assertStringIncludes(stdout, "done");
    assertEquals((await stage.managers.invocations("create")).length, 1);
    assertEquals(await stage.sessionDirectories(), []);
  });

  await t.step(
    "a script that registers a service is waited for, and started by its first use",
    async () => {
      await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
script = '''
from hypha_rpc import connect_to_server
import os
server = await connect_to_server({"server_url": os.environ["HYPHA_SERVER_URL"], "workspace": os.environ["HYPHA_WORKSPACE"],
                                  "client_id": os.environ["HYPHA_CLIENT_ID"], "token": os.environ["HYPHA_TOKEN"]})
def add(a, b):
    print("adding", a, b)
    return a + b
await server.register_service({"id": "default", "config": {"visibility": "protected"}, "add": add})
print("registered")
'''
m = manifest()
del m["startup_config"]
app = await apps.install(app_id="service", overwrite=True, timeout=300, manifest=m, files=files(main_dot_py=script))
check(await apps.list_running() == [])
service = await server.get_service("default@service", {"timeout": 120})
check(await service.add(2, 3) == 5)
[session] = await apps.list_running()
logs = await apps.get_logs(session["id"], type="stdout")
check("adding 2 3" in "".join(i["content"] for i in logs["items"]), logs)
worker = await server.get_service(session["worker_id"])
check(stdout(await worker.execute(session["id"], "print(add(1, 1))")).endswith("2\\n"))
check(await service.add(4, 5) == 9)
await apps.stop(session["id"])`);
    },
  );

  await t.step("a script that serves for ever keeps its session in use", async () => {
    await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
script = '''
import time
begun = time.monotonic()
from hypha_rpc.sync import connect_to_server
import os
server = connect_to_server({"server_url": os.environ["HYPHA_SERVER_URL"], "workspace": os.environ["HYPHA_WORKSPACE"],
                            "client_id": os.environ["HYPHA_CLIENT_ID"], "token": os.environ["HYPHA_TOKEN"]})
server.register_service({"id": "default", "config": {"visibility": "protected"}, "ping": lambda: "pong"})
print("registered after", time.monotonic() - begun)
while True:
    time.sleep(0.1)
'''
m = manifest()
del m["startup_config"]
app = await apps.install(app_id="forever", overwrite=True, timeout=300, manifest=m, files=files(main_dot_py=script))
session = await apps.start(app["id"], timeout=120)
service = await server.get_service("default@forever")
check(await service.ping() == "pong")
worker = await server.get_service(session["worker_id"])
async def printed(): return "registered after" in str(await worker.get_logs(session["id"], type="stdout"))
await until(printed, "the script is past its registration")
[line] = [i["content"] for i in (await worker.get_logs(session["id"], type="stdout"))["items"]]
# The start was over when the service was there, not when some time was over; a slow machine needs all of that time.
progress = [i["content"] for i in (await apps.get_logs(session["id"], type="progress"))["items"]]
if float(line.split()[-1]) < 5:
    check(any("service default is registered" in p for p in progress), progress)
    check(not any("still running" in p for p in progress), progress)
await apps.stop(session["id"])`);
  });

  await t.step("a start that fails says why", async () => {
    const cases = [
      [
        `files=files(main_dot_py="print('before')\\nimport nonexistent_module")`,
        "manifest()",
        "nonexistent_module",
      ],
      [
        `files=files(main_dot_py="1")`,
        `manifest(dependencies=["python=3.11", "no-such-package-xyz"])`,
        "no-such-package-xyz",
      ],
      [
        `files=files(main_dot_py="1")`,
        `manifest(dependencies=["toy-b", "toy-conflict"])`,
        "toy-conflict",
      ],
      [`files=files(main_dot_py="1")`, `manifest(dependencies=["--prefix=/"])`, "--prefix=/"],
      [`files=files(main_dot_py="1")`, `manifest(files_to_stage=["../secret"])`, "../secret"],
      [`files=files(main_dot_py="1")`, `manifest(files_to_stage=["missing.txt"])`, "missing.txt"],
      [`files=[]`, "manifest()", "main.py"],
    ];
    for (const [files, manifest, reason] of cases) {
      const stdout = await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
print(await fails(apps.install(app_id="failing", overwrite=True, timeout=300, manifest=${manifest}, ${files})))
check(await apps.list_running() == [])`);
      assertStringIncludes(stdout, reason!);
    }
    assertEquals(await stage.sessionDirectories(), []);
  });

  await t.step("stop during start ends the build and leaves nothing", async () => {
    await stage.managers.setFaults({ hang: "link" });
    const before = (await stage.managers.invocations("create")).length;
    await stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
building = asyncio.Event()
c = config("slow")
c["manifest"]["dependencies"] = ["python=3.11", "toy-slow", "six", "requests"]
start = asyncio.ensure_future(worker.start(c, progress_callback=lambda p: "Linking" in p["message"] and building.set()))
await asyncio.wait_for(building.wait(), 120)
check((await worker.get_session_info("slow"))["status"] == "starting")
check("Linking" in "".join(i["content"] for i in (await worker.get_logs("slow"))["items"]))
await worker.stop("slow")
check("stopped" in await fails(start))
check(await worker.list_sessions() == [])
check((await worker.get_session_info("slow"))["status"] == "stopped")
check((await worker.get_logs("slow"))["total"] > 0)`);
    await stage.managers.setFaults({});
    const [created] = (await stage.managers.invocations("create")).slice(before);
    assert(created !== undefined);
    await eventually(async () => !await isAlive(created.pid), "the manager ends");
    assertEquals(await stage.sessionDirectories(), []);
  });

  await t.step("another workspace's app is refused although the controller asks", async () => {
    const stdout = await stage.python(`
mine = await connect()
worker_id = (await mine.get_service("conda-worker")).id
other = await connect("user-2")
apps = await other.get_service("public/server-apps")
print(await fails(apps.install(app_id="foreign", overwrite=True, worker_id=worker_id, manifest=manifest(), files=files(main_dot_py="1"))))`);
    assertStringIncludes(stdout, "is not authorised for this worker");
  });
});
