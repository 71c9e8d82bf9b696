import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { filesBelow } from "../../scripts/leftovers.ts";
import { type ManagerKind, managerPath } from "../stack/stack.ts";
import { descendants, eventually, isAlive, Stage } from "./stage.ts";
import { spawnProgram, startWorker } from "./worker_process.ts";

/** Environments of the cache that are there in part: something is linked, and nothing says that they are ready. */
async function unfinished(stage: Stage): Promise<string[]> {
  const files = await filesBelow(`${stage.directory}/cache/envs`);
  const linked = files.flatMap((path) =>
    /^([0-9a-f]{16})\/conda-meta\/.+\.json$/.exec(path)?.[1] ?? []
  );
  return linked.filter((key) => !files.includes(`${key}/.ready`));
}

Deno.test("a worker comes and goes", async (t) => {
  // Longer than anything takes: the first cell ends when it is told to.
  await using stage = await Stage.start({ args: ["--drain-timeout=300"] });
  const brief = { args: ["--drain-timeout=3"] };

  await t.step("SIGTERM lets running cells end, and refuses new work", async () => {
    const running = `${stage.directory}/running`;
    const client = stage.python(
      `
server = await connect()
w = await server.get_service("conda-worker")
await w.start(config("busy"))
code = "import os, time; print('runs')\\nwhile not os.path.exists('go'): time.sleep(0.01)\\n6 * 7"
cell = asyncio.ensure_future(w.execute("busy", code, {"timeout": 300}, output_callback=lambda o: open(os.environ["RUNNING"], "w").close()))
while not os.path.exists(os.environ["RUNNING"] + ".told"): await asyncio.sleep(0.02)
print(await fails(w.execute("busy", "1")))
print(await fails(w.start(config("late"))))
check(not cell.done())
await w.write_file("busy", "go", "")
result = await cell
check(result["outputs"][-1]["data"]["text/plain"] == "42", result)
sys.stdout.flush()
os._exit(0)`,
      { RUNNING: running },
    );
    client.catch(() => {});
    await Promise.race([eventually(() => exists(running), "it runs"), client]);
    const stopped = stage.worker.stop("SIGTERM");
    await eventually(
      () => Promise.resolve(stage.worker.stderr.includes("Stopping")),
      "the signal has arrived",
    );
    await Deno.writeTextFile(`${running}.told`, "");
    const stdout = await client;
    assertStringIncludes(stdout, "Cannot execute: the worker is shutting down");
    assertStringIncludes(stdout, "Cannot start session: the worker is shutting down");
    assertEquals(await stopped, 0, stage.worker.output());
    assertEquals(await stage.sessionDirectories(), []);
    await stage.restartWorker(brief);
  });

  await t.step("SIGTERM ends running cells and everything they started, and exits 0", async () => {
    const pids = JSON.parse(
      await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
await w.start(config("busy"))
started = asyncio.Event()
def output(o): print(o["text"]); started.set()
asyncio.ensure_future(w.execute("busy", """
import json, os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print(json.dumps([os.getpid(), os.getppid(), child.pid]))
time.sleep(1000)""", output_callback=output))
await asyncio.wait_for(started.wait(), 120)
os._exit(0)`),
    ) as number[];
    assertEquals(pids.length, 3);
    for (const pid of pids) assert(await isAlive(pid), `process ${pid} does not run`);
    const below = await descendants(stage.worker.pid);
    assert(below.includes(pids[0]!), "the session is not below the worker");
    assertEquals(await stage.worker.stop("SIGTERM"), 0, stage.worker.output());
    for (const pid of [...pids, ...below]) assert(!await isAlive(pid), `process ${pid} is left`);
    assertEquals(await stage.sessionDirectories(), []);
    assertStringIncludes(stage.worker.stdout, "Worker stopped.");
  });

  await t.step("SIGINT with a running build cancels it, and exits 0", async () => {
    await stage.managers.setFaults({ hang: "link" });
    await stage.restartWorker();
    const client = stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
c = config("building")
c["manifest"]["dependencies"] = ["python=3.11", "six", "toy-slow"]
try: await w.start(c)
except Exception as error: print(error)`).catch(String);
    await eventually(
      async () =>
        (await stage.managers.invocations("create")).some((one) => one.ended === undefined),
      "a build runs",
    );
    const below = await descendants(stage.worker.pid);
    assertEquals(await stage.worker.stop("SIGINT"), 0, stage.worker.output());
    for (const pid of below) assert(!await isAlive(pid), `process ${pid} is left`);
    assertEquals(await stage.sessionDirectories(), []);
    assertStringIncludes(await client, "it was stopped");
  });

  await t.step("a build killed half-way with the worker is rebuilt, not reused", async () => {
    await stage.managers.setFaults({ hang: "link" });
    await stage.restartWorker();
    const before = (await stage.managers.invocations("create")).length;
    const start = `
server = await connect()
w = await server.get_service("conda-worker")
c = config("killed")
c["manifest"]["dependencies"] = ["python=3.11", "requests", "toy-slow"]
`;
    const client = stage.python(`${start}
try: await w.start(c, progress_callback=lambda p: print(p["message"]))
except Exception as error: print(error)`).catch(String);
    await eventually(
      async () => (await stage.managers.invocations("create")).length > before,
      "a build runs",
    );
    await eventually(async () => (await unfinished(stage)).length > 0, "something is linked");
    const below = await descendants(stage.worker.pid);
    assert(below.length > 0);
    await stage.worker.stop("SIGKILL");
    await client;
    for (const pid of below) {
      await eventually(async () => !await isAlive(pid), `process ${pid} ends`);
    }

    await stage.managers.setFaults({});
    await stage.restartWorker();
    const stdout = await stage.python(`${start}
messages = []
await w.start(c, progress_callback=lambda p: messages.append(p["message"]))
check(any("Creating new conda environment" in m for m in messages), messages)
print(stdout(await w.execute("killed", "import requests, toy_slow; print('works')")))
await w.stop("killed")`);
    assertStringIncludes(stdout, "works");
    assertEquals((await stage.managers.invocations("create")).length, before + 2);
  });

  await t.step("kill -9 of the worker leaves no process of a session", async () => {
    const pids = JSON.parse(
      await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
await w.start(config("orphan"))
result = await w.execute("orphan", "import json, os, subprocess; c = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(json.dumps([os.getpid(), os.getppid(), c.pid]))")
print(stdout(result))`),
    ) as number[];
    await stage.worker.stop("SIGKILL");
    for (const pid of pids) {
      await eventually(async () => !await isAlive(pid), `process ${pid} ends`);
    }
    await stage.restartWorker();
  });

  await t.step("starts at once with one spec build once, other specs wait for nobody", async () => {
    const before = (await stage.managers.invocations("create")).length;
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
def one(id):
    c = config(id)
    c["manifest"]["dependencies"] = ["python=3.11", "toy-b"]
    return w.start(c)
await asyncio.gather(*[one("same-%d" % n) for n in range(8)])
results = await asyncio.gather(*[w.execute("same-%d" % n, "import toy_a; print(toy_a.__version__)") for n in range(8)])
check(all(stdout(r) == "1.0\\n" for r in results), results)
await asyncio.gather(*[w.stop("same-%d" % n) for n in range(8)])`);
    assertEquals((await stage.managers.invocations("create")).length, before + 1);
  });

  await t.step(
    "a second worker with the same client id is refused in plain words, and harms the first only for a moment",
    async () => {
      await stage.restartWorker({ args: ["--heartbeat=2"] });
      const taken = /Service ID: [^/]+\/(\S+?):/.exec(stage.worker.stdout)![1]!;
      const child = await spawnProgram(
        [
          `--server-url=${stage.server.url}`,
          "--workspace=ws-user-user-1",
          `--cache-dir=${stage.directory}/cache`,
          `--client-id=${taken}`,
        ],
        { HYPHA_TOKEN: await stage.server.userToken({ user: "user-1" }) },
        stage.managers.bin,
      );
      const output = await child.output();
      const stderr = new TextDecoder().decode(output.stderr);
      assertEquals(output.code, 1, stderr);
      assertStringIncludes(stderr, "already exists and is active");
      // The server takes the first one's service away when it refuses the second: it is registered again.
      await stage.python(`
server = await connect()
for attempt in range(600):
    try:
        w = await server.get_service("conda-worker")
        check(isinstance(await w.get_load(), (int, float)))
        break
    except Exception as error:
        failure = error
        await asyncio.sleep(0.2)
else: raise failure`);
    },
  );

  await t.step("a worker whose token is refused says so and exits 1", async () => {
    const child = await spawnProgram(
      [
        `--server-url=${stage.server.url}`,
        "--workspace=ws-user-user-1",
        `--cache-dir=${stage.directory}/cache`,
      ],
      { HYPHA_TOKEN: "not-a-token-of-anyone" },
      stage.managers.bin,
    );
    const output = await child.output();
    const stderr = new TextDecoder().decode(output.stderr);
    assertEquals(output.code, 1, stderr);
    assertStringIncludes(stderr, "Error: Cannot connect");
    assert(!stderr.includes("not-a-token-of-anyone"), "the token is in the output");
  });
});

Deno.test("the next worker clears what a killed one has left of sessions", async () => {
  const sessions = await Deno.makeTempDir({ prefix: "sessions-" });
  const left = async () => {
    const names = await Array.fromAsync(Deno.readDir(sessions));
    return names.filter((entry) => entry.isDirectory).length;
  };
  try {
    await using stage = await Stage.start({ args: [`--working-dir=${sessions}`] });
    const start = `
server = await connect()
w = await server.get_service(os.environ["WORKER"])
await w.start(config(os.environ["NAME"]))
await w.execute(os.environ["NAME"], "import os; os.mkdir('closed'); open('closed/file', 'w').close(); os.chmod('closed', 0)")`;
    const id = (worker: { stdout: string }) => /Service ID: (\S+\/\S+)/.exec(worker.stdout)![1]!;
    await stage.python(start, { WORKER: id(stage.worker), NAME: "left" });
    assertEquals(await left(), 1);
    await stage.worker.stop("SIGKILL");
    await stage.restartWorker();
    assertEquals(await left(), 0, stage.worker.output());
    // What another worker uses now is not touched.
    await stage.python(start, { WORKER: id(stage.worker), NAME: "used" });
    {
      await using other = await startWorker(stage.server, stage.options);
      assertEquals(await left(), 1, other.output());
    }
    assertEquals(await left(), 1);
    await stage.worker.stop();
    assertEquals(await left(), 0);
  } finally {
    await Deno.remove(sessions, { recursive: true });
  }
});

for (const kind of ["micromamba", "conda"] satisfies ManagerKind[]) {
  Deno.test(`sessions run with ${kind} as the only manager`, async () => {
    await using stage = await Stage.start({ managers: managerPath(kind) });
    assertStringIncludes(stage.worker.stdout, `Package Manager: ${kind}`);
    const pid = Number(
      await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
c = config("s")
c["manifest"]["dependencies"] = ["python=3.11", "toy-b", {"pip": ["six"]}]
messages = []
await w.start(c, progress_callback=lambda p: messages.append(p["message"]))
check(any("Creating new conda environment" in m for m in messages), messages)
result = await w.execute("s", "import os, sys, six, toy_a; print(os.getpid(), sys.prefix == os.environ['CONDA_PREFIX'], toy_a.__version__)")
pid, *rest = stdout(result).split()
check(rest == ["True", "1.0"], result)
check((await w.execute("s", "while True: pass", config={"timeout": 0.3}))["error"]["ename"] == "TimeoutError")
check(stdout(await w.execute("s", "print(os.getpid())")).strip() == pid)
messages.clear()
await w.start({**c, "id": "t"}, progress_callback=lambda p: messages.append(p["message"]))
check(any("Found cached environment" in m for m in messages), messages)
await w.stop("t")
print(pid)`),
    );
    assert(await isAlive(pid));
    assertEquals(await stage.worker.stop(), 0);
    assert(!await isAlive(pid));
  });
}
