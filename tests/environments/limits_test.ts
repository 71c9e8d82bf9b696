import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { FileLock } from "../../lib/environments/lock.ts";
import { formatBytes, freeBytes } from "../../lib/environments/space.ts";
import { measureCache, measureDirectory } from "../../lib/environments/usage.ts";
import { WorkerError } from "../../lib/errors.ts";
import { until } from "../wait.ts";
import { Cache, spec } from "./support.ts";

const DAY = 86_400_000;

/** Notes that an environment was last used so long ago. */
async function age(cache: Cache, key: string, ms: number): Promise<void> {
  const date = new Date(Date.now() - ms);
  await Deno.utime(cache.store.layout.meta(key), date, date);
}

Deno.test("beyond the limit the least recently used environment goes, never one in use", async () => {
  await using cache = await Cache.make("mamba", {}, { limits: { maxEnvironments: 2 } });
  const [first, second] = [await cache.build("toy-a=1"), await cache.build("toy-a=2")];
  await age(cache, first, 2 * DAY);
  await age(cache, second, DAY);
  // The oldest is in use, by another worker.
  const other = await cache.another({ limits: {} });
  const lease = await other.acquire(spec("toy-a=1"));
  await age(cache, first, 2 * DAY);
  const third = await cache.build("toy-data");
  await until(async () => (await cache.environments()).length === 2, "one is removed");
  assertEquals(await cache.environments(), [first, third].sort());
  // Nothing of it is left but the lock.
  const left = await cache.list(cache.store.layout.environments);
  assertEquals(left.filter((name) => name.startsWith(second)), [`${second}.lock`]);
  await lease.release();
  await other.close();
});

Deno.test("what a worker has just built is not removed before it is taken up", async () => {
  await using cache = await Cache.make("mamba", {}, { limits: { maxEnvironments: 1 } });
  const leases = await Promise.all(
    ["toy-a=1", "toy-a=2", "toy-data"].map((name) => cache.store.acquire(spec(name))),
  );
  for (const lease of leases) assert(await exists(join(lease.prefix, ".ready")));
  for (const lease of leases) await lease.release();
});

Deno.test("what was in use when it should have gone goes when that ends", async () => {
  await using cache = await Cache.make("mamba", {}, { limits: { maxEnvironments: 1 } });
  const first = await cache.build("toy-a=1");
  const lease = await cache.store.acquire(spec("toy-a=1"));
  await age(cache, first, DAY);
  const second = await cache.build("toy-a=2");
  assertEquals(await cache.environments(), [first, second].sort());
  const other = await cache.store.acquire(spec("toy-a=2"));
  await lease.release();
  await age(cache, first, DAY);
  await other.release();
  await until(async () => (await cache.environments()).length === 1, "one is removed");
  assertEquals(await cache.environments(), [second]);
});

Deno.test("environments go when they were not used for long, and the start sees to it", async () => {
  await using cache = await Cache.make("mamba");
  const [old, used, fresh] = [
    await cache.build("toy-a=1"),
    await cache.build("toy-a=2"),
    await cache.build("toy-data"),
  ];
  await age(cache, old, 31 * DAY);
  await age(cache, used, 31 * DAY);
  // Its use began long ago, and still goes on.
  using _lock = await FileLock.try(cache.store.layout.lock(used), "shared");
  const other = await cache.another();
  await other.recover();
  await until(async () => (await cache.environments()).length === 2, "one is removed");
  await other.close();
  assertEquals(await cache.environments(), [used, fresh].sort());
});

Deno.test("the end of a use counts as a use", async () => {
  await using cache = await Cache.make("mamba");
  const lease = await cache.store.acquire(spec("toy-a"));
  await until(() => exists(join(lease.prefix, ".compiled")), "the modules are compiled");
  await until(
    async () => (await cache.store.admin.get(lease.key)).bytes !== undefined,
    "the size is known",
  );
  await age(cache, lease.key, 3 * DAY);
  await lease.release();
  await until(async () => {
    const { lastUsed } = await cache.store.admin.get(lease.key);
    return Date.now() - Date.parse(lastUsed!) < DAY;
  }, "the use is noted");
});

Deno.test("files that environments share with the package cache are counted once", async () => {
  await using cache = await Cache.make("mamba");
  const { layout } = cache.store;
  const key = await cache.build("toy-slow");
  const alone = await measureCache(layout);
  const { own, shared } = await measureDirectory(layout.prefix(key));
  assert(shared > 500_000, `${shared}`);
  // The package cache has the unpacked packages and the archives: what is shared is not in it once more.
  assertEquals(alone.total, alone.environments + alone.packages + alone.pip);
  assert(alone.environments < own + shared + 500_000);
  const du = new Deno.Command("du", {
    args: ["-s", "--block-size=1", layout.environments, layout.packages],
  });
  const counted = new TextDecoder().decode((await du.output()).stdout).trim().split("\n")
    .map((line) => Number(line.split("\t")[0])).reduce((sum, bytes) => sum + bytes);
  // `du` counts directories, too.
  assert(alone.total <= counted && alone.total > 0.8 * counted, `${alone.total} of ${counted}`);

  // A second environment costs what it does not share.
  const second = await measureDirectory(layout.prefix(await cache.build("toy-slow", "toy-a")));
  assert(second.shared >= shared);
  const growth = (await measureCache(layout)).total - alone.total;
  assert(growth < second.own + second.shared / 2, `${growth} of ${JSON.stringify(second)}`);
});

Deno.test("beyond the limit of bytes packages go first, then environments", async () => {
  await using cache = await Cache.make("mamba");
  const { layout, admin } = cache.store;
  const big = await cache.build("toy-slow");
  await age(cache, big, DAY);
  const small = await cache.build("toy-data");
  const { total } = await measureCache(layout);

  // Packages that are in use by no environment are enough.
  assertEquals((await admin.prune({ maxBytes: total })).removed, []);
  await admin.remove(big);
  assertEquals(await cache.environments(), [small]);
  const without = await measureCache(layout);
  const pruned = await admin.prune({ maxBytes: without.total - 1 });
  assertEquals(pruned.removed, []);
  assert(pruned.packageBytes > 500_000, `${pruned.packageBytes}`);
  const packed = await measureCache(layout);
  assert(packed.total <= without.total - pruned.packageBytes * 0.9);

  // Now environments have to go, but not those in use.
  await using lease = await cache.store.acquire(spec("toy-data"));
  const kept = await admin.prune({ maxBytes: 1 });
  assertEquals(kept.removed, []);
  assertEquals(kept.inUse.map(({ key }) => key), [lease.key]);
  assertEquals(kept.inUse[0]?.pids, [Deno.pid]);
  await lease.release();
  await cache.idle(small);
  const gone = await admin.prune({ maxBytes: 1 });
  assertEquals(gone.removed.map(({ key, reason }) => [key, reason]), [[small, "size"]]);
  assertEquals(await cache.environments(), []);
  // What was pruned is fetched again.
  assertEquals(await cache.build("toy-slow"), big);
});

Deno.test("a dry run says what would go, and removes nothing", async () => {
  await using cache = await Cache.make("mamba");
  const first = await cache.build("toy-a=1");
  await age(cache, first, DAY);
  const second = await cache.build("toy-a=2");
  const { admin } = cache.store;
  const told = await admin.prune({ maxEnvironments: 1, dryRun: true });
  assertEquals(told.removed.map(({ key, reason }) => [key, reason]), [[first, "count"]]);
  assert(told.removed[0]!.bytes > 0);
  assertEquals((await admin.prune({ all: true, dryRun: true })).removed.length, 2);
  assertEquals(await cache.environments(), [first, second].sort());
  assertEquals((await admin.prune({ all: true })).removed.length, 2);
  assertEquals(await cache.environments(), []);
});

Deno.test("without room for it no build begins, and what is not in use is removed first", async () => {
  await using cache = await Cache.make("mamba");
  const key = await cache.build("toy-a=1");
  const free = (await freeBytes(cache.double.cache))!;
  assert(free > 0);
  const store = await cache.another({ minFreeBytes: free * 1000 });
  const creates = await cache.double.calls("create");
  const error = await assertRejects(() => store.acquire(spec("toy-a=2")), WorkerError);
  assertEquals(error.code, "disk_full");
  assertStringIncludes(error.message, `${formatBytes(free * 1000)} are needed`);
  assertEquals(error.context.needed, free * 1000);
  assertEquals(await cache.double.calls("create"), creates);
  assertEquals(await cache.environments(), []);
  assert(!await exists(cache.store.layout.prefix(key)));
  await store.close();
});

Deno.test("a build that fills the disk is tried again only after something was removed", async () => {
  await using cache = await Cache.make("mamba", { disk_full_after_links: 1 });
  const error = await assertRejects(() => cache.store.acquire(spec("toy-a")), WorkerError);
  assertEquals(error.code, "disk_full");
  assertEquals(await cache.double.calls("create"), 1);
});

Deno.test("when the disk fills in the course of a build, what is not in use makes room for it", async () => {
  await using cache = await Cache.make("mamba", {}, { minFreeBytes: 2 ** 20 });
  const directory = cache.double.cache;
  await Deno.mkdir(directory, { recursive: true });
  const run = (command: string, ...args: string[]) => new Deno.Command(command, { args }).output();
  if (!(await run("mount", "-t", "tmpfs", "-o", "size=64m", "none", directory)).success) {
    console.log("SKIPPED: no small disk can be mounted here");
    return;
  }
  try {
    const { layout } = cache.store;
    const unused = await cache.build("toy-data");
    const used = await cache.store.acquire(spec("toy-a"));
    await cache.idle(unused);
    await Deno.mkdir(join(layout.prefix(unused), "share"), { recursive: true });
    const big = await Deno.open(join(layout.prefix(unused), "share", "big"), {
      write: true,
      create: true,
    });
    // What is left is enough to begin, and less than the files of toy-slow take.
    const block = new Uint8Array(2 ** 16);
    while ((await freeBytes(directory))! > 2 ** 20 + 2 * block.length) await big.write(block);
    big.close();
    const creates = await cache.double.calls("create");
    {
      await using lease = await cache.store.acquire(spec("pip", "toy-slow"));
      assertEquals(lease.cached, false);
      // What the package cache gives is not enough: the second build has to fetch it again.
      assertEquals(await cache.double.calls("create"), creates + 3);
      assertEquals(await cache.environments(), [used.key, lease.key].sort());
    }
    await used.release();
    // What is in use stays, and the failure is named.
    const two = await cache.store.acquire(spec("toy-a"));
    await cache.double.setFaults({ disk_full_after_links: 1 });
    const error = await assertRejects(() => cache.store.acquire(spec("toy-data")), WorkerError);
    assertEquals(error.code, "disk_full", error.message);
    assert(await exists(join(two.prefix, ".ready")));
    await two.release();
    await cache.store.close();
  } finally {
    await run("umount", "-l", directory);
  }
});
