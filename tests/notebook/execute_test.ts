import { assertEquals, assertRejects } from "@std/assert";
import type { ExecutionResult, LiveOutput } from "../../lib/interpreter/outputs.ts";
import { codeCell, newNotebook, type Notebook } from "../../lib/notebook/document.ts";
import { type CellRunner, runNotebook } from "../../lib/notebook/execute.ts";

/** What a fake session answers: everything but what is usual. */
type Answer = Partial<ExecutionResult> & { live?: LiveOutput[]; before?: () => void };

/** A fake of a session, for endings and displays that are hard to bring about: gives answers by the code. */
function fakeRunner(answers: Record<string, Answer>): CellRunner & { ran: string[] } {
  const ran: string[] = [];
  return {
    ran,
    execute: ({ code, onOutput }) => {
      ran.push(code);
      const { live = [], before, ...answer } = answers[code] ?? {};
      before?.();
      for (const output of live) onOutput?.(output);
      return Promise.resolve({
        status: "ok",
        outputs: [],
        execution_count: ran.length,
        duration: 0,
        ...answer,
      });
    },
  };
}

function notebookOf(...cells: [string, (string[] | undefined)?][]): Notebook {
  return newNotebook(
    cells.map(([source, tags]) => codeCell(source, tags ? { tags } : {})),
    { version: undefined },
  );
}

const FAILED: Answer = {
  status: "error",
  error: { ename: "E", evalue: "why", traceback: ["Traceback (most recent call last):", "E: why"] },
};

Deno.test("cells run in order; empty ones, skipped ones and texts are left as they are", async () => {
  const notebook = notebookOf(["a"], ["  \n"], ["b", ["skip-execution"]], ["c"]);
  notebook.cells.push({ cell_type: "markdown", id: "m", metadata: {}, source: "d" });
  const old = { output_type: "stream" as const, name: "stdout" as const, text: "old" };
  for (const cell of notebook.cells) {
    if (cell.cell_type === "code") Object.assign(cell, { outputs: [old], execution_count: 9 });
  }
  const runner = fakeRunner({});
  const told: unknown[] = [];
  const result = await runNotebook(notebook, runner, {
    onCell: (cell, number, total) => told.push([cell.source, number, total]),
    onCellEnd: (cell) => told.push(cell.execution_count),
  });
  assertEquals(result, { executed: 2, total: 2 });
  assertEquals(runner.ran, ["a", "c"]);
  assertEquals(told, [["a", 1, 2], 1, ["c", 2, 2], 2]);
  assertEquals(
    notebook.cells.map((cell) =>
      cell.cell_type === "code" ? [cell.outputs.length, cell.execution_count] : []
    ),
    [[0, 1], [1, 9], [1, 9], [0, 2], []],
  );
});

Deno.test("a failed cell ends the run, and cells behind it have no outputs of before", async () => {
  const notebook = notebookOf(["a"], ["bad"], ["c"]);
  Object.assign(notebook.cells[2]!, { execution_count: 7 });
  const { failure, executed, total } = await runNotebook(notebook, fakeRunner({ bad: FAILED }));
  assertEquals([executed, total, failure?.number, failure?.error.ename], [2, 3, 2, "E"]);
  assertEquals(
    notebook.cells.map((cell) =>
      cell.cell_type === "code" && [cell.outputs.length, cell.execution_count]
    ),
    [[0, 1], [1, 2], [0, null]],
  );
});

Deno.test("errors that are allowed, or expected by a tag, are outputs only; a lost session is the end", async () => {
  const run = async (allowErrors: boolean, answer: Answer, tags?: string[]) => {
    const notebook = notebookOf(["bad", tags], ["c"]);
    const { executed, failure } = await runNotebook(notebook, fakeRunner({ bad: answer }), {
      allowErrors,
    });
    const [first] = notebook.cells;
    assertEquals(first?.cell_type === "code" && first.outputs.at(-1)?.output_type, "error");
    return [executed, failure !== undefined];
  };
  assertEquals(await run(false, FAILED), [1, true]);
  assertEquals(await run(true, FAILED), [2, false]);
  assertEquals(await run(false, FAILED, ["raises-exception"]), [2, false]);
  const lost: Answer = { ...FAILED, state_lost: true };
  assertEquals(await run(true, lost), [1, true]);
  assertEquals(await run(true, lost, ["raises-exception"]), [1, true]);
});

Deno.test("a signal ends the run behind the cell that it interrupts", async () => {
  const stop = new AbortController();
  const notebook = notebookOf(["a"], ["b"], ["c"]);
  const runner = fakeRunner({ b: { ...FAILED, before: () => stop.abort() } });
  const result = await runNotebook(notebook, runner, { signal: stop.signal, allowErrors: true });
  assertEquals([result.executed, result.total, runner.ran], [2, 3, ["a", "b"]]);
  // A cell may answer an interruption by ending well.
  const quiet = new AbortController();
  const calm = fakeRunner({ b: { before: () => quiet.abort() } });
  const ended = await runNotebook(notebookOf(["a"], ["b"], ["c"]), calm, { signal: quiet.signal });
  assertEquals(ended, { executed: 2, total: 3 });
});

Deno.test("an update changes displays of its id in cells that are over", async () => {
  const shown = (text: string) => ({ data: { "text/plain": text }, metadata: {} });
  const display = (text: string, id?: string) => ({
    type: "display_data" as const,
    ...shown(text),
    ...(id === undefined ? {} : { transient: { display_id: id } }),
  });
  const notebook = notebookOf(["a"], ["b"]);
  await runNotebook(
    notebook,
    fakeRunner({
      a: { outputs: [display("first", "one"), display("other", "two"), display("none")] },
      b: {
        live: [{
          type: "update_display_data",
          ...shown("second"),
          transient: { display_id: "one" },
        }],
        outputs: [display("third", "one")],
      },
    }),
  );
  assertEquals(
    notebook.cells.map((cell) =>
      cell.cell_type === "code" && cell.outputs.map((output) => JSON.stringify(output))
    ),
    [
      ["second", "other", "none"].map((text) =>
        JSON.stringify({ output_type: "display_data", ...shown(text) })
      ),
      [JSON.stringify({ output_type: "display_data", ...shown("third") })],
    ],
  );
});

Deno.test("what is no text becomes one, but for JSON", async () => {
  const notebook = notebookOf(["a"]);
  const data = {
    "text/plain": "t",
    "text/x": { a: 1 },
    "application/json": [1],
    "application/x+json": null,
  };
  await runNotebook(
    notebook,
    fakeRunner({ a: { outputs: [{ type: "display_data", data, metadata: {} }] } }),
  );
  const [cell] = notebook.cells;
  assertEquals(
    cell?.cell_type === "code" && cell.outputs[0],
    { output_type: "display_data", data: { ...data, "text/x": '{"a":1}' }, metadata: {} },
  );
});

Deno.test("a session that cannot run cells at all is told by an exception, and what is done stays", async () => {
  const notebook = notebookOf(["a"], ["b"]);
  const runner = fakeRunner({
    a: { outputs: [{ type: "stream", name: "stdout", text: "kept" }] },
    b: {
      before: () => {
        throw new Error("gone");
      },
    },
  });
  await assertRejects(() => runNotebook(notebook, runner), Error, "gone");
  const [cell] = notebook.cells;
  assertEquals(cell?.cell_type === "code" && cell.outputs.length, 1);
});

Deno.test("times of a cell are those nbclient writes", async () => {
  const notebook = notebookOf(["a"]);
  const times = [1000, 2500];
  await runNotebook(notebook, fakeRunner({}), { now: () => new Date(times.shift()!) });
  assertEquals(notebook.cells[0]!.metadata.execution, {
    "iopub.execute_input": "1970-01-01T00:00:01.000Z",
    "iopub.status.busy": "1970-01-01T00:00:01.000Z",
    "iopub.status.idle": "1970-01-01T00:00:02.500Z",
    "shell.execute_reply": "1970-01-01T00:00:02.500Z",
  });
});
