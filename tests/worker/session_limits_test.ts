import { assertEquals, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { limitsOf, NO_LIMITS, parsePositive, parseSize } from "../../lib/worker/session_limits.ts";

Deno.test("parseSize() reads numbers and units of both kinds, and nothing else", () => {
  assertEquals(parseSize(1024), 1024);
  assertEquals(parseSize("512MiB"), 512 * 2 ** 20);
  assertEquals(parseSize("1.5 Gi"), 1.5 * 2 ** 30);
  assertEquals(parseSize("2GB"), 2e9);
  assertEquals(parseSize("10b"), 10);
  for (const wrong of [0, -1, "", "GiB", "1 XB", "1e9", "-1G", null, {}, true]) {
    assertEquals(parseSize(wrong), undefined, JSON.stringify(wrong));
  }
});

Deno.test("parsePositive() reads finite positive numbers only", () => {
  assertEquals(parsePositive("2.5"), 2.5);
  for (const wrong of [0, -1, "", " ", "x", Infinity, NaN, null, [3]]) {
    assertEquals(parsePositive(wrong), undefined);
  }
});

Deno.test("an app may ask for less than the operator allows, never for more", () => {
  const operator = { resources: { memory: 2 ** 30 }, idleTimeout: 60_000 };
  assertEquals(limitsOf({}, operator), operator);
  assertEquals(
    limitsOf({ limits: { memory: "512MiB", open_files: 100 }, idle_timeout: 10 }, operator),
    { resources: { memory: 2 ** 29, open_files: 100 }, idleTimeout: 10_000 },
  );
  assertEquals(
    limitsOf({ limits: { memory: "8GiB" }, idle_timeout: 3600, max_lifetime: 5 }, operator),
    { resources: { memory: 2 ** 30 }, idleTimeout: 60_000, maxLifetime: 5000 },
  );
});

Deno.test("limits that make no sense are refused by name", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ limits: { memory: "much" } }, "limits.memory"],
    [{ limits: { gpus: 1 } }, "limits.gpus"],
    [{ limits: [] }, "limits"],
    [{ limits: { processes: -1 } }, "limits.processes"],
    [{ idle_timeout: "soon" }, "idle_timeout"],
  ];
  for (const [manifest, name] of cases) {
    assertThrows(() => limitsOf(manifest, NO_LIMITS), WorkerError, name);
  }
});
