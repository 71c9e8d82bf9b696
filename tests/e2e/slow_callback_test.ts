import { Stage } from "./stage.ts";

Deno.test("clients that are slower than a cell", async (t) => {
  await using stage = await Stage.start({ args: ["--visibility=public"] });
  await stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
check(await worker.start(config("s")) == "s")`);
  // 6 MB, below the limit of output and above what waits for a callback.
  const code = `code = "for i in range(60000): print('%099d' % i)"
text = "".join("%099d\\n" % i for i in range(60000))`;

  await t.step("a slow one gets everything, in order", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
${code}
got = []
async def slow(o):
    got.append(o["text"])
    await asyncio.sleep(0.05)
result = await w.execute("s", code, {"timeout": 300}, output_callback=slow)
check(stdout(result) == text, result.get("error"))
check("".join(got) == text, len("".join(got)))`);
  });

  await t.step("streams and displays keep their order before a slow one", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
got = []
async def slow(o):
    got.append(o.get("text") or o["data"]["text/plain"])
    await asyncio.sleep(0.01)
code = "import sys\\nfor i in range(100):\\n    print('o%d' % i); print('e%d' % i, file=sys.stderr); display(i)"
await w.execute("s", code, output_callback=slow)
expected = "".join("o%d\\ne%d\\n%d" % (i, i, i) for i in range(100))
check("".join(got) == expected, got[:20])`);
  });

  await t.step("one that hangs, or fails, costs live text only", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
${code}
async def hang(o): await asyncio.sleep(3600)
def fail(o): raise ValueError("fault of the client")
for callback in [hang, fail]:
    result = await w.execute("s", code, {"timeout": 300}, output_callback=callback)
    check(result["status"] == "ok" and stdout(result) == text, callback, result.get("error"))`);
  });

  await t.step("a cell that waits for one can be interrupted", async () => {
    await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
other = await connect()
w2 = await other.get_service("conda-worker")
begun = asyncio.Event()
async def slow(o):
    begun.set()
    await asyncio.sleep(0.2)
cell = asyncio.ensure_future(w.execute("s", "kept = 1\\nwhile True: print('x' * 10)", {"timeout": 300}, output_callback=slow))
await begun.wait()
await asyncio.sleep(1)
await w2.interrupt("s")
result = await cell
check(result["error"]["ename"] == "KeyboardInterrupt", result["error"])
check(stdout(await w.execute("s", "print(kept)")) == "1\\n")`);
  });
});
