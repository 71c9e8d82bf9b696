import { assert, assertEquals } from "@std/assert";
import { plainText, renderAnsi, type Run } from "../../lib/notebook/ansi.ts";

/** The runs of a text of one line. */
function line(text: string): readonly Run[] {
  const lines = renderAnsi(text);
  assertEquals(lines.length, 1);
  return lines[0]!;
}
const styles = (text: string) => line(text).map((run) => [run.text, { ...run.style }]);

Deno.test("Colours and styles last until they are changed or reset", () => {
  assertEquals(styles("a\x1b[31mb\x1b[1mc\x1b[0md\x1b[me"), [
    ["a", {}],
    ["b", { foreground: 1 }],
    ["c", { foreground: 1, bold: true }],
    ["de", {}],
  ]);
  assertEquals(styles("\x1b[1;3;4;7;9;32;43mx")[0]![1], {
    bold: true,
    italic: true,
    underline: true,
    inverse: true,
    strike: true,
    foreground: 2,
    background: 3,
  });
  const last = line("\x1b[1;3;4;31;42mx\x1b[22;23;24;39;49my").at(-1)!;
  assertEquals(Object.values(last.style).filter((value) => value !== undefined), []);
});

Deno.test("Bright, 256 and true colours are understood in both spellings", () => {
  assertEquals(styles("\x1b[91;103mx")[0]![1], { foreground: 9, background: 11 });
  assertEquals(styles("\x1b[38;5;9mx")[0]![1], { foreground: 9 });
  // Values of xterm's table: cube and greys.
  assertEquals(styles("\x1b[38;5;208;48;5;16mx")[0]![1], {
    foreground: "#ff8700",
    background: "#000000",
  });
  assertEquals(styles("\x1b[48;5;244mx")[0]![1], { background: "#808080" });
  assertEquals(styles("\x1b[38;2;1;2;255mx")[0]![1], { foreground: "#0102ff" });
  assertEquals(styles("\x1b[38:2::1:2:255mx")[0]![1], { foreground: "#0102ff" });
  assertEquals(styles("\x1b[38:5:208mx")[0]![1], { foreground: "#ff8700" });
  assertEquals(styles("\x1b[38;5;300;1mx")[0]![1], { bold: true });
});

Deno.test("A carriage return writes over the line, as progress bars do", () => {
  assertEquals(plainText("  0%\r 50%\r100%\ndone\n"), "100%\ndone\n");
  assertEquals(plainText("long line\rshort"), "shortline");
  assertEquals(plainText("long line\r\x1b[Kshort"), "short");
  assertEquals(plainText("one\r\ntwo\r\n"), "one\ntwo\n");
  assertEquals(styles("\x1b[31mred\x1b[0m\rb"), [["b", {}], ["ed", { foreground: 1 }]]);
});

Deno.test("Moves of the cursor end where a terminal ends them", () => {
  assertEquals(plainText("abc\bX"), "abX");
  assertEquals(plainText("first\nsecond\x1b[1A\rFIRST"), "FIRST\nsecond");
  assertEquals(plainText("a\nb\nc\x1b[2F1\x1b[1E2"), "1\n2\nc");
  assertEquals(plainText("ab\x1b[3Cc\x1b[2D_"), "ab  _c");
  assertEquals(plainText("abcdef\x1b[3Gx\x1b[1K"), "    ef");
  assertEquals(plainText("gone\nalso\x1b[2Jnew"), "new");
  assertEquals(plainText("a\tb\t\tc"), "a       b               c");
  assertEquals(plainText("\x1b[99A\x1b[99Dx\x1b[99By"), "xy");
});

Deno.test("Two bars below each other end as two lines", () => {
  const bars = "a:   0%\nb:   0%\x1b[A\ra:  50%\n\rb:  10%\x1b[A\ra: 100%\n\rb: 100%\n";
  assertEquals(plainText(bars), "a: 100%\nb: 100%\n");
});

Deno.test("Escapes of other kinds leave no trace", () => {
  assertEquals(
    plainText("a\x1b]0;title\x07b\x1b]8;;https://e.org\x1b\\link\x1b]8;;\x1b\\c"),
    "ablinkc",
  );
  assertEquals(
    plainText("a\x1b[?25lb\x1b[?25h\x1b(Bc\x1b=d\x1bMe\x07\x00f\x7f\x9b31mg"),
    "abcdefg",
  );
  assertEquals(plainText("end\x1b"), "end");
  assertEquals(plainText("end\x1b["), "end");
  assertEquals(plainText("end\x1b[31"), "end");
});

Deno.test("Text of every script keeps its characters", () => {
  assertEquals(plainText("é日本😀\rX"), "X日本😀");
  assertEquals(plainText("😀😀\x1b[1Gab"), "ab");
  assertEquals(plainText("<b>&amp;</b>"), "<b>&amp;</b>");
});

Deno.test("A few bytes cannot ask for endless room", () => {
  const wide = "\x1b[9999Cx\n".repeat(50_000);
  const length = plainText(wide).length;
  assert(length < 2_000_000, `${length} characters`);
  const jumps = "\x1b[99999999999B\x1b[99999999999Cx\x1b[999999999A".repeat(1000);
  assert(plainText(jumps).length < 2_000_000);
});
