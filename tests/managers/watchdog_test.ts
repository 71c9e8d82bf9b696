import { assert, assertEquals } from "@std/assert";
import { supervise } from "../../lib/managers/supervise.ts";
import { type Activity, Watchdog } from "../../lib/managers/watchdog.ts";
import { until } from "../wait.ts";

/** Runs a shell command under a watchdog, without a manager around it. */
async function watch(stallMs: number, script: string) {
  const directory = await Deno.makeTempDir();
  try {
    return await supervise({
      spawn: (command, options) => new Deno.Command(command, options).spawn(),
      command: "env",
      wrapper: [],
      argv: ["sh", "-c", script],
      env: { PATH: "/usr/bin:/bin" },
      runtimeDirectory: directory,
      stallMs,
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a program that does nothing is killed with its children", async () => {
  const mark = `97${Math.floor(Math.random() * 1e6)}`;
  const execution = await watch(1_000, `echo begun; sleep ${mark} & sleep ${mark}`);
  assertEquals([execution.stalled, execution.cancelled], [true, false]);
  assertEquals(execution.stdout, ["begun"]);
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const line = await Deno.readTextFile(`/proc/${entry.name}/cmdline`).catch(() => "");
    assert(!line.split("\0").includes(mark), line);
  }
});

Deno.test("output is progress, and so is silent work of a child or on files", async () => {
  const scripts = {
    output: "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.5; done; exit 3",
    work: "(end=$(($(date +%s) + 5)); while [ $(date +%s) -lt $end ]; do :; done); exit 3",
    files:
      "for i in 1 2 3 4 5 6 7 8 9; do head -c 200000 /dev/zero | cat >x; sleep 0.5; done; exit 3",
  };
  const executions = await Promise.all(
    Object.values(scripts).map((script) => watch(3_000, script)),
  );
  for (const execution of executions) assertEquals([execution.stalled, execution.code], [false, 3]);
});

Deno.test("a little processor time, as waiting needs it, is no progress", async () => {
  let cpu = 0;
  let stalls = 0;
  const activity = (): Promise<Activity> =>
    Promise.resolve({ cpu: Math.floor(cpu += 0.05), io: 8 });
  using _watchdog = new Watchdog({ limitMs: 300, activity, onStall: () => stalls++ });
  await until(() => stalls > 0, "the stall is noticed");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(stalls, 1);
});

Deno.test("where work cannot be measured only output counts", async () => {
  let stalls = 0;
  const activity = () => Promise.resolve(undefined);
  using watchdog = new Watchdog({ limitMs: 500, activity, onStall: () => stalls++ });
  for (let i = 0; i < 15; i++) {
    watchdog.touch();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assertEquals(stalls, 0);
  await until(() => stalls === 1, "the stall is noticed");
});
