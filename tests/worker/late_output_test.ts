import { assertEquals } from "@std/assert";
import { edgePythons } from "../interpreter/harness.ts";
import { until } from "../wait.ts";
import { Bench } from "./support.ts";

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];

  Deno.test(`what a task puts out after its cell is in the log with the cell's number, Python ${version}`, async () => {
    await using bench = await Bench.start({ python });
    const session = await bench.worker.start(bench.request("s"), { onProgress: () => {} });
    await session.execute({ code: "x = 1" });
    await session.execute({
      code:
        "import asyncio\ngo = asyncio.Event()\nclass Rich:\n    def _repr_html_(self): return '<b>'\n" +
        "    def __repr__(self): return 'rich'\nasync def late():\n" +
        "    await go.wait()\n    print('told', end='')\n    display(Rich())\n    print(' more')\n" +
        "task = asyncio.ensure_future(late())",
    });
    const result = await session.execute({ code: "go.set()\nawait task\nprint('mine')" });
    assertEquals(result.outputs, [{ type: "stream", name: "stdout", text: "mine\n" }]);
    const entries = () =>
      session.log.page("stdout", 0, undefined).items
        .filter((item) => item.execution_count !== undefined)
        .map((item) => [item.execution_count, item.content]);
    await until(() => entries().length === 2);
    assertEquals(entries(), [[2, "told more\n"], [2, "rich\n[displayed as text/html]\n"]]);
  });
}
