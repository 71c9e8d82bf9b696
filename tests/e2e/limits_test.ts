/** Limits of builds through the whole stack; those of sessions and queued calls are in workers, control and life tests. */
import { assert, assertStringIncludes } from "@std/assert";
import { Stage } from "./stage.ts";

Deno.test("builds are limited for a workspace and for all; what is ready is not concerned", async () => {
  await using stage = await Stage.start({
    args: ["--visibility=public", "--max-workspace-builds=2", "--max-builds=3"],
  });
  await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
await w.start(config("warm"))`);
  await stage.managers.setFaults({ hang: "start" });
  await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
other = await connect("user-2")
theirs = await other.get_service(w.id)
def of(id, package, workspace="ws-user-user-1"):
    c = config(id, workspace=workspace)
    c["manifest"]["dependencies"] = ["python=3.11", package]
    return c
calls = {}
async def building(worker, c):
    calls[c["id"]] = asyncio.ensure_future(worker.start(c))
    async def waits():
        if calls[c["id"]].done(): calls[c["id"]].result()
        try: texts = [i["content"] for i in (await worker.get_logs(c["id"]))["items"]]
        except Exception: return False
        # Something was told of the build, by whoever began it.
        return "Checking for cached conda environment" in texts[:-1]
    await until(waits, c["id"] + " waits for its environment")

await building(w, of("a", "toy-a"))
await building(w, of("b", "toy-b"))
own = "workspace ws-user-user-1 waits for 2 environments here already"
refused = await fails(w.start(of("c", "six")))
check(own in refused, refused)
refused = await fails(w.create_environment(of("c", "six")["manifest"]))
check(own in refused, refused)
# Nothing of the refused session is there but its log, which says why.
check((await w.get_session_info("c"))["status"] == "failed")
check(own in "".join((await w.get_logs("c"))["error"]))
# The same environment is no further build, and one that is ready is none.
await building(w, of("a2", "toy-a"))
await w.start(config("warm2"))
check(stdout(await w.execute("warm2", "print(1)")) == "1\\n")

await building(theirs, of("d", "requests", "ws-user-user-2"))
refused = await fails(theirs.start(of("e", "toy-data", "ws-user-user-2")))
check("the worker makes 3 environments already" in refused, refused)

# A place is free again when nobody waits for a build any more.
await w.stop("b")
check("stopped" in await fails(calls["b"]))
await building(w, of("c", "six"))
await asyncio.gather(*[w.stop(id) for id in ["a", "a2", "c", "warm", "warm2"]], theirs.stop("d"))
for id in ["a", "a2", "c", "d"]: check("stopped" in await fails(calls[id]))
check(await w.list_sessions() == [])`);
  const refusals = stage.worker.stderr.split("\n").filter((line) =>
    line.includes("outcome=too_many_builds")
  );
  assert(refusals.length === 3, refusals.join("\n"));
  assertStringIncludes(refusals[0]!, "method=start");
});
