import { assertEquals } from "@std/assert";
import {
  advanceConda,
  advanceLibmamba,
  INITIAL_PROGRESS,
  parseSize,
  pipProgress,
  type ProgressState,
  type ProgressStep,
} from "../../lib/managers/progress.ts";
import { transcript } from "./transcript.ts";

async function news(
  name: string,
  advance: (state: ProgressState, line: string) => ProgressStep,
  explicit = false,
): Promise<string[]> {
  const told: string[] = [];
  let state: ProgressState = { ...INITIAL_PROGRESS, explicit };
  for (const line of (await transcript(name)).stdout) {
    const step = advance(state, line);
    state = step.state;
    if (step.progress === undefined) continue;
    const { phase, message, percent } = step.progress;
    told.push(`${phase} ${message}${percent === undefined ? "" : ` ${percent}%`}`);
  }
  return told;
}

Deno.test("mamba 2 tells the phases and counts the packages it links", async () => {
  assertEquals(await news("mamba-2.8.1/create-cold", advanceLibmamba), [
    "solve Solving environment",
    "download Downloading packages: 3 packages, 17MB",
    "download Installing packages: 3 packages",
    "link Linking python-3.11.7-0 (1/3) 0%",
    "link Linking numpy-2.4.6-py_0 (2/3) 33%",
    "link Linking pip-26.3-py_0 (3/3) 66%",
    "done Installed 3 packages 100%",
  ]);
});

Deno.test("micromamba 1.5 tells the phases", async () => {
  assertEquals(await news("micromamba-1.5.12/create-cold", advanceLibmamba), [
    "solve Solving environment",
    "download Downloading packages: 3 packages, 17MB",
    "download Installing packages: 3 packages",
    "done Installed 3 packages 100%",
  ]);
});

Deno.test("conda tells the phases", async () => {
  assertEquals(await news("conda-26.7/create-cold", advanceConda), [
    "solve Reading the channels",
    "solve Solving environment",
    "download Downloading packages: 3 packages",
    "link Installing packages: 3 packages",
    "link Linking 3 packages",
    "done Installed 3 packages 100%",
  ]);
});

Deno.test("packages that are all in the package cache are not downloaded", async () => {
  const told = await news("mamba-2.8.1/lock-contention", advanceLibmamba);
  assertEquals(told[1], "download Downloading packages: 3 packages, all in the package cache");
});

Deno.test("of a lock file it is not said that it is solved, or cached", async () => {
  const told = await news("mamba-2.8.1/create-explicit", advanceLibmamba, true);
  assertEquals(told.slice(0, 2), [
    "solve Reading the lock file",
    "download Downloading packages: 3 packages",
  ]);
});

Deno.test("a failed solve ends without progress beyond solving", async () => {
  assertEquals(await news("mamba-2.8.1/unknown-package", advanceLibmamba), [
    "solve Solving environment",
  ]);
  assertEquals(await news("conda-26.7/unknown-package", advanceConda), [
    "solve Reading the channels",
    "solve Solving environment",
    "solve Solving environment",
  ]);
});

Deno.test("pip's lines of interest become progress", async () => {
  const { stdout } = await transcript("mamba-2.8.1/yaml-pip");
  assertEquals(stdout.map(pipProgress).filter((progress) => progress !== undefined), [
    { type: "info", message: "Collecting six", phase: "pip" },
    { type: "info", message: "Installing collected packages: six", phase: "pip" },
    { type: "info", message: "Successfully installed six-1.17.0", phase: "pip" },
  ]);
});

/** The counts that are told with the phases. */
function counts(
  lines: readonly string[],
  advance: (state: ProgressState, line: string) => ProgressStep,
): string[] {
  const told: string[] = [];
  let state = INITIAL_PROGRESS;
  for (const line of lines) {
    const step = advance(state, line);
    state = step.state;
    const { phase, packages, bytes } = step.progress ?? {};
    const shown = [phase, packages && `${packages.done}/${packages.total}`, bytes?.total];
    if (packages !== undefined || bytes !== undefined) told.push(shown.join(" ").trim());
  }
  return told;
}

Deno.test("packages and bytes are counted as far as a manager tells them", async () => {
  const lines = async (name: string) => (await transcript(name)).stdout;
  assertEquals(counts(await lines("mamba-2.8.1/create-cold"), advanceLibmamba), [
    "download 0/3 17000000",
    "download 0/3 17000000",
    "link 0/3",
    "link 1/3",
    "link 2/3",
    "done 3/3",
  ]);
  assertEquals(counts(await lines("conda-26.7/create-cold"), advanceConda), [
    `download 0/3 ${Math.round(16.7 * 1024 * 1024)}`,
    "link 0/3",
    "link 0/3",
    "done 3/3",
  ]);
  // A lock file: nothing is said of the solver, and nothing of sizes.
  assertEquals(counts(await lines("mamba-2.8.1/create-explicit"), advanceLibmamba), [
    "download 0/3",
    "download 0/3",
    "link 0/3",
    "link 1/3",
    "link 2/3",
    "done 3/3",
  ]);
});

Deno.test("mamba 1 plans like mamba and installs like conda", () => {
  const told = counts([
    "Looking for: ['python=3.11']",
    "Install: 12 packages",
    "Total download: 34MB",
    "Preparing transaction: ...working... ",
    "Executing transaction: ...working... ",
    "# To activate this environment, use",
  ], advanceConda);
  assertEquals(told, ["download 0/12 34000000", "link 0/12", "link 0/12", "done 12/12"]);
});

Deno.test("sizes are read in each manager's units", () => {
  assertEquals(["0 B", "477 B", "54kB", "17MB", "2GB"].map((size) => parseSize(size, 1000)), [
    0,
    477,
    54_000,
    17_000_000,
    2_000_000_000,
  ]);
  assertEquals(["768 B", "54 KB", "1.5 MB"].map((size) => parseSize(size, 1024)), [
    768,
    55_296,
    1_572_864,
  ]);
  assertEquals(parseSize("Cached", 1000), undefined);
});
