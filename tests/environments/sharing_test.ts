import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { readPlace } from "../../lib/environments/marker.ts";
import { readMeta } from "../../lib/environments/meta.ts";
import { WorkerError } from "../../lib/errors.ts";
import { until } from "../wait.ts";
import { Cache, spec } from "./support.ts";

Deno.test("twenty equal starts in four processes build once", async () => {
  await using cache = await Cache.make("mamba", { link_delay: 0.1 });
  const manifest = { dependencies: ["python=3.11", "toy-a"] };
  const workers = Array.from({ length: 4 }, () => cache.worker(...Array(5).fill(manifest)));
  const leases = () =>
    workers.flatMap((worker) => worker.lines).filter((line) => line.startsWith('{"lease"'));
  await until(
    () => leases().length === 20,
    `${workers.map((worker) => worker.lines.at(-1))}`,
    300_000,
  );
  assertEquals(new Set(leases().map((line) => JSON.parse(line).lease)).size, 1);
  assertEquals(await cache.double.calls("create"), 1);
  for (const worker of workers) await worker.end();
});

Deno.test("eight different environments at once all succeed", async () => {
  await using cache = await Cache.make("conda");
  const specs = [
    spec(),
    spec("toy-a"),
    spec("toy-a=1"),
    spec("toy-b"),
    spec("toy-data"),
    spec("toy-script"),
    spec("toy-activate"),
    spec("toy-a", "toy-data"),
  ];
  const leases = await Promise.all(specs.map((one) => cache.store.acquire(one)));
  assertEquals(new Set(leases.map((lease) => lease.key)).size, 8);
  for (const { key } of leases) {
    assertEquals(await readPlace(cache.store.layout, key), { state: "ready" });
  }
  assertEquals(await cache.double.calls("create"), 8);
  for (const lease of leases) await lease.release();
});

Deno.test("a volume on which locks do not exclude is refused", async () => {
  await using cache = await Cache.make("mamba");
  // Fake: a volume whose locks do not work cannot be made here.
  const store = await cache.another({
    probe: () => Promise.resolve("a lock is given to one while another holds it"),
  });
  const error = await assertRejects(() => store.recover(), WorkerError);
  assertEquals(error.code, "cache_locks");
  assertStringIncludes(error.message, "a lock is given to one while another holds it");
  const broken = await cache.another({
    probe: () => Promise.reject(new Error("Function not implemented (os error 38)")),
  });
  assertEquals((await assertRejects(() => broken.recover(), WorkerError)).code, "cache_locks");
  // With the real one the start succeeds, and leaves nothing behind.
  await cache.store.recover();
  assertEquals(await cache.list(cache.store.layout.environments), []);
  for (const one of [store, broken]) await one.close();
});

Deno.test("environments of a cache that cannot be written to can be used, others are refused", async () => {
  await using cache = await Cache.make("mamba");
  const key = await cache.build("toy-a");
  const { layout } = cache.store;
  const before = await readMeta(layout.meta(key));
  const reader = await cache.readOnlyWorker(
    { dependencies: ["python=3.11", "toy-a"] },
    { dependencies: ["python=3.11", "toy-data"] },
  );
  if (reader === undefined) {
    console.log("SKIPPED: nothing can be made read-only here");
    return;
  }
  await until(() => reader.lines.join().includes('"error"'), "it is refused");
  await until(() => reader.lines.join().includes('"lease"'), `${reader.lines}`);
  const text = reader.lines.join("\n");
  assertStringIncludes(text, JSON.stringify({ lease: key, cached: true }));
  assertStringIncludes(text, "Cannot use the cache directory");
  // Its use keeps others from removing the environment.
  const error = await assertRejects(() => cache.store.admin.remove(key), WorkerError);
  // It cannot note that it does.
  assertEquals([error.code, error.context.pids], ["environment_in_use", []]);
  await reader.end();
  assertEquals(await readMeta(layout.meta(key)), before);
});

Deno.test("packages may be on another file system than the environments", async () => {
  const elsewhere = await Deno.makeTempDir({ dir: "/dev/shm" });
  try {
    await using cache = await Cache.make("mamba");
    await Deno.mkdir(cache.double.cache);
    if ((await Deno.stat(elsewhere)).dev === (await Deno.stat(cache.double.cache)).dev) {
      console.log("SKIPPED: /dev/shm is the file system of the temporary directory");
      return;
    }
    const { layout, admin } = cache.store;
    await Deno.symlink(elsewhere, layout.packages);
    const key = await cache.build("toy-a");
    const manager = await cache.double.detect();
    const { stdout } = await manager.execute(layout.prefix(key), [
      ..."python -c".split(" "),
      "import toy_a; print(toy_a.__version__)",
    ]);
    assertEquals(stdout, ["2.0"]);
    assertEquals((await admin.get(key)).bytes?.shared, 0);
    const { packageBytes } = await admin.prune({ maxBytes: 1 });
    await admin.close();
    assert(packageBytes > 0);
    assert(!await exists(join(elsewhere, "trash")));
    assertEquals(await cache.build("toy-a=1"), (await cache.environments())[0]);
  } finally {
    await Deno.remove(elsewhere, { recursive: true });
  }
});

Deno.test("environments may be on a volume of their own, apart from the trash", async () => {
  const volume = await Deno.makeTempDir({ dir: "/dev/shm" });
  try {
    await using cache = await Cache.make("mamba");
    const { layout, admin } = cache.store;
    await Deno.mkdir(cache.double.cache);
    if ((await Deno.stat(volume)).dev === (await Deno.stat(cache.double.cache)).dev) {
      console.log("SKIPPED: /dev/shm is the file system of the temporary directory");
      return;
    }
    await Deno.symlink(volume, layout.environments);
    const key = await cache.build();
    await admin.remove(key);
    await admin.close();
    assertEquals(await cache.list(volume), [`${key}.lock`]);
    // What a crash left in the middle of that is deleted at the next start.
    await Deno.mkdir(join(volume, ".trash-0", "deep"), { recursive: true });
    await cache.store.recover();
    await until(async () => (await cache.list(volume)).length === 1, "it is deleted");
    assertEquals(await cache.build(), key);
  } finally {
    await Deno.remove(volume, { recursive: true });
  }
});
