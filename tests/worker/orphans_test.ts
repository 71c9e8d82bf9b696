import { assertEquals } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import { type Orphan, Orphans } from "../../lib/worker/orphans.ts";

class FakeSession implements Orphan {
  readonly #end = new AbortController();
  lastActive = new Date(0);
  pendingExecutions = 0;
  constructor(readonly id: string) {}
  get signal(): AbortSignal {
    return this.#end.signal;
  }
  end(): void {
    this.#end.abort();
  }
}

/**
 * Orphans that are kept for a tenth of a second, and the ids of those that were ended. Fake: time passes when it is
 * told to, for the timers as well.
 */
function kept() {
  const ended: string[] = [];
  const clock = { now: 0 };
  const timers = new Map<number, { action: () => void; at: number }>();
  const original = { set: globalThis.setTimeout, clear: globalThis.clearTimeout };
  globalThis.setTimeout = ((action: () => void, milliseconds: number) => {
    timers.set(timers.size + 1, { action, at: clock.now + milliseconds });
    return timers.size;
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((timer: number) => {
    const found = timers.get(timer);
    if (found !== undefined) found.at = Infinity;
  }) as unknown as typeof clearTimeout;
  const orphans = new Orphans({
    timeout: 100,
    stop: (id) => {
      ended.push(id);
      return Promise.resolve();
    },
    log: silentLogger,
    now: () => new Date(clock.now),
  });
  /** Lets time pass. */
  const pass = (milliseconds: number) => {
    for (const end = clock.now + milliseconds; clock.now < end;) {
      clock.now++;
      for (const timer of [...timers.values()]) {
        if (timer.at > clock.now) continue;
        timer.at = Infinity;
        timer.action();
      }
    }
  };
  const restore = () => {
    globalThis.setTimeout = original.set;
    globalThis.clearTimeout = original.clear;
  };
  return { orphans, ended, pass, now: () => new Date(clock.now), [Symbol.dispose]: restore };
}

Deno.test("fake time: a forgotten session that nobody uses is ended, once", () => {
  using time = kept();
  const { orphans, ended } = time;
  const session = new FakeSession("a");
  orphans.add([session]);
  orphans.add([session]);
  time.pass(99);
  assertEquals([orphans.size, ended], [1, []]);
  time.pass(1);
  assertEquals([orphans.size, ended], [0, ["a"]]);
  time.pass(150);
  assertEquals(ended, ["a"]);
});

Deno.test("fake time: a forgotten session is kept while cells run in it, and a time after the last", () => {
  using time = kept();
  const { orphans, ended } = time;
  const session = new FakeSession("a");
  session.pendingExecutions = 1;
  orphans.add([session]);
  time.pass(250);
  assertEquals([orphans.size, ended], [1, []]);
  session.pendingExecutions = 0;
  // Used again and again: its time never comes.
  for (let n = 0; n < 10; n++) {
    session.lastActive = time.now();
    time.pass(90);
  }
  assertEquals([orphans.size, ended], [1, []]);
  time.pass(9);
  assertEquals(ended, []);
  time.pass(1);
  assertEquals(ended, ["a"]);
});

Deno.test("fake time: a forgotten session that ends by itself, and all when the worker ends, are let go", () => {
  using time = kept();
  const { orphans, ended } = time;
  const [one, other] = [new FakeSession("a"), new FakeSession("b")];
  orphans.add([one, other]);
  one.end();
  assertEquals(orphans.size, 1);
  orphans[Symbol.dispose]();
  time.pass(150);
  assertEquals([orphans.size, ended], [0, []]);
});
