import { assertEquals, assertRejects } from "@std/assert";
import { hasCode } from "../../lib/errors.ts";
import { CallQueue } from "../../lib/worker/queue.ts";

/** A call that ends when told to. */
function held(log: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = () => {
    log.push(name);
    return promise;
  };
  return { call, resolve, reject };
}

Deno.test("calls run one at a time, in the order they came", async () => {
  const queue = new CallQueue(10);
  const log: string[] = [];
  let running = 0;
  const calls = Array.from({ length: 8 }, (_, n) =>
    queue.run(async () => {
      assertEquals(++running, 1);
      log.push(String(n));
      await new Promise((resolve) => setTimeout(resolve, n % 2));
      running--;
      return n;
    }));
  assertEquals(queue.length, 8);
  assertEquals(await Promise.all(calls), [0, 1, 2, 3, 4, 5, 6, 7]);
  assertEquals([log.join(""), queue.length], ["01234567", 0]);
});

Deno.test("a call that fails does not stop the queue", async () => {
  const queue = new CallQueue(10);
  const bad = queue.run(() => Promise.reject(new Error("bad")));
  const good = queue.run(() => Promise.resolve("good"));
  await assertRejects(() => bad, Error, "bad");
  assertEquals(await good, "good");
});

Deno.test("a call that finds too many waiting is refused at once", async () => {
  const queue = new CallQueue(1);
  const log: string[] = [];
  const first = held(log, "first");
  const one = queue.run(first.call);
  const two = queue.run(() => Promise.resolve("two"));
  const error = await assertRejects(() => queue.run(() => Promise.resolve("three")));
  assertEquals(hasCode(error, "queue_full"), true);
  first.resolve("one");
  assertEquals([await one, await two], ["one", "two"]);
});

Deno.test("a waiting call whose signal fires leaves its place to the next", async () => {
  const queue = new CallQueue(10);
  const log: string[] = [];
  const first = held(log, "first");
  const one = queue.run(first.call);
  const stop = new AbortController();
  const two = queue.run(held(log, "second").call, stop.signal);
  const three = queue.run(held(log, "third").call);
  three.catch(() => {});
  stop.abort(new Error("not any more"));
  await assertRejects(() => two, Error, "not any more");
  assertEquals(queue.length, 2);
  first.resolve("one");
  await one;
  await Promise.resolve();
  assertEquals(log, ["first", "third"]);
  await assertRejects(() => queue.run(first.call, AbortSignal.abort(new Error("before"))));
});

Deno.test("cancelling refuses what waits and lets what runs end", async () => {
  const queue = new CallQueue(10);
  const first = held([], "first");
  const one = queue.run(first.call);
  const two = queue.run(() => Promise.resolve("two"));
  queue.cancelAll(new Error("over"));
  await assertRejects(() => two, Error, "over");
  first.resolve("one");
  assertEquals(await one, "one");
  assertEquals(await queue.run(() => Promise.resolve("later")), "later");
});
