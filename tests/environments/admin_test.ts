import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { EnvironmentAdmin } from "../../lib/environments/admin.ts";
import { FileLock } from "../../lib/environments/lock.ts";
import { WorkerError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import { until } from "../wait.ts";
import { Cache, spec } from "./support.ts";

Deno.test("environments are listed with what they are and who uses them", async () => {
  await using cache = await Cache.make("mamba");
  const admin = new EnvironmentAdmin({ directory: cache.double.cache, log: silentLogger });
  assertEquals(await admin.list(), []);
  const key = await cache.build("toy-a=1");
  const [entry, ...more] = await admin.list();
  assertEquals(more, []);
  assertEquals([entry?.key, entry?.state, entry?.inUse], [key, "ready", false]);
  assertEquals(entry?.spec?.packages, spec("toy-a=1").packages);
  assertEquals(entry?.manager, { kind: "mamba", version: "2.8.1" });
  assertMatch(entry?.python ?? "", /^3\.11\.\d+$/);
  assert((entry?.bytes?.own ?? 0) > 0);
  assert((entry?.packageCount ?? 0) >= 2);
  assert(Date.parse(entry!.lastUsed!) >= Date.parse(entry!.created!) - 1000);

  const worker = cache.worker({ dependencies: ["python=3.11", "toy-a=1"] });
  await until(() => worker.lines.join().includes('"lease"'), `${worker.lines}`);
  await using _lease = await cache.store.acquire(spec("toy-a=1"));
  const users = [Deno.pid, worker.pid].sort((a, b) => a - b);
  // Who begins a use does not wait until it is noted, so the worker may have its lease a moment earlier.
  await until(async () => (await admin.get(key)).pids.join() === users.join(), "both are seen");
  const { inUse, pids } = await admin.get(key);
  assertEquals([inUse, pids], [true, users]);
  await worker.end();
});

Deno.test("what is being built and what is broken is told apart", async () => {
  await using cache = await Cache.make("mamba", { hang: "link" });
  const { admin, layout } = cache.store;
  const controller = new AbortController();
  const building = cache.store.acquire(spec("toy-a"), { signal: controller.signal });
  building.catch(() => {});
  await until(async () => (await admin.list()).length === 1, "the build has begun");
  const [entry] = await admin.list();
  assertEquals([entry?.state, entry?.pids], ["building", [Deno.pid]]);
  const error = await assertRejects(() => admin.remove(entry!.key), WorkerError);
  assertEquals(error.code, "environment_in_use");
  assertStringIncludes(error.message, `process ${Deno.pid} is building it`);
  controller.abort();
  await assertRejects(() => building);

  await Deno.mkdir(join(layout.prefix("0123456789abcdef"), "conda-meta"), { recursive: true });
  // Whatever else is there is not an environment.
  await Deno.mkdir(join(layout.environments, "lost+found"));
  const [broken, ...more] = await admin.list();
  assertEquals([broken?.key, broken?.state], ["0123456789abcdef", "broken"]);
  assertEquals(broken?.reason, "its build was not finished");
  assertEquals(more, []);
  // Left by killed writers long ago, and a moment ago.
  const names = [".probe-1", "0123456789abcdef.json.1.tmp", "fedcba9876543210.log"];
  for (const name of names) await Deno.writeTextFile(join(layout.environments, name), "");
  await Deno.writeTextFile(join(layout.environments, "1111111111111111.log"), "");
  const long = new Date(Date.now() - 8 * 86_400_000);
  for (const name of names) await Deno.utime(join(layout.environments, name), long, long);
  await cache.store.recover();
  assertEquals(await admin.list(), []);
  const left = await cache.list(layout.environments);
  assertEquals(left.filter((name) => names.includes(name)), []);
  assert(left.includes("1111111111111111.log"));
  assert(await exists(join(layout.environments, "lost+found")));
});

Deno.test("an environment is found by the beginning of its key", async () => {
  await using cache = await Cache.make("mamba");
  const { admin, layout } = cache.store;
  const key = await cache.build("toy-a");
  const details = await admin.get(key.slice(0, 6));
  assertEquals(details.key, key);
  assert(details.packages.some(({ name, url }) => name === "toy-a" && url?.includes("/toy-a-")));
  assertStringIncludes(await Deno.readTextFile(details.log!), "toy-a");
  for (const unknown of ["ffff", "", key.slice(0, 1), `${key}0`, "../../etc"]) {
    const error = await assertRejects(() => admin.get(unknown), WorkerError);
    assertEquals(error.code, "environment_not_found", unknown);
  }
  await Deno.mkdir(layout.prefix(`${key.slice(0, 6)}0000000000`));
  const error = await assertRejects(() => admin.get(key.slice(0, 6)), WorkerError);
  assertStringIncludes(error.message, "several begin with it");
});

Deno.test("what is in use is not removed, and the refusal names its users", async () => {
  await using cache = await Cache.make("mamba");
  const { admin, layout } = cache.store;
  const key = await cache.build("toy-a");
  const lease = await cache.store.acquire(spec("toy-a"));
  const error = await assertRejects(() => admin.remove(key), WorkerError);
  assertEquals([error.code, error.name], ["environment_in_use", "EnvironmentInUseError"]);
  assertEquals(error.context.pids, [Deno.pid]);
  assert(await exists(layout.ready(key)));
  await lease.release();
  await admin.remove(key);
  await admin.close();
  assertEquals(await cache.list(layout.environments), [`${key}.lock`]);
  assertEquals(await cache.list(layout.trash), []);
  assertEquals(
    (await assertRejects(() => admin.remove(key), WorkerError)).code,
    "environment_not_found",
  );
  // It can be built again.
  assertEquals(await cache.build("toy-a"), key);
});

Deno.test("tenants' variables are not among the facts", async () => {
  await using cache = await Cache.make("mamba");
  const secret = { ...spec("toy-a"), variables: { API_KEY: "open-sesame" } };
  await using lease = await cache.store.acquire(secret);
  assertEquals(lease.variables, { API_KEY: "open-sesame" });
  await using plain = await cache.store.acquire(spec("toy-a"));
  assertEquals([plain.key, plain.variables], [lease.key, {}]);
  for (const name of await cache.list(cache.store.layout.environments)) {
    const path = join(cache.store.layout.environments, name);
    if (!(await Deno.stat(path)).isFile) continue;
    assert(!(await Deno.readTextFile(path)).includes("open-sesame"), name);
  }
});

Deno.test("users and builders that cannot be seen from here are told by their locks", async () => {
  await using cache = await Cache.make("mamba");
  const { admin, layout } = cache.store;
  const key = await cache.build("toy-a");
  const look = async () => {
    const { state, inUse, pids } = await admin.get(key);
    return { state, inUse, pids };
  };
  assertEquals(await look(), { state: "ready", inUse: false, pids: [] });
  // As another machine would: with a lock, and without a note that means something here.
  {
    using _lock = await FileLock.try(layout.lock(key), "shared");
    assertEquals(await look(), { state: "ready", inUse: true, pids: [] });
    const error = await assertRejects(() => admin.remove(key), WorkerError);
    assertStringIncludes(error.message, "cannot be seen from here");
  }
  {
    using _lock = await FileLock.try(layout.lock(key), "exclusive");
    assertEquals(await look(), { state: "building", inUse: true, pids: [] });
  }
  assertEquals(await look(), { state: "ready", inUse: false, pids: [] });
});
