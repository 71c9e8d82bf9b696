import { assert, assertEquals } from "@std/assert";
import { type LogPage, SessionLog } from "../../lib/worker/session_log.ts";

const contents = (page: LogPage) => page.items.map((item) => `${item.type}:${item.content}`);

Deno.test("entries come in the order they were added, with their time", () => {
  const now = new Date("2026-01-02T03:04:05Z");
  const log = new SessionLog({ now: () => now });
  log.add("info", "a");
  log.write("stdout", "b\n");
  log.add("error", "c");
  const page = log.page(undefined, 0, undefined);
  assertEquals(contents(page), ["info:a", "stdout:b\n", "error:c"]);
  assertEquals(page.items[0]?.timestamp, "2026-01-02T03:04:05.000Z");
  assertEquals([page.total, page.offset, page.limit, page.error], [3, 0, null, ["c"]]);
});

Deno.test("text goes on in the entry of its unfinished line, each stream by itself", () => {
  const log = new SessionLog();
  log.write("stdout", "a");
  log.write("stderr", "x");
  log.write("stdout", "b\n");
  log.write("stdout", "c\n");
  log.write("stdout", "");
  log.write("stderr", "y\n");
  assertEquals(contents(log.page(undefined, 0, undefined)), [
    "stdout:ab\n",
    "stderr:xy\n",
    "stdout:c\n",
  ]);
});

Deno.test("text of tasks names the cell that made them, and cells do not mix within a line", () => {
  const log = new SessionLog();
  log.write("stdout", "a", 1);
  log.write("stdout", "b\n", 1);
  log.write("stdout", "c", 2);
  log.write("stdout", "d\n", 1);
  log.write("stdout", "e\n");
  log.add("stdout", "f", 2);
  const items = log.page(undefined, 0, undefined).items;
  assertEquals(items.map((item) => [item.content, item.execution_count]), [
    ["ab\n", 1],
    ["c", 2],
    ["d\n", 1],
    ["e\n", undefined],
    ["f", 2],
  ]);
  assertEquals(Object.keys(items[3]!), ["type", "content", "timestamp"]);
});

Deno.test("pages of a type count that type only", () => {
  const log = new SessionLog();
  for (let i = 0; i < 10; i++) log.add(i % 2 === 0 ? "info" : "progress", String(i));
  const page = log.page("info", 1, 2);
  assertEquals(contents(page), ["info:2", "info:4"]);
  assertEquals([page.total, page.offset, page.limit], [5, 1, 2]);
  assertEquals(contents(log.page(undefined, 8, 5)), ["info:8", "progress:9"]);
  assertEquals(contents(log.page("stdout", 0, undefined)), []);
});

Deno.test("offsets keep their meaning when old entries are dropped", () => {
  const log = new SessionLog({ maxEntries: 5 });
  for (let i = 0; i < 5000; i++) log.add("info", String(i));
  assertEquals(contents(log.page(undefined, 0, 2)), []);
  assertEquals(contents(log.page(undefined, 0, undefined)).length, 5);
  assertEquals(contents(log.page(undefined, 4998, 10)), ["info:4998", "info:4999"]);
  assertEquals(log.page("info", 0, undefined).total, 5000);
});

Deno.test("memory is bounded by characters too, but the last entry stays", () => {
  const log = new SessionLog({ maxCharacters: 100 });
  for (let i = 0; i < 50; i++) log.add("info", "x".repeat(30));
  assertEquals(log.page(undefined, 0, undefined).items.length, 3);
  log.add("info", "y".repeat(200));
  assertEquals(contents(log.page(undefined, 0, undefined)), [`info:${"y".repeat(200)}`]);
});

Deno.test("one line without end does not grow without end", () => {
  const log = new SessionLog();
  for (let i = 0; i < 300; i++) log.write("stdout", "x".repeat(1000));
  const { items } = log.page(undefined, 0, undefined);
  assert(items.length > 1 && items.every((item) => item.content.length <= 64 * 1024 + 1));
  assertEquals(items.map((item) => item.content.length).reduce((a, b) => a + b), 300_000);
});

Deno.test("one huge piece of text is kept up to the size of an entry", () => {
  const log = new SessionLog();
  log.write("stdout", "x".repeat(1_000_000));
  log.write("stdout", "tail\n");
  const total = log.page(undefined, 0, undefined).items.map((item) => item.content.length);
  assert(total.every((length) => length <= 64 * 1024 + 1));
});

Deno.test("only the last errors are repeated on each page", () => {
  const log = new SessionLog();
  assertEquals("error" in log.page(undefined, 0, undefined), false);
  for (let i = 0; i < 30; i++) log.add("error", String(i));
  assertEquals(log.page("info", 0, 1).error?.length, 20);
  assertEquals(log.errors().at(-1), "29");
});

Deno.test("a log that is shortened keeps its newest entries, at their positions", () => {
  const log = new SessionLog();
  for (let n = 0; n < 100; n++) log.add("info", `${n}`.padStart(100));
  assertEquals(log.characters, 10_000);
  log.shorten(1000);
  assertEquals(log.characters, 1000);
  const page = log.page(undefined, 95, undefined);
  assertEquals([page.total, page.items.length, page.items[0]?.content.trim()], [100, 5, "95"]);
  log.add("info", "x".repeat(100));
  assertEquals([log.characters, log.page(undefined, 100, 1).items.length], [1000, 1]);
});
