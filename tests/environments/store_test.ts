import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { WorkerError } from "../../lib/errors.ts";
import { readMeta } from "../../lib/environments/meta.ts";
import { EnvironmentStore } from "../../lib/environments/store.ts";
import { silentLogger } from "../../lib/log.ts";
import { Double, KINDS } from "../managers/double.ts";
import { until } from "../wait.ts";
import { spawnCommand } from "../../lib/managers/manager.ts";
import { Cache, spec } from "./support.ts";

for (const kind of KINDS) {
  // conda takes more than a second to start, so asking Python must not cost another one.
  Deno.test(`${kind}: a build without pip starts the manager once until it is ready`, async () => {
    await using double = await Double.install(kind);
    let spawned = 0;
    const manager = await double.detect({
      spawn: (command, options) => {
        spawned++;
        return spawnCommand(command, options);
      },
    });
    const directory = double.cache;
    const store = new EnvironmentStore({ directory, manager, log: silentLogger });
    const before = spawned;
    const lease = await store.acquire(spec("toy-a"));
    // Modules are compiled later, by another one, when nobody waits.
    assertEquals(spawned - before, 1);
    assertMatch((await readMeta(store.layout.meta(lease.key)))?.python ?? "", /^3\.\d+\.\d+$/);
    await lease.release();
    await store.close();
  });

  Deno.test(`${kind}: an environment is built once and then found without the manager`, async () => {
    await using cache = await Cache.make(kind);
    const told: string[] = [];
    const logged: string[] = [];
    {
      await using lease = await cache.store.acquire(spec("toy-a"), {
        onProgress: (progress) => told.push(progress.message),
        onLog: (line) => logged.push(line),
      });
      assertEquals(lease.cached, false);
      assert(await exists(join(lease.prefix, "bin", "python")));
      assert(await exists(join(lease.prefix, ".ready")));
    }
    const text = told.join("\n");
    assertStringIncludes(text, "Setting up conda environment");
    assertStringIncludes(text, "Checking for cached conda environment");
    assertStringIncludes(text, "Creating new conda environment");
    assertStringIncludes(text, "Installing packages");
    assert(logged.length > 5);

    const [key] = (await cache.list(cache.store.layout.environments)).filter((name) =>
      !name.includes(".")
    );
    const compiled = join(cache.store.layout.prefix(key!), ".compiled");
    await until(() => exists(compiled), "the modules are compiled");
    const calls = await cache.double.calls();
    told.length = 0;
    await using lease = await cache.store.acquire(spec("toy-a"), {
      onProgress: (progress) => told.push(progress.message),
    });
    assertEquals(lease.cached, true);
    assertEquals(await cache.double.calls(), calls);
    assertEquals(told.at(-1), "Found cached environment");
  });

  Deno.test(`${kind}: a failing solve, channel or pip gives a typed error that says why`, async () => {
    await using cache = await Cache.make(kind);
    const failures: [build: Parameters<typeof spec>, code: string, reason: string][] = [
      [["no-such-package"], "package_not_found", "no-such-package"],
      [["toy-b", "toy-conflict"], "solver_conflict", "toy-a"],
      [[{ pip: ["no-such-package-zq7-xyz"] }], "pip_failed", "no-such-package-zq7-xyz"],
    ];
    for (const [dependencies, code, reason] of failures) {
      const error = await assertRejects(
        () => cache.store.acquire(spec(...dependencies)),
        WorkerError,
      );
      assertEquals(error.code, code, error.message);
      assertStringIncludes(error.message, reason);
    }
    const bad = { ...spec(), channels: ["file:///nonexistent/channel"] };
    const error = await assertRejects(() => cache.store.acquire(bad), WorkerError);
    assertEquals(error.code, "channel_unavailable", error.message);
    assertStringIncludes(error.message, "/nonexistent/channel");
    // Only lock files stay, and what was printed.
    const left = await cache.list(cache.store.layout.environments);
    assert(left.every((name) => /\.(?:lock|log)$/.test(name)), left.join());
  });

  Deno.test(`${kind}: a manager that says success after half an environment is not believed`, async () => {
    await using cache = await Cache.make(kind, { lie: true, times: 1 });
    const error = await assertRejects(() => cache.store.acquire(spec()), WorkerError);
    assertEquals(error.code, "environment_failed");
    assertStringIncludes(error.message, "reported success, but");
    await using lease = await cache.store.acquire(spec());
    assertEquals(lease.cached, false);
  });

  Deno.test(`${kind}: a cancelled build leaves no process and no environment`, async () => {
    await using cache = await Cache.make(kind, { link_delay: 5 });
    const controller = new AbortController();
    const building = cache.store.acquire(spec("toy-a"), { signal: controller.signal });
    building.catch(() => {});
    await until(
      async () => (await cache.double.processes()).some((line) => line.includes(" create ")),
      "the manager runs",
    );
    const key = (await cache.list(cache.store.layout.environments))[0]!.slice(0, 16);
    await until(() => exists(join(cache.store.layout.prefix(key), "conda-meta")), "linking");
    controller.abort();
    const error = await assertRejects(() => building, WorkerError);
    assertEquals(error.code, "environment_cancelled");
    assertEquals(await cache.double.processes(), []);
    assertEquals(await cache.list(cache.store.layout.environments), [`${key}.lock`]);
    await cache.double.setFaults({});
    await using lease = await cache.store.acquire(spec("toy-a"));
    assertEquals(lease.cached, false);
  });

  Deno.test(`${kind}: a worker killed while linking leaves no process, and the next rebuilds`, async () => {
    await using cache = await Cache.make(kind, { link_delay: 5, times: 1 });
    const worker = cache.worker({ dependencies: ["python=3.11", "toy-a"] });
    const environments = cache.store.layout.environments;
    const linking = async () => {
      if (!await exists(environments)) return false;
      const key = (await cache.list(environments)).find((name) => /^\w{16}$/.test(name));
      return key !== undefined && await exists(join(environments, key, "conda-meta"));
    };
    await until(linking, `linking: ${worker.lines}`);
    await worker.kill();
    await until(
      async () => (await cache.double.processes()).length === 0,
      "nothing of the killed worker runs",
    );
    assert((await cache.list(environments)).some((name) => /^\w{16}$/.test(name)));
    await using lease = await cache.store.acquire(spec("toy-a"));
    assertEquals(lease.cached, false);
    assertEquals(await cache.double.calls("create"), 2);
  });
}

Deno.test("acquires of one spec at the same time build once", async () => {
  await using cache = await Cache.make("mamba", { start_delay: 1 });
  const told: string[] = [];
  const onProgress = ({ message }: { message: string }) => void told.push(message);
  const spellings = [spec("toy-a"), spec("Toy-A"), spec(" toy-a "), spec("toy-a", "toy-a")];
  const leases = await Promise.all(
    spellings.map((spelling) => cache.store.acquire(spelling, { onProgress })),
  );
  assertEquals(new Set(leases.map((lease) => lease.key)).size, 1);
  assertEquals(await cache.double.calls("create"), 1);
  // Everyone hears how the work goes.
  const installing = told.filter((message) => message.startsWith("Installing packages with"));
  assertEquals(installing.length, 4);
  await Promise.all(leases.map((lease) => lease.release()));
});

Deno.test("a build goes on while anyone waits for it", async () => {
  await using cache = await Cache.make("mamba", { start_delay: 0.5 });
  const controller = new AbortController();
  const first = cache.store.acquire(spec(), { signal: controller.signal });
  const second = cache.store.acquire(spec());
  first.catch(() => {});
  await until(async () => await cache.double.calls("create") === 1, "the build runs");
  controller.abort();
  assertEquals((await assertRejects(() => first, WorkerError)).code, "environment_cancelled");
  await using lease = await second;
  assertEquals(lease.cached, false);
  assertEquals(await cache.double.calls("create"), 1);
});

Deno.test("who is not admitted waits for no build, and what is ready needs no admission", async () => {
  await using cache = await Cache.make("mamba");
  const asked: string[] = [];
  let left = 0;
  const admit = (key: string) => {
    asked.push(key);
    return { [Symbol.dispose]: () => void left++ };
  };
  const lease = await cache.store.acquire(spec("toy-a"), { admit });
  assertEquals([asked, left], [[lease.key], 1]);
  await using _again = await cache.store.acquire(spec("toy-a"), { admit });
  assertEquals(asked.length, 1);
  await lease.release();
  const refuse = () => {
    throw new WorkerError("too_many_builds", "Cannot create the environment: a test");
  };
  const creates = await cache.double.calls("create");
  const error = await assertRejects(
    () => cache.store.acquire(spec("toy-data"), { admit: refuse }),
    WorkerError,
  );
  assertEquals(error.code, "too_many_builds");
  assertEquals(await cache.double.calls("create"), creates);
  // A build that fails gives its place back, too.
  await assertRejects(() => cache.store.acquire(spec("no-such-package"), { admit }), WorkerError);
  assertEquals([asked.length, left], [2, 2]);
});

Deno.test("who comes while a build is being cancelled gets a new one", async () => {
  await using cache = await Cache.make("mamba", { link_delay: 2, times: 1 });
  const controller = new AbortController();
  const first = cache.store.acquire(spec(), { signal: controller.signal });
  first.catch(() => {});
  await until(async () => await cache.double.calls("create") === 1, "the build runs");
  controller.abort();
  await using lease = await cache.store.acquire(spec());
  assertEquals(lease.cached, false);
  await assertRejects(() => first, WorkerError);
});

Deno.test("two workers that want one environment build it once", async () => {
  // One that is slower to start must still find the other's build.
  await using cache = await Cache.make("mamba", { start_delay: 5 });
  const manifest = { dependencies: ["python=3.11", "toy-a"] };
  const workers = [cache.worker(manifest), cache.worker(manifest)];
  const lines = () => workers.flatMap((worker) => worker.lines).join("\n");
  await until(() => lines().split('"lease"').length === 3, lines());
  assertEquals(await cache.double.calls("create"), 1);
  assertStringIncludes(lines(), "Waiting for another worker that builds this environment");
  for (const worker of workers) await worker.end();
});

Deno.test("different environments of one package cache are created one after the other", async () => {
  await using cache = await Cache.make("conda", { link_delay: 0.1 });
  const told: string[] = [];
  const onProgress = ({ message }: { message: string }) => void told.push(message);
  const leases = await Promise.all([
    cache.store.acquire(spec("toy-a=1"), { onProgress }),
    cache.store.acquire(spec("toy-a=2"), { onProgress }),
  ]);
  assertEquals(await cache.double.calls("create"), 2);
  assertStringIncludes(told.join("\n"), "Waiting for another environment that is being built");
  await Promise.all(leases.map((lease) => lease.release()));
});

Deno.test("pip requirements are installed, and facts are written down", async () => {
  await using cache = await Cache.make("mamba");
  const wanted = spec("toy-a=1", { pip: ["six==1.16.0"] });
  const told: string[] = [];
  await using lease = await cache.store.acquire(wanted, {
    onProgress: (progress) => told.push(progress.message),
  });
  assertStringIncludes(told.join("\n"), "Collecting six");
  const manager = await cache.double.detect();
  const { stdout } = await manager.execute(lease.prefix, [
    "python",
    "-c",
    "import six, toy_a; print(six.__version__, toy_a.__version__)",
  ]);
  assertEquals(stdout, ["1.16.0 1.0"]);
  const path = cache.store.layout.meta(lease.key);
  await until(async () => (await readMeta(path))?.bytes !== undefined, "the size is known");
  const meta = await readMeta(path);
  assertEquals(meta?.spec, wanted);
  assertMatch(meta?.python ?? "", /^3\.11\.\d+$/);
  assertEquals(meta?.manager, { kind: "mamba", version: "2.8.1" });
  const record = meta?.packages.find((one) => one.name === "toy-a");
  assertEquals([record?.version, record?.build], ["1.0", "py_0"]);
  assertEquals(meta?.pip, ["six==1.16.0"]);
  assert((meta?.bytes?.own ?? 0) > 100_000);
});

Deno.test("a damaged environment is built anew", async () => {
  await using cache = await Cache.make("mamba");
  const lease = await cache.store.acquire(spec());
  await Deno.remove(join(lease.prefix, "bin", "python"));
  await lease.release();
  await using again = await cache.store.acquire(spec());
  assertEquals(again.cached, false);
  assert(await exists(join(again.prefix, "bin", "python")));
});

Deno.test("recovery removes what killed workers left and nothing else", async () => {
  await using cache = await Cache.make("mamba");
  const { layout } = cache.store;
  const lease = await cache.store.acquire(spec());
  const broken = layout.prefix("0123456789abcdef");
  await Deno.mkdir(join(broken, "conda-meta"), { recursive: true });
  await Deno.mkdir(join(layout.trash, "old", "deep"), { recursive: true });
  // Somebody builds this one.
  const building = layout.prefix("fedcba9876543210");
  await Deno.mkdir(building);
  using lock = await Deno.open(layout.lock("fedcba9876543210"), { write: true, create: true });
  await lock.lock(true);

  const other = await cache.another();
  await other.recover();
  await other.close();
  assertEquals(await exists(broken), false);
  assertEquals(await cache.list(layout.trash), []);
  assertEquals(await exists(building), true);
  assertEquals(await exists(join(lease.prefix, ".ready")), true);
  await lease.release();
});

Deno.test("a lease keeps others from removing the environment until it is released", async () => {
  await using cache = await Cache.make("mamba");
  const lease = await cache.store.acquire(spec());
  const twin = await cache.store.acquire(spec());
  const free = async () => {
    using file = await Deno.open(cache.store.layout.lock(lease.key), { write: true });
    return await file.tryLock(true);
  };
  assertEquals(await free(), false);
  await lease.release();
  await lease.release();
  assertEquals(await free(), false);
  await twin.release();
  // The worker itself may still be compiling the environment's modules.
  await until(free, "the environment may be removed");
});

Deno.test("modules are compiled in the background, once", async () => {
  await using cache = await Cache.make("mamba");
  await using lease = await cache.store.acquire(spec("toy-a"));
  await until(() => exists(join(lease.prefix, ".compiled")), "the modules are compiled");
  const compiled = join(lease.prefix, "lib/python3.11/site-packages/toy_a/__pycache__");
  const flat = join(lease.prefix, "lib/python3.11/site-packages/__pycache__");
  assert(await exists(compiled) || await exists(flat), "there is no byte code");
  const before = await cache.double.calls("run");
  await using _again = await cache.store.acquire(spec("toy-a"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(await cache.double.calls("run"), before);
});

Deno.test("closing cancels builds and refuses more", async () => {
  await using cache = await Cache.make("mamba", { hang: "link" });
  const building = cache.store.acquire(spec());
  building.catch(() => {});
  await until(async () => await cache.double.calls("create") === 1, "the build runs");
  await cache.store.close();
  const error = await assertRejects(() => building, WorkerError);
  assertEquals(error.code, "environment_cancelled");
  assertEquals(await cache.double.processes(), []);
  const refused = await assertRejects(() => cache.store.acquire(spec()), WorkerError);
  assertEquals(refused.code, "worker_stopping");
});

Deno.test("what a manager that died left running is ended with it", async () => {
  await using cache = await Cache.make("mamba", { kill_after_links: 1, orphan: 30 });
  const error = await assertRejects(() => cache.store.acquire(spec("toy-a")), WorkerError);
  assertEquals(error.code, "environment_failed");
  assertEquals(await cache.double.processes(), []);
});

Deno.test("a full disk is named", async () => {
  await using cache = await Cache.make("mamba", { disk_full_after_links: 1 });
  const error = await assertRejects(() => cache.store.acquire(spec("toy-a")), WorkerError);
  assertEquals(error.code, "disk_full");
});

Deno.test("a directory that environments cannot live in is refused at once", async () => {
  await using double = await Double.install("mamba");
  const manager = await double.detect();
  for (const directory of ["relative", "/with space", "/a:b", `/${"long".repeat(60)}`]) {
    const options = { directory, manager, log: silentLogger };
    await assertRejects(
      // deno-lint-ignore require-await -- so that the constructor's error becomes a rejection
      async () => new EnvironmentStore(options),
      WorkerError,
      "Cannot use the cache directory",
    );
  }
  const file = join(double.directory, "file");
  await Deno.writeTextFile(file, "");
  const store = new EnvironmentStore({ directory: file, manager, log: silentLogger });
  const error = await assertRejects(() => store.acquire(spec()), WorkerError);
  assertEquals(error.code, "cache_not_writable");
  await store.close();
});
