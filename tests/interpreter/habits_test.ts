/** What notebooks do with Python's own library, and with objects that misbehave. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

/** Both streams of a cell that must not fail. */
async function streams(session: Interpreter, code: string): Promise<string> {
  const result = await session.execute(code);
  if (result.error !== undefined) throw new Error(result.error.traceback.join("\n"));
  return textOf(result, "stdout") + textOf(result, "stderr");
}

/** Defines things of which each is nasty in its own way. */
const NASTY = `
class Everything:
    def __getattribute__(self, name): raise RuntimeError("no " + name)
class NoClass:
    @property
    def __class__(self): raise ValueError("cls")
class Attributes:
    def __getattr__(self, name): raise RuntimeError("no " + name)
class Yes:
    def __getattr__(self, name): return self
    def __call__(self, *args, **options): return self
class Meta(type):
    def __getattr__(cls, name): raise RuntimeError("meta")
    def __repr__(cls): raise RuntimeError("metarepr")
class OfMeta(metaclass=Meta): pass
class Keys(dict):
    def __getitem__(self, key): raise KeyError("x")
    def keys(self): return ["a"]
class Items(list):
    def __iter__(self): raise RuntimeError("iter")
class Number:
    def __repr__(self): return 5
class Ambiguous:
    def __bool__(self): raise ValueError("ambiguous")
    def __eq__(self, other): raise ValueError("eq")
    def __len__(self): raise ValueError("len")
class Shape:
    @property
    def shape(self): raise RuntimeError("shape")
    def __repr__(self): raise RuntimeError("repr")
class Bundle:
    def _repr_mimebundle_(self, **options): return {"text/html": object(), "application/json": {1: object()}}
class Recursive:
    def __repr__(self): return repr(self)
`;

await suite("habits", {
  "the source of a class can be read, and each definition has its own": async (session) => {
    await session.execute(
      "import dataclasses, inspect\n\n@dataclasses.dataclass\nclass D:\n    x: int = 1\n    def m(self):\n        return 5",
    );
    await session.execute("class Plain:\n    a = 1\nclass Other:\n    def o(self): pass");
    assertMatch(await streams(session, "print(inspect.getsource(D))"), /class D:[^]*return 5/);
    assertEquals(
      await streams(session, "print(inspect.getsource(Plain))"),
      "class Plain:\n    a = 1\n\n",
    );
    await session.execute("class Plain:\n    b = 2");
    assertStringIncludes(await streams(session, "print(inspect.getsource(Plain))"), "b = 2");
    assertStringIncludes(JSON.stringify((await session.execute("Plain??")).outputs), "b = 2");
    const made = await session.execute("inspect.getsource(type('Made', (), {}))");
    assert(["TypeError", "OSError"].includes(made.error!.ename), made.error!.ename);
    assertEquals((await session.execute("inspect.getfile(int)")).error?.ename, "TypeError");
  },
  "dataclasses, type hints, enumerations and named tuples of cells work": async (session) => {
    const code =
      "import copy, dataclasses, enum, pickle, typing\n@dataclasses.dataclass\nclass Tree:\n" +
      "    value: int\n    below: 'typing.List[Tree]' = dataclasses.field(default_factory=list)\n" +
      "class Colour(enum.Enum):\n    RED = 1\nclass Pair(typing.NamedTuple):\n    x: int\n" +
      "tree = Tree(1, [Tree(2)])";
    await session.execute(code);
    assertEquals(
      await valueOf(session, "typing.get_type_hints(Tree)['below']"),
      "typing.List[__main__.Tree]",
    );
    const both =
      "pickle.loads(pickle.dumps([tree, Colour.RED, Pair(3)])) == [tree, Colour.RED, Pair(3)]";
    assertEquals(await valueOf(session, both), "True");
    assertEquals(
      await valueOf(session, "copy.deepcopy(tree)"),
      "Tree(value=1, below=[Tree(value=2, below=[])])",
    );
  },
  "doctest and unittest find what cells define": async (session) => {
    const doctest =
      "def f(x):\n    '''\n    >>> f(2)\n    4\n    '''\n    return x * 2\nimport doctest\ndoctest.testmod().failed";
    assertEquals(await valueOf(session, doctest), "0");
    const code =
      "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(1, 1)\n" +
      "    def test_b(self): self.assertEqual(1, 2)\n";
    const result = await session.execute(`${code}r = unittest.main(argv=[''], exit=False)`);
    assertMatch(textOf(result, "stderr"), /"<cell 2>", line 4, in test_b[^]*FAILED \(failures=1\)/);
    assertEquals(result.status, "ok");
    assertEquals((await session.execute("unittest.main()")).error?.ename, "SystemExit");
  },
  "logging, warnings and tracing report the cell": async (session) => {
    const logging = "import logging\nlogging.basicConfig(level=logging.INFO)\nlogging.info('told')";
    assertEquals(await streams(session, logging), "INFO:root:told\n");
    const warning = "import warnings\nfor _ in range(3): warnings.warn('once')";
    // The same in another cell is another place.
    for (const cell of [2, 3]) {
      const text = await streams(session, warning);
      assertEquals(text.split(`<cell ${cell}>:2: UserWarning: once`).length, 2, text);
    }
    const trace = "import sys\nseen = []\ndef tracer(frame, event, arg):\n" +
      "    if frame.f_code.co_name == 'traced': seen.append((event, frame.f_lineno))\n    return tracer\n" +
      "def traced():\n    return 1\nsys.settrace(tracer)\nn = traced()\nsys.settrace(None)\nseen";
    assertEquals(await valueOf(session, trace), "[('call', 6), ('line', 7), ('return', 7)]");
    assertStringIncludes(
      await streams(
        session,
        "import threading\ndef bad(): raise ValueError('thread')\nt = threading.Thread(target=bad); t.start(); t.join()",
      ),
      "ValueError: thread",
    );
  },
  "every way to exit is reported and ends nothing": async (session) => {
    await session.execute("kept = 1\nimport sys");
    const exits = {
      "sys.exit()": "",
      "sys.exit(0)": "0",
      "sys.exit('message')": "message",
      "raise SystemExit(2)": "2",
      "quit()": "None",
      "exit(4)": "4",
    };
    for (const [code, value] of Object.entries(exits)) {
      const { error } = await session.execute(code);
      assertEquals([error?.ename, error?.evalue], ["SystemExit", value], code);
    }
    assertEquals(await valueOf(session, "kept"), "1");
  },
  "a handler for interrupts that a cell sets holds for that cell": async (session) => {
    const own =
      "import signal, os\nseen = []\nbefore = signal.signal(signal.SIGINT, lambda *a: seen.append(1))\n" +
      "os.kill(os.getpid(), signal.SIGINT)\nseen";
    assertEquals(await valueOf(session, own), "[1]");
    let started = false;
    const running = session.execute("print(1, flush=True)\nwhile True: pass", {
      onOutput: () => void (started = true),
    });
    await until(() => started);
    await session.interrupt();
    assertEquals((await running).error?.ename, "KeyboardInterrupt");
    assertEquals(await valueOf(session, "seen"), "[1]");
  },
  "objects that fail whatever they are asked fail no cell": async (session) => {
    await session.execute(NASTY);
    const names =
      "Everything NoClass Attributes Yes OfMeta Keys Items Number Ambiguous Shape Bundle Recursive";
    for (const name of names.split(" ")) {
      for (const code of [`${name}()`, `[${name}()]`, `display({'a': ${name}()})`, name]) {
        const result = await session.execute(code);
        assertEquals(result.status, "ok", `${code}: ${result.error?.traceback.join("\n")}`);
        const last = result.outputs.at(-1);
        assert(last !== undefined && last.type !== "stream" && "text/plain" in last.data, code);
      }
    }
    await session.execute(`nasty = [cls() for cls in (${names.split(" ").join(", ")})]`);
    assertEquals((await session.execute("one = Everything()\ntwo = Shape()\n%whos")).status, "ok");
    assertEquals((await session.execute("%who")).status, "ok");
    await session.ask("variables", {}, 10_000);
  },
  "an error of a formatter is shown alone": async (session) => {
    const result = await session.execute(
      "class A:\n    def _repr_html_(self): raise ValueError('mine')\nA()",
    );
    const text = textOf(result, "stderr");
    assertStringIncludes(text, "ValueError: mine");
    assert(!text.includes("KeyError") && !text.includes("another exception"), text);
    const interrupted =
      "class B:\n    def _repr_html_(self):\n        print('in', flush=True)\n        while True: pass\nB()";
    let started = false;
    const running = session.execute(interrupted, { onOutput: () => void (started = true) });
    await until(() => started);
    await session.interrupt();
    const { error } = await running;
    assertEquals(error?.ename, "KeyboardInterrupt");
    assert(!error!.traceback.join("\n").includes("KeyError"));
  },
  "representations may be huge, may print, and may be nested deeply": async (session) => {
    const huge =
      (await valueOf(session, "class H:\n    def __repr__(self): return 'x' * 5_000_000\nH()"))!;
    assert(huge.length > 100_000 && huge.length < 2_000_000, String(huge.length));
    const printing = await session.execute(
      "class P:\n    def __repr__(self): print('said'); return 'P!'\nP()",
    );
    assertEquals(textOf(printing, "stdout"), "said\n");
    assertEquals(printing.outputs.at(-1)?.type, "execute_result");
    assertStringIncludes(
      (await valueOf(session, "deep = []\nfor _ in range(5000): deep = [deep]\ndeep"))!,
      "nested too deeply",
    );
  },
  "results are kept as history, until they are removed": async (session) => {
    await session.execute(
      "class Big: pass\nimport gc, weakref\nbig = Big()\nref = weakref.ref(big)",
    );
    await session.execute("big");
    await session.execute("del big");
    assertEquals(await valueOf(session, "ref() is Out[2] is _2"), "True");
    await session.execute("big = Out[2]\n%xdel big");
    await session.execute("1");
    await session.execute("2");
    await session.execute("3");
    assertEquals(await valueOf(session, "_n = gc.collect()\nref() is None"), "True");
    assertEquals(await valueOf(session, "_, __"), "(True, 3)");
    await session.execute("%reset -f");
    await session.execute("5");
    assertEquals(await valueOf(session, "_, __"), "(5, '')");
  },
});

await suite("other processes and threads", {
  "executors and pools run functions of cells": async (session) => {
    await session.execute(
      "import multiprocessing as mp\nfrom concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor\ndef square(n): return n * n",
    );
    assertEquals(
      await valueOf(
        session,
        "with ThreadPoolExecutor(2) as e: r = list(e.map(square, range(4)))\nr",
      ),
      "[0, 1, 4, 9]",
    );
    const code =
      "with ProcessPoolExecutor(2, mp_context=mp.get_context('fork')) as e: r = list(e.map(square, range(4)))\nr";
    assertEquals(await valueOf(session, code), "[0, 1, 4, 9]");
    const queue =
      "q = mp.get_context('fork').Queue()\np = mp.get_context('fork').Process(target=lambda: q.put(square(5)))\np.start()\nr = q.get(timeout=20)\np.join()\nr, p.exitcode";
    assertEquals(await valueOf(session, queue), "(25, 0)");
  },
  "spawned processes run what is in files, and say why they cannot run cells": async (session) => {
    await session.execute("%%writefile workers.py\ndef cube(n):\n    return n ** 3");
    await session.execute(
      "import multiprocessing as mp\nfrom concurrent.futures import ProcessPoolExecutor\nimport workers\ndef square(n): return n * n",
    );
    assertEquals(
      await valueOf(
        session,
        "with mp.get_context('spawn').Pool(1) as p: r = p.map(workers.cube, [2])\nr",
      ),
      "[8]",
    );
    for (const method of ["spawn", "forkserver"]) {
      const code =
        `p = mp.get_context('${method}').Process(target=square, args=(2,))\np.start(); p.join()\np.exitcode`;
      const result = await session.execute(code);
      assertMatch(
        textOf(result, "stderr"),
        /does not know 'square', which a cell has defined\..*%%writefile/,
      );
      assertEquals(await valueOf(session, "p.exitcode"), "1");
    }
    const pool =
      "with ProcessPoolExecutor(1, mp_context=mp.get_context('spawn')) as e: r = list(e.map(square, [1]))";
    const failed = await session.execute(pool);
    assertEquals(failed.error?.ename, "BrokenProcessPool");
    assertStringIncludes(textOf(failed, "stderr"), "which a cell has defined");
  },
});
