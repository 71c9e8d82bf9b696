/** Magics about the session itself: its settings, its history, its objects, and what cannot be here. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { alive, suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

/** What a cell prints; fails when the cell failed. */
async function printed(session: Interpreter, code: string): Promise<string> {
  const result = await session.execute(code);
  if (result.error !== undefined) throw new Error(result.error.traceback.join("\n"));
  return textOf(result, "stdout");
}

/** Why a cell failed. */
async function failure(session: Interpreter, code: string): Promise<string> {
  const { error } = await session.execute(code);
  return `${error?.ename}: ${error?.evalue}`;
}

/** The plain texts of a cell's displays and of its result. */
async function shown(session: Interpreter, code: string): Promise<unknown[]> {
  const { outputs } = await session.execute(code);
  return outputs.flatMap((output) => output.type === "stream" ? [] : [output.data["text/plain"]]);
}

await suite("settings", {
  "%config lists what there is, and names what is unknown": async (session) => {
    assertStringIncludes(await printed(session, "%config"), "InlineBackend\n    InteractiveShell");
    const options = await printed(session, "%config InlineBackend");
    assertStringIncludes(options, "InlineBackend.figure_formats = {'png'}");
    assertMatch(await failure(session, "%config Foo.bar = 1"), /UsageError: .*InlineBackend.*Foo/);
    const option = await failure(session, "%config InlineBackend.nope = 1");
    assertStringIncludes(option, "has no option nope; it has figure_formats");
    const value = await failure(session, "%config InlineBackend.figure_format = 'gif'");
    assertMatch(value, /UsageError: .*supported formats are/);
    assertStringIncludes(await failure(session, "%config InlineBackend.figure_format ="), "value");
    const common = await session.execute("%config IPCompleter.use_jedi = False");
    assertEquals([common.status, textOf(common, "stderr").includes("no effect")], ["ok", true]);
  },
  "which expressions are shown can be chosen, also on IPython's class": async (session) => {
    await session.execute("%config InteractiveShell.ast_node_interactivity = 'all'");
    const all = "import asyncio\n1\nawait asyncio.sleep(0, 2)\nNone\nx = 3\n4";
    assertEquals(await shown(session, all), ["1", "2", "4"]);
    await session.execute("get_ipython().ast_node_interactivity = 'none'");
    assertEquals(await shown(session, "1\n2"), []);
    const code = "from IPython.core.interactiveshell import InteractiveShell\n" +
      "InteractiveShell.ast_node_interactivity = 'last_expr_or_assign'";
    await session.execute(code);
    assertEquals(await shown(session, "y = 7"), ["7"]);
    assertEquals(await shown(session, "y += 1"), ["8"]);
    assertEquals(await shown(session, "y;"), []);
    const wrong = "%config InteractiveShell.ast_node_interactivity = 'some'";
    assertStringIncludes(await failure(session, wrong), "last_expr");
  },
  "%precision chooses how numbers are shown": async (session) => {
    assertEquals(await valueOf(session, "%precision 3"), "'%.3f'");
    assertEquals(await valueOf(session, "[3.14159, 1.0, 2]"), "[3.142, 1.000, 2]");
    assertEquals(await valueOf(session, "2.71828"), "2.718");
    await session.execute("%precision %.2e");
    assertEquals(await valueOf(session, "12345.0"), "1.23e+04");
    await session.execute("%precision");
    assertEquals(await valueOf(session, "3.14159"), "3.14159");
    assertStringIncludes(await failure(session, "%precision many"), "digits");
  },
});

await suite("looking around", {
  "%prun prints where time goes": async (session) => {
    await session.execute("def work():\n    return sum(len(str(i)) for i in range(100))");
    const text = await printed(session, "%prun -l 5 work()");
    assertMatch(text, /function calls[^]*ncalls[^]*\(work\)/);
    assertMatch(
      await printed(session, "%%prun -s cumulative\nfor _ in range(3):\n    work()"),
      /3 .*\(work\)/,
    );
    await printed(session, "%prun -q -T out.txt -D out.prof work()");
    assertEquals(await valueOf(session, "'(work)' in open('out.txt').read()"), "True");
    assertEquals(
      await printed(session, "s = %prun -q -r work()\nprint(type(s).__name__)"),
      "Stats\n",
    );
    assertStringIncludes(await failure(session, "%prun 1/0"), "ZeroDivisionError");
    assertStringIncludes(await failure(session, "%prun -z work()"), "flag -z");
    assertStringIncludes(await failure(session, "%prun await work()"), "await");
  },
  "the history is printed and saved": async (session) => {
    await session.execute("first = 1");
    await session.execute("first + 1");
    assertEquals(await printed(session, "%history"), "first = 1\nfirst + 1\n");
    assertEquals(await printed(session, "%history -n -o 2"), "   2: first + 1\n2\n");
    assertStringIncludes(await printed(session, "%save prog.py 1-2"), "2 cells");
    assertEquals(await printed(session, "%load prog.py"), "first = 1\nfirst + 1\n");
    assertEquals(
      await valueOf(session, "_i, _ii, _i1"),
      "('%load prog.py', '%save prog.py 1-2', 'first = 1')",
    );
    assertStringIncludes(await failure(session, "%history x"), "x is no number of a cell");
  },
  "objects are described, with their sources": async (session) => {
    await session.execute("def add(a, b=2):\n    '''Adds.'''\n    return a + b\nfive = 5");
    assertEquals(await printed(session, "%pdoc add"), "Adds.\n");
    assertEquals(await printed(session, "%pdef add"), "add(a, b=2)\n");
    assertStringIncludes(await printed(session, "%psource add"), "return a + b");
    assertStringIncludes(String((await shown(session, "%pinfo add"))[0]), "add(a, b=2)");
    assertStringIncludes(String((await shown(session, "%pinfo2 add"))[0]), "return a + b");
    assertEquals(await printed(session, "fi*?"), "filter\nfive\n");
    assertEquals(await printed(session, "%psearch add.__na*"), "add.__name__\n");
    assertStringIncludes(await failure(session, "%pdoc nothing"), "`nothing` not found");
    assertStringIncludes(await failure(session, "%psource"), "needs the name of an object");
    assertStringIncludes(await printed(session, "%psource len"), "No source found for len");
    assertMatch(await printed(session, "%magic"), /%cd \[-q\][^]*%%writefile/);
    assertMatch(await printed(session, "%lsmagic"), /%autoreload[^]*%%bash/);
  },
  "names are listed in order, and removed": async (session) => {
    await session.execute("zeta = [1]\nalso = zeta\nbeta, gamma1, gamma2 = 2, 3, 4");
    assertEquals(await printed(session, "%who"), "also\t beta\t gamma1\t gamma2\t zeta\n");
    await session.execute("%xdel zeta");
    await session.execute("%reset_selective -f gamma");
    assertEquals(await valueOf(session, "%who_ls"), "['beta']");
    assertStringIncludes(await failure(session, "%xdel nothing"), "not defined");
    assertStringIncludes(await failure(session, "%reset_selective beta"), "-f");
  },
  "directories are pushed and popped": async (session) => {
    const home = await valueOf(session, "%pwd");
    await session.execute("%mkdir sub");
    await session.execute("%pushd sub");
    assertEquals(await valueOf(session, "%dirs"), `[${home}]`);
    await session.execute("%popd");
    assertEquals(await valueOf(session, "%pwd"), home);
    assertStringIncludes(await failure(session, "%popd"), "no %pushd");
  },
  "what cannot be here says why": async (session) => {
    const reasons = {
      "%store x": "pickle or json",
      "%edit": "no next cell",
      "%qtconsole": "no Jupyter kernel",
      "%pylab": "import",
      "%load_ext no_such_thing": "no IPython",
      "%run --quick x.py": "flag --quick",
      "%autoreload often": "knows 0, 1 and 2",
      "%unload_ext no_such_thing": "not loaded",
    };
    for (const [code, reason] of Object.entries(reasons)) {
      const text = await failure(session, code);
      assertMatch(text, /^UsageError: /, code);
      assertStringIncludes(text, reason, code);
    }
    for (const code of ["%xmode Plain", "%colors NoColor", "%gui", "%automagic off"]) {
      assertEquals((await session.execute(code)).status, "ok", code);
    }
    assertEquals((await session.execute("print(1)\n%clear")).outputs, []);
  },
});

await suite("programs of a session", {
  "a notebook is run cell by cell, with magics and await": async (session) => {
    const cells = [
      { cell_type: "markdown", source: "# Title" },
      {
        cell_type: "code",
        source: ["import asyncio\n", "a = await asyncio.sleep(0, 4)\n", "print(a)\n", "a"],
      },
      { cell_type: "code", source: "%%time\nb = !echo sh" },
      { cell_type: "code", source: "c = __file__\n1/0" },
    ];
    const notebook = JSON.stringify({ cells, nbformat: 4 });
    await session.execute(`open('n.ipynb', 'w').write(${JSON.stringify(notebook)})`);
    const result = await session.execute("%run n.ipynb");
    assertMatch(textOf(result, "stdout"), /^4\nCPU times/);
    assertEquals(result.error?.ename, "ZeroDivisionError");
    const place = '"<n.ipynb, code cell 3>", line 2';
    assertStringIncludes(result.error!.traceback.join("\n"), place);
    assertEquals(await valueOf(session, "a, b, c[-7:]"), "(4, ['sh'], 'n.ipynb')");
    assertEquals(await valueOf(session, "'__file__' in globals()"), "False");
    const simple = JSON.stringify({
      worksheets: [{ cells: [{ cell_type: "code", input: "d = 5" }] }],
    });
    await session.execute(`open('old.ipynb', 'w').write(${JSON.stringify(simple)})`);
    assertEquals(await valueOf(session, "def f():\n    %run old.ipynb\nf()\nd"), "5");
    await session.execute("open('bad.ipynb', 'w').write('[]');");
    assertStringIncludes(await failure(session, "%run bad.ipynb"), "is no notebook");
  },
  "a program shares the session's variables when it is told to": async (session) => {
    await session.execute(
      "%%writefile p.py\nfound = 'secret' in globals()\nimport sys\nsys.exit(3)",
    );
    await session.execute("secret = 1");
    assertEquals((await session.execute("%run p.py")).error?.evalue, "3");
    assertEquals(await valueOf(session, "found"), "False");
    assertEquals(await valueOf(session, "%run -i -e p.py\nfound"), "True");
  },
  "a program in the background goes on, is not interrupted, and can be ended": async (
    _,
    kernel,
  ) => {
    let background = "";
    const session = await kernel.session({ onBackground: (_, text) => void (background += text) });
    const first = await session.execute(
      "%%bash --bg --proc p\necho early; read x; while [ ! -e go ]; do sleep 0.01; done; echo late",
    );
    const spinning = await session.execute("while True: pass", { timeout: 100 });
    assertEquals(spinning.error?.ename, "TimeoutError");
    assertEquals(await valueOf(session, "p.poll() is None"), "True");
    // Its text goes to the cell that runs, or to the log, as that of all programs.
    const early = textOf(first, "stdout") + textOf(spinning, "stdout");
    await until(() => early + background === "early\n");
    const waited = await printed(session, "open('go', 'w').close()\n_code = p.wait()");
    assertEquals([waited, await valueOf(session, "p.returncode")], ["late\n", "0"]);
    await session.execute("%%sh --bg --out text\necho to a variable");
    assertEquals(await valueOf(session, "text.read()"), "b'to a variable\\n'");
    await session.execute("%%bash --bg --proc q\nsleep 1000 & echo $! > child; wait");
    await session.execute("import os, time\nwhile not os.path.exists('child'): time.sleep(0.01)");
    const child = Number((await printed(session, "print(open('child').read())")).trim());
    assertMatch(await printed(session, "%killbgscripts"), /^Killed 1 program\.\n$/);
    assertEquals(await valueOf(session, "q.returncode"), "-9");
    await until(async () => !await alive(child));
    await session.kill();
  },
  "package managers of conda do not change the environment": async (session) => {
    await session.execute(
      "%%bash\nmkdir real; printf '#!/bin/sh\\necho real \"$@\"\\n' > real/mamba; chmod +x real/mamba",
    );
    await session.execute("import os\nos.environ['PATH'] += ':' + os.path.abspath('real')");
    for (
      const command of [
        "mamba install -y numpy",
        "mamba -y remove numpy",
        "mamba env update -f e.yml",
        "mamba update --all",
        "mamba install -p {sys.prefix} numpy",
        "conda install numpy",
        "micromamba install numpy",
      ]
    ) {
      const result = await session.execute(`import sys\n!${command}`);
      assertStringIncludes(textOf(result, "stderr"), "dependencies of the app", command);
      assertEquals([textOf(result, "stdout"), await valueOf(session, "_exit_code")], ["", "1"]);
    }
    for (
      const command of ["mamba list", "mamba create -p ./own numpy", "mamba install -p ./own six"]
    ) {
      assertEquals(await printed(session, `!${command}`), `real ${command.slice(6)}\n`);
    }
    const none = await session.execute("!micromamba list");
    assertStringIncludes(textOf(none, "stderr"), "no such program");
  },
  "changed modules are loaded again": async (session) => {
    const write = (text: string) =>
      session.execute(
        `import time; time.sleep(0.02)\nopen('mod.py', 'w').write(${JSON.stringify(text)});`,
      );
    await write(
      "def f(): return 1\nclass K:\n    def m(self): return 'old'\n    def gone(self): pass\n",
    );
    await session.execute("%load_ext autoreload\n%autoreload 2");
    await session.execute("import mod\nfrom mod import f, K\nk = K()\nkept = k.m");
    assertEquals(await valueOf(session, "f(), k.m()"), "(1, 'old')");
    await write(
      "def f(): return 2\nclass K:\n    def m(self): return 'new'\n    def more(self): return 3\n",
    );
    const code =
      "f(), k.m(), mod.f(), k.more(), isinstance(k, K), isinstance(k, mod.K), kept(), hasattr(k, 'gone')";
    assertEquals(await valueOf(session, code), "(2, 'new', 2, 3, True, True, 'new', False)");
    await write("def f(: return 3\n");
    const broken = await session.execute("f()");
    assertStringIncludes(textOf(broken, "stderr"), "[autoreload of mod failed]");
    assertEquals(broken.outputs.at(-1)?.type, "execute_result");
    assertEquals(textOf(await session.execute("f()"), "stderr"), "");
    await session.execute("%autoreload 0");
    await write("def f(): return 4\n");
    assertEquals(await valueOf(session, "f()"), "2");
    await session.execute("%autoreload");
    assertEquals(await valueOf(session, "f()"), "4");
    assert((await printed(session, "%aimport")).includes("__main__"));
  },
});
