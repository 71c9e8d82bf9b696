import { assert, assertEquals } from "@std/assert";
import { Merge, type StreamName } from "../../lib/interpreter/merge.ts";
import type { Header } from "../../lib/interpreter/frames.ts";

const NONCE = "0123456789abcdef";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function mark(number: number, kind: string, owner: string): string {
  return `\x1e${NONCE}:${number}:${kind}:${owner}\x1e`;
}

/** A merge and what came out of it; neighbouring pieces of one stream and owner are joined. */
function record() {
  const events: string[] = [];
  let last = "";
  const merge = new Merge(NONCE, {
    bytes: (stream, owner, bytes) => {
      const key = `${stream}/${owner}:`;
      if (last === key) events.push(events.pop() + decoder.decode(bytes));
      else events.push(key + decoder.decode(bytes));
      last = key;
    },
    control: (frame) => {
      events.push(`control ${frame.op}`);
      last = "";
    },
  });
  const push = (name: StreamName, text: string) => merge.push(name, encoder.encode(text));
  return { merge, events, push };
}

Deno.test("text before any mark passes at once and belongs to nobody", () => {
  const { events, push } = record();
  push("stdout", "a");
  push("stderr", "b");
  assertEquals(events, ["stdout/:a", "stderr/:b"]);
});

Deno.test("text behind a mark waits until the other stream has reached it", () => {
  const { events, push } = record();
  push("stdout", `a${mark(1, "s", "1")}b`);
  assertEquals(events, ["stdout/:a"]);
  push("stderr", `c${mark(1, "s", "1")}d`);
  assertEquals(events, ["stdout/:a", "stderr/:c", "stdout/1:b", "stderr/1:d"]);
});

Deno.test("a control frame is passed exactly at its mark", () => {
  const { merge, events, push } = record();
  merge.control({ op: "display", after: 1 });
  push("stdout", `a${mark(1, "c", "1")}b`);
  assertEquals(events, ["stdout/:a"]);
  push("stderr", mark(1, "c", "1"));
  assertEquals(events, ["stdout/:a", "control display", "stdout/1:b"]);
});

Deno.test("a mark waits for its control frame, and frames without a mark do not wait", () => {
  const { merge, events, push } = record();
  push("stdout", `${mark(1, "c", "1")}b`);
  push("stderr", mark(1, "c", "1"));
  merge.control({ op: "free" });
  assertEquals(events, ["control free"]);
  merge.control({ op: "display", after: 1 });
  assertEquals(events, ["control free", "control display", "stdout/1:b"]);
});

Deno.test("what looks like a mark and is none is ordinary output", () => {
  const texts = [
    "\x1e",
    "\x1e\x1e\x1e",
    "\x1e0123",
    "\x1e0123456789abcdeX:1:s:1\x1e",
    `\x1e${NONCE}:x:s:1\x1e`,
    `\x1e${NONCE}:1\x1e`,
    `\x1e${NONCE}:${"9".repeat(400)}`,
  ];
  for (const text of texts) {
    const { merge, events, push } = record();
    push("stdout", `a${text}b`);
    merge.end("stdout");
    merge.end("stderr");
    assertEquals(events.join("").replaceAll("stdout/:", ""), `a${text}b`);
  }
});

Deno.test("an ended stream holds nothing up, and the last frames come in order", () => {
  const { merge, events, push } = record();
  merge.end("stderr");
  push("stdout", `a${mark(1, "s", "1")}b`);
  assertEquals(events, ["stdout/:a", "stdout/1:b"]);
  merge.control({ op: "second", after: 9 });
  merge.control({ op: "first", after: 8 });
  merge.end("stdout");
  merge.end("stdout");
  assertEquals(events.slice(2), ["control first", "control second"]);
});

Deno.test("a mark whose frame can no longer come is passed", () => {
  const { merge, events, push } = record();
  push("stdout", `${mark(1, "c", "1")}a`);
  push("stderr", mark(1, "c", "1"));
  assertEquals(events, []);
  merge.endControl();
  assertEquals(events, ["stdout/1:a"]);
});

Deno.test("a stream that runs far ahead is asked to wait, and may go on later", async () => {
  const { events, push } = record();
  const big = "x".repeat(600_000);
  assertEquals(push("stdout", mark(1, "s", "1") + big), undefined);
  const wait = push("stdout", big);
  assert(wait !== undefined);
  let resumed = false;
  wait.then(() => resumed = true);
  await Promise.resolve();
  assertEquals(resumed, false);
  push("stderr", mark(1, "s", "1"));
  await wait;
  assertEquals(events.join("").length, "stdout/1:".length + 1_200_000);
});

Deno.test("however the channels are cut and interleaved, the outcome is the same", () => {
  const owners = ["", "1", "1", "2"];
  let stdout = "begin ";
  let stderr = "";
  const frames: Header[] = [];
  for (let number = 1; number <= 12; number++) {
    const owner = owners[number % owners.length]!;
    const kind = number % 3 === 0 ? "c" : "s";
    if (kind === "c") frames.push({ op: `f${number}`, after: number });
    stdout += mark(number, kind, owner) + (number % 2 === 0 ? "" : `o${number} \x1e é€`);
    stderr += mark(number, kind, owner) + (number % 4 === 0 ? "" : `e${number}`);
  }
  const bytes = { stdout: encoder.encode(stdout), stderr: encoder.encode(stderr) };
  /** Per stream: text by owner with the frames at their places. */
  const run = (random: () => number) => {
    const out: Record<StreamName, string> = { stdout: "", stderr: "" };
    const owner: Record<StreamName, string> = { stdout: "?", stderr: "?" };
    const pieces: Record<StreamName, number[]> = { stdout: [], stderr: [] };
    const merge = new Merge(NONCE, {
      bytes: (name, by, piece) => {
        if (owner[name] !== by) pieces[name].push(...encoder.encode(`<${by}>`));
        owner[name] = by;
        pieces[name].push(...piece);
      },
      control: (frame) => {
        for (const name of ["stdout", "stderr"] as const) {
          pieces[name].push(...encoder.encode(`[${frame.op}]`));
        }
      },
    });
    const at = { stdout: 0, stderr: 0, control: 0 };
    while (
      at.stdout < bytes.stdout.length || at.stderr < bytes.stderr.length ||
      at.control < frames.length
    ) {
      const choice = Math.floor(random() * 3);
      if (choice === 2) {
        if (at.control < frames.length) merge.control(frames[at.control++]!);
        continue;
      }
      const name: StreamName = choice === 0 ? "stdout" : "stderr";
      const size = Math.ceil(random() * (random() < 0.5 ? 3 : 60));
      const end = Math.min(at[name] + size, bytes[name].length);
      if (end > at[name]) merge.push(name, bytes[name].slice(at[name], end));
      at[name] = end;
    }
    merge.end("stdout");
    merge.end("stderr");
    for (const name of ["stdout", "stderr"] as const) {
      out[name] = decoder.decode(new Uint8Array(pieces[name]));
    }
    return out;
  };
  let turn = 0;
  const expected = run(() => (turn++ % 7) / 7);
  assert(expected.stdout.includes("[f3]") && !expected.stdout.includes(NONCE));
  for (let seed = 1; seed <= 500; seed++) {
    let state = seed * 2654435761 % 2147483647;
    const random = () => (state = state * 48271 % 2147483647) / 2147483647;
    assertEquals(run(random), expected, `seed ${seed}`);
  }
});

Deno.test("at the end of a cell without a mark nothing is kept, and what follows is nobody's", () => {
  const { merge, events, push } = record();
  merge.begin("1");
  push("stdout", "a\x1e" + NONCE.slice(0, 5));
  push("stderr", "b");
  merge.finish();
  push("stdout", "c");
  push("stderr", "\x1e");
  merge.finish();
  assertEquals(events, [
    "stdout/1:a",
    "stderr/1:b",
    `stdout/1:\x1e${NONCE.slice(0, 5)}`,
    "stdout/:c",
    "stderr/:\x1e",
  ]);
});
