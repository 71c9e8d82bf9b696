import { assert, assertEquals, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { readManagerSettings } from "../../lib/cli/manager_settings.ts";
import { readOptions } from "../../lib/cli/option.ts";
import { START_OPTIONS } from "../../lib/cli/options.ts";
import { RUN_OPTIONS } from "../../lib/cli/run_options.ts";

function settings(args: readonly string[], environment: Record<string, string> = {}) {
  const { values } = readOptions(START_OPTIONS, args, (name) => environment[name]);
  return readManagerSettings(values);
}

Deno.test("without options any manager is used, without the configuration of the user", () => {
  const { withheld, ...rest } = settings([]);
  assertEquals(rest, { useConfiguration: false });
  // The worker's own token may be given in a variable that looks like conda's.
  assert(withheld.includes("CONDA_TOKEN"));
});

Deno.test("managers are chosen by name, in an order, and nothing else is", () => {
  assertEquals(settings(["--package-manager", "conda"]).preference, ["conda"]);
  assertEquals(settings(["--package-manager=conda, mamba"]).preference, ["conda", "mamba"]);
  assertEquals(settings([], { HYPHA_PACKAGE_MANAGER: "conda" }).preference, ["conda"]);
  for (const value of ["pip", "/opt/bin/mamba", "mamba,", "mamba;id"]) {
    const error = assertThrows(() => settings(["--package-manager", value]), WorkerError);
    assertEquals(error.code, "usage");
  }
});

Deno.test("the configuration counts when asked, and a stall may be longer or for ever", () => {
  assertEquals(settings(["--use-rc"]).useConfiguration, true);
  assertEquals(settings(["--stall-timeout", "60"]).stallMs, 60_000);
  assertEquals(settings(["--stall-timeout", "0"]).stallMs, Infinity);
  for (const value of ["-1", "soon"]) {
    assertThrows(() => settings([`--stall-timeout=${value}`]), WorkerError, "--stall-timeout");
  }
});

Deno.test("start and run have the same options for managers", () => {
  for (const name of ["package-manager", "use-rc", "stall-timeout"]) {
    assert(RUN_OPTIONS.some((option) => option.name === name), name);
  }
});
