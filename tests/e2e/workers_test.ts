import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Stage } from "./stage.ts";
import { startWorker, type WorkerProcess } from "./worker_process.ts";

/** Installs and starts an app where the controller wants to have it. */
const PLACE = `
async def place(app_id, mode):
    app = await apps.install(app_id=app_id, overwrite=True, timeout=300, manifest=manifest(),
        files=files(main_dot_py="answer = 42"), worker_selection_mode=mode)
    return await apps.start(app["id"], worker_selection_mode=mode)
server = await connect()
apps = await server.get_service("public/server-apps")
used = []`;

Deno.test("several workers of one server share the work", async (t) => {
  // The server counts the messages of clients with this end of their ids only.
  const argsOf = (n: number) => ["--max-sessions=3", `--client-id=worker-${n}__rlb`];
  await using stage = await Stage.start({ args: argsOf(0) });
  // On one cache directory, as on one volume.
  const others: WorkerProcess[] = [];
  try {
    for (const n of [1, 2]) {
      others.push(await startWorker(stage.server, { ...stage.options, args: argsOf(n) }));
    }
    const workers = [stage.worker, ...others];
    const idOf = (worker: WorkerProcess) => /Service ID: (\S+\/\S+)/.exec(worker.stdout)![1]!;
    const ids = workers.map(idOf);
    assertEquals(new Set(ids).size, 3);

    await t.step("the controller spreads sessions by the load the workers tell", async () => {
      const counts = JSON.parse(
        await stage.python(`${PLACE}
for n in range(3):
    used.append((await place("spread-%d" % n, "select:min:get_load"))["worker_id"])
print(json.dumps({id: used.count(id) for id in set(used)}))`),
      ) as Record<string, number>;
      assertEquals(counts, Object.fromEntries(ids.map((id) => [id, 1])));
    });

    await t.step("it spares workers whose messages the server has seen many of", async () => {
      const used = JSON.parse(
        await stage.python(
          `${PLACE}
for id in os.environ["BUSY"].split():
    w = await server.get_service(id)
    for n in range(200): await w.get_load()
for n in range(2):
    session = await place("spare-%d" % n, "min_load")
    used.append(session["worker_id"])
    await apps.stop(session["id"])
print(json.dumps(used))`,
          { BUSY: `${ids[0]} ${ids[2]}` },
        ),
      );
      assertEquals(used, [ids[1], ids[1]]);
    });

    await t.step("they build one environment once", async () => {
      assertEquals((await stage.managers.invocations("create")).length, 1);
    });

    await t.step(
      "of a worker that is killed the sessions are gone, the others serve on",
      async () => {
        const victim = others[0]!;
        await victim.stop("SIGKILL");
        const left = JSON.parse(
          await stage.python(
            `
server = await connect()
apps = await server.get_service("public/server-apps")
async def gone(): return all(r["worker_id"] != os.environ["VICTIM"] for r in await apps.list_running())
await until(gone, "the sessions of the killed worker are gone")
running = await apps.list_running()
for r in running:
    w = await server.get_service(r["worker_id"])
    result = await w.execute(r["id"], "answer")
    check(result["outputs"][0]["data"]["text/plain"] == "42", result)
print(json.dumps([r["worker_id"] for r in running]))`,
            { VICTIM: ids[1]! },
          ),
        ) as string[];
        assertEquals(left.toSorted(), [ids[0]!, ids[2]!].toSorted());
      },
    );

    await t.step("a full worker refuses, and says so", async () => {
      const error = await stage.python(
        `
server = await connect()
w = await server.get_service(os.environ["WORKER"])
for n in range(2): await w.start(config("more-%d" % n))
print(await fails(w.start(config("too-many"))))`,
        { WORKER: ids[0]! },
      );
      assert(error.includes("runs 3 sessions already"), error);
    });

    await t.step("a worker that is told to stop ends its own sessions only", async () => {
      assertEquals(await others[1]!.stop("SIGTERM"), 0);
      const left = JSON.parse(
        await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
async def one(): return len(await apps.list_running()) < 2
await until(one, "the sessions of the worker that was stopped are gone")
print(json.dumps([r["worker_id"] for r in await apps.list_running()]))`),
      ) as string[];
      assertEquals(left, [ids[0]!]);
      const names = Array.fromAsync(Deno.readDir(join(stage.options.cacheDir!, "envs")));
      assert((await names).length > 0);
    });
  } finally {
    for (const worker of others) await worker[Symbol.asyncDispose]();
  }
});
