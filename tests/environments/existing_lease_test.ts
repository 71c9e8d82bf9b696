import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { parseSpec } from "../../lib/environments/spec.ts";
import { WorkerError } from "../../lib/errors.ts";
import { Desk } from "../cli/program.ts";
import { Cache } from "./support.ts";

/** Everything below a directory: paths, sizes and times of modification. */
async function snapshot(directory: string, path = ""): Promise<string[]> {
  const lines: string[] = [];
  for await (const entry of Deno.readDir(join(directory, path))) {
    const child = join(path, entry.name);
    const { size, mtime } = await Deno.lstat(join(directory, child));
    lines.push(`${child} ${size} ${mtime?.getTime()}`);
    if (entry.isDirectory) lines.push(...await snapshot(directory, child));
  }
  return lines.sort();
}

Deno.test("an existing environment is leased as it is: not locked, not written to, not evicted", async () => {
  await using other = await Cache.make("mamba");
  const prefix = other.store.layout.prefix(await other.build("toy-a"));
  await using cache = await Cache.make("mamba", {}, {
    existing: { environment: () => undefined },
    limits: { maxEnvironments: 0 },
  });
  const before = await snapshot(prefix);
  const calls = await cache.double.calls();
  const spec = parseSpec({ environment: { prefix, variables: { TOY: "1" } } });
  const lease = await cache.store.acquire(spec);
  assertEquals([lease.prefix, lease.cached, lease.variables], [prefix, true, { TOY: "1" }]);
  await cache.store.recover();
  await lease.release();
  await cache.store.close();
  assertEquals(await cache.double.calls(), calls);
  assertEquals(await snapshot(prefix), before);
  assertEquals(await exists(`${prefix}.lock`), true, "the owner's own lock");
  assertEquals(await cache.list(cache.store.layout.environments), []);
});

Deno.test("environments of the cache, and of nobody, are not existing ones", async () => {
  await using cache = await Cache.make("mamba", {}, { existing: { environment: () => undefined } });
  const prefix = cache.store.layout.prefix(await cache.build());
  for (const [path, reason] of [[prefix, "where others may write"], ["/nowhere", "nothing at"]]) {
    const spec = parseSpec({ environment: { prefix: path } });
    const error = await assertRejects(() => cache.store.acquire(spec), WorkerError);
    assertEquals(error.code, "environment_not_found");
    assertStringIncludes(error.message, reason!);
  }
});

Deno.test("a session in an existing environment leaves no trace in it", async () => {
  await using desk = await Desk.make();
  const [first, second] = [join(desk.directory, "first"), join(desk.directory, "second")];
  const script = "import sys, toy_a; print(sys.prefix, toy_a.__version__)";
  const dependencies = ["python=3.11", "toy-a"];
  const built = await (await desk.start([await desk.app(script, { dependencies })], first)).ended;
  assertEquals(built.code, 0, built.stderr);
  const [prefix] = built.stdout.split(" ");
  const before = await snapshot(prefix!);
  const app = await desk.app(script, { dependencies: [], environment: { prefix } });
  const { code, stdout, stderr } = await (await desk.start([app], second)).ended;
  assertEquals([code, stdout], [0, built.stdout], stderr);
  assertEquals(await snapshot(prefix!), before);
});
