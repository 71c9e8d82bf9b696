import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { codeCell, newNotebook, type Notebook } from "../../lib/notebook/document.ts";
import { readNotebook } from "../../lib/notebook/document_read.ts";
import { formatNotebook, writeNotebook } from "../../lib/notebook/document_write.ts";
import { assertValid, jupyter } from "./jupyter.ts";

/** A folder of a test. */
async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "notebook-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A notebook with everything that one can have. */
function rich(): Notebook {
  const cell = codeCell("a = 1\n\nprint('ä 😀')\r\n", { tags: ["x"], mine: { deep: [1, null] } });
  cell.execution_count = 3;
  cell.outputs = [
    { output_type: "stream", name: "stdout", text: "one\ntwo\rthree\n\x0b\x1d\u2028\r\n\x85last" },
    {
      output_type: "display_data",
      data: {
        "text/plain": "a\nb",
        "image/png": "iVBORw0KGgo=\n",
        "application/json": { a: ["x\n"] },
      },
      metadata: { "image/png": { width: 3 } },
    },
    {
      output_type: "execute_result",
      data: {
        "text/html": "<b>\n</b>",
        "image/svg+xml": "<svg>\n</svg>",
        "application/vnd.x+json": ["a", "b"],
      },
      metadata: {},
      execution_count: 3,
    },
    { output_type: "error", ename: "E", evalue: "v", traceback: ["\\x1b[31mE\\x1b[39m: v"] },
  ];
  return newNotebook([
    {
      cell_type: "markdown",
      id: "text-1",
      metadata: {},
      source: "# Title\n\n![a](attachment:a.png)",
      attachments: { "a.png": { "image/png": "AAAA" } },
    },
    cell,
    { cell_type: "raw", id: "raw_1", metadata: { format: "text/html" }, source: "" },
  ], { version: "3.11.7" });
}

Deno.test("a notebook that is written is valid, and is the same when it is read", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "nb.ipynb");
    const notebook = rich();
    await writeNotebook(notebook, path);
    await assertValid(path);
    assertEquals(readNotebook(await Deno.readTextFile(path), "nb"), notebook);
  });
});

Deno.test("the text of a file is what the real nbformat writes", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "nb.ipynb");
    await writeNotebook(rich(), path);
    const code =
      "import nbformat, sys; sys.stdout.write(nbformat.writes(nbformat.read(sys.argv[1], 4)) + '\\n')";
    assertEquals(await jupyter(code, path), await Deno.readTextFile(path));
  });
});

Deno.test("older notebooks are brought to format 4.5, as the real nbformat does", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "old.ipynb");
    for (const minor of [0, 1, 2, 3, 4]) {
      const code = {
        cell_type: "code",
        metadata: { collapsed: false, tags: ["a"] },
        source: ["a = 1\n", "a"],
        outputs: [{
          output_type: "execute_result",
          data: { "text/plain": ["1"] },
          metadata: {},
          execution_count: 1,
        }],
        execution_count: 1,
      };
      const cells = [code, { cell_type: "markdown", metadata: {}, source: "text" }];
      const metadata = { kernelspec: { name: "python3", display_name: "Python 3" }, extra: 1 };
      const old = { nbformat: 4, nbformat_minor: minor, metadata, cells };
      await Deno.writeTextFile(path, JSON.stringify(old));
      const notebook = readNotebook(await Deno.readTextFile(path), "old");
      assertEquals(notebook.nbformat_minor, 5);
      for (const cell of notebook.cells) assert(/^[\w-]{1,64}$/.test(cell.id), cell.id);
      const theirs = JSON.parse(
        await jupyter(
          `import json, nbformat, sys, warnings
warnings.simplefilter("ignore")
notebook = nbformat.v4.upgrade(nbformat.read(sys.argv[1], nbformat.NO_CONVERT), None, None)
notebook.metadata.pop("orig_nbformat_minor", None); notebook.metadata.pop("orig_nbformat", None)
sys.stdout.write(json.dumps(notebook))`,
          path,
        ),
      );
      for (const [index, cell] of theirs.cells.entries()) cell.id = notebook.cells[index]!.id;
      assertEquals(theirs, JSON.parse(JSON.stringify(notebook)));
      await writeNotebook(notebook, path);
      await assertValid(path);
    }
  });
});

Deno.test("ids that are missing, wrong or there twice are made anew; the others stay", () => {
  const cell = (id?: unknown) => ({ cell_type: "raw", id, metadata: {}, source: "" });
  const text = JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {},
    cells: [cell("keep"), cell("keep"), cell("not good"), cell(3), cell(), cell("x".repeat(65))],
  });
  const ids = readNotebook(text, "nb").cells.map((one) => one.id);
  assertEquals(ids[0], "keep");
  assertEquals(new Set(ids).size, 6);
  for (const id of ids) assert(/^[\w-]{1,64}$/.test(id), id);
});

Deno.test("what format 4.5 does not know is left out; of a newer format it is kept", () => {
  const text = (minor: number) =>
    JSON.stringify({
      nbformat: 4,
      nbformat_minor: minor,
      metadata: {},
      cells: [{
        cell_type: "code",
        id: "a",
        metadata: {},
        source: "",
        prompt_number: 3,
        outputs: [{ output_type: "stream", name: "stdout", text: "t", extra: 1 }],
        execution_count: null,
      }],
    });
  const old = readNotebook(text(4), "nb");
  assertEquals(Object.keys(old.cells[0]!).includes("prompt_number"), false);
  assertEquals(JSON.stringify(old).includes("extra"), false);
  const future = readNotebook(text(6), "nb");
  assertEquals(future.nbformat_minor, 6);
  assertStringIncludes(formatNotebook(future), '"prompt_number": 3');
  assertStringIncludes(formatNotebook(future), '"extra": 1');
});

Deno.test("numbers that only Python writes do not make a notebook unreadable", () => {
  const notebook = readNotebook(
    '{"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": {"a": [NaN, -Infinity, "NaN \\" Infinity"]}}',
    "nb",
  );
  assertEquals(notebook.metadata, { a: [null, null, 'NaN " Infinity'] });
});

Deno.test("what is no notebook is refused, with the place of what is wrong", () => {
  const notebook = (cell: unknown) =>
    JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [cell] });
  const output = (one: unknown) => notebook({ cell_type: "code", source: "", outputs: [one] });
  const cases: [string, string][] = [
    ["", "it is empty"],
    ["{", "it is not JSON"],
    ["[1]", "it is not a notebook, which is a JSON object"],
    ["{}", "it has no nbformat"],
    [
      '{"nbformat": 3, "worksheets": []}',
      "it is in notebook format 3, which is older than 4; jupyter nbconvert",
    ],
    ['{"nbformat": 5}', "it is in notebook format 5; the newest that is known here is 4"],
    ['{"nbformat": 4, "nbformat_minor": "x", "cells": []}', "nbformat_minor is not a number"],
    ['{"nbformat": 4, "cells": 1}', "cells is not a list"],
    ['{"nbformat": 4, "cells": [], "metadata": []}', "metadata is not an object"],
    [notebook(1), "cells[0] is not an object"],
    [notebook({ cell_type: "heading" }), 'cells[0].cell_type is "heading"'],
    [notebook({ cell_type: "toString" }), 'cells[0].cell_type is "toString"'],
    [notebook({ cell_type: "code", source: [1] }), "cells[0].source is not a text"],
    [notebook({ cell_type: "code", outputs: {} }), "cells[0].outputs is not a list"],
    [output({ output_type: "pyout" }), 'cells[0].outputs[0].output_type is "pyout"'],
    [output({ output_type: "stream", text: 1 }), "cells[0].outputs[0].text is not a text"],
    [output({ output_type: "error", traceback: "x" }), "cells[0].outputs[0].traceback"],
    [
      output({ output_type: "display_data", data: [] }),
      "cells[0].outputs[0].data is not an object",
    ],
  ];
  for (const [text, expected] of cases) {
    const error = assertThrows(() => readNotebook(text, "my nb"), WorkerError);
    assertEquals(error.code, "usage");
    assertStringIncludes(error.message, "Cannot read my nb: " + expected);
  }
});

Deno.test("writing follows links, keeps the rights of the file, and leaves nothing when it fails", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "nb.ipynb");
    await Deno.writeTextFile(path, "old", { mode: 0o640 });
    await Deno.chmod(path, 0o640);
    const link = join(folder, "link.ipynb");
    await Deno.symlink("nb.ipynb", link);
    await writeNotebook(rich(), link);
    assertEquals((await Deno.lstat(link)).isSymlink, true);
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o640);
    await assertValid(path);
    const target = join(folder, "folder");
    await Deno.mkdir(join(target, "in it"), { recursive: true });
    let message = "";
    await writeNotebook(rich(), target).catch((error) => message = error.message);
    assertStringIncludes(message, `Cannot write ${target}: `);
    const names = (await Array.fromAsync(Deno.readDir(folder))).map((one) => one.name).sort();
    assertEquals(names, ["folder", "link.ipynb", "nb.ipynb"]);
  });
});
