import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { filesBelow } from "../../scripts/leftovers.ts";
import { onTerminal, type Step } from "./on_terminal.ts";
import { cacheOptions, Desk } from "./program.ts";
import {
  assertNothingLeft,
  programCommand,
  PYTHON,
  runLocal,
  runVariables,
} from "./run_support.ts";
import { stackPaths } from "../stack/stack.ts";

const type = (...texts: string[]): Step[] => texts.map((text) => ({ type: text }));
const expect = (...texts: string[]): Step[] => texts.map((text) => ({ expect: text }));
/** Types a line and waits for what it prints, and for the next prompt. */
const line = (text: string, ...shown: string[]): Step[] => [
  ...type(`${text}\r`),
  ...expect(...shown, ">>> "),
];
const READY = expect("Ctrl-D ends", ">>> ");
const END = type("\x04");

/** A prompt on a terminal, in the test's directory and with its own history. */
async function prompt(
  desk: Desk,
  steps: Step[],
  args: string[] = [],
  env: Record<string, string> = {},
) {
  const words = await programCommand();
  const { code, output } = await onTerminal(
    // The terminal's program starts where the checkout is; the prompt should be in the test's directory.
    ["sh", "-c", 'cd "$0" && exec "$@"', desk.directory, stackPaths.deno, ...words].concat(
      ["run", "--repl", ...PYTHON, ...cacheOptions(), ...args],
    ),
    steps,
    { ...runVariables(desk), XDG_STATE_HOME: join(desk.directory, "state"), ...env },
  );
  return { code, output };
}

const history = (desk: Desk) => join(desk.directory, "state", "hypha-conda-worker", "history");

Deno.test("A prompt runs cells of one and of many lines, and shows values, output and errors", async () => {
  await using desk = await Desk.make();
  const { code, output } = await prompt(desk, [
    ...READY,
    ...line("6 * 7", "\r\n42\r\n"),
    ...line("print('no line end', end='')", "\r\nno line end\r\n"),
    ...type("def f(n):\r"),
    ...expect("... "),
    // The indentation is there already.
    ...type("return n + 1\r"),
    ...expect("... "),
    ...line("", ">>> "),
    ...line("f(99)", "\r\n100\r\n"),
    ...line("1/0", "Traceback (most recent call last)", "ZeroDivisionError: division by zero\r\n"),
    ...line("x = (1,", "... ").slice(0, 2),
    ...line("2)"),
    ...line("len(x)", "\r\n2\r\n"),
    ...line("str.upper?", "Signature: str.upper"),
    ...line("%time 5", "Wall time", "\r\n5\r\n"),
    ...line("await __import__('asyncio').sleep(0, 'slept')", "'slept'"),
    ...line("print('é日本😀')", "\r\né日本😀\r\n"),
    ...END,
  ]);
  assertEquals(code, 0, output);
  await assertNothingLeft(desk);
});

Deno.test("Ctrl-C interrupts what runs, drops what is typed, and what has been set stays", async () => {
  await using desk = await Desk.make();
  const { code, output } = await prompt(desk, [
    ...READY,
    ...line("kept = 'still here'"),
    ...type("print('running'); import time; time.sleep(1000)\r"),
    ...expect("\r\nrunning\r\n"),
    ...type("\x03"),
    ...expect("KeyboardInterrupt", ">>> "),
    ...type("half a line\x03"),
    ...expect("KeyboardInterrupt", ">>> "),
    ...type("if True:\r"),
    ...expect("... "),
    ...type("\x03"),
    ...expect("KeyboardInterrupt", ">>> "),
    ...line("kept", "'still here'"),
    ...END,
  ]);
  assertEquals(code, 0, output);
});

Deno.test("Python that reacts to nothing, and Python that dies, are replaced", async () => {
  await using desk = await Desk.make();
  const { code, output } = await prompt(desk, [
    ...READY,
    ...type(
      "import itertools, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\r",
    ),
    ...expect(">>> "),
    // Typed ahead: the next cell begins by itself.
    ...type("print('de' + 'af')\rfor n in itertools.count(): print('n', n) if n < 2 else None\r\r"),
    ...expect("\r\ndeaf\r\n", "\r\nn 0\r\nn 1\r\n"),
    // Ctrl-C does nothing here, Ctrl-\ does.
    ...type("\x03"),
    ...expect("^C"),
    ...type("\x1c"),
    ...expect("Python was started anew; all variables are lost.", ">>> "),
    ...line("import os; os._exit(7)", "Python was started anew; all variables are lost."),
    ...line("'alive'", "'alive'"),
    ...END,
  ]);
  assertEquals(code, 0, output);
  await assertNothingLeft(desk);
});

Deno.test("Tab completes names and attributes, and offers what there is when there are several", async () => {
  await using desk = await Desk.make();
  const { code, output } = await prompt(desk, [
    ...READY,
    ...line("unmistakable_name = 'found'"),
    ...type("unmist\t"),
    ...expect("unmistakable_name"),
    ...type("\r"),
    ...expect("'found'", ">>> "),
    ...type("é = 1; 'text'.isalp\t"),
    ...type("\x15str.is\t"),
    ...expect("isalnum", "isupper", ">>> str.is"),
    ...type("spac\t"),
    ...expect("str.isspace"),
    ...type("\x03"),
    ...expect(">>> "),
    // At the beginning of a line it indents.
    ...type("if True:\r"),
    ...expect("... "),
    ...type("\x15\tprint('indented')\r"),
    ...expect("... "),
    ...line("", "\r\nindented\r\n"),
    ...END,
  ]);
  assertEquals(code, 0, output);
});

Deno.test("The history lasts from one prompt to the next, is the user's alone, and knows whole cells", async () => {
  await using desk = await Desk.make();
  const first = await prompt(desk, [
    ...READY,
    ...line("'the older one'", "'the older one'\r\n"),
    ...type("for i in range(2):\r"),
    ...expect("... "),
    ...type("print('cell', i)\r"),
    ...expect("... "),
    ...line("", "\r\ncell 0\r\ncell 1\r\n"),
    ...line(" 'a secret'"),
    ...END,
  ]);
  assertEquals(first.code, 0, first.output);
  const info = await Deno.stat(history(desk));
  assertEquals(info.mode! & 0o777, 0o600);
  assert(!(await Deno.readTextFile(history(desk))).includes("secret"));
  const second = await prompt(desk, [
    ...READY,
    // The last cell, all of it; then further up: through its lines to the entry before.
    ...type("\x1b[A"),
    ...expect("print('cell', i)"),
    ...type("\r"),
    ...expect("... "),
    ...type("\r"),
    ...expect("\r\ncell 0\r\ncell 1\r\n", ">>> "),
    ...type("\x10\x10"),
    ...expect("'the older one'"),
    ...type("\r"),
    ...expect("\r\n'the older one'\r\n", ">>> "),
    ...type("\x12range"),
    ...expect("(search) range: for i in range(2):"),
    ...type("\x03\x12older\r"),
    ...expect("\r\n'the older one'\r\n", ">>> "),
    ...END,
  ]);
  assertEquals(second.code, 0, second.output);
});

Deno.test("A history that cannot be written, and one that is damaged, cost no prompt", async () => {
  await using desk = await Desk.make();
  await desk.write("file", "no directory");
  const steps = [
    ...READY,
    ...line("1 + 1", "\r\n2\r\n"),
    ...type("\x1b[A"),
    ...expect("1 + 1"),
    ...type("\x03"),
    ...END,
  ];
  const unwritable = await prompt(desk, steps, [], {
    XDG_STATE_HOME: join(desk.directory, "file"),
  });
  assertEquals(unwritable.code, 0, unwritable.output);
  await desk.write("state/hypha-conda-worker/history", '"one"\n{broken\n\x00\n17\n');
  const damaged = await prompt(desk, [
    ...READY,
    ...type("\x1b[A"),
    ...expect("one"),
    ...type("\x03"),
    ...END,
  ]);
  assertEquals(damaged.code, 0, damaged.output);
});

Deno.test("input() and getpass() ask at the prompt's terminal; passwords are not shown and not remembered", async () => {
  await using desk = await Desk.make();
  const { code, output } = await prompt(desk, [
    ...READY,
    ...type("name = input('Who? ')\r"),
    ...expect("\r\n", "Who? "),
    ...type("Adx\x7fa\r"),
    ...expect(">>> "),
    ...line("'<' + name + '>'", "'<Ada>'"),
    ...type("import getpass; word = getpass.getpass('Word: ')\r"),
    ...expect("\r\n", "Word: "),
    ...type("hush\r"),
    ...expect(">>> "),
    ...line("len(word)", "\r\n4\r\n"),
    ...type("input('more? ')\r"),
    ...expect("\r\n", "more? "),
    ...type("\x03"),
    ...expect("KeyboardInterrupt", ">>> "),
    ...END,
  ]);
  assertEquals(code, 0, output);
  assert(!output.includes("hush"), output);
  assertMatch(await Deno.readTextFile(history(desk)), /getpass/);
});

Deno.test("Pasted cells keep their indentation and empty lines", async () => {
  await using desk = await Desk.make();
  const { code, output } = await prompt(desk, [
    ...READY,
    ...type("\x1b[200~def g():\r    a = 1\r\r    return a + 1\r\x1b[201~"),
    ...expect("return a + 1"),
    ...line("", ">>> "),
    ...line("g()", "\r\n2\r\n"),
    ...END,
  ]);
  assertEquals(code, 0, output);
});

Deno.test("Pictures are saved to files and named, and exit() gives the exit code", async () => {
  await using desk = await Desk.make();
  const svg = '<svg xmlns=\\"http://www.w3.org/2000/svg\\"/>';
  const { code, output } = await prompt(desk, [
    ...READY,
    ...line(
      `display({"image/svg+xml": "${svg}", "text/plain": "P"}, raw=True)`,
      "[image/svg+xml saved to ",
    ),
    ...type("exit(5)\r"),
  ], [`--output-dir=${desk.output}`]);
  assertEquals(code, 5, output);
  assertEquals(await filesBelow(desk.output), ["output-1.svg"]);
  await assertNothingLeft(desk);
});

Deno.test("The prompt comes after a script, with its names", async () => {
  await using desk = await Desk.make();
  await desk.write("beside.py", "value = 'from beside'");
  const script = await desk.write(
    "first.py",
    "import sys, beside\nname = beside.value\nprint('argv', sys.argv[1:])\n",
  );
  const { code, output } = await prompt(desk, [
    ...expect("argv ['a', '-b']", ">>> "),
    ...line("name, __file__", "'from beside'", "first.py"),
    ...END,
  ], [script, "a", "-b"]);
  assertEquals(code, 0, output);
});

Deno.test("Without a terminal standard input is taken as cells, errors do not stop it, and the exit code tells", async () => {
  await using desk = await Desk.make();
  const cells =
    "x = 20\nx + 22\ndef f(a):\n    if a:\n        return 1\n\n    else:\n        return 2\nf(0)\n" +
    "for i in range(2): print(i)\n1/0\n'''multi\nline'''\n%time 1\nif x:\n    print('last')";
  const failed = await runLocal(desk, ["--repl", ...PYTHON], { stdin: cells });
  assertEquals(failed.code, 1);
  assertMatch(failed.stdout, /^42\n2\n0\n1\n'multi\\nline'\nCPU times[^]*\n1\nlast\n$/);
  assertStringIncludes(failed.stderr, "ZeroDivisionError: division by zero");
  const exited = await runLocal(desk, ["--repl", ...PYTHON], {
    stdin: "print(1)\nexit(4)\nprint(2)\n",
  });
  assertEquals([exited.code, exited.stdout], [4, "1\n"]);
  assertEquals((await runLocal(desk, ["--repl", ...PYTHON], { stdin: "" })).code, 0);
  await assertNothingLeft(desk);
});

Deno.test("A prompt refuses what it cannot run", async () => {
  await using desk = await Desk.make();
  await desk.write("n.ipynb", "{}");
  for (const args of [["n.ipynb"], ["--report=x.html"], ["-"]]) {
    const { code, stderr } = await runLocal(desk, ["--repl", ...args], { stdin: "" });
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, "--repl");
  }
});
