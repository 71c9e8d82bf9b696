import { assertEquals, assertStringIncludes } from "@std/assert";
import { Collector } from "../../lib/interpreter/collector.ts";
import type { LiveOutput } from "../../lib/interpreter/outputs.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const display = (text: string, rest: Record<string, unknown> = {}) => ({
  op: "display",
  data: { "text/plain": text },
  metadata: {},
  ...rest,
});

Deno.test("neighbouring text of one stream is one output, and displays divide it", () => {
  const live: LiveOutput[] = [];
  const collector = new Collector({ onOutput: (output) => live.push(output) });
  collector.bytes("stdout", bytes("a"));
  collector.bytes("stdout", bytes("b"));
  collector.bytes("stderr", bytes("c"));
  collector.control(display("d"));
  collector.bytes("stderr", bytes("e"));
  collector.control({ op: "result", data: {}, metadata: {}, execution_count: 3 });
  assertEquals(collector.finish(), [
    { type: "stream", name: "stdout", text: "ab" },
    { type: "stream", name: "stderr", text: "c" },
    { type: "display_data", data: { "text/plain": "d" }, metadata: {} },
    { type: "stream", name: "stderr", text: "e" },
    { type: "execute_result", data: {}, metadata: {}, execution_count: 3 },
  ]);
  assertEquals(live.length, 6);
});

Deno.test("an update changes every display with its id and adds none", () => {
  const collector = new Collector();
  collector.control(display("a", { display_id: "x" }));
  collector.control(display("b", { display_id: "x" }));
  collector.control(display("c", { display_id: "y" }));
  collector.control(display("new", { display_id: "x", update: true }));
  collector.control(display("none", { display_id: "z", update: true }));
  const texts = collector.finish().map((output) =>
    output.type === "stream" ? "" : output.data["text/plain"]
  );
  assertEquals(texts, ["new", "new", "c"]);
});

Deno.test("clearing forgets what came before, waiting until something comes", () => {
  const collector = new Collector();
  collector.bytes("stdout", bytes("a"));
  collector.control({ op: "clear", wait: true });
  assertEquals(collector.finish().length, 1);
  collector.bytes("stdout", bytes("b"));
  assertEquals(collector.finish(), [{ type: "stream", name: "stdout", text: "b" }]);
  collector.control({ op: "clear", wait: false });
  assertEquals(collector.finish(), []);
});

Deno.test("beyond the limit the beginning and the end are kept, with a notice between", () => {
  const live: LiveOutput[] = [];
  const collector = new Collector({ limit: 100, onOutput: (output) => live.push(output) });
  collector.bytes("stdout", bytes("a".repeat(100)));
  assertEquals([collector.truncated, collector.finish().length], [false, 1]);
  for (let i = 0; i < 1000; i++) collector.bytes("stdout", bytes("b".repeat(7)));
  collector.bytes("stdout", bytes("the end"));
  assertEquals(collector.truncated, true);
  const [start, notice, end, ...rest] = collector.finish().map((output) =>
    output.type === "stream" ? output.text : output.type
  );
  assertEquals([start, end, rest], ["a".repeat(80), "b".repeat(13) + "the end", []]);
  assertStringIncludes(notice!, "output truncated");
  const texts = live.map((output) => output.type === "stream" ? output.text : output.type);
  assertEquals(texts.slice(0, -1), ["a".repeat(100)]);
  assertStringIncludes(texts.at(-1)!, "output truncated");
});

Deno.test("a pair of surrogates is never cut", () => {
  const collector = new Collector({ limit: 100 });
  for (let i = 0; i < 300; i++) collector.bytes("stdout", bytes("x" + "😀".repeat(i % 5)));
  for (const output of collector.finish()) {
    assertEquals(output.type === "stream" && output.text.isWellFormed(), true);
  }
});

Deno.test("displays count against the limit, and the last ones are kept", () => {
  const collector = new Collector({ limit: 1000 });
  for (let i = 0; i < 100; i++) collector.control(display(String(i).padEnd(48)));
  const kept = collector.finish().map((output) =>
    output.type === "stream" ? "notice" : String(output.data["text/plain"]).trim()
  );
  assertEquals(kept.slice(0, 2), ["0", "1"]);
  assertEquals(kept.slice(-3), ["97", "98", "99"]);
  assertEquals(kept.filter((text) => text === "notice").length, 1);
  assertEquals(collector.truncated, true);
});

Deno.test("a value larger than the limit is named in its place, and what follows is kept", () => {
  const collector = new Collector({ limit: 20_000 });
  collector.control({
    op: "result",
    data: { "text/plain": "<Figure>", "image/png": "x".repeat(30_000), "text/html": "<b>" },
    metadata: {},
    execution_count: 1,
  });
  collector.bytes("stdout", bytes("after"));
  assertEquals(collector.finish(), [{
    type: "execute_result",
    data: {
      "text/plain": "<Figure>\n[output truncated: image/png of 29.3 KiB left out]",
      "text/html": "<b>",
    },
    metadata: {},
    execution_count: 1,
  }, { type: "stream", name: "stdout", text: "after" }]);
  assertEquals(collector.truncated, true);
});

Deno.test("a display that does not fit behind the rest is named too", () => {
  const collector = new Collector({ limit: 10_000 });
  collector.bytes("stdout", bytes("x".repeat(7000)));
  collector.control(display("y".repeat(9000)));
  const [text, notice, shown] = collector.finish();
  assertEquals([text?.type, notice?.type], ["stream", "stream"]);
  assertEquals(
    shown?.type === "display_data" && shown.data["text/plain"],
    "[output truncated: text/plain of 9000 bytes left out]",
  );
});

Deno.test("updates and cleared output do not add up to the limit", () => {
  const collector = new Collector({ limit: 1000 });
  collector.control(display("0", { display_id: "x" }));
  for (let i = 0; i < 100; i++) {
    collector.control(display("u".repeat(500), { display_id: "x", update: true }));
  }
  for (let i = 0; i < 100; i++) {
    collector.bytes("stdout", bytes("t".repeat(400)));
    collector.control({ op: "clear", wait: true });
  }
  collector.bytes("stdout", bytes("last"));
  assertEquals([collector.truncated, collector.finish().length], [false, 1]);
});

Deno.test("a million empty outputs are bounded", () => {
  const collector = new Collector({ limit: 100_000 });
  for (let i = 0; i < 10_000; i++) collector.control({ op: "display", data: {}, metadata: {} });
  assertEquals(collector.finish().length < 3000, true);
});

Deno.test("a character that never ends is replaced at the end", () => {
  const collector = new Collector();
  collector.bytes("stdout", new Uint8Array([0x61, 0xe2, 0x82]));
  assertEquals(collector.finish(), [{ type: "stream", name: "stdout", text: "a\ufffd" }]);
});

Deno.test("control frames of other kinds are no output", () => {
  const collector = new Collector();
  collector.control({ op: "something" });
  assertEquals(collector.finish(), []);
});
