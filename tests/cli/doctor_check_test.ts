import { assertEquals, assertMatch } from "@std/assert";
import { type Check, ok, startCheck } from "../../lib/cli/doctor_check.ts";

Deno.test("a check that hangs is given up after its time and told to stop; an error is a failure", async () => {
  const told: unknown[] = [];
  const hanging: Check = {
    name: "slow",
    timeout: 20,
    run: (signal) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          told.push("stop");
          reject(signal.reason);
        })
      ),
  };
  const broken: Check = {
    name: "broken",
    timeout: 10_000,
    run: () => Promise.reject(new Error("first line\n  second line\n")),
  };
  const { signal } = new AbortController();
  const [slow, failed] = [startCheck(hanging, signal), startCheck(broken, signal)];
  assertMatch((await slow.result).message, /no result within 0.02 s/);
  assertEquals((await slow.result).status, "failure");
  await slow.over;
  assertEquals(told, ["stop"]);
  assertEquals(await failed.result, {
    name: "broken",
    status: "failure",
    message: "first line; second line",
  });
  const stop = new AbortController();
  const quiet = { name: "quiet", timeout: 10_000, run: () => Promise.resolve(ok("fine")) };
  assertEquals((await startCheck(quiet, stop.signal).result).status, "ok");
  stop.abort(new Error("enough"));
  const refused = await startCheck({ ...hanging, timeout: 10_000 }, stop.signal).result.then(
    () => "a result",
    (error) => error.message,
  );
  assertEquals(refused, "enough");
});
