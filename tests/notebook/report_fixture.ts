/** Notebooks for tests of reports. */
import {
  type Cell,
  type CellOutput,
  type CodeCell,
  codeCell,
  type MimeBundle,
  newCellId,
  newNotebook,
  type Notebook,
} from "../../lib/notebook/document.ts";

/** Pictures of 60 by 30 pixels in one colour each. */
export const PICTURES = {
  /** Colour: 200, 0, 200. */
  png:
    "iVBORw0KGgoAAAANSUhEUgAAADwAAAAeCAIAAAD/+uoYAAAAPUlEQVR4nO3OQQ0AIAAAIbV/MGPZwcc5N0jA3GOP36zXgRvSFemKdEW6Il2RrkhXpCvSFemKdEW6Il2Rrhy01wHMw9WDYAAAAABJRU5ErkJggg==",
  /** Colour: 255, 160, 0. */
  gif:
    "R0lGODdhPAAeAIEAAP+gAAAAAAAAAAAAACwAAAAAPAAeAEAIRgABCBxIsKDBgwgTKlzIsKHDhxAjSpxIsaLFixgzatzIsaPHjyBDihxJsqTJkyhTqlzJsqXLlzBjypxJs6bNmzhz6tzpMSAAOw==",
  /** Colour: about 0, 128, 255. */
  jpeg:
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAeADwDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDz+iiiv7jP46CiiigAooooAKKKKACiiigAooooAKKKKACiiigD/9k=",
};

/** A code cell that was run. */
export function ran(
  count: number,
  source: string,
  outputs: CellOutput[],
  seconds?: number,
): CodeCell {
  const metadata = seconds === undefined ? {} : {
    execution: {
      "iopub.execute_input": "2026-01-01T10:00:00.000Z",
      "shell.execute_reply": new Date(Date.UTC(2026, 0, 1, 10) + seconds * 1000).toISOString(),
    },
  };
  return { ...codeCell(source, metadata), outputs, execution_count: count };
}

/** A markdown cell. */
export function text(source: string): Cell {
  return { cell_type: "markdown", id: newCellId(), metadata: {}, source };
}

/** Text on a stream. */
export function stream(text: string, name: "stdout" | "stderr" = "stdout"): CellOutput {
  return { output_type: "stream", name, text };
}

/** Something displayed. */
export function display(data: MimeBundle, metadata: Record<string, unknown> = {}): CellOutput {
  return { output_type: "display_data", data, metadata };
}

/** A notebook of cells. */
export function notebook(...cells: Cell[]): Notebook {
  return newNotebook(cells, { version: "3.11.9" });
}

/** A notebook of one cell with one display of HTML. */
export function htmlOutput(html: string, more: MimeBundle = {}): Notebook {
  return notebook(ran(1, "show()", [display({ "text/html": html, ...more })]));
}

/** A table as pandas writes one: wider than a phone. */
export function table(columns: number): string {
  const heads = Array.from({ length: columns }, (_, one) => `      <th>column_${one}</th>`);
  const cells = Array.from({ length: columns }, (_, one) => `      <td>${one / 7}</td>`);
  return `<div>
<style scoped>
    .dataframe tbody tr th { vertical-align: top; }
    .dataframe thead th { text-align: right; }
</style>
<table border="1" class="dataframe">
  <thead>
    <tr style="text-align: right;">
      <th></th>
${heads.join("\n")}
    </tr>
  </thead>
  <tbody>
    <tr>
      <th>0</th>
${cells.join("\n")}
    </tr>
  </tbody>
</table>
<p>1 rows × ${columns} columns</p>
</div>`;
}

/** A table as pandas' Styler writes one. */
export const STYLED_TABLE = `<style type="text/css">
#T_0a1b2 th { color: #636c76; }
#T_0a1b2_row0_col0, #T_0a1b2_row1_col0 { background-color: #440154; color: #f1f1f1; }
</style>
<table id="T_0a1b2">
  <thead><tr><th class="blank level0" >&nbsp;</th><th id="T_0a1b2_level0_col0" class="col_heading level0 col0" >a</th></tr></thead>
  <tbody><tr><th id="T_0a1b2_level0_row0" class="row_heading level0 row0" >0</th>
  <td id="T_0a1b2_row0_col0" class="data row0 col0" >1.5</td></tr></tbody>
</table>`;

/** A notebook with every kind of cell and output. */
export function everything(): Notebook {
  return notebook(
    text(
      "# Everything\n\nText with **bold**, `code`, [a link](https://example.org) and $\\alpha_1$.\n\n" +
        "| a | b |\n|---|--:|\n| 1 | 2 |\n\n- [x] done\n\n```python\nfor x in y: pass\n```",
    ),
    ran(1, "import numpy as np  # numbers", [], 1.5),
    text("## Streams"),
    ran(2, "print('hello')", [
      stream("\x1b[31mRED RED RED\x1b[0m \x1b[42mon green\x1b[0m \x1b[38;5;208morange\x1b[0m\n"),
      stream(" 10%\r100%\n"),
      stream("a warning\n", "stderr"),
    ], 0.02),
    ran(3, "for i in range(5000): print(i)", [
      stream(Array.from({ length: 5000 }, (_, line) => `line ${line}\n`).join("")),
    ]),
    text("## Displays"),
    ran(4, "table", [{
      output_type: "execute_result",
      data: { "text/html": table(30), "text/plain": "   column_0" },
      metadata: {},
      execution_count: 4,
    }]),
    ran(5, "styled", [display({ "text/html": STYLED_TABLE, "text/plain": "<Styler>" })]),
    ran(6, "pictures", [
      display({ "image/png": PICTURES.png + "\n", "text/plain": "<Figure>" }),
      display({ "image/jpeg": PICTURES.jpeg }),
      display({ "image/gif": PICTURES.gif }),
      display({
        "image/svg+xml":
          '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="30"><rect width="60" height="30" fill="rgb(0,200,90)"/></svg>',
      }),
    ]),
    ran(7, "others", [
      display({ "application/json": { key: [1, 2] } }),
      display({ "text/latex": "$$x^2$$", "text/plain": "<Math>" }),
      display({ "text/markdown": "*emphasis*" }),
      display({
        "application/vnd.plotly.v1+json": { data: [] },
        "text/html": "<div><script>draw()</script></div>",
        "text/plain": "Figure({data: []})",
      }),
    ]),
    ran(8, "1/0", [{
      output_type: "error",
      ename: "ZeroDivisionError",
      evalue: "division by zero",
      traceback: [
        "\x1b[31mZeroDivisionError\x1b[39m                Traceback (most recent call last)",
        "\x1b[36mCell\x1b[39m \x1b[32mIn[8]\x1b[39m, line 1",
        "\x1b[31mZeroDivisionError\x1b[39m: division by zero",
      ],
    }]),
    { cell_type: "raw", id: "raw", metadata: {}, source: "raw <b>text</b>" },
    codeCell("not_run = 'a long line of code'.ljust(" + "1".repeat(300) + ")"),
  );
}
