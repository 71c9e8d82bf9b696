import { assertEquals, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { codeCell, newNotebook, tagsOf } from "../../lib/notebook/document.ts";
import { injectParameters, parseParameter } from "../../lib/notebook/parameters.ts";
import { stackPaths } from "../stack/stack.ts";

/** Values as they are given, and Python's `repr` of what the notebook gets. */
const VALUES: readonly [string, string][] = [
  ["1", "1"],
  ["-12345678901234567890123", "-12345678901234567890123"],
  ["007", "7"],
  ["1.5", "1.5"],
  ["1e3", "1000.0"],
  [".5", "0.5"],
  ["True", "True"],
  ["true", "True"],
  ["None", "None"],
  ["null", "None"],
  ["text", "'text'"],
  ["", "''"],
  [" spaces stay ", "' spaces stay '"],
  ["1.2.3", "'1.2.3'"],
  ['it\'s "so" \\n ä😀\n', "'it\\'s \"so\" \\\\n ä😀\\n'"],
  ['"1"', "'1'"],
  ['[1, "a", [true, null]]', "[1, 'a', [True, None]]"],
  ['{"a": {"b": false}}', "{'a': {'b': False}}"],
  ["__import__('os')", "\"__import__('os')\""],
  ["a=b", "'a=b'"],
];

Deno.test("values become what they look like in Python, and nothing that runs", async () => {
  const codes = VALUES.map(([value]) => parseParameter(`x=${value}`).code);
  const { stdout } = await new Deno.Command(stackPaths.hyphaPython, {
    args: [
      "-X",
      "utf8",
      "-c",
      "import sys, ast\nfor code in sys.argv[1:]: print(repr(ast.literal_eval(code)))",
      ...codes,
    ],
  }).output();
  const got = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assertEquals(got, VALUES.map(([, expected]) => expected));
});

Deno.test("what is no parameter is refused", () => {
  for (const text of ["x", "=1", "1x=1", "class=1", "a b=1", "x=[1", "x={'a': 1}", "é=1"]) {
    const error = assertThrows(
      () => parseParameter(text),
      WorkerError,
      `Cannot use parameter ${text}`,
    );
    assertEquals(error.code, "usage");
  }
});

Deno.test("parameters go behind the defaults, into the place of an earlier run, or first", () => {
  const given = ["x=1", "y=a", "x=2"].map(parseParameter);
  const make = (...tags: string[][]) =>
    newNotebook(tags.map((tags) => codeCell("pass", { tags })), { version: undefined });
  const tags = (notebook: ReturnType<typeof make>) =>
    notebook.cells.map((cell) => tagsOf(cell).join());
  const defaults = make(["a"], ["parameters"], ["b"]);
  assertEquals(injectParameters(defaults, given), true);
  assertEquals(tags(defaults), ["a", "parameters", "injected-parameters", "b"]);
  assertEquals(defaults.cells[2]!.source, '# Parameters\nx = 2\ny = "a"');
  const { id } = defaults.cells[2]!;
  assertEquals(injectParameters(defaults, [parseParameter("x=3")]), true);
  assertEquals(tags(defaults), ["a", "parameters", "injected-parameters", "b"]);
  assertEquals([defaults.cells[2]!.source, defaults.cells[2]!.id], ["# Parameters\nx = 3", id]);
  const none = make(["a"]);
  assertEquals(injectParameters(none, given), false);
  assertEquals(tags(none), ["injected-parameters", "a"]);
});
