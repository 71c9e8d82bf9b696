import { assertEquals } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import { type Orphan, Orphans } from "../../lib/worker/orphans.ts";

class FakeSession implements Orphan {
  readonly #end = new AbortController();
  lastActive = new Date();
  pendingExecutions = 0;
  constructor(readonly id: string) {}
  get signal(): AbortSignal {
    return this.#end.signal;
  }
  end(): void {
    this.#end.abort();
  }
}

const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Orphans that are kept for a tenth of a second, and the ids of those that were ended. */
function kept() {
  const ended: string[] = [];
  const orphans = new Orphans({
    timeout: 100,
    stop: (id) => {
      ended.push(id);
      return Promise.resolve();
    },
    log: silentLogger,
  });
  return { orphans, ended };
}

Deno.test("a forgotten session that nobody uses is ended, once", async () => {
  const { orphans, ended } = kept();
  const session = new FakeSession("a");
  orphans.add([session]);
  orphans.add([session]);
  assertEquals([orphans.size, ended], [1, []]);
  while (orphans.size > 0) await pause(10);
  await pause(150);
  assertEquals(ended, ["a"]);
});

Deno.test("a forgotten session is kept while cells run in it, and a time after the last", async () => {
  const { orphans, ended } = kept();
  const session = new FakeSession("a");
  session.pendingExecutions = 1;
  orphans.add([session]);
  await pause(250);
  assertEquals([orphans.size, ended], [1, []]);
  session.pendingExecutions = 0;
  // Used again and again: its time never comes.
  for (let n = 0; n < 10; n++) {
    session.lastActive = new Date();
    await pause(25);
  }
  assertEquals([orphans.size, ended], [1, []]);
  while (orphans.size > 0) await pause(10);
  assertEquals(ended, ["a"]);
});

Deno.test("a forgotten session that ends by itself, and all when the worker ends, are let go", async () => {
  const { orphans, ended } = kept();
  const [one, other] = [new FakeSession("a"), new FakeSession("b")];
  orphans.add([one, other]);
  one.end();
  assertEquals(orphans.size, 1);
  orphans[Symbol.dispose]();
  await pause(150);
  assertEquals([orphans.size, ended], [0, []]);
});
