import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { eventually, isAlive, Stage } from "./stage.ts";
import { spawnProgram } from "./worker_process.ts";

/** The worker's own lines about its connection. */
function reconnections(stderr: string): number {
  return stderr.split("\n").filter((line) => line.includes("reconnected to the server")).length;
}

const RUN = `
server = await connect()
w = await server.get_service("conda-worker")
`;

Deno.test("a worker survives what networks do", async (t) => {
  await using stage = await Stage.start({ args: ["--heartbeat=1"], throughProxy: true });
  const proxy = stage.proxy!;
  let known = 0;
  /** The worker has reconnected once more since the last time. */
  const back = async () => {
    await eventually(
      () => Promise.resolve(reconnections(stage.worker.stderr) > known),
      "a reconnection",
      40_000,
    );
    known = reconnections(stage.worker.stderr);
  };
  const call = (code: string) =>
    stage.python(`${RUN}
print(stdout(await w.execute("kept", ${JSON.stringify(code)})))`);

  await t.step("a running cell and the session's state survive a cut", async () => {
    await stage.python(`${RUN}
await w.start(config("kept"))
await w.execute("kept", "state = 41")
asyncio.ensure_future(w.execute("kept", "import time; time.sleep(3); state += 1", config={"timeout": 60}))
while (await w.get_session_info("kept"))["pending_executions"] == 0: await asyncio.sleep(0.05)
os._exit(0)`);
    proxy.cut();
    await back();
    assertEquals((await call("print(state)")).trim(), "42");
  });

  await t.step("the other side closes only its half", async () => {
    await proxy.halfClose();
    await back();
    assertEquals((await call("print(state)")).trim(), "42");
  });

  await t.step("a connection that has gone silent is noticed and replaced", async () => {
    proxy.mode = "hold";
    await eventually(
      () => Promise.resolve(stage.worker.stderr.includes("the server does not answer")),
      "the silence is noticed",
      20_000,
    );
    proxy.mode = "pass";
    await back();
    assertEquals((await call("print(state)")).trim(), "42");
  });

  await t.step("a slow network delays calls and loses none", async () => {
    proxy.delay = 150;
    const outputs = await stage.python(`${RUN}
results = await asyncio.gather(*[w.execute("kept", "print(%d)" % n) for n in range(10)])
print([int(stdout(r)) for r in results])`);
    proxy.delay = 0;
    assertEquals(JSON.parse(outputs), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assertEquals(reconnections(stage.worker.stderr), known);
  });

  await t.step("it keeps trying while nobody answers, and comes back", async () => {
    proxy.mode = "refuse";
    const before = proxy.accepted;
    proxy.cut();
    await eventually(() => Promise.resolve(proxy.accepted >= before + 3), "it tries again", 30_000);
    proxy.mode = "pass";
    await back();
    assertEquals((await call("print(state)")).trim(), "42");
  });
});

Deno.test("sessions that the server has forgotten are kept while they are used, then ended", async () => {
  await using stage = await Stage.start({
    args: ["--heartbeat=1", "--orphan-timeout=3"],
    throughProxy: true,
  });
  const ids = JSON.parse(
    await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
app = await apps.install(app_id="kept", overwrite=True, timeout=300, manifest=manifest(), files=files(main_dot_py="state = 42"))
session = await apps.start(app["id"])
w = await server.get_service("conda-worker")
await w.start(config("direct"))
print(json.dumps([session["id"], "direct"]))`),
  ) as string[];
  stage.proxy!.cut();
  await eventually(() => Promise.resolve(reconnections(stage.worker.stderr) > 0), "it is back");
  await stage.python(
    `${RUN}
apps = await server.get_service("public/server-apps")
app, direct = json.loads(os.environ["IDS"])
check(await apps.list_running() == [])
# Used again and again for longer than its time.
for n in range(10):
    result = await w.execute(app, "state")
    check(result["outputs"][-1]["data"]["text/plain"] == "42", result)
    await asyncio.sleep(0.5)
for n in range(100):
    status = (await w.get_session_info(app))["status"]
    if status != "running": break
    await asyncio.sleep(0.1)
check(status == "stopped", status)
# What a direct caller has started was never the controller's.
check((await w.get_session_info(direct))["status"] == "running")`,
    { IDS: JSON.stringify(ids) },
  );
});

Deno.test("a worker that may not wait for ever exits with a code of its own, and leaves nothing", async () => {
  await using stage = await Stage.start({
    args: ["--heartbeat=1", "--reconnect-timeout=2"],
    throughProxy: true,
  });
  const pid = Number(
    await stage.python(`${RUN}
await w.start(config("s"))
print(stdout(await w.execute("s", "import os; print(os.getpid())")))`),
  );
  assert(await isAlive(pid));
  stage.proxy!.mode = "refuse";
  stage.proxy!.cut();
  assertEquals((await stage.worker.status).code, 3, stage.worker.output());
  assertStringIncludes(stage.worker.stderr, "gave up the connection to the server");
  assert(!await isAlive(pid), "the session's process is left");
  assertEquals(await stage.sessionDirectories(), []);
});

Deno.test("a token that has expired is refused in plain words", async () => {
  await using stage = await Stage.start();
  const token = await stage.server.userToken({ user: "user-2", expiresInSeconds: -60 });
  const child = await spawnProgram(
    [
      `--server-url=${stage.server.url}`,
      "--workspace=ws-user-user-2",
      `--cache-dir=${stage.directory}/cache`,
    ],
    { HYPHA_TOKEN: token },
    stage.managers.bin,
  );
  const output = await child.output();
  const stderr = new TextDecoder().decode(output.stderr);
  assertEquals(output.code, 1);
  assertStringIncludes(stderr.toLowerCase(), "expired");
  assert(!stderr.includes(token));
});
