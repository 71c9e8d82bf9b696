import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import type { ExecutionResult } from "../../lib/interpreter/outputs.ts";
import { suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

/** Runs a cell whose client answers the debugger with these commands, and `c` when they are used up. */
async function debug(
  session: Interpreter,
  code: string,
  commands: string[],
): Promise<ExecutionResult & { asked: number }> {
  const left = [...commands];
  let asked = 0;
  const result = await session.execute(code, {
    onInput: (prompt) => {
      assertStringIncludes(prompt, "Pdb");
      asked++;
      return Promise.resolve(left.shift() ?? "c");
    },
  });
  return { ...result, asked };
}

const FAILING = "def inner(n):\n    local = n + 1\n    return local / n\ninner(0)";

await suite("debugging", {
  "without a client a breakpoint fails at once and says why": async (session) => {
    for (const code of ["breakpoint()", "import pdb\npdb.set_trace()", "%debug", "%%debug\n1"]) {
      const { error, outputs } = await session.execute(code);
      assertEquals([error?.ename, outputs], ["InputNotAvailable", []], code);
      assertStringIncludes(error!.evalue, "input callback");
    }
    assertEquals(await valueOf(session, "import sys\nsys.gettrace() is None"), "True");
  },
  "a client that is asked steps through its own code only": async (session) => {
    const code = "def f(x):\n    breakpoint()\n    y = x + 1\n    return y\nf(4)";
    const result = await debug(session, code, ["n", "p x", "w", "n", "p y * 100"]);
    const text = textOf(result, "stdout");
    assertStringIncludes(text, "\n4\n");
    assertStringIncludes(text, "500\n");
    assertEquals(result.outputs.at(-1)?.type, "execute_result");
    assertEquals(result.asked, 6);
  },
  "a debugger that is stepped beyond the end of a cell does not stop in the next": async (
    session,
  ) => {
    const stepped = await debug(session, "breakpoint()\nx = 1", ["n", "n", "n", "n", "n"]);
    assertEquals([stepped.status, textOf(stepped, "stdout").includes("hypha_kernel")], [
      "ok",
      false,
    ]);
    const next = await debug(session, "import sys\nsys.gettrace()", []);
    assertEquals([next.asked, next.outputs], [0, []]);
    assertEquals(await valueOf(session, "x"), "1");
  },
  "quitting the debugger ends the cell": async (session) => {
    const result = await debug(session, "breakpoint()\nx = 1\ny = 2", ["q"]);
    assertEquals(result.error?.ename, "BdbQuit");
    assertEquals(await valueOf(session, "'y' in globals()"), "False");
  },
  "the last error can be looked into, and shown again": async (session) => {
    await session.execute(FAILING);
    const result = await debug(session, "%debug", ["p local", "u", "p 'outer'", "q"]);
    assertEquals(result.status, "ok");
    const text = textOf(result, "stdout");
    assertStringIncludes(text, "(3)inner()");
    assertStringIncludes(text, "\n1\n");
    assertStringIncludes(text, "(4)<module>()");
    const again = textOf(await session.execute("%tb"), "stderr");
    assertStringIncludes(again, "ZeroDivisionError");
    assert(!again.includes("hypha_kernel"));
    const name =
      "import sys\nsys.last_type.__name__, sys.last_traceback.tb_frame.f_code.co_filename";
    assertEquals(await valueOf(session, name), "('ZeroDivisionError', '<cell 1>')");
    const before = await session.execute("%debug", { onInput: () => Promise.resolve("q") });
    assertEquals(before.status, "ok");
  },
  "a statement or a cell can be run in the debugger": async (session) => {
    await session.execute("def f(n):\n    m = n * 2\n    return m");
    const line = await debug(session, "%debug f(4)", ["s", "s", "s", "n", "p m"]);
    assertStringIncludes(textOf(line, "stdout"), "8\n");
    const cell = await debug(session, "%%debug\nz = 5\nz += 1", ["n", "p z", "c"]);
    assertStringIncludes(textOf(cell, "stdout"), "5\n");
    assertEquals(await valueOf(session, "z"), "6");
  },
  "an interrupt ends the wait of the debugger": async (session) => {
    let asked = false;
    const running = session.execute("breakpoint()\nx = 1", {
      onInput: () => {
        asked = true;
        return new Promise(() => {});
      },
    });
    await until(() => asked);
    await session.interrupt();
    assertEquals((await running).error?.ename, "KeyboardInterrupt");
    assertEquals(await valueOf(session, "2"), "2");
  },
  "an error before any has nothing to look into": async (session) => {
    const result = await debug(session, "%debug", []);
    assertStringIncludes(result.error!.evalue, "no error to look into");
    assertEquals(textOf(await session.execute("%pdb off"), "stdout"), "");
    assertStringIncludes((await session.execute("%pdb on")).error!.evalue, "%debug");
  },
  "the user's own tracing is left alone": async (session) => {
    await session.execute(
      "import sys, bdb, pdb\ndef tracer(*a): return tracer\nsys.settrace(tracer)",
    );
    assertEquals(await valueOf(session, "sys.gettrace() is tracer"), "True");
    await session.execute("sys.settrace(None)");
  },
});
