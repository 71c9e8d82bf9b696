import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { REMEMBER_MS } from "../../lib/environments/failures.ts";
import { WorkerError } from "../../lib/errors.ts";
import { Cache, spec } from "./support.ts";

Deno.test("a spec that cannot be solved is not tried again for a few minutes", async () => {
  let now = Date.now();
  await using cache = await Cache.make("mamba", {}, { now: () => now });
  for (
    const [dependencies, code] of [
      [["no-such-package"], "package_not_found"],
      [["toy-b", "toy-conflict"], "solver_conflict"],
    ] as const
  ) {
    const attempt = (refresh = false) =>
      assertRejects(() => cache.store.acquire(spec(...dependencies), { refresh }), WorkerError);
    const first = await attempt();
    assertEquals([first.code, first.context.remembered], [code, undefined]);
    const calls = await cache.double.calls();
    now += 60_000;
    const second = await attempt();
    assertEquals([second.code, second.context.remembered], [code, true]);
    assert(second.message.startsWith(first.message));
    assertStringIncludes(second.message, "the answer of 60 s ago");
    assertStringIncludes(second.message, '"refresh"');
    assertEquals(second.context.retryAfter, 240);
    assertEquals(await cache.double.calls(), calls);

    // Somebody knows better.
    assertEquals((await attempt(true)).context.remembered, undefined);
    const again = await cache.double.calls();
    assert(again > calls);
    assertEquals((await attempt()).context.remembered, true);
    now += REMEMBER_MS;
    assertEquals((await attempt()).context.remembered, undefined);
    assert(await cache.double.calls() > again);
  }
});

Deno.test("what the network, the disk or a cancel is to blame for is not remembered", async () => {
  await using cache = await Cache.make("mamba", { disk_full_after_links: 1, times: 1 });
  const error = await assertRejects(() => cache.store.acquire(spec("toy-a")), WorkerError);
  assertEquals(error.code, "disk_full");
  const controller = new AbortController();
  const cancelled = cache.store.acquire(spec("toy-a"), { signal: controller.signal });
  controller.abort();
  await assertRejects(() => cancelled, WorkerError);
  await using lease = await cache.store.acquire(spec("toy-a"));
  assertEquals(lease.cached, false);
});

Deno.test("the log of a failed build is kept", async () => {
  await using cache = await Cache.make("conda");
  await assertRejects(() => cache.store.acquire(spec("no-such-package")), WorkerError);
  const { environments } = cache.store.layout;
  const log = (await cache.list(environments)).find((name) => name.endsWith(".log"));
  const text = await Deno.readTextFile(`${environments}/${log}`);
  assertStringIncludes(text, "no-such-package");
});
