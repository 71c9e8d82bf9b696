import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { checkDevices } from "../../lib/worker/devices.ts";
import { textOf } from "../interpreter/harness.ts";
import { Bench } from "./support.ts";

Deno.test("an app may take fewer devices than the worker has, by the same names", () => {
  const fine: [string | null, string | undefined][] = [
    ["0", undefined],
    [null, undefined],
    ["7", "all"],
    ["2", "2,3"],
    ["3, 2", "2,3"],
    ["", "2,3"],
    ["-1", "2"],
    ["-1", ""],
    ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"],
  ];
  for (const [wanted, given] of fine) {
    checkDevices(
      { CUDA_VISIBLE_DEVICES: wanted },
      given === undefined ? {} : { CUDA_VISIBLE_DEVICES: given },
      "env",
    );
  }
  const wide: [string | null, string][] = [
    ["0", "2,3"],
    ["2,0", "2,3"],
    [null, "2,3"],
    ["all", "2,3"],
    ["0", ""],
    ["0", "-1"],
    ["23", "2,3"],
    ["GPU-8", "GPU-8932f937"],
  ];
  for (const [wanted, given] of wide) {
    const error = assertThrows(
      () => checkDevices({ HIP_VISIBLE_DEVICES: wanted }, { HIP_VISIBLE_DEVICES: given }, "env"),
      WorkerError,
      "HIP_VISIBLE_DEVICES",
    );
    assertEquals([error.code, error.context.argument], [
      "invalid_argument",
      "env.HIP_VISIBLE_DEVICES",
    ]);
  }
});

Deno.test("sessions see the worker's devices, or those of them that their app or call names", async () => {
  await using bench = await Bench.start({
    worker: { passedVariables: { CUDA_VISIBLE_DEVICES: "2,3" } },
  });
  const hooks = { onProgress: () => {} };
  const code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])";
  const all = await bench.worker.start(bench.request("all"), hooks);
  assertEquals(textOf(await all.execute({ code }), "stdout"), "2,3\n");
  const env = { CUDA_VISIBLE_DEVICES: "3" };
  const one = await bench.worker.start(bench.request("one", { env }), hooks);
  assertEquals(textOf(await one.execute({ code }), "stdout"), "3\n");
  assertEquals((await one.resources())?.gpu.visible.CUDA_VISIBLE_DEVICES, "3");
  assertEquals(textOf(await all.execute({ code, env }), "stdout"), "3\n");
  const wide = { CUDA_VISIBLE_DEVICES: "0" };
  await assertRejects(() => all.execute({ code, env: wide }), WorkerError, "2,3");
  const request = bench.request("wide", { env: wide });
  await assertRejects(() => bench.worker.start(request, hooks), WorkerError, "2,3");
});
