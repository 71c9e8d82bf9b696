/** Mixed load on a worker leaves nothing behind. `bench/service.ts` does the same for longer, and measures memory. */
import { assert, assertEquals } from "@std/assert";
import { COUNTS, develop, type Rest, slope, soak } from "../../bench/service_soak.ts";
import { Stage } from "./stage.ts";

Deno.test("after mixed load a worker has the processes, descriptors and files it had before", async () => {
  await using stage = await Stage.start();
  const { rests, done } = await soak(stage, { rounds: 5, seconds: 3 });
  // Without this nothing would have been tested.
  for (const deed of ["starts", "executes", "stopped while busy"]) {
    assert(done[deed]! >= 5, `${deed}: ${JSON.stringify(done)}`);
  }
  // The first round makes what is made once. What is left of a call for a moment, on a machine that is slow, is not
  // left at all later ends; what leaks grows with each round.
  const [before, after] = [rests.slice(1, 3), rests.slice(3)];
  for (const name of COUNTS) {
    const least = Math.min(...after.map((rest) => rest[name]));
    const most = Math.max(...before.map((rest) => rest[name]));
    assert(least <= most, `${name}: ${JSON.stringify(rests)}`);
  }
});

/** Rests of a worker that gains something each minute, with noise. */
function series(memory: number, descriptors: number): Rest[] {
  return Array.from({ length: 40 }, (_, index) => ({
    minutes: 15 + index / 4,
    starts: 500 + index,
    memory: 150 + memory * index / 4 + 12 * Math.sin(index * 7.3),
    descriptors: 40 + Math.floor(descriptors * index / 4),
    descriptorsBelow: 12,
    processes: 3,
    files: 20 + (index === 20 ? 3 : 0),
  }));
}

Deno.test("growth is told from noise", () => {
  const growing = (rests: Rest[]) =>
    develop(rests).filter((one) => one.grows).map((one) => one.name);
  assertEquals(growing(series(0, 0)), []);
  assertEquals(growing(series(2, 0)), ["memory in MB"]);
  assertEquals(growing(series(0, 0.3)), ["descriptors"]);
  // Until everything is kept that ever is, memory says nothing.
  const cold = series(2, 0).map((one) => ({ ...one, starts: 10 }));
  assertEquals(develop(cold).at(-1)!.grows, undefined);
  const early = series(2, 0).map((one) => ({ ...one, minutes: one.minutes - 10 }));
  assertEquals(develop(early).at(-1)!.grows, undefined);
});

Deno.test("a slope is not turned by points far off", () => {
  const points = Array.from({ length: 20 }, (_, x) => [x, x === 10 ? 1000 : 3 * x] as const);
  assertEquals(slope(points), 3);
  assertEquals(slope([[1, 5]]), 0);
});
