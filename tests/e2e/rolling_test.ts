import { assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { eventually, Stage } from "./stage.ts";
import { startWorker, type WorkerProcess } from "./worker_process.ts";

Deno.test("a rolling restart of three workers loses no cell that was allowed to end", async () => {
  await using stage = await Stage.start({ args: ["--drain-timeout=300"] });
  const workers: WorkerProcess[] = [];
  const idOf = (worker: WorkerProcess) => /Service ID: (\S+\/\S+)/.exec(worker.stdout)![1]!;
  try {
    for (let n = 0; n < 2; n++) workers.push(await startWorker(stage.server, stage.options));
    for (let n = 0; n < 3; n++) {
      // The worker that has run longest makes room for a new one.
      const old = n === 0 ? stage.worker : workers.shift()!;
      const sign = join(stage.directory, `running-${n}`);
      const client = stage.python(
        `
server = await connect()
old = await server.get_service(os.environ["OLD"])
others = [await server.get_service(id) for id in json.loads(os.environ["OTHERS"])]
for w in [old, *others]: await w.start(config("roll-" + os.environ["NUMBER"]))
mine = "roll-" + os.environ["NUMBER"]
code = "import os, time; print('runs')\\nkept = 6\\nwhile not os.path.exists('go'): time.sleep(0.01)\\nkept * 7"
cell = asyncio.ensure_future(old.execute(mine, code, {"timeout": 300}, output_callback=lambda o: open(os.environ["SIGN"], "w").close()))
async def told(): return os.path.exists(os.environ["SIGN"] + ".told")
await until(told, "the worker is stopping")
for w in others: check(stdout(await w.execute(mine, "print('serves')")) == "serves\\n")
check(not cell.done())
await old.write_file(mine, "go", "")
result = await cell
check(result["outputs"][-1]["data"]["text/plain"] == "42", result)
for w in others: await w.stop(mine)
sys.stdout.flush()
os._exit(0)`,
        {
          OLD: idOf(old),
          OTHERS: JSON.stringify(workers.map(idOf)),
          NUMBER: String(n),
          SIGN: sign,
        },
      );
      client.catch(() => {});
      await Promise.race([eventually(() => exists(sign), "the cell runs"), client]);
      const stopped = old.stop("SIGTERM");
      await eventually(() => Promise.resolve(old.stderr.includes("Stopping")), "it is stopping");
      await Deno.writeTextFile(`${sign}.told`, "");
      await client;
      assertEquals(await stopped, 0, old.output());
      if (n > 0) await old[Symbol.asyncDispose]();
      workers.push(await startWorker(stage.server, stage.options));
    }
  } finally {
    for (const worker of workers) await worker[Symbol.asyncDispose]();
  }
});
