import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
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
  await using stage = await Stage.start({ args: ["--heartbeat=3"], throughProxy: true });
  const proxy = stage.proxy!;
  let known = 0;
  /** The worker has reconnected once more since the last time. */
  const back = async () => {
    await eventually(
      () => Promise.resolve(reconnections(stage.worker.stderr) > known),
      "a reconnection",
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
begun = asyncio.Event()
code = "import time; print('begun'); time.sleep(3); state += 1"
asyncio.ensure_future(w.execute("kept", code, {"timeout": 60}, output_callback=lambda o: begun.set()))
await begun.wait()
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

  await t.step(
    "the server is killed and comes back: sessions and their state are still there",
    async () => {
      await stage.server.restart();
      await back();
      assertEquals((await call("print(state)")).trim(), "42");
    },
  );

  await t.step("it keeps trying while nobody answers, and comes back", async () => {
    proxy.mode = "refuse";
    const before = proxy.accepted;
    proxy.cut();
    await eventually(() => Promise.resolve(proxy.accepted >= before + 3), "it tries again");
    proxy.mode = "pass";
    await back();
    assertEquals((await call("print(state)")).trim(), "42");
  });
});

Deno.test("sessions that the server has forgotten are kept while they are used, then ended", async () => {
  await using stage = await Stage.start({
    args: ["--heartbeat=3", "--orphan-timeout=5"],
    throughProxy: true,
  });
  const running = `${stage.directory}/running`;
  // The client has a connection of its own, which lasts, and the cell in the session goes on until it is told.
  const client = stage.python(
    `
server = await connect()
apps = await server.get_service("public/server-apps")
app = await apps.install(app_id="kept", overwrite=True, timeout=300, manifest=manifest(), files=files(main_dot_py="state = 42"))
app = (await apps.start(app["id"]))["id"]
w = await server.get_service("conda-worker")
await w.start(config("direct"))
code = "import os, time; print('runs')\\nwhile not os.path.exists('go'): time.sleep(0.01)\\nstate += 1"
cell = asyncio.ensure_future(w.execute(app, code, {"timeout": 300}, output_callback=lambda o: open(os.environ["RUNNING"], "w").close()))
while not os.path.exists(os.environ["RUNNING"] + ".back"): await asyncio.sleep(0.02)
check(await apps.list_running() == [])
# Longer than its time.
await asyncio.sleep(7)
w = await server.get_service("conda-worker")
check((await w.get_session_info(app))["status"] == "running")
last = asyncio.ensure_future(w.execute(app, "state"))
async def waits(): return (await w.get_session_info(app))["pending_executions"] == 2
await until(waits, "the next cell waits for the first")
await w.write_file(app, "go", "")
result = await last
check(result["outputs"][-1]["data"]["text/plain"] == "43", result)
async def ended(): return (await w.get_session_info(app))["status"] != "running"
await until(ended, "the session is ended")
check((await w.get_session_info(app))["status"] == "stopped")
# What a direct caller has started was never the controller's.
check((await w.get_session_info("direct"))["status"] == "running")
cell.cancel()`,
    { RUNNING: running },
  );
  client.catch(() => {});
  await Promise.race([eventually(() => exists(running), "the cell runs"), client]);
  stage.proxy!.cut();
  await eventually(() => Promise.resolve(reconnections(stage.worker.stderr) > 0), "it is back");
  await Deno.writeTextFile(`${running}.back`, "");
  await client;
});

Deno.test("a worker that may not wait for ever exits with a code of its own, and leaves nothing", async () => {
  await using stage = await Stage.start({
    args: ["--heartbeat=3", "--reconnect-timeout=2"],
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
