import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ExecutionResult } from "../../lib/interpreter/outputs.ts";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

/** The lines of a cell's error. */
function tracebackOf(result: ExecutionResult): string {
  return result.error?.traceback.join("\n") ?? "";
}

/** What a cell prints; fails when the cell failed. */
async function printed(session: Interpreter, code: string): Promise<string> {
  const result = await session.execute(code);
  if (result.error !== undefined) throw new Error(tracebackOf(result));
  return textOf(result, "stdout");
}

/** Runs a cell that never ends by itself, and interrupts it when it has printed something. */
async function interruptOnceStarted(session: Interpreter, code: string): Promise<ExecutionResult> {
  let started = false;
  const running = session.execute(code, { onOutput: () => void (started = true) });
  await until(() => started);
  await session.interrupt();
  return await running;
}

await suite("shell escapes", {
  "a command prints to the output of the cell and leaves its exit code": async (session) => {
    const result = await session.execute("print('a')\n!echo b; echo c >&2; exit 3\nprint('d')");
    assertEquals(textOf(result, "stdout"), "a\nb\nd\n");
    assertEquals(textOf(result, "stderr"), "c\n");
    assertEquals(await valueOf(session, "_exit_code"), "3");
    await session.execute("!kill -9 $$");
    assertEquals(await valueOf(session, "_exit_code"), "-9");
  },
  "output comes while the command runs": async (session) => {
    let seen = "";
    const running = session.execute("!echo first; while [ ! -e go ]; do sleep 0.01; done", {
      onOutput: (output) => void (seen += output.type === "stream" ? output.text : ""),
    });
    await until(() => seen === "first\n");
    await session.interrupt();
    await running;
  },
  "the lines of a command can be assigned and shown": async (session) => {
    assertEquals(await valueOf(session, "x = !echo a; echo b >&2\nx"), "['a', 'b']");
    assertEquals(await valueOf(session, "x.s, x.n, x.l[0]"), "('a b', 'a\\nb', 'a')");
    assertEquals(await valueOf(session, "!!echo c"), "['c']");
  },
  "values of expressions are filled in, also of local variables": async (session) => {
    await session.execute("name = 'w'\ndef f(local):\n    !echo {local * 2} $name");
    assertEquals(await printed(session, "f(4)"), "8 w\n");
    assertEquals(
      await printed(session, "import os\nos.environ['E1'] = 'e'\n!echo $E1 ${E1}"),
      "e e\n",
    );
  },
  "an interrupt ends the command and the cell": async (session) => {
    for (
      const code of ["!echo; sleep 100", "!trap '' INT; echo; sleep 100", "%%bash\necho; sleep 100"]
    ) {
      const result = await interruptOnceStarted(session, code);
      assertEquals(result.error?.ename, "KeyboardInterrupt", code);
    }
    const waiting = "print(flush=True)\nx = !sleep 100";
    assertEquals((await interruptOnceStarted(session, waiting)).error?.ename, "KeyboardInterrupt");
    assertEquals(await valueOf(session, "1"), "1");
  },
  "output of a command goes where the cell has sent its own": async (session) => {
    const code = "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as f:\n" +
      "    !echo caught; printf 'é'\nf.getvalue()";
    assertEquals(await valueOf(session, code), "'caught\\né'");
  },
});

await suite("magics", {
  "tracebacks and sources show what was written": async (session) => {
    const result = await session.execute("!true \\\n  x\n%cd -q .\n1/0");
    assertStringIncludes(tracebackOf(result), "line 4, in <module>\n    1/0");
    const failing = tracebackOf(await session.execute("def f():\n    x = %env NO_SUCH\nf()"));
    assertStringIncludes(failing, "line 2, in f\n    x = %env NO_SUCH");
    assertEquals(failing.includes("hypha"), false);
    await session.execute("def g():\n    !true\n    return 1");
    assertEquals(
      await printed(session, "import inspect\nprint(inspect.getsource(g))"),
      "def g():\n    !true\n    return 1\n\n",
    );
  },
  "lines of strings are never magics": async (session) => {
    assertEquals(await valueOf(session, "!true\nx = '''\n%cd\n!ls\n'''\nx"), "'\\n%cd\\n!ls\\n'");
  },
  "an unknown magic is an error that names its neighbours": async (session) => {
    const line = await session.execute("%tiem 1");
    assertEquals(line.error?.ename, "UsageError");
    assertStringIncludes(line.error!.evalue, "did you mean `%time`");
    const cell = await session.execute("%%tiem\n1");
    assertStringIncludes(cell.error!.evalue, "did you mean `%%time`");
    const other = await session.execute("%%pwd\n1");
    assertStringIncludes(other.error!.evalue, "there is `%pwd`");
    const late = await session.execute("1\n%%time");
    assertStringIncludes(late.error!.evalue, "must be the first line");
  },
  "a magic without its sign gets a hint": async (session) => {
    for (const code of ["pip install x", "ls", "ls -la", "cd /tmp"]) {
      const lines = (await session.execute(code)).error!.traceback;
      assertStringIncludes(lines.at(-1)!, `Did you mean '%${code}'?`);
    }
  },
  "time is measured, with results and with await": async (session) => {
    assertEquals(await valueOf(session, "x = %time 6 * 7\nx"), "42");
    const cell = await session.execute("%%time\nimport asyncio\nawait asyncio.sleep(0)\nx");
    assertMatch(
      textOf(cell, "stdout"),
      /^CPU times: user .*, sys: .*, total: .*\nWall time: .*\n$/,
    );
    assertEquals(cell.outputs.at(-1)?.type, "execute_result");
    assertEquals(await valueOf(session, "%time await asyncio.sleep(0, 5)"), "5");
    const failing = await session.execute("%%time\n\n1/0");
    assertStringIncludes(tracebackOf(failing), "line 3, in <module>\n    1/0");
    assertStringIncludes(textOf(failing, "stdout"), "Wall time");
    assertEquals((await session.execute("%%time\nx;")).outputs.length, 1);
  },
  "an interrupt ends what %%time awaits": async (session) => {
    const code = "%%time\nimport asyncio\nprint(flush=True)\nawait asyncio.sleep(100)";
    assertEquals((await interruptOnceStarted(session, code)).error?.ename, "KeyboardInterrupt");
  },
  "statements are timed in loops": async (session) => {
    await session.execute("def f(n):\n    r = %timeit -n 3 -r 2 -q -o n + 1\n    return r");
    assertEquals(await valueOf(session, "r = f(1)\nr.loops, r.repeat"), "(3, 2)");
    const text = await printed(session, "%%timeit -n 2 -r 1 a = 5\nb = a\n!true");
    assertStringIncludes(text, "per loop (mean ± std. dev. of 1 run, 2 loops each)");
  },
  "directories and variables of the environment": async (session) => {
    const home = await valueOf(session, "%pwd");
    await session.execute("%mkdir sub");
    assertMatch(await printed(session, "%cd sub"), /\/sub\n$/);
    await session.execute("%cd -q -");
    assertEquals(await valueOf(session, "%pwd"), home);
    assertEquals(await printed(session, "%ls"), "sub\n");
    assertEquals(await printed(session, "%env A=b c\n%set_env D e"), "env: A=b c\nenv: D=e\n");
    assertEquals(await valueOf(session, "v = %env A\nv"), "'b c'");
    assertEquals((await session.execute("%env NO_SUCH")).error?.ename, "UsageError");
  },
  "variables are listed and removed": async (session) => {
    await session.execute("number, text = 7, 'abc'");
    assertEquals(await printed(session, "%who"), "number\t text\n");
    assertMatch(await printed(session, "%whos"), /number +int +7\ntext +str +'abc'/);
    assertEquals((await session.execute("%reset")).error?.ename, "UsageError");
    await session.execute("%reset -f\ndisplay(1)");
    assertEquals((await session.execute("number")).error?.ename, "NameError");
    assertEquals((await session.execute("display(2)")).outputs.length, 1);
  },
  "files are written and run": async (session) => {
    await session.execute(
      "%%writefile p.py\nimport sys\nfound = (__name__, sys.argv, __file__[-4:])",
    );
    await session.execute("%%writefile -a p.py\nif len(sys.argv) > 2: sys.exit(0)");
    assertEquals(
      await valueOf(session, "%run p.py a 'b c'\nfound"),
      "('__main__', ['p.py', 'a', 'b c'], 'p.py')",
    );
    assertEquals(
      await valueOf(session, "__name__, '__file__' in globals()"),
      "('__main__', False)",
    );
    await session.execute("%%writefile q.py\n1/0");
    assertStringIncludes(tracebackOf(await session.execute("%run q.py")), 'q.py", line 1');
  },
  "programs run with the cell as their input": async (session) => {
    assertEquals(await printed(session, "%%bash\nfor i in 1 2; do\n  echo $i\ndone"), "1\n2\n");
    assertEquals(await printed(session, "%%python\nprint(6 * 7)"), "42\n");
    assertEquals(await printed(session, "%%script cat\n%cd {x}"), "%cd {x}\n");
    await session.execute("%%sh --out found\necho x");
    assertEquals(await valueOf(session, "found"), "'x\\n'");
    const failing = await session.execute("%%sh\nexit 4");
    assertEquals(failing.error?.ename, "CalledProcessError");
    assertEquals((await session.execute("%%sh --no-raise-error\nexit 4")).status, "ok");
    assertEquals((await session.execute("%%script no-such-program\n")).error?.ename, "UsageError");
  },
  "output is captured with displays and commands": async (session) => {
    const code =
      "%%capture c\nimport sys\nprint('a')\n!echo b\nprint('e', file=sys.stderr)\ndisplay(1)\n2";
    assertEquals((await session.execute(code)).outputs, []);
    assertEquals(
      await valueOf(session, "c.stdout, c.stderr, [o.data['text/plain'] for o in c.outputs]"),
      "('a\\nb\\n', 'e\\n', ['1', '2'])",
    );
    assertEquals((await session.execute("c.show()")).outputs.length, 4);
    const failing = await session.execute("%%capture d\nprint('x')\n1/0");
    assertEquals([failing.error?.ename, failing.outputs.length], ["ZeroDivisionError", 0]);
    assertEquals(await printed(session, "print(d.stdout, end='')"), "x\n");
  },
  "cells of other languages are shown as what they are": async (session) => {
    for (
      const [name, media] of [
        ["html", "text/html"],
        ["markdown", "text/markdown"],
        ["latex", "text/latex"],
        ["svg", "image/svg+xml"],
        ["javascript", "application/javascript"],
      ]
    ) {
      const output = (await session.execute(`%%${name}\n<b>'''`)).outputs[0];
      assert(output?.type === "display_data");
      assertEquals(output.data[media!], "<b>'''\n");
    }
  },
  "a question mark shows what is known": async (session) => {
    await session.execute("def add(a, b=2):\n    '''Adds.'''\n    return a + b");
    const short = JSON.stringify((await session.execute("add?")).outputs);
    assertStringIncludes(short, "add(a, b=2)");
    assertStringIncludes(short, "Adds.");
    assertEquals(short.includes("return a + b"), false);
    assertStringIncludes(JSON.stringify((await session.execute("add??")).outputs), "return a + b");
    assertStringIncludes(JSON.stringify((await session.execute("%cd?")).outputs), "home directory");
    assertEquals(await printed(session, "?nothing"), "Object `nothing` not found.\n");
  },
  "what needs IPython itself is explained": async (session) => {
    assertEquals((await session.execute("%matplotlib inline")).outputs, []);
    const widget = await session.execute("%matplotlib widget\n%load_ext autoreload\n%autoreload 2");
    assertEquals(widget.status, "ok");
    assertStringIncludes(textOf(widget, "stderr"), "figures are shown inline");
    assertEquals((await session.execute("%load_ext sql")).error?.ename, "UsageError");
    const conda = await session.execute("%conda install -y numpy");
    assertStringIncludes(conda.error!.evalue, "Add numpy to the `dependencies`");
  },
});
