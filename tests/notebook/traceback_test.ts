import { assert, assertEquals } from "@std/assert";
import { jupyterTraceback } from "../../lib/notebook/traceback.ts";

/** Lines without their colours. */
const plain = (lines: string[]) =>
  // deno-lint-ignore no-control-regex -- colours begin with one
  lines.map((line) => line.replace(/\x1b\[\d+m/g, ""));

Deno.test("the failing line of a cell stands among its neighbours, and other files keep theirs", () => {
  const error = {
    ename: "KeyError",
    evalue: "'k'",
    traceback: [
      "Traceback (most recent call last):",
      '  File "<cell 2>", line 4, in <module>',
      "    f()",
      '  File "/lib/module.py", line 10, in inner',
      "    return a[b]",
      "           ~^^^",
      "KeyError: 'k'",
    ],
  };
  const sources = new Map([[2, "a = 1\n\ndef f(): ...\nf()\nlast"]]);
  const entries = jupyterTraceback(error, (count) => sources.get(count));
  assertEquals(plain(entries), [
    "-".repeat(75),
    "KeyError                                  Traceback (most recent call last)",
    "Cell In[2], line 4\n      2 \n      3 def f(): ...\n----> 4 f()\n      5 last",
    "File /lib/module.py:10, in inner\n    return a[b]\n           ~^^^",
    "KeyError: 'k'",
  ]);
  assertEquals(entries.at(-1), "\x1b[31mKeyError\x1b[39m: 'k'");
  // Of a cell that is not known the lines of the error stay.
  assertEquals(plain(jupyterTraceback(error, () => undefined))[2], "Cell In[2], line 4\n    f()");
});

Deno.test("a syntax error keeps the marks that say where it is", () => {
  const error = {
    ename: "SyntaxError",
    evalue: "invalid syntax",
    traceback: [
      '  File "<cell 1>", line 1',
      "    def f(:",
      "          ^",
      "SyntaxError: invalid syntax",
    ],
  };
  assertEquals(plain(jupyterTraceback(error, () => undefined)), [
    "-".repeat(75),
    "Cell In[1], line 1\n    def f(:\n          ^",
    "SyntaxError: invalid syntax",
  ]);
});

Deno.test("chains and groups of exceptions lose no line", () => {
  const traceback = [
    "  + Exception Group Traceback (most recent call last):",
    '  |   File "<cell 1>", line 2, in <module>',
    "  |     raise ExceptionGroup('g', [ValueError('a')])",
    "  | ExceptionGroup: g (1 sub-exception)",
    "  +-+---------------- 1 ----------------",
    "    | ValueError: a",
    "    +------------------------------------",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    "Traceback (most recent call last):",
    '  File "<cell 1>", line 4, in <module>',
    "    1 / 0",
    "ZeroDivisionError: division by zero",
  ];
  const error = { ename: "ZeroDivisionError", evalue: "division by zero", traceback };
  const text = plain(jupyterTraceback(error, () => undefined)).join("\n");
  for (const line of traceback) {
    const words = line.trim().replace(/File "<cell (\d)>", line (\d).*/, "Cell In[$1], line $2");
    assert(text.includes(words), `${words} is not in\n${text}`);
  }
});
