import { eventually, Stage } from "./stage.ts";

const APPS = `
server = await connect()
apps = await server.get_service("public/server-apps")
async def ids(): return [r["id"] for r in await apps.list_running()]
async def install(name, script="answer = 42", startup=DETACHED, **more):
    m = manifest(**more)
    m["startup_config"] = startup
    app = await apps.install(app_id=name, overwrite=True, timeout=300, manifest=m, files=files(main_dot_py=script))
    return app["id"]
CONNECT = '''
from hypha_rpc import connect_to_server
import os
server = await connect_to_server({"server_url": os.environ["HYPHA_SERVER_URL"], "workspace": os.environ["HYPHA_WORKSPACE"],
                                  "client_id": os.environ["HYPHA_CLIENT_ID"], "token": os.environ["HYPHA_TOKEN"]})
'''
`;

Deno.test("apps live as their manifests say", async (t) => {
  await using stage = await Stage.start();
  // Takes longer than the 30 seconds after which clients give up a silent call; so it runs beside the others.
  const patient = stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
await worker.start(config("patient"))
result = await worker.execute("patient", "import time; time.sleep(35); 42", config={"timeout": 300})
check(result["outputs"][-1]["data"]["text/plain"] == "42", result)
await worker.stop("patient")
await worker.stop("patient")
await worker.stop("no-such-session")`);
  patient.catch(() => {});
  await eventually(async () => (await stage.sessionDirectories()).length === 1, "it starts");
  let kept = 1;
  const nothingLeft = async () =>
    await eventually(
      async () => (await stage.sessionDirectories()).length <= kept,
      "the sessions' directories are gone",
    );

  await t.step("a second start is the same session", async () => {
    await stage.python(`${APPS}
app = await install("again")
first = await apps.start(app)
second = await apps.start(app)
check(first["id"] == second["id"], first, second)
check(await ids() == [first["id"]])
await apps.stop(first["id"])`);
    await nothingLeft();
  });

  await t.step("a start may take longer than any client's own patience", async () => {
    await stage.python(`${APPS}
app = await install("slow", "import time; time.sleep(35); ready = 1")
check(await ids() == [])`);
    await nothingLeft();
  });

  await t.step(
    "a singleton has one session, an app that scales has as many as are started",
    async () => {
      await stage.python(`${APPS}
async def service(name, **more):
    return await install(name, CONNECT + '''
await server.register_service({"id": "default", "config": {"visibility": "protected"}, "ping": lambda: "pong"})
''', startup={}, **more)
single = await service("single", singleton=True)
sessions = [await apps.start(single) for _ in range(2)]
check(sessions[0]["id"] == sessions[1]["id"] and await ids() == [sessions[0]["id"]])
await apps.stop(sessions[0]["id"])
scaling = await service("scaling", autoscaling={"enabled": True, "min_instances": 1, "max_instances": 3, "scale_down_threshold": 0})
sessions = [await apps.start(scaling) for _ in range(2)]
check(len({s["id"] for s in sessions}) == 2 and sorted(await ids()) == sorted(s["id"] for s in sessions))
worker = await server.get_service(sessions[0]["worker_id"])
running = {s["session_id"] for s in await worker.list_sessions()} - {"ws-user-user-1/patient"}
check(running == {s["id"] for s in sessions}, running)
for s in sessions: await apps.stop(s["id"])
await apps.uninstall(scaling)`);
      await nothingLeft();
    },
  );

  await t.step("an app nobody talks to is stopped after its time", async () => {
    await stage.python(`${APPS}
app = await install("idle", CONNECT + '''
await server.register_service({"id": "default", "config": {"visibility": "protected"}, "ping": lambda: "pong"})
''', startup={"stop_after_inactive": 5})
session = await apps.start(app)
async def gone(): return await ids() == []
await until(gone, "the idle app is stopped")
worker = await server.get_service(session["worker_id"])
async def stopped(): return (await worker.get_session_info(session["id"]))["status"] == "stopped"
await until(stopped, "the session of the idle app is stopped")`);
    await nothingLeft();
  });

  await t.step("the service that is waited for has the name the manifest gives", async () => {
    await stage.python(`${APPS}
app = await install("named", CONNECT + '''
await server.register_service({"id": "special", "config": {"visibility": "protected"}, "ping": lambda: "pong"})
''', startup={"wait_for_service": "special"})
session = await apps.start(app)
service = await server.get_service("special@named")
check(await service.ping() == "pong")
await apps.stop(session["id"])`);
    await nothingLeft();
  });

  await t.step("a script whose client leaves ends its session", async () => {
    await stage.python(`${APPS}
app = await install("leaving", CONNECT + '''
import asyncio
async def leave():
    await asyncio.sleep(1)
    await server.disconnect()
await server.register_service({"id": "default", "config": {"visibility": "protected"}, "leave": lambda: asyncio.ensure_future(leave()) and None})
''', startup={})
session = await apps.start(app)
service = await server.get_service("default@leaving")
await service.leave()
async def gone(): return await ids() == []
await until(gone, "the session is stopped")`);
    await nothingLeft();
  });

  await t.step("a daemon stays when its client leaves", async () => {
    await stage.python(`${APPS}
app = await install("daemon", CONNECT + '''
await server.register_service({"id": "default", "config": {"visibility": "protected"}, "ping": lambda: "pong"})
''', startup={"stop_after_inactive": 0}, daemon=True)
session = await apps.start(app)
worker = await server.get_service(session["worker_id"])
await worker.execute(session["id"], "await server.disconnect()")
async def left(): return session["id"] not in [c["id"] for c in await server.list_clients()]
await until(left, "the client has left")
# The server has told its app controller before; a moment for what that might do.
await asyncio.sleep(1)
check((await worker.get_session_info(session["id"]))["status"] == "running")
await apps.stop(session["id"])
check((await worker.get_session_info(session["id"]))["status"] == "stopped")`);
    await nothingLeft();
  });

  await t.step("uninstalling a running app ends its session", async () => {
    await stage.python(`${APPS}
app = await install("gone")
session = await apps.start(app)
await apps.uninstall(app)
check(await ids() == [])
check(all(a["id"] != app for a in await apps.list_apps()))`);
    await nothingLeft();
  });

  await t.step("a call may take longer than any client's own patience", async () => {
    await patient;
    kept = 0;
    await nothingLeft();
  });
});
