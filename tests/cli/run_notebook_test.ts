import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { type Cell, codeCell, newNotebook, type Notebook } from "../../lib/notebook/document.ts";
import { readNotebook } from "../../lib/notebook/document_read.ts";
import { formatNotebook } from "../../lib/notebook/document_write.ts";
import { assertValid, jupyterPython } from "../notebook/jupyter.ts";
import { stackPaths } from "../stack/stack.ts";
import { programOnTerminal } from "./on_terminal.ts";
import { cacheOptions, Desk } from "./program.ts";
import { assertNothingLeft, PYTHON, runLocal, runVariables, spawnRun } from "./run_support.ts";

/** A cell of code, perhaps with tags. */
const code = (source: string, ...tags: string[]) =>
  codeCell(source, tags.length > 0 ? { tags } : {});

/** Writes a notebook into the test's directory. */
async function write(desk: Desk, name: string, cells: Cell[], metadata = {}): Promise<string> {
  const notebook = newNotebook(cells, { version: undefined });
  Object.assign(notebook.metadata, metadata);
  return await desk.write(name, formatNotebook(notebook));
}

async function read(desk: Desk, name: string): Promise<Notebook> {
  const path = join(desk.directory, name);
  await assertValid(path);
  return readNotebook(await Deno.readTextFile(path), name);
}

/** What the code cells have put out, in a form that is easy to compare. */
function outputs(notebook: Notebook): unknown[] {
  return notebook.cells.filter((cell) => cell.cell_type === "code").map((cell) => [
    cell.execution_count,
    ...cell.outputs.map((output) => {
      switch (output.output_type) {
        case "stream":
          return `${output.name}: ${output.text}`;
        case "error":
          return `error: ${output.ename}: ${output.evalue}`;
        default:
          return `${output.output_type}: ${output.data["text/plain"]}`;
      }
    }),
  ]);
}

async function nbconvert(desk: Desk, to: string, name: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(await jupyterPython(), {
    args: ["-m", "nbconvert", "--to", to, "--stdout", join(desk.directory, name)],
    env: { HOME: desk.directory, PYTHONDONTWRITEBYTECODE: "" },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("a notebook is run and saved beside itself: valid, and opened by the real nbconvert", async () => {
  await using desk = await Desk.make();
  const mine = { custom: { deep: [1, { a: null }] } };
  await write(desk, "work/nb.ipynb", [
    { cell_type: "markdown", id: "top", metadata: mine, source: "# Title\n\n$x$" },
    code(
      "import os, sys\nprint('out', os.path.basename(os.getcwd()), sys.argv[1:])\nprint('err', file=sys.stderr)\n40 + 2",
    ),
    code("   "),
    code(
      `from IPython.display import HTML, JSON, display
handle = display(HTML("<b>first</b>"), display_id=True)
display({"image/png": "iVBORw0KGgo=", "text/plain": "picture"}, raw=True)
display(JSON({"a": [1, 2]}))`,
    ),
    code('handle.update(HTML("<b>second</b>"))'),
    code("def f():\n    return {}['key']\nf()", "raises-exception"),
    code("raise SystemExit", "skip-execution"),
    { cell_type: "raw", id: "end", metadata: {}, source: "raw" },
  ], mine);
  const before = await Deno.readTextFile(join(desk.directory, "work/nb.ipynb"));
  const { code: exit, stdout, stderr } = await runLocal(desk, [
    ...PYTHON,
    "work/nb.ipynb",
    "--",
    "-x",
  ]);
  assertEquals(exit, 0, stderr);
  const saved = join(desk.directory, "work/nb.out.ipynb");
  assertMatch(stdout, /^4 cells run in [\d.]+ s, saved to .*\n$/);
  assertStringIncludes(stdout, saved);
  assertEquals(await Deno.readTextFile(join(desk.directory, "work/nb.ipynb")), before);

  const notebook = await read(desk, "work/nb.out.ipynb");
  assertEquals(outputs(notebook), [
    [1, "stdout: out work ['-x']\n", "stderr: err\n", "execute_result: 42"],
    [null],
    [
      2,
      "display_data: <IPython.core.display.HTML object>",
      "display_data: picture",
      "display_data: <IPython.core.display.JSON object>",
    ],
    [3],
    [4, "error: KeyError: 'key'"],
    [null],
  ]);
  const [text, first, , shown, , failed] = notebook.cells;
  assertEquals([text!.metadata, notebook.metadata.custom], [mine, mine.custom]);
  assertEquals(Object.keys(first!.metadata.execution as object).length, 4);
  assert(shown?.cell_type === "code" && failed?.cell_type === "code");
  assertEquals((shown.outputs[0] as { data: unknown }).data, {
    "text/html": "<b>second</b>",
    "text/plain": "<IPython.core.display.HTML object>",
  });
  assertStringIncludes(
    JSON.stringify(failed.outputs[0]),
    "\\u001b[32m----> 2\\u001b[39m     return",
  );
  const language = notebook.metadata.language_info as Record<string, unknown>;
  assertMatch(String(language.version), /^3\.11\.\d+$/);

  const page = await nbconvert(desk, "html", "work/nb.out.ipynb");
  for (const piece of ["<b>second</b>", "KeyError", "data:image/png;base64,iVBORw0KGgo="]) {
    assertStringIncludes(page, piece);
  }
  assertStringIncludes(await nbconvert(desk, "script", "work/nb.out.ipynb"), "return {}['key']");
  await assertNothingLeft(desk);
});

Deno.test("a failed cell ends the run with exit code 1; what was done is saved; --allow-errors goes on", async () => {
  await using desk = await Desk.make();
  await write(desk, "nb.ipynb", [code("print('kept')"), code("1 / 0"), code("print('behind')")]);
  const failed = await runLocal(desk, [
    ...PYTHON,
    "nb.ipynb",
    "-o",
    "failed.ipynb",
    "--report=r.html",
  ]);
  assertEquals(failed.code, 1, failed.stderr);
  assertStringIncludes(
    failed.stderr,
    "ZeroDivisionError: division by zero\nError: cell 2 of 3 failed",
  );
  assertMatch(failed.stdout, /^2 of 3 cells run in /);
  assertEquals(outputs(await read(desk, "failed.ipynb")), [
    [1, "stdout: kept\n"],
    [2, "error: ZeroDivisionError: division by zero"],
    [null],
  ]);
  assertStringIncludes(
    await Deno.readTextFile(join(desk.directory, "r.html")),
    "ZeroDivisionError",
  );
  const on = await runLocal(desk, [...PYTHON, "nb.ipynb", "--inplace", "--allow-errors"]);
  assertEquals(on.code, 0, on.stderr);
  assertEquals(outputs(await read(desk, "nb.ipynb")), [
    [1, "stdout: kept\n"],
    [2, "error: ZeroDivisionError: division by zero"],
    [3, "stdout: behind\n"],
  ]);
});

Deno.test("a Python that dies is the end, also with --allow-errors, and the notebook is saved", async () => {
  await using desk = await Desk.make();
  const dies = "print('last', flush=True)\nimport os; os.kill(os.getpid(), 9)";
  await write(desk, "nb.ipynb", [code("print(1)"), code(dies), code("print(2)")]);
  const { code: exit, stderr } = await runLocal(desk, [...PYTHON, "nb.ipynb", "--allow-errors"]);
  assertEquals(exit, 1, stderr);
  const [first, second, third] = outputs(await read(desk, "nb.out.ipynb")) as string[][];
  assertEquals([first, third], [[1, "stdout: 1\n"], [null]] as unknown as string[][]);
  assertEquals(second![1], "stdout: last\n");
  assertMatch(second![2]!, /^error: DeadKernelError: .*SIGKILL/);
  await assertNothingLeft(desk);
});

/** Waits until a file has a text. */
async function fileHas(path: string, text: string): Promise<void> {
  while (!(await Deno.readTextFile(path).catch(() => "")).includes(text)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test("Ctrl-C keeps the cells that are over, and what the interrupted one has put out", async () => {
  await using desk = await Desk.make();
  await write(desk, "nb.ipynb", [
    code("print('done')"),
    code("print('begun', flush=True)\nopen('begun', 'w').write('x')\nimport time; time.sleep(600)"),
    code("print('never')"),
  ]);
  const child = await spawnRun(desk, [...PYTHON, "nb.ipynb"]);
  const output = child.output();
  await fileHas(join(desk.directory, "begun"), "x");
  child.kill("SIGINT");
  assertEquals((await output).code, 130);
  assertEquals(outputs(await read(desk, "nb.out.ipynb")), [
    [1, "stdout: done\n"],
    [2, "stdout: begun\n", "error: KeyboardInterrupt: "],
    [null],
  ]);
  await assertNothingLeft(desk);
});

Deno.test("cells that are over are saved while the next one runs, so that not even SIGKILL loses them", async () => {
  await using desk = await Desk.make();
  await write(desk, "nb.ipynb", [code("print('do' + 'ne')"), code("import time; time.sleep(600)")]);
  const child = await spawnRun(desk, [...PYTHON, "nb.ipynb"]);
  const output = child.output();
  await fileHas(join(desk.directory, "nb.out.ipynb"), "done\\n");
  child.kill("SIGKILL");
  await output;
  assertEquals(outputs(await read(desk, "nb.out.ipynb")), [[1, "stdout: done\n"], [null]]);
  // Sessions end by themselves when nobody is there any more.
  while ((await desk.processes()).length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

Deno.test("a cell that takes too long is interrupted, and a notebook that does", async () => {
  await using desk = await Desk.make();
  await write(desk, "nb.ipynb", [code("x = 1"), code("while True: pass"), code("print(x)")]);
  const cell = await runLocal(desk, [...PYTHON, "--cell-timeout=1", "--allow-errors", "nb.ipynb"]);
  assertEquals(cell.code, 0, cell.stderr);
  const [, slow, last] = outputs(await read(desk, "nb.out.ipynb")) as string[][];
  assertMatch(slow![1]!, /^error: TimeoutError: The cell was interrupted after 1 seconds/);
  assertEquals(last![1], "stdout: 1\n");
  const whole = await runLocal(desk, [...PYTHON, "--timeout=2", "--allow-errors", "nb.ipynb"]);
  assertEquals(whole.code, 1, whole.stderr);
  assertStringIncludes(whole.stderr, "Error: the notebook took longer than 2 s\n");
  assertEquals(
    (outputs(await read(desk, "nb.out.ipynb")) as string[][])[2],
    [null] as unknown as string[],
  );
});

Deno.test("parameters are set behind the cell with the defaults", async () => {
  await using desk = await Desk.make();
  await write(desk, "nb.ipynb", [
    code("import math"),
    code("n = 1\nname = 'default'", "parameters"),
    code("print(n * 2, name)"),
  ]);
  const args = ["-p", "n=21", "--parameters=name=it's [given]", "-o", "-"];
  const { stdout, stderr } = await runLocal(desk, [...PYTHON, "nb.ipynb", ...args]);
  const notebook = readNotebook(stdout, stderr);
  assertEquals(notebook.cells[2]!.metadata.tags, ["injected-parameters"]);
  assertEquals(outputs(notebook)[3], [4, "stdout: 42 it's [given]\n"]);
  await write(desk, "none.ipynb", [code("print(n)")]);
  const none = await runLocal(desk, [...PYTHON, "none.ipynb", "-p", "n=1"]);
  assertEquals(none.code, 0, none.stderr);
  assertStringIncludes(none.stderr, 'warning: No cell has the tag "parameters"');
});

Deno.test("a notebook's metadata make its environment, and --with adds to it", async () => {
  await using desk = await Desk.make();
  const own = { dependencies: ["python=3.11", "toy-a<2"], channels: [stackPaths.channel] };
  await write(desk, "nb.ipynb", [code("import toy_a, toy_b; print(toy_a.__version__)")], {
    "hypha-conda-worker": own,
  });
  const { code: exit, stderr } = await runLocal(desk, ["--with=toy-b", "nb.ipynb"]);
  assertEquals(exit, 0, stderr);
  assertEquals(outputs(await read(desk, "nb.out.ipynb")), [[1, "stdout: 1.0\n"]]);
});

Deno.test("what cannot be run or saved is told before anything is made", async () => {
  await using desk = await Desk.make();
  await write(desk, "nb.ipynb", [code("1")]);
  await desk.write(
    "v3.ipynb",
    '{"nbformat": 3, "nbformat_minor": 0, "worksheets": [], "metadata": {}}',
  );
  await write(desk, "r.ipynb", [code("1")], {
    kernelspec: { name: "ir", display_name: "R", language: "R" },
  });
  const cases: [string[], string][] = [
    [["v3.ipynb"], "Cannot read v3.ipynb: it is in notebook format 3"],
    [["r.ipynb"], "Cannot run r.ipynb: its language is R, not Python"],
    [["nb.ipynb", "-o", "gone/x.ipynb"], "gone does not exist"],
    [["nb.ipynb", "-o", "."], "it is a folder"],
    [["nb.ipynb", "-o", "x", "--inplace"], "--inplace and --output exclude each other"],
    [["nb.ipynb", "-p", "1x=1"], "Cannot use parameter 1x=1"],
    [["nb.ipynb", "--cell-timeout=0"], "--cell-timeout must be a number of seconds, received 0"],
    [["nb.ipynb", "other.py"], "Unexpected argument other.py"],
  ];
  const cache = join(desk.directory, "cache");
  const runs = await Promise.all(cases.map(([args]) => runLocal(desk, args, { cache })));
  for (const [index, [, message]] of cases.entries()) {
    assertEquals(runs[index]!.code, 2, runs[index]!.stderr);
    assertStringIncludes(runs[index]!.stderr, message);
  }
  assertEquals(await Deno.stat(cache).then(() => true, () => false), false);
});

Deno.test("on a terminal one line says which cell runs, with a bar", async () => {
  await using desk = await Desk.make();
  const path = await write(desk, "nb.ipynb", [code("# one\n1"), code("# two\n2")]);
  const { code: exit, output } = await programOnTerminal(
    ["run", ...cacheOptions(), ...PYTHON, path],
    [{ expect: "0% Cell 1 of 2: # one" }, { expect: "50% Cell 2 of 2: # two" }, {
      expect: "2 cells run in",
    }],
    runVariables(desk),
  );
  assertEquals(exit, 0, output);
});
