import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { exists } from "@std/fs";
import type { CacheLayout } from "../../lib/environments/layout.ts";
import { readPlace, writeMarker } from "../../lib/environments/marker.ts";
import { until } from "../wait.ts";
import { Cache, spec } from "./support.ts";

/** The directory of packages, relative to the environment. */
async function siteOf(prefix: string): Promise<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(prefix, "lib"))) {
    if (isDirectory && /^python\d/.test(name)) return `lib/${name}/site-packages`;
  }
  throw new Error("no site-packages");
}

/** Marks an environment anew as if it had been built a while ago: times count in whole seconds. */
async function settle(layout: CacheLayout, key: string): Promise<void> {
  const prefix = layout.prefix(key);
  const site = await siteOf(prefix);
  const ago = new Date(Date.now() - 10_000);
  for (const path of ["bin", "lib", dirname(site), site, "conda-meta/history"]) {
    await Deno.utime(join(prefix, path), ago, ago);
  }
  await writeMarker(layout, key, { version: "3.11.0", site });
  for (const path of [dirname(site), site]) await Deno.utime(join(prefix, path), ago, ago);
  await writeMarker(layout, key, { version: "3.11.0", site });
}

Deno.test("what was damaged after it was built is noticed, and built anew", async () => {
  await using cache = await Cache.make("mamba");
  const { layout } = cache.store;
  const damages: Record<string, (prefix: string) => Promise<unknown>> = {
    "bin was changed": (prefix) => Deno.writeTextFile(join(prefix, "bin/tool"), ""),
    "site-packages was changed": async (prefix) =>
      await Deno.remove(join(prefix, await siteOf(prefix), "toy_a.py")),
    "conda-meta/history was changed": (prefix) =>
      Deno.writeTextFile(join(prefix, "conda-meta/history"), "==> more <==\n", { append: true }),
    "its marker cannot be read": (prefix) => Deno.writeTextFile(join(prefix, ".ready"), "{"),
    "another version of this program made it": (prefix) =>
      Deno.writeTextFile(join(prefix, ".ready"), "null"),
    "bin/python is missing": (prefix) => Deno.remove(join(prefix, "bin/python")),
  };
  const key = await cache.build("toy-a");
  assertEquals(await readPlace(layout, key), { state: "ready" });
  for (const [reason, damage] of Object.entries(damages)) {
    await settle(layout, key);
    assertEquals(await readPlace(layout, key), { state: "ready" });
    await damage(layout.prefix(key));
    const found = await readPlace(layout, key);
    assertEquals(found.state, "damaged", reason);
    assertStringIncludes(found.state === "damaged" ? found.reason : "", reason);
  }
  await using lease = await cache.store.acquire(spec("toy-a"));
  assertEquals([lease.cached, lease.key], [false, key]);
  assertEquals(await readPlace(layout, key), { state: "ready" });
});

Deno.test("what a later version of this program made is left alone", async () => {
  await using cache = await Cache.make("mamba");
  const { layout, admin } = cache.store;
  const key = await cache.build();
  const later = layout.prefix("0123456789abcdef");
  await Deno.mkdir(later);
  await Deno.writeTextFile(join(later, ".ready"), JSON.stringify({ schema: 1000 }));
  const yesterday = new Date(Date.now() - 86_400_000);
  await Deno.utime(later, yesterday, yesterday);
  await cache.store.recover();
  assertEquals(await cache.environments(), ["0123456789abcdef", key].sort());
  const { removed } = await admin.prune({ maxEnvironments: 1 });
  assertEquals(removed.map((one) => [one.key, one.reason]), [["0123456789abcdef", "count"]]);
});

Deno.test("pip in a cached environment makes the next start build it anew", async () => {
  await using cache = await Cache.make("mamba");
  const key = await cache.build("pip");
  const prefix = cache.store.layout.prefix(key);
  await settle(cache.store.layout, key);
  const manager = await cache.double.detect();
  const { code, tail } = await manager.execute(prefix, [
    ..."python -m pip install --no-deps --quiet six==1.16.0".split(" "),
  ]);
  assertEquals(code, 0, tail.join("\n"));
  await using lease = await cache.store.acquire(spec("pip"));
  assertEquals(lease.cached, false);
  assertEquals(await exists(join(lease.prefix, await siteOf(lease.prefix), "six.py")), false);
});

Deno.test("use, byte code and an image layer's times do not count as damage", async () => {
  await using cache = await Cache.make("mamba");
  const lease = await cache.store.acquire(spec("toy-a"));
  await until(() => exists(join(lease.prefix, ".compiled")), "the modules are compiled");
  const { layout } = cache.store;
  const nextSecond = 1000 - Date.now() % 1000;
  await new Promise((resolve) => setTimeout(resolve, nextSecond));
  const manager = await cache.double.detect();
  // Without byte code of their own, so that Python writes it.
  const code = "import toy_a, json, decimal, asyncio";
  assertEquals((await manager.execute(lease.prefix, ["python", "-c", code])).code, 0);
  assertEquals(await readPlace(layout, lease.key), { state: "ready" });
  for (const path of ["bin", "lib", "conda-meta/history"]) {
    const { mtime } = await Deno.stat(join(lease.prefix, path));
    const whole = new Date(Math.floor(mtime!.getTime() / 1000) * 1000);
    await Deno.utime(join(lease.prefix, path), whole, whole);
  }
  assertEquals(await readPlace(layout, lease.key), { state: "ready" });
  await lease.release();
});

Deno.test("an environment damaged while in use is left to its users, and newcomers get another", async () => {
  await using cache = await Cache.make("mamba");
  const told: string[] = [];
  const first = await cache.store.acquire(spec("toy-a"));
  await Deno.remove(join(first.prefix, "bin", "python"));

  const second = await cache.store.acquire(spec("toy-a"), {
    onProgress: (progress) => told.push(progress.message),
  });
  assertNotEquals(second.prefix, first.prefix);
  assertEquals(second.key, `${first.key}-1`);
  assertStringIncludes(told.join("\n"), "bin/python is missing");
  assert(await exists(join(second.prefix, "bin", "python")));
  assert(await exists(join(first.prefix, "conda-meta")), "it was taken from its user");

  // From then on it is a cached one like any other, also when the first place is free again.
  await using third = await cache.store.acquire(spec("toy-a"));
  assertEquals([third.key, third.cached], [second.key, true]);
  await first.release();
  await cache.idle(first.key);
  await using fourth = await cache.store.acquire(spec("toy-a"));
  assertEquals([fourth.key, fourth.cached], [second.key, true]);
  const other = await cache.another();
  await other.recover();
  await other.close();
  assertEquals(await cache.environments(), [second.key]);
  await second.release();
});

Deno.test("an environment removed while in use does not keep newcomers waiting", async () => {
  await using cache = await Cache.make("mamba");
  await using first = await cache.store.acquire(spec("toy-a"));
  await Deno.remove(first.prefix, { recursive: true });
  await using second = await cache.store.acquire(spec("toy-a"));
  assertNotEquals(second.key, first.key);
});
