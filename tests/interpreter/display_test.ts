import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ExecutionResult, LiveOutput } from "../../lib/interpreter/outputs.ts";
import { suite, textOf, valueOf } from "./harness.ts";

function dataOf(result: ExecutionResult): Record<string, unknown>[] {
  return result.outputs.flatMap((output) => output.type === "stream" ? [] : [output.data]);
}

await suite("display", {
  "a value is shown in all its forms": async (session) => {
    const code = "class A:\n    def _repr_html_(self): return '<b>a</b>'\n" +
      "    def _repr_png_(self): return b'\\x89PNG'\n    def _repr_latex_(self): return None\n" +
      "    def _repr_json_(self): return {'a': 1}, {'expanded': True}\n    def __repr__(self): return 'A!'\nA()";
    const { outputs } = await session.execute(code);
    assertEquals(outputs, [{
      type: "execute_result",
      data: {
        "text/html": "<b>a</b>",
        "image/png": "iVBORw==",
        "application/json": { a: 1 },
        "text/plain": "A!",
      },
      metadata: { "application/json": { expanded: true } },
      execution_count: 1,
    }]);
  },
  "a bundle of a value's own comes first": async (session) => {
    const code = "class A:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n" +
      "        return {'text/html': 'mine', 'x/y': 1}, {'x/y': {'k': 2}}\n" +
      "    def _repr_html_(self): return 'not this'\n    def __repr__(self): return 'A'\ndisplay(A())";
    const { outputs } = await session.execute(code);
    assertEquals(outputs, [{
      type: "display_data",
      data: { "text/html": "mine", "x/y": 1, "text/plain": "A" },
      metadata: { "x/y": { k: 2 } },
    }]);
  },
  "an object that displays itself has no result": async (session) => {
    const code = "class A:\n    def _ipython_display_(self): display('shown')\nA()";
    const result = await session.execute(code);
    assertEquals(result.outputs.map((output) => output.type), ["display_data"]);
  },
  "a formatter that fails is reported and fails nothing": async (session) => {
    const code = "class A:\n    def _repr_html_(self): raise ValueError('broken')\n" +
      "    def __repr__(self): return 'A!'\nA()";
    const result = await session.execute(code);
    assertEquals([result.status, dataOf(result)], ["ok", [{ "text/plain": "A!" }]]);
    assertStringIncludes(textOf(result, "stderr"), "ValueError: broken");
    const bad = await session.execute("class B:\n    def __repr__(self): raise KeyError('r')\nB()");
    assertEquals(bad.status, "ok");
    assertStringIncludes(textOf(bad, "stderr"), "KeyError");
  },
  "objects that answer to every name are shown as text": async (session) => {
    const value = await session.execute("from unittest.mock import Mock, MagicMock\nMock()");
    assertEquals(Object.keys(dataOf(value)[0]!), ["text/plain"]);
    assertEquals(Object.keys(dataOf(await session.execute("MagicMock()"))[0]!), ["text/plain"]);
    const proxy = "class P:\n    def __getattr__(self, name): return lambda *a, **k: 'x'\nP()";
    assertEquals(Object.keys(dataOf(await session.execute(proxy))[0]!), ["text/plain"]);
    const cls = "class C:\n    def _repr_html_(self): return 'html'\nC";
    assertEquals(Object.keys(dataOf(await session.execute(cls))[0]!), ["text/plain"]);
  },
  "updates change what is shown, in its place": async (session) => {
    const live: LiveOutput[] = [];
    const code = "h = display('a', display_id=True)\nprint('between')\nh.update('b')\n" +
      "display('c', display_id='mine')\nupdate_display('d', display_id='mine')\ntype(h).__name__";
    const result = await session.execute(code, { onOutput: (output) => void live.push(output) });
    assertEquals(dataOf(result), [
      { "text/plain": "'b'" },
      { "text/plain": "'d'" },
      { "text/plain": "'DisplayHandle'" },
    ]);
    // Whoever shows the stream, or the result, can tell which display an update is meant for.
    const ids = (type: string) =>
      live.flatMap((one) =>
        one.type === type && "transient" in one ? one.transient!.display_id : []
      );
    assertEquals(ids("update_display_data"), ids("display_data"));
    assertEquals(ids("display_data")[1], "mine");
    assertEquals(
      result.outputs.flatMap((one) =>
        one.type === "display_data" ? one.transient?.display_id ?? "none" : []
      ),
      ids("display_data"),
    );
    const later = await session.execute("h.update('e')", { onOutput: (o) => void live.push(o) });
    assertEquals(later.outputs, []);
    assertEquals(live.at(-1)?.type, "update_display_data");
  },
  "clearing removes output at once, or when something new comes": async (session) => {
    assertEquals((await session.execute("print(1)\nclear_output()")).outputs, []);
    const waiting = await session.execute("print(1)\nclear_output(wait=True)");
    assertEquals(textOf(waiting, "stdout"), "1\n");
    const replaced = await session.execute(
      "for i in range(3):\n    clear_output(wait=True)\n    print(i)",
    );
    assertEquals(textOf(replaced, "stdout"), "2\n");
  },
  "values that JSON does not know do not harm the session": async (session) => {
    const code =
      "display({'application/json': {'a': float('nan'), (1, 2): {3}, 'i': [float('inf')]}}, raw=True)";
    assertEquals(dataOf(await session.execute(code)), [{
      "application/json": { a: null, "(1, 2)": "{3}", i: [null] },
    }]);
    const circular = "a = {}\na['a'] = a\ndisplay({'application/json': a}, raw=True)";
    assertEquals((await session.execute(circular)).error?.ename, "RecursionError");
    const failing = "class S:\n    def __str__(self): raise OSError('s')\n" +
      "display({'x/y': S()}, raw=True)";
    assertEquals((await session.execute(failing)).error?.ename, "OSError");
    assertEquals(await valueOf(session, "1"), "1");
  },
  "a display from a thread or a task is part of the cell that runs": async (session) => {
    const code =
      "import threading, asyncio\nt = threading.Thread(target=display, args=('t',))\nt.start()\n" +
      "t.join()\nasync def show(): display('a')\nawait asyncio.ensure_future(show())";
    assertEquals(dataOf(await session.execute(code)).length, 2);
  },
  "large displays count against the output limit": async (session) => {
    const result = await session.execute("for i in range(100): display('x' * 100_000)", {
      outputLimit: 1_000_000,
    });
    assertEquals(result.truncated, true);
    assert(result.outputs.length <= 11);
  },
  "figures are shown when the cell ends, and where show is called": async (session) => {
    const found = "import importlib.util\nimportlib.util.find_spec('matplotlib') is not None";
    if (await valueOf(session, found) !== "True") return;
    const result = await session.execute(
      "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('x')\nplt.plot([2, 1]);",
    );
    assertEquals(result.outputs.map((output) => output.type), [
      "display_data",
      "stream",
      "display_data",
    ]);
    assert(dataOf(result).every((data) => typeof data["image/png"] === "string"));
  },
});
