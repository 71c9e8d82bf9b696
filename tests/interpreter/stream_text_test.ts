import { assertEquals } from "@std/assert";
import { Collector } from "../../lib/interpreter/collector.ts";
import type { LiveOutput } from "../../lib/interpreter/outputs.ts";
import { StreamText } from "../../lib/interpreter/stream_text.ts";

function shown(...parts: string[]): string {
  const text = new StreamText();
  for (const part of parts) text.append(part);
  assertEquals(text.size, text.toString().length);
  return text.toString();
}

Deno.test("a carriage return goes back to the beginning of the line, and text overwrites", () => {
  assertEquals(shown("abc\rX"), "Xbc");
  assertEquals(shown("abc\r"), "abc");
  assertEquals(shown("abc\r\ndef"), "abc\ndef");
  assertEquals(shown("one\nabc\r\rXY\n"), "one\nXYc\n");
  assertEquals(shown("10%\r", "20%\r", "100%", "\n"), "100%\n");
  assertEquals(shown("ab", "\r", "X", "Y", "Z"), "XYZ");
});

Deno.test("a backspace takes the character before it, but no line end", () => {
  assertEquals(shown("abc\b\bX"), "aX");
  assertEquals(shown("|\b/", "\b-", "\b"), "");
  assertEquals(shown("a\n\b\bb"), "a\nb");
  assertEquals(shown("a😀\bb"), "ab");
});

Deno.test("colours are kept, and a line with escape sequences gives way as a whole", () => {
  assertEquals(shown("\x1b[31mred\x1b[0m\n"), "\x1b[31mred\x1b[0m\n");
  assertEquals(shown("\x1b[31m 10% long\x1b[0m\r\x1b[32m 20%\x1b[0m"), "\x1b[32m 20%\x1b[0m");
  assertEquals(shown("😀😀\rab"), "ab");
});

Deno.test("a line that is very long is settled", () => {
  assertEquals(shown("x".repeat(70_000), "\rabc").length, 70_003);
});

Deno.test("the beginning can be dropped and the end taken apart", () => {
  const text = new StreamText();
  text.append("one\ntwo\nthree");
  const rest = text.split(6);
  assertEquals([text.toString(), rest.toString()], ["one\ntw", "o\nthree"]);
  rest.append("\rX");
  assertEquals(rest.toString(), "o\nXhree");
  rest.dropStart(1);
  assertEquals([rest.toString(), rest.size], ["Xhree", 5]);
});

Deno.test("a progress bar of ten thousand steps is one line in the result and whole in the live stream", () => {
  const live: LiveOutput[] = [];
  const collector = new Collector({ limit: 10_000, onOutput: (output) => live.push(output) });
  for (let i = 0; i <= 10_000; i++) {
    collector.bytes("stderr", new TextEncoder().encode(`\r${i}/10000`));
  }
  assertEquals(collector.finish(), [{ type: "stream", name: "stderr", text: "10000/10000" }]);
  assertEquals(collector.truncated, false);
  assertEquals(live[3], { type: "stream", name: "stderr", text: "\r3/10000" });
});
