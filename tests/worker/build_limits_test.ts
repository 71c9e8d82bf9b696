import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { BuildLimits } from "../../lib/worker/build_limits.ts";

function refusal(limits: BuildLimits, workspace: string, key: string): WorkerError {
  const error = assertThrows(() => limits.enter(workspace, key), WorkerError);
  assertEquals(error.code, "too_many_builds");
  return error;
}

Deno.test("a workspace waits for no more environments than its share, however many calls wait for each", () => {
  const limits = new BuildLimits({ perWorkspace: 2 });
  const first = [limits.enter("greedy", "a"), limits.enter("greedy", "a")];
  const second = limits.enter("greedy", "b");
  const error = refusal(limits, "greedy", "c");
  assertStringIncludes(error.message, "workspace greedy waits for 2 environments");
  assertEquals(error.context, { workspace: "greedy", limit: 2 });
  limits.enter("greedy", "b")[Symbol.dispose]();
  // Others have shares of their own.
  limits.enter("modest", "c")[Symbol.dispose]();
  // As long as one call waits the place is taken; leaving twice frees nothing twice.
  first[0]![Symbol.dispose]();
  first[0]![Symbol.dispose]();
  refusal(limits, "greedy", "c");
  first[1]![Symbol.dispose]();
  const third = limits.enter("greedy", "c");
  refusal(limits, "greedy", "d");
  for (const one of [second, third]) one[Symbol.dispose]();
  limits.enter("greedy", "d");
});

Deno.test("all workspaces together wait for no more environments than the total, each counted once", () => {
  const limits = new BuildLimits({ total: 2 });
  const held = [limits.enter("a", "x"), limits.enter("b", "x"), limits.enter("c", "y")];
  assertStringIncludes(
    refusal(limits, "d", "z").message,
    "the worker makes 2 environments already",
  );
  // What is being made anyway can be waited for.
  held.push(limits.enter("d", "y"));
  held[0]![Symbol.dispose]();
  refusal(limits, "d", "z");
  held[1]![Symbol.dispose]();
  limits.enter("d", "z");
});

Deno.test("without options 32 environments may be in the making, also for one workspace", () => {
  const limits = new BuildLimits();
  for (let n = 0; n < 32; n++) limits.enter("w", String(n));
  refusal(limits, "w", "more");
});
