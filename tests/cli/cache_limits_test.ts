import { assertEquals, assertThrows } from "@std/assert";
import { readCacheLimits } from "../../lib/cli/cache_limits.ts";
import { WorkerError } from "../../lib/errors.ts";

const DAY = 86_400_000;
const read = (values: Record<string, string>) => readCacheLimits((name) => values[name]);

Deno.test("the cache keeps ten environments for thirty days unless told otherwise", () => {
  assertEquals(read({}), { maxEnvironments: 10, maxAge: 30 * DAY });
  assertEquals(
    read({ "max-environments": "3", "max-cache-size": "1.5GiB", "max-environment-age": "0.5" }),
    { maxEnvironments: 3, maxBytes: 1.5 * 2 ** 30, maxAge: DAY / 2 },
  );
  assertEquals(read({ "max-environments": "none", "max-environment-age": "none" }), {});
});

Deno.test("a limit that means nothing is refused by name", () => {
  for (const name of ["max-environments", "max-cache-size", "max-environment-age"]) {
    for (const value of ["0", "-1", "many", ""]) {
      const error = assertThrows(() => read({ [name]: value }), WorkerError, `--${name} must be`);
      assertEquals(error.code, "usage");
    }
  }
  assertThrows(() => read({ "max-environments": "2.5" }), WorkerError, "whole number");
});
