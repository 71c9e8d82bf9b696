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

Deno.test("what is beyond the limit is cut once, with a notice", () => {
  const live: LiveOutput[] = [];
  const collector = new Collector({ limit: 10, onOutput: (output) => live.push(output) });
  collector.bytes("stdout", bytes("12345678"));
  assertEquals(collector.truncated, false);
  collector.bytes("stdout", bytes("9é€"));
  collector.bytes("stdout", bytes("more"));
  collector.control(display("more"));
  assertEquals(collector.truncated, true);
  const [kept, notice, ...rest] = collector.finish();
  assertEquals([kept, rest], [{ type: "stream", name: "stdout", text: "123456789" }, []]);
  assertStringIncludes(notice?.type === "stream" ? notice.text : "", "output truncated");
  assertEquals(live.length, 3);
});

Deno.test("a display beyond the limit is left out whole", () => {
  const collector = new Collector({ limit: 10 });
  collector.control(display("x".repeat(11)));
  assertEquals(collector.truncated, true);
  assertEquals(collector.finish().map((output) => output.type), ["stream"]);
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
