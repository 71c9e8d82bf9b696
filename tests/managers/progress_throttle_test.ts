import { assert, assertEquals } from "@std/assert";
import { ProgressThrottle } from "../../lib/managers/progress_throttle.ts";
import type { Progress } from "../../lib/progress.ts";
import { Double } from "./double.ts";
import { until } from "../wait.ts";

function message(phase: string, count: number): Progress {
  return { type: "info", message: `${phase} ${count}`, phase };
}

Deno.test("of many messages the first and the last of each phase are told, in order", async () => {
  const told: string[] = [];
  {
    using throttle = new ProgressThrottle((progress) => told.push(progress.message), 60_000);
    for (let i = 0; i < 1000; i++) throttle.tell(message("a", i));
    assertEquals(told, ["a 0"]);
    for (let i = 0; i < 1000; i++) throttle.tell(message("b", i));
    assertEquals(told, ["a 0", "a 999", "b 0"]);
  }
  assertEquals(told, ["a 0", "a 999", "b 0", "b 999"]);
  // A last word is told too when nothing follows.
  using throttle = new ProgressThrottle((progress) => told.push(progress.message), 20);
  throttle.tell(message("c", 0));
  throttle.tell(message("c", 1));
  await until(() => told.at(-1) === "c 1", "the last word is told");
});

Deno.test("a manager that prints thousands of lines makes a few messages a second", async () => {
  await using double = await Double.install("mamba", { chatty: 5000, link_delay: 0.6 });
  const manager = await double.detect();
  const told: Progress[] = [];
  let lines = 0;
  const started = performance.now();
  await manager.create({
    ...double.request("toy-data"),
    onProgress: (progress) => told.push(progress),
    onLine: () => lines++,
  });
  const seconds = (performance.now() - started) / 1000;
  assert(lines > 5000);
  const phases = new Set(told.map((progress) => progress.phase)).size;
  assert(told.length <= 4 * seconds + 2 * phases + 1, `${told.length} messages in ${seconds} s`);
  assertEquals(told.at(-1)?.percent, 100);
  assertEquals(told.at(-1)?.packages, { done: 1, total: 1 });
});

Deno.test("while packages are fetched the bytes are told", async () => {
  await Promise.all((["mamba", "micromamba", "conda"] as const).map(async (kind) => {
    await using double = await Double.install(kind, { download_delay: 0.6 });
    const manager = await double.detect();
    const told: Progress[] = [];
    await manager.create({
      ...double.request("toy-data"),
      onProgress: (progress) => told.push(progress),
    });
    const counts = told.map((progress) => progress.bytes).filter((bytes) => bytes !== undefined);
    assert(counts.some(({ done, total }) => done > 0 && done < total), JSON.stringify(told));
    assert(counts.every(({ done, total }) => done <= total));
  }));
});
