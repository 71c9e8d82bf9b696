/**
 * Builds that are killed at random moments: whatever is left, the next start finds a good environment or builds
 * one. `KILLS` says how often (default 8), `SEED` repeats a run.
 */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { readPlace } from "../../lib/environments/marker.ts";
import type { ManagerKind } from "../../lib/managers/manager.ts";
import { until } from "../wait.ts";
import { Cache, spec } from "./support.ts";

const KILLS = Number(Deno.env.get("KILLS") ?? 8);
/** The longest time after the beginning of a build, in milliseconds: about what one takes. */
const SPAN_MS = 1500;

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Process ids of the managers that create something in a cache. */
async function creators(cache: Cache): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    const words = text.split("\0");
    if (words.includes("create") && words.some((word) => word.startsWith(cache.double.directory))) {
      found.push(Number(name));
    }
  }
  return found;
}

async function check(cache: Cache, where: string): Promise<void> {
  await until(
    async () => (await cache.double.processes()).length === 0,
    `nothing of a killed build runs (${where})`,
  );
  const { layout } = cache.store;
  const [left] = await cache.environments();
  const good = left !== undefined && (await readPlace(layout, left)).state === "ready";
  await using lease = await cache.store.acquire(spec("pip", "toy-a", "toy-data"));
  assertEquals(lease.cached, good, where);
  assertEquals(await readPlace(layout, lease.key), { state: "ready" }, where);
  const manager = await cache.double.detect();
  const code = "import toy_a, pip; print(toy_a.__version__)";
  const { stdout, tail } = await manager.execute(lease.prefix, ["python", "-c", code]);
  assertEquals(stdout, ["2.0"], `${where}: ${tail.join("\n")}`);
  assert(await exists(join(lease.prefix, "conda-meta", "history")));
}

async function clear(cache: Cache): Promise<void> {
  for (const key of await cache.environments()) {
    await cache.idle(key);
    await cache.store.admin.remove(key);
  }
  await cache.store.admin.close();
}

const manifest = { dependencies: ["python=3.11", "pip", "toy-a", "toy-data"] };

for (
  const [kind, victim] of [["mamba", "worker"], ["conda", "manager"]] as const satisfies [
    ManagerKind,
    string,
  ][]
) {
  const seed = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 1e9));
  Deno.test(`${kind}: a build whose ${victim} is killed at any moment leaves nothing broken in use`, async () => {
    console.log(`SEED=${seed}`);
    const next = random(seed);
    await using cache = await Cache.make(kind, { link_delay: 0.1 });
    for (let round = 0; round < KILLS / 2; round++) {
      const wait = next() * SPAN_MS;
      const where = `SEED=${seed}, round ${round}, ${Math.round(wait)} ms`;
      const worker = cache.worker(manifest);
      await until(() => worker.lines.join().includes("Creating new"), `a build begins: ${where}`);
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (victim === "manager") {
        for (const pid of await creators(cache)) {
          try {
            Deno.kill(pid, "SIGKILL");
          } catch {
            // It has ended meanwhile.
          }
        }
        const ended = () => /"lease"|"error"/.test(worker.lines.join());
        await until(ended, `the worker has an answer: ${where}`);
        await worker.end();
      } else await worker.kill();
      await check(cache, where);
      await clear(cache);
    }
  });
}
