import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { parseStageEntries } from "../../lib/staging/entries.ts";

function parsed(entry: string) {
  const [first] = parseStageEntries([entry]);
  return [first?.kind, first?.source, first?.target];
}

Deno.test("entries: the four forms", () => {
  assertEquals(parsed("a.csv"), ["file", "a.csv", "a.csv"]);
  assertEquals(parsed("models/"), ["folder", "models", "models"]);
  assertEquals(parsed("source.txt:renamed.txt"), ["file", "source.txt", "renamed.txt"]);
  assertEquals(parsed("raw/:processed/"), ["folder", "raw", "processed"]);
});

Deno.test("entries: nested, dotted and loosely written paths", () => {
  assertEquals(parsed("a/b c/ü#.csv"), ["file", "a/b c/ü#.csv", "a/b c/ü#.csv"]);
  assertEquals(parsed("./a/./b.csv"), ["file", "a/b.csv", "a/b.csv"]);
  assertEquals(parsed("raw/:processed"), ["folder", "raw", "processed"]);
  assertEquals(parsed("a/b.csv:data/"), ["file", "a/b.csv", "data/b.csv"]);
  assertEquals(parsed("a/b.csv:./"), ["file", "a/b.csv", "b.csv"]);
  assertEquals(parsed("./"), ["folder", "", ""]);
  assertEquals(parsed("..a/b..:c"), ["file", "..a/b..", "c"]);
});

Deno.test("entries: nothing to stage", () => {
  assertEquals(parseStageEntries(null), []);
  assertEquals(parseStageEntries(undefined), []);
  assertEquals(parseStageEntries([]), []);
  assertEquals(parseStageEntries("a.csv").length, 1);
});

const refused: [unknown, string][] = [
  ["../x", '".."'],
  ["a/../../x", '".."'],
  ["a.csv:../x", '".."'],
  ["a.csv:/etc/x", "absolute"],
  ["/etc/passwd", "absolute"],
  ["a\\b", "backslash"],
  ["a.csv:b\\c", "backslash"],
  ["a\0b", "control character"],
  ["a\nb", "control character"],
  ["", "no source"],
  ["  ", "no source"],
  [":b", "no source"],
  ["a:", "no target"],
  ["a:b:c", "ambiguous"],
  ["C:\\x", "backslash"],
  ["a//b", "empty"],
  ["a//", "empty"],
  ["//", "absolute"],
  [7, "not a text"],
  [null, "not a text"],
];

for (const [entry, reason] of refused) {
  Deno.test(`entries: ${JSON.stringify(entry)} is refused and named`, () => {
    const error = assertThrows(() => parseStageEntries(["ok.csv", entry]), WorkerError);
    assertEquals(error.code, "invalid_argument");
    assertStringIncludes(error.message, reason);
    assertStringIncludes(
      error.message,
      typeof entry === "string" ? JSON.stringify(entry) : "files_to_stage[1]",
    );
  });
}

Deno.test("entries: something else than a list is refused", () => {
  assertThrows(() => parseStageEntries({ a: 1 }), WorkerError, "must be a list");
});
