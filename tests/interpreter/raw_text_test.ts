import { assert, assertEquals } from "@std/assert";
import { Collector } from "../../lib/interpreter/collector.ts";
import { RawText } from "../../lib/interpreter/raw_text.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("the last bytes are kept, wherever writes cut them", () => {
  for (const piece of [1, 3, 7, 100, 999, 5000, 20_000]) {
    const text = new RawText(2000);
    let all = "";
    let dropped = 0;
    for (let i = 0; all.length < 50_000; i++) {
      const part = `${i},`.repeat(piece).slice(0, piece);
      all += part;
      text.append(bytes(part));
      dropped += text.takeDropped();
    }
    assert(all.endsWith(text.toString()), `${piece}`);
    assertEquals(text.size + dropped, all.length);
    assert(text.size >= 2000 && text.size <= 4000, `${piece}: ${text.size}`);
  }
});

Deno.test("forgetting the beginning cuts at a character, and at a line when one ends soon", () => {
  const text = new RawText(1000);
  text.append(bytes("€€€"));
  text.dropStart(1);
  assertEquals(text.toString(), "€€");
  const lines = new RawText(1000);
  lines.append(bytes("first\nsecond\n"));
  lines.dropStart(2);
  assertEquals(lines.toString(), "second\n");
  lines.dropStart(100);
  assertEquals([lines.toString(), lines.size], ["", 0]);
});

Deno.test("the text is what a terminal would be left with", () => {
  const text = new RawText(1000);
  for (let i = 0; i <= 100; i++) text.append(bytes(`\r${i} %`));
  assertEquals(text.toString(), "100 %");
});

Deno.test("the end of a result has whole characters of both streams, in their order", () => {
  const collector = new Collector({ limit: 10_000 });
  const euro = bytes("€");
  // Cut inside of a character where the limit is reached.
  for (let i = 0; i < 100_000; i++) collector.bytes("stdout", euro.subarray(i % 2, i % 2 + 1 + 1));
  for (let i = 0; i < 3; i++) {
    collector.bytes("stdout", bytes(`out ${i} €\n`));
    collector.bytes("stderr", euro.subarray(0, 2));
    collector.bytes("stderr", euro.subarray(2));
    collector.control({ op: "display", data: { "text/plain": `shown ${i}` }, metadata: {} });
  }
  const end = collector.finish().slice(-9).map((output) =>
    output.type === "stream" ? `${output.name}:${output.text}` : output.data["text/plain"]
  );
  assert(end[0]!.toString().endsWith("out 0 €\n"));
  assertEquals(end.slice(1), [
    "stderr:€",
    "shown 0",
    "stdout:out 1 €\n",
    "stderr:€",
    "shown 1",
    "stdout:out 2 €\n",
    "stderr:€",
    "shown 2",
  ]);
  assert(end.every((text) => String(text).isWellFormed()));
});

Deno.test("the end of live output is told once, and nothing comes after it", () => {
  let ends = 0;
  let live = 0;
  const collector = new Collector({
    limit: 1000,
    onLiveEnd: () => ends++,
    onOutput: () => live++,
  });
  collector.bytes("stdout", bytes("x".repeat(1000)));
  assertEquals([ends, live], [0, 1]);
  for (let i = 0; i < 100; i++) {
    collector.bytes("stdout", bytes("y".repeat(100)));
    collector.control({ op: "display", data: { "text/plain": "z" }, metadata: {} });
  }
  assertEquals([ends, live], [1, 2]);
});
