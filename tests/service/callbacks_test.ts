import { assert, assertEquals, assertMatch } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import { Callbacks } from "../../lib/service/callbacks.ts";
import { PendingMessages } from "../../lib/service/pending_messages.ts";
import { RateLimiter } from "../../lib/service/rate_limiter.ts";

interface Stream {
  type: string;
  name: string;
  text: string;
}

const stream = (text: string, name = "stdout") => ({ type: "stream", name, text });
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const textOf = (messages: unknown[], name = "stdout") =>
  (messages as Stream[]).filter((one) => one.name === name).map((one) => one.text).join("");

function recorder(delay = 0) {
  const messages: unknown[] = [];
  const remote = async (message: unknown) => {
    messages.push(message);
    if (delay > 0) await sleep(delay);
  };
  return { messages, remote };
}

Deno.test("rate limiter: a burst, then a steady rate", () => {
  let now = 1000;
  const limiter = new RateLimiter({ rate: 10, burst: 3, now: () => now });
  assertEquals([1, 2, 3, 4, 5].map(() => limiter.reserve()), [0, 0, 0, 100, 200]);
  now += 10_000;
  assertEquals([1, 2, 3, 4].map(() => limiter.reserve()), [0, 0, 0, 100]);
  now += 10_000;
  assertEquals([limiter.reserve(5), limiter.reserve()], [0, 300]);
});

Deno.test("callbacks: the first message leaves at once, the rest is joined and complete", async () => {
  const { messages, remote } = recorder();
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(remote);
  notify(stream("first\n"));
  // Long before its pace would let a second one go.
  await sleep(0);
  assertEquals(messages.length, 1);
  let expected = "first\n";
  for (let i = 0; i < 5000; i++) {
    notify(stream(`${i}\n`));
    expected += `${i}\n`;
  }
  assert(await callbacks.flush());
  assertEquals(textOf(messages), expected);
  assert(messages.length <= 10, String(messages.length));
});

Deno.test("callbacks: order is kept across streams and displays", async () => {
  const { messages, remote } = recorder(2);
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(remote);
  const sent: unknown[] = [];
  for (let i = 0; i < 8; i++) {
    for (
      const one of [stream(`o${i}`), stream(`e${i}`, "stderr"), { type: "display_data", data: i }]
    ) {
      sent.push(one);
      notify(one);
    }
  }
  assert(await callbacks.flush());
  assertEquals(messages, sent);
});

Deno.test("callbacks: a callback alone keeps to its rate", async () => {
  const { messages, remote } = recorder();
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(remote);
  const begin = performance.now();
  let sent = 0;
  while (messages.length < 12) {
    notify(stream("x"));
    sent++;
    await sleep(2);
  }
  // 4 at once and 20 a second.
  const seconds = (performance.now() - begin) / 1000;
  assert(messages.length <= 5 + 20 * seconds, `${messages.length} in ${seconds} s`);
  assert(await callbacks.flush());
  assertEquals(textOf(messages), "x".repeat(sent));
});

Deno.test("callbacks: all of them share the worker's budget", async () => {
  const shared = new RateLimiter({ rate: 100, burst: 10 });
  const { messages, remote } = recorder();
  const all = Array.from({ length: 20 }, () => new Callbacks({ log: silentLogger, shared }));
  const begin = performance.now();
  for (const one of all) {
    const notify = one.wrap(remote);
    for (let i = 0; i < 3; i++) notify({ type: "display_data", data: i });
  }
  const delivered = await Promise.all(all.map((one) => one.flush()));
  assertEquals(new Set(delivered), new Set([true]));
  assertEquals(messages.length, 60);
  assert(performance.now() - begin > 450);
});

Deno.test("callbacks: one message is under way at a time", async () => {
  let active = 0;
  let most = 0;
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(async () => {
    most = Math.max(most, ++active);
    await sleep(5);
    active--;
  });
  for (let i = 0; i < 10; i++) notify({ type: "display_data", data: i });
  await callbacks.flush();
  assertEquals([most, active], [1, 0]);
});

Deno.test("callbacks: one that is slow but answers gets everything, one that goes on for ever does not", async () => {
  const callbacks = new Callbacks({ log: silentLogger });
  const got: unknown[] = [];
  const notify = callbacks.wrap(async (message) => {
    await sleep(40);
    got.push(message);
  });
  // Alternating streams cannot be joined.
  for (let n = 0; n < 60; n++) notify({ ...stream(String(n)), name: n % 2 ? "stdout" : "stderr" });
  // Longer than the wait for one answer, shorter than that for all.
  assert(await callbacks.flush(2000));
  assertEquals(got.length, 60);

  const endless = new Callbacks({ log: silentLogger });
  const never = endless.wrap(() => sleep(5));
  for (let n = 0; n < 900; n++) never({ ...stream(String(n)), name: n % 2 ? "stdout" : "stderr" });
  assertEquals(await endless.flush(50), false);
});

Deno.test("callbacks: flush gives up on a callback that never answers", async () => {
  const callbacks = new Callbacks({ log: silentLogger });
  let calls = 0;
  const notify = callbacks.wrap(() => {
    calls++;
    return new Promise(() => {});
  });
  notify(stream("a"));
  notify(stream("b"));
  assertEquals(await callbacks.flush(50), false);
  notify(stream("c"));
  await sleep(20);
  assertEquals(calls, 1);
});

Deno.test("callbacks: rejections are noted once and do not stop later messages", async () => {
  let notes = 0;
  const log = { ...silentLogger, debug: () => notes++ };
  const callbacks = new Callbacks({ log });
  let calls = 0;
  const notify = callbacks.wrap(() => {
    calls++;
    if (calls < 4) throw new Error("fault of the caller");
  });
  for (let i = 0; i < 6; i++) notify({ type: "display_data", data: i });
  assert(await callbacks.flush());
  assertEquals([calls, notes], [6, 1]);
});

Deno.test("callbacks: a caller that is gone is not called again", async () => {
  const callbacks = new Callbacks({ log: silentLogger });
  let calls = 0;
  const notify = callbacks.wrap(() => {
    calls++;
    return Promise.reject(new Error("RemoteError:Error: Session not found: ws/c:abc"));
  });
  for (let i = 0; i < 6; i++) notify({ type: "display_data", data: i });
  assertEquals(await callbacks.flush(), false);
  assertEquals(calls, 1);
});

Deno.test("callbacks: messages are copies, and carry no reserved keys", async () => {
  const { messages, remote } = recorder();
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(remote);
  const message = {
    type: "display_data",
    data: { "application/json": { "_rtype": "method", a: 1 } },
  };
  notify(message);
  message.data["application/json"].a = 2;
  await callbacks.flush();
  assertEquals(messages, [{ type: "display_data", data: { "application/json": { a: 1 } } }]);
});

Deno.test("pending: what is shortened keeps the newest, and a notice tells", () => {
  const pending = new PendingMessages();
  for (let i = 0; i < 4000; i++) pending.add(stream("x".repeat(1000)));
  pending.add(stream("the end"));
  pending.shorten();
  const messages: Stream[] = [];
  while (!pending.empty) messages.push(pending.take() as Stream);
  assertMatch(messages[0]?.text ?? "", /\[\d+ characters of live output left out/);
  const rest = messages.slice(1).map((one) => one.text).join("");
  assert(rest.length <= 1024 * 1024 && rest.endsWith("the end"));
  const left = Number(/\d+/.exec(messages[0]?.text ?? "")?.[0]);
  assertEquals(left + rest.length, 4_000_000 + "the end".length);
});

Deno.test("pending: the order of streams and displays is exact, however many wait", () => {
  const pending = new PendingMessages();
  const expected: unknown[] = [];
  const messages: unknown[] = [];
  for (let i = 0; i < 3000; i++) {
    const three = [stream(`o${i}`), stream(`e${i}`, "stderr"), { type: "display_data", data: i }];
    expected.push(...three);
    for (const message of three) pending.add(message);
    // Taken while others wait: the place of the beginning moves.
    if (i % 3 === 0) messages.push(pending.take());
  }
  while (!pending.empty) messages.push(pending.take());
  assertEquals(messages, expected);
});

Deno.test("pending: one text larger than a message is cut between characters", () => {
  const pending = new PendingMessages();
  const text = "a" + "😀".repeat(70_000);
  pending.add(stream(text));
  const messages: Stream[] = [];
  while (!pending.empty) messages.push(pending.take() as Stream);
  assert(messages.length > 1);
  assert(messages.every((one) => one.text.isWellFormed()));
  assertEquals(textOf(messages), text);
});

Deno.test("pending: old news of progress go without a notice", () => {
  const pending = new PendingMessages();
  for (let i = 0; i < 1000; i++) pending.add({ type: "info", message: String(i) });
  const messages: { message: string }[] = [];
  while (!pending.empty) messages.push(pending.take() as { message: string });
  assertEquals([messages.length, messages.at(-1)?.message], [256, "999"]);
});

const chunk = "x".repeat(99) + "\n";
const MIB = 1024 * 1024;

/** Sends text as a cell does: it waits when it is asked to. */
async function sendPatiently(notify: ReturnType<Callbacks["wrap"]>, size: number): Promise<number> {
  let waits = 0;
  for (let sent = 0; sent < size; sent += 1000 * chunk.length) {
    const wait = notify(stream(chunk.repeat(1000)));
    if (wait !== undefined) waits++;
    await wait;
  }
  return waits;
}

Deno.test("callbacks: a slow caller makes the sender wait and gets everything in order", async () => {
  const { messages, remote } = recorder(5);
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(remote);
  const waits = await sendPatiently(notify, 8 * MIB);
  assert(waits > 0);
  assert(await callbacks.flush());
  const text = textOf(messages);
  assert(text.length >= 8 * MIB && text === chunk.repeat(text.length / chunk.length));
});

Deno.test("callbacks: a sender that waits is never far ahead of its caller", async () => {
  let received = 0;
  let sent = 0;
  let most = 0;
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(async (message) => {
    await sleep(1);
    received += (message as Stream).text.length;
  });
  for (let i = 0; i < 100; i++) {
    const text = chunk.repeat(1000);
    sent += text.length;
    const wait = notify(stream(text));
    most = Math.max(most, sent - received);
    await wait;
  }
  assert(most < 3 * MIB, `${most}`);
  await callbacks.flush();
});

Deno.test("callbacks: a caller that hangs is not waited for, and hears what it missed", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const messages: unknown[] = [];
  const callbacks = new Callbacks({ log: silentLogger, patience: 100 });
  const notify = callbacks.wrap((message) => {
    messages.push(message);
    return messages.length === 1 ? promise : undefined;
  });
  await sendPatiently(notify, 64 * MIB);
  assertEquals(messages.length, 1);
  resolve();
  assert(await callbacks.flush());
  assertMatch((messages[1] as Stream).text, /\[\d+ characters of live output left out/);
  assert(textOf(messages).length < 3 * MIB);
});

Deno.test("callbacks: a sender that does not wait cannot fill the memory", async () => {
  const { messages, remote } = recorder();
  const callbacks = new Callbacks({ log: silentLogger });
  const notify = callbacks.wrap(remote);
  for (let i = 0; i < 1000; i++) notify(stream(chunk.repeat(1000)));
  assert(await callbacks.flush());
  assert(textOf(messages).length < 40 * MIB);
  assert(messages.some((message) => (message as Stream).text.includes("left out")));
});

Deno.test("callbacks: waiting ends when the call does, and when the caller fails", async () => {
  for (const end of ["close", "fail"]) {
    const callbacks = new Callbacks({ log: silentLogger });
    const { promise, reject } = Promise.withResolvers<void>();
    const notify = callbacks.wrap(() => promise);
    let wait: void | Promise<void> = undefined;
    while (wait === undefined) wait = notify(stream(chunk.repeat(1000)));
    if (end === "close") callbacks.close();
    else reject(new Error("Session not found"));
    await wait;
    assertEquals(notify(stream("more")), undefined);
    promise.catch(() => {});
    await callbacks.flush(0);
  }
});

Deno.test("callbacks: what a slow caller does not get in time at the end is told at least", async () => {
  const { messages, remote } = recorder(100);
  const callbacks = new Callbacks({ log: silentLogger, patience: 60_000 });
  const notify = callbacks.wrap(remote);
  for (let i = 0; i < 100; i++) {
    notify(stream("o"));
    notify(stream("e", "stderr"));
  }
  assertEquals(await callbacks.flush(400), false);
  const last = messages.at(-1) as Stream;
  const left = Number(/\[(\d+) characters of live output left out/.exec(last.text)?.[1]);
  assertEquals(left + messages.length - 1, 200);
});
