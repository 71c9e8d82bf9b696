import { assertEquals, assertStringIncludes } from "@std/assert";
import { suite, textOf, valueOf } from "./harness.ts";

await suite("cells", {
  "what a cell defines is there for the next": async (session) => {
    await session.execute("x = 40\ndef add(n):\n    return x + n");
    assertEquals(await valueOf(session, "add(2)"), "42");
  },
  "only an expression that is the last statement is the result": async (session) => {
    assertEquals((await session.execute("1\nx = 2")).outputs, []);
    assertEquals((await session.execute("if True:\n    5")).outputs, []);
    assertEquals((await session.execute("None")).outputs, []);
    assertEquals((await session.execute("")).outputs, []);
    assertEquals((await session.execute("# nothing")).outputs, []);
    assertEquals(await valueOf(session, "x = 3\nx"), "3");
  },
  "a semicolon at the end hides the result, wherever comments stand": async (session) => {
    for (const code of ["7;", "7; # c", "7;\n\n", "'a;b';"]) {
      assertEquals((await session.execute(code)).outputs, [], code);
    }
    assertEquals(await valueOf(session, "'a;'"), "'a;'");
    assertEquals(await valueOf(session, "7 # ;"), "7");
  },
  "results and sources are kept as history": async (session) => {
    await session.execute("'a'");
    await session.execute("'b'");
    await session.execute("'c';");
    assertEquals(await valueOf(session, "_, __, _1, _2"), "('b', 'a', 'a', 'b')");
    assertEquals(
      await valueOf(session, "sorted(Out), In[1], In[-1]"),
      [
        "([1, 2, 4], \"'a'\", 'sorted(Out), In[1], In[-1]')",
      ][0],
    );
  },
  "a variable of the user named _ is not overwritten": async (session) => {
    await session.execute("for _ in range(3): pass");
    assertEquals(await valueOf(session, "10"), "10");
    assertEquals(await valueOf(session, "_"), "2");
  },
  "cells are counted, silent ones are not": async (session) => {
    assertEquals((await session.execute("1")).execution_count, 1);
    const silent = await session.execute("y = 5\ny", { silent: true });
    assertEquals([silent.execution_count, silent.outputs], [1, []]);
    assertEquals((await session.execute("1/0")).execution_count, 2);
    assertEquals((await session.execute("y, len(In)")).execution_count, 3);
    assertEquals(await valueOf(session, "_3"), "(5, 4)");
  },
  "code runs as __main__, without a file": async (session) => {
    assertEquals(
      await valueOf(session, "__name__, '__file__' in globals()"),
      "('__main__', False)",
    );
    assertEquals(await valueOf(session, "import __main__; __main__.__dict__ is globals()"), "True");
  },
  "objects of classes from cells can be pickled": async (session) => {
    await session.execute("class Point:\n    def __init__(self, x):\n        self.x = x");
    const code = "import pickle\npickle.loads(pickle.dumps(Point(3))).x";
    assertEquals(await valueOf(session, code), "3");
  },
  "a pool of forked workers runs functions from cells": async (session) => {
    await session.execute("def square(n):\n    return n * n");
    const code = "import multiprocessing\n" +
      "with multiprocessing.get_context('fork').Pool(2) as pool:\n" +
      "    squares = pool.map(square, range(5))\nsquares";
    assertEquals(await valueOf(session, code), "[0, 1, 4, 9, 16]");
  },
  "the source of a function from a cell can be read": async (session) => {
    await session.execute("def f():\n    return 'hello'");
    await session.execute("import linecache; linecache.checkcache()");
    const code = "import inspect\ninspect.getsource(f)";
    assertStringIncludes((await valueOf(session, code))!, "return 'hello'");
  },
  "statements from __future__ hold for later cells": async (session) => {
    await session.execute("from __future__ import annotations");
    await session.execute("def f(a: unknown_name): pass");
    assertEquals(await valueOf(session, "f.__annotations__"), "{'a': 'unknown_name'}");
  },
  "containers are shown broken over lines, in their own order": async (session) => {
    assertEquals(await valueOf(session, "{'b': 1, 'a': 2}"), "{'b': 1, 'a': 2}");
    const long = (await valueOf(session, "['x' * 30] * 4"))!;
    assertEquals(long.split("\n").length, 4);
  },
  "input fails at once and standard input is empty": async (session) => {
    const result = await session.execute("input('name? ')");
    assertEquals(result.error?.ename, "InputNotAvailable");
    assertStringIncludes(result.error!.evalue, "not available");
    assertEquals(await valueOf(session, "import sys; sys.stdin.read()"), "''");
    assertEquals(await valueOf(session, "import os; os.read(0, 10)"), "b''");
    const child = "import subprocess\nsubprocess.run(['cat'], timeout=20).returncode";
    assertEquals(await valueOf(session, child), "0");
  },
  "text that is no valid Unicode survives": async (session) => {
    assertEquals(await valueOf(session, "'\\ud800'"), "'\\ud800'");
    const result = await session.execute("print('\\ud800', '\\ufeffé')");
    assertEquals(textOf(result, "stdout"), "\\ud800 \ufeffé\n");
  },
  "warnings name the line of the cell": async (session) => {
    const result = await session.execute("import warnings\n\nwarnings.warn('careful')");
    assertStringIncludes(textOf(result, "stderr"), "<cell 1>:3: UserWarning: careful");
  },
});
