import { assertEquals } from "@std/assert";
import { LineSplitter, readLines, Tail } from "../../lib/managers/lines.ts";

function split(...chunks: string[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

Deno.test("lines are joined over chunks and a last line needs no end", () => {
  assertEquals(split("a\nb", "c\r\nd\re", "", "f"), ["a", "bc", "d", "ef"]);
});

Deno.test("a step that conda announces is a line before it has ended", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  splitter.push("Solving environment: ...work");
  splitter.push("ing... ");
  assertEquals(lines, ["Solving environment: ...working... "]);
  splitter.push("done\n");
  assertEquals(lines, ["Solving environment: ...working... ", "done"]);
});

Deno.test("an endless line is cut and what follows it is read", () => {
  const [long, next] = split(..."x".repeat(100).split("").map(() => "y".repeat(1000)), "\nz\n");
  assertEquals(long?.length, 8192);
  assertEquals(next, "z");
});

Deno.test("characters that are cut by a chunk are put together", async () => {
  const bytes = new TextEncoder().encode("└─ ä\n");
  const lines: string[] = [];
  const chunks = [bytes.slice(0, 1), bytes.slice(1, 8), bytes.slice(8)];
  await readLines(ReadableStream.from(chunks), (line) => lines.push(line));
  assertEquals(lines, ["└─ ä"]);
});

Deno.test("reading stops when it is aborted", async () => {
  const stop = new AbortController();
  const reading = readLines(new ReadableStream({ start: () => {} }), () => {}, stop.signal);
  stop.abort();
  await reading;
});

Deno.test("a tail keeps the last lines", () => {
  const tail = new Tail(2);
  for (const line of ["a", "b", "c"]) tail.push(line);
  assertEquals(tail.lines, ["b", "c"]);
});
