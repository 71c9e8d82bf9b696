import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { supervise } from "../../lib/managers/supervise.ts";
import type { LineSink } from "../../lib/managers/manager.ts";
import { Double, KINDS } from "./double.ts";
import { until } from "../wait.ts";

/** Supervises a shell command without a manager around it. */
function call(
  directory: string,
  argv: readonly string[],
  options: { onLine?: LineSink; signal?: AbortSignal } = {},
) {
  return supervise({
    spawn: (command, spawnOptions) => new Deno.Command(command, spawnOptions).spawn(),
    command: "env",
    wrapper: [],
    argv,
    env: { PATH: "/usr/bin:/bin" },
    runtimeDirectory: directory,
    ...options,
  });
}

/** The words of all processes' command lines. */
async function commandLines(): Promise<string[][]> {
  const lines: string[][] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    lines.push(line.split("\0"));
  }
  return lines;
}

async function alive(text: string): Promise<number> {
  return (await commandLines()).filter((words) => words.includes(text)).length;
}

async function inDirectory(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a supervised program's output, exit code and arguments are its own", async () => {
  await inDirectory(async (directory) => {
    const odd = "a  'b' \"$(id)\" \\ * ;";
    const script = 'echo "$1"; echo err >&2; cat; exit 7';
    const lines: string[] = [];
    const execution = await call(directory, ["sh", "-c", script, "sh", odd], {
      onLine: (line) => lines.push(line),
    });
    assertEquals([execution.code, execution.cancelled], [7, false]);
    assertEquals([execution.stdout, execution.stderr], [[odd], ["err"]]);
    assertEquals(lines.sort(), [odd, "err"].sort());
    // Nothing of the call stays behind.
    for await (const entry of Deno.readDir(join(directory, "calls"))) throw new Error(entry.name);
  });
});

Deno.test("nothing of a call that has ended is left for a moment longer", async () => {
  await inDirectory(async (directory) => {
    // A program that stops what watches over it, as a busy machine does for a moment.
    const script = "for stat in /proc/[0-9]*/stat; do " +
      'read -r pid name state parent rest <"$stat" || continue; ' +
      '[ "$parent" = "$PPID" ] && [ "$pid" != "$$" ] && kill -STOP "$pid" && echo stopped; done; true';
    const { code, stdout } = await call(directory, ["sh", "-c", script]);
    assertEquals([code, stdout], [0, ["stopped"]]);
    // The file with its arguments is named by everything that belongs to the call.
    const named = (words: string[]) => words.some((word) => word.includes(directory));
    assertEquals((await commandLines()).filter(named), []);
  });
});

Deno.test("a cancelled program is gone with its children when the call ends", async () => {
  await inDirectory(async (directory) => {
    const mark = `99${Math.floor(Math.random() * 1e6)}`;
    const controller = new AbortController();
    const execution = await call(
      directory,
      ["sh", "-c", `sleep ${mark} & echo up; (sleep ${mark}; echo never)`],
      { signal: controller.signal, onLine: () => controller.abort() },
    );
    assertEquals(execution.cancelled, true);
    assertEquals(await alive(mark), 0);
  });
});

Deno.test("what a program leaves running ends with it", async () => {
  await inDirectory(async (directory) => {
    const mark = `98${Math.floor(Math.random() * 1e6)}`;
    const execution = await call(directory, ["sh", "-c", `sleep ${mark} & exit 3`]);
    assertEquals(execution.code, 3);
    await until(async () => await alive(mark) === 0, "the child is gone", 2000);
  });
});

Deno.test("a call that is cancelled before it begins starts nothing", async () => {
  await inDirectory(async (directory) => {
    const signal = AbortSignal.abort();
    const execution = await call(directory, ["sh", "-c", "echo x"], { signal });
    assertEquals([execution.cancelled, execution.stdout.length], [true, 0]);
  });
});

Deno.test("a program may print more than a pipe holds on both streams", async () => {
  await inDirectory(async (directory) => {
    let bytes = 0;
    const script = "i=0; while [ $i -lt 3000 ]; do echo $i-$0; echo $i-$0 >&2; i=$((i+1)); done";
    const execution = await call(directory, ["sh", "-c", script, "x".repeat(200)], {
      onLine: (line) => void (bytes += line.length),
    });
    assertEquals(execution.code, 0);
    assertEquals(execution.stdout.length, 200);
    assert(bytes > 1_000_000);
  });
});

Deno.test("an argument with a newline is refused", async () => {
  await assertRejects(() => call("/nonexistent", ["sh", "a\nb"]), TypeError, "newline");
});

for (const kind of KINDS) {
  Deno.test(`${kind} executes and runs programs of an environment`, async () => {
    await using double = await Double.install(kind);
    const manager = await double.detect();
    const prefix = join(double.directory, "prefix");
    await Deno.mkdir(join(prefix, "conda-meta"), { recursive: true });
    await Deno.writeTextFile(join(prefix, "conda-meta", "history"), "");
    const show = 'echo "$CONDA_PREFIX $A $HYPHA_TOKEN $LD_X."; cat; exit 5';
    const env = { A: "1", LD_X: "2" };
    Deno.env.set("HYPHA_TOKEN", "secret");
    try {
      const execution = await manager.execute(prefix, ["sh", "-c", show], { env });
      assertEquals([execution.code, ...execution.stdout], [5, `${prefix} 1  .`]);

      const child = await manager.run(prefix, ["sh", "-c", show], {
        env,
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      });
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode("in\n"));
      await writer.close();
      const output = await new Response(child.stdout).text();
      assertEquals([(await child.status).code, output], [5, `${prefix} 1  .\nin\n`]);
    } finally {
      Deno.env.delete("HYPHA_TOKEN");
    }
    const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
    await assertRejects(() => manager.run(prefix, ["sh", "a\nb"], options), TypeError, "newline");
  });
}
