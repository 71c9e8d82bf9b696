import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { suite, textOf, valueOf } from "./harness.ts";

await suite("errors", {
  "a traceback has the lines of the cells and none of the kernel": async (session) => {
    await session.execute("def inner(n):\n\n    return 1 / n");
    const { error, status } = await session.execute("x = 1\ninner(0)");
    assertEquals([status, error?.ename, error?.evalue], [
      "error",
      "ZeroDivisionError",
      "division by zero",
    ]);
    const text = error!.traceback.join("\n");
    assertMatch(text, /"<cell 2>", line 2, in <module>\n {4}inner\(0\)/);
    assertMatch(text, /"<cell 1>", line 3, in inner\n {4}return 1 \/ n/);
    assertEquals(text.includes("hypha_kernel"), false);
    assertEquals(error!.traceback.at(-1), "ZeroDivisionError: division by zero");
  },
  "a named file is the file of the traceback": async (session) => {
    const { error } = await session.execute("\n1/0", { filename: "startup.py" });
    assertStringIncludes(error!.traceback.join("\n"), 'File "startup.py", line 2');
  },
  "chained errors are shown with their cause and their context": async (session) => {
    const { error } = await session.execute(
      "def f():\n    {}['k']\ntry:\n    try:\n        f()\n    except KeyError as e:\n" +
        "        raise ValueError('v') from e\nexcept ValueError:\n    raise TypeError('t')",
    );
    const text = error!.traceback.join("\n");
    const parts = [
      "KeyError: 'k'\n\nThe above exception was the direct cause",
      "exception:\n\nTraceback",
      "ValueError: v\n\nDuring handling of the above exception",
      "TypeError: t",
    ];
    for (const part of parts) assertStringIncludes(text, part);
    assertEquals(text.includes("hypha_kernel"), false);
  },
  "groups of errors are shown with all members": async (session, kernel) => {
    if (/^3\.(8|9|10)\./.test(kernel.server.version)) return;
    const { error } = await session.execute(
      "def bad(n):\n    raise ValueError(n)\nerrors = []\nfor n in (1, 2):\n    try:\n        bad(n)\n" +
        "    except ValueError as e:\n        errors.append(e)\nraise ExceptionGroup('many', errors)",
    );
    const text = error!.traceback.join("\n");
    assertEquals(error!.ename, "ExceptionGroup");
    assertEquals(text.match(/ValueError: [12]/g)?.length, 2);
    assertEquals(text.includes("hypha_kernel"), false);
  },
  "a syntax error points at its place": async (session) => {
    const { error, status } = await session.execute("x = 1\ny = = 2");
    assertEquals([status, error?.ename], ["error", "SyntaxError"]);
    assertMatch(error!.traceback.join("\n"), /^ {2}File "<cell 1>", line 2\n {4}y = = 2\n +\^+\n/);
    assertEquals((await session.execute("if True:\nx")).error?.ename, "IndentationError");
    assertEquals((await session.execute("'abc")).error?.ename, "SyntaxError");
    assert((await session.execute("a\0b")).error !== undefined);
    assertEquals((await session.execute("x")).error?.ename, "NameError");
  },
  "a syntax error in code that a cell runs has the whole traceback": async (session) => {
    const { error } = await session.execute("exec('1 +')");
    assertEquals(error!.traceback[0], "Traceback (most recent call last):");
  },
  "SystemExit ends the cell and not the session": async (session) => {
    await session.execute("x = 1");
    const { error } = await session.execute("import sys; sys.exit(3)");
    assertEquals([error?.ename, error?.evalue], ["SystemExit", "3"]);
    assertEquals((await session.execute("exit()")).error?.ename, "SystemExit");
    assertEquals(await valueOf(session, "x"), "1");
  },
  "endless recursion is an error like others": async (session) => {
    const { error } = await session.execute("def f():\n    return f()\nf()");
    assertEquals(error?.ename, "RecursionError");
    assert(error!.traceback.length < 100);
    assertEquals(await valueOf(session, "1"), "1");
  },
  "an error that cannot be shown is reported": async (session) => {
    const { error } = await session.execute(
      "class Bad(Exception):\n    def __str__(self):\n        raise RuntimeError('no')\nraise Bad()",
    );
    assertEquals(error?.ename, "Bad");
    assertStringIncludes(error!.evalue, "RuntimeError");
  },
  "a huge error message is cut": async (session) => {
    const { error } = await session.execute("raise ValueError('x' * 10_000_000)");
    assert(error!.traceback.join("").length < 100_000);
    const many = await session.execute("raise ValueError('x\\n' * 1_000_000)");
    assert(many.error!.traceback.length < 2000);
  },
  "asyncio.run fails as in Jupyter": async (session) => {
    const { error } = await session.execute(
      "import asyncio\nasync def f():\n    return 1\nasyncio.run(f())",
    );
    assertEquals([error?.ename, error?.evalue], [
      "RuntimeError",
      "asyncio.run() cannot be called from a running event loop",
    ]);
  },
  "what was printed before an error stays": async (session) => {
    const result = await session.execute("print('before')\n1/0");
    assertEquals(textOf(result, "stdout"), "before\n");
    assertEquals(result.error?.ename, "ZeroDivisionError");
  },
  "an error of the user's own cancellation is one": async (session) => {
    const { error } = await session.execute("import asyncio\nraise asyncio.CancelledError('mine')");
    assertEquals(error?.ename, "CancelledError");
    assertEquals(await valueOf(session, "2"), "2");
  },
  "a child process forked in a cell does not answer for the session": async (session) => {
    const code =
      "import os, sys\nchild = os.fork()\nif child == 0:\n    print('child')\n    sys.exit(7)\n" +
      "status = os.waitpid(child, 0)[1]\nos.WEXITSTATUS(status)";
    const result = await session.execute(code);
    assertEquals(textOf(result, "stdout"), "child\n");
    assertEquals(result.outputs.at(-1)?.type, "execute_result");
    assertEquals(await valueOf(session, "_"), "7");
    const running = "child = os.fork()\nif child: status = os.waitpid(child, 0)[1]\nchild == 0";
    assertEquals(await valueOf(session, running), "False");
    assertEquals(await valueOf(session, "status"), "0");
    const failing = await session.execute(
      "child = os.fork()\nif child == 0: 1/0\nstatus = os.waitpid(child, 0)[1]\nos.WEXITSTATUS(status)",
    );
    assertStringIncludes(textOf(failing, "stderr"), "ZeroDivisionError");
    assertEquals(failing.status, "ok");
  },
});
