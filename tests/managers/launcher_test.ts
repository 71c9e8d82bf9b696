import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { exists } from "@std/fs";
import { ForkServer } from "../../lib/interpreter/fork_server.ts";
import { installRuntime } from "../../lib/interpreter/runtime.ts";
import { Switchboard } from "../../lib/interpreter/switchboard.ts";
import { createLogger, silentLogger } from "../../lib/log.ts";
import { Activation } from "../../lib/managers/activation.ts";
import { Launching } from "../../lib/managers/launching.ts";
import type { Manager, ManagerKind } from "../../lib/managers/manager.ts";
import { Cache } from "../environments/support.ts";
import { edgePythons } from "../interpreter/harness.ts";
import type { ManagerFaults } from "../stack/stack.ts";
import { Double } from "./double.ts";
import { until } from "../wait.ts";

/** A manager with a launcher, and an environment with nothing in it. */
class Bench implements AsyncDisposable {
  readonly warnings: string[] = [];

  private constructor(
    readonly double: Double,
    readonly prefix: string,
    public manager: Manager,
  ) {}

  static async start(
    { kind = "conda", ...faults }: ManagerFaults & { kind?: ManagerKind } = {},
  ): Promise<Bench> {
    const double = await Double.install(kind, faults);
    const prefix = join(double.directory, "prefix");
    await Deno.mkdir(join(prefix, "conda-meta"), { recursive: true });
    await Deno.writeTextFile(join(prefix, "conda-meta", "history"), "");
    const bench = new Bench(double, prefix, undefined!);
    const write = (line: string) => void bench.warnings.push(line);
    const log = createLogger({ level: "warning", write });
    bench.manager = await double.detect({ launcher: true, log });
    return bench;
  }

  shell(script: string, options: Parameters<Manager["execute"]>[2] & { args?: string[] } = {}) {
    return this.manager.execute(
      this.prefix,
      ["sh", "-c", script, ...options.args ?? []],
      options,
    );
  }

  /** Process id of the launcher. */
  async launcher(): Promise<number> {
    const found = await this.launchers();
    assertEquals(found.length, 1);
    return found[0]!;
  }

  async launchers(): Promise<number[]> {
    const program = join(this.double.directory, "cache/runtime/launcher-");
    return await processes((words) => words.at(-1)?.startsWith(program) ?? false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager[Symbol.asyncDispose]();
    await this.double[Symbol.asyncDispose]();
  }
}

/** Process ids by command line; without those of processes that have ended. */
async function processes(matches: (words: string[]) => boolean): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (text !== "" && matches(text.split("\0").slice(0, -1))) found.push(Number(name));
  }
  return found;
}

/** A number of seconds to sleep that no other process has for an argument. */
function mark(): string {
  return String(9e6 + Math.floor(Math.random() * 1e6));
}

const gone = (mark: string) =>
  until(async () => (await processes((words) => words.includes(mark))).length === 0, "all is gone");

Deno.test("programs are started without conda, with all that they have when conda starts them", async () => {
  await using bench = await Bench.start();
  const { double, prefix } = bench;
  const odd = "a  'b' \"$(id)\" \\ * ; é\t";
  const script = 'env | grep -v "^_="; echo "$1" >&2; cat; exit 7';
  const options = { args: ["sh", odd], env: { A: "1", LD_X: "2" } };
  const seen = async () => {
    const { stdout, stderr, code, cancelled } = await bench.shell(script, options);
    // Only the numbers of shells around, and the directory of the call, may differ.
    const variables = stdout.filter((line) => !/^(SHLVL|PWD|OLDPWD|TMPDIR)=/.test(line)).sort();
    return { variables, stderr, code, cancelled };
  };
  const launched = await seen();
  assertEquals(await double.calls("run"), 1);
  assertEquals(await seen(), launched);
  assertEquals(await double.calls("run"), 1);
  const { variables, ...rest } = launched;
  assert(variables.includes(`CONDA_PREFIX=${prefix}`) && variables.includes("A=1"));
  assertEquals(rest, { stderr: [odd], code: 7, cancelled: false });
  await bench.manager[Symbol.asyncDispose]();
  const direct = await seen();
  assertEquals(await double.calls("run"), 2);
  // But for the line that conda itself adds when a program fails.
  assertEquals({ ...direct, stderr: direct.stderr.slice(0, 1) }, launched);
  assertEquals(bench.warnings, []);
});

Deno.test("what is created with a launcher is what is created without", async () => {
  await using bench = await Bench.start();
  const { double } = bench;
  await Deno.remove(bench.prefix, { recursive: true });
  const made = await bench.manager.create({
    ...double.request("python=3.11", "toy-a"),
    probe: ["-c", "import toy_a; print(toy_a.__version__)"],
  });
  assertEquals([made.kind, made.probed], ["conda", "2.0\n"]);
  const code = "import os, sys; print(sys.prefix == os.environ['CONDA_PREFIX'])";
  const { stdout } = await bench.manager.execute(bench.prefix, ["python", "-c", code]);
  assertEquals(stdout, ["True"]);
  assertEquals(await double.calls("run"), 1);
});

Deno.test("twenty programs at once each have their own output, all of it", async () => {
  await using bench = await Bench.start();
  const script =
    'i=0; while [ $i -lt 400 ]; do echo "$0-$i-$1"; echo "$0+$i-$1" >&2; i=$((i+1)); done; exit "$0"';
  const text = "x".repeat(300);
  await Promise.all(Array.from({ length: 20 }, async (_, number) => {
    const lines: string[] = [];
    const { code } = await bench.shell(script, {
      args: [String(number), text],
      onLine: (line) => lines.push(line),
    });
    assertEquals(code, number);
    for (const sign of ["-", "+"]) {
      const mine = lines.filter((line) => line.startsWith(number + sign));
      assertEquals(mine, Array.from({ length: 400 }, (_, i) => `${number}${sign}${i}-${text}`));
    }
    assertEquals(lines.length, 800);
  }));
  assertEquals(await bench.double.calls("run"), 1);
});

Deno.test("a cancelled program is gone with its children when the call ends, and the others go on", async () => {
  await using bench = await Bench.start();
  const { promise: go, resolve } = Promise.withResolvers<void>();
  const other = bench.shell('echo up; until [ -e "$0" ]; do sleep 0.02; done; echo on', {
    args: [join(bench.double.directory, "go")],
    onLine: () => resolve(),
  });
  await go;
  const controller = new AbortController();
  const seconds = mark();
  const execution = await bench.shell(
    `sleep ${seconds} & echo up; (sleep ${seconds}; echo never)`,
    { signal: controller.signal, onLine: () => controller.abort() },
  );
  assertEquals(execution.cancelled, true);
  assertEquals(await processes((words) => words.includes(seconds)), []);
  await Deno.writeTextFile(join(bench.double.directory, "go"), "");
  assertEquals((await other).stdout, ["up", "on"]);
});

Deno.test("a call that is cancelled while the launcher is started ends at once, and the launcher is there", async () => {
  await using bench = await Bench.start({ commands: ["run"], start_delay: 0.5 });
  const controller = new AbortController();
  const call = bench.shell("echo never", { signal: controller.signal });
  await until(async () => await bench.double.calls("run") === 1, "conda starts the launcher");
  controller.abort();
  assertEquals([(await call).cancelled, (await call).stdout.length], [true, 0]);
  assertEquals((await bench.shell("echo on")).stdout, ["on"]);
  assertEquals(await bench.double.calls("run"), 1);
});

Deno.test("environments with scripts or variables of their own are activated by conda", async () => {
  await using bench = await Bench.start();
  const { double, prefix } = bench;
  const show = 'echo "$FROM"';
  assertEquals((await bench.shell(show)).stdout, [""]);
  await Deno.mkdir(join(prefix, "etc/conda/activate.d"), { recursive: true });
  const script = join(prefix, "etc/conda/activate.d/a.sh");
  await Deno.writeTextFile(script, "export FROM=script\n");
  assertEquals((await bench.shell(show)).stdout, ["script"]);
  await Deno.remove(script);
  const state = join(prefix, "conda-meta/state");
  await Deno.writeTextFile(state, '{"env_vars": {"FROM": "state"}}');
  assertEquals((await bench.shell(show)).stdout, ["state"]);
  const child = await bench.manager.run(prefix, ["sh", "-c", show], {
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  await child.stderr.cancel();
  assertEquals(await new Response(child.stdout).text(), "state\n");
  await child.status;
  // One for the launcher, and one for each that it was not for.
  assertEquals(await double.calls("run"), 4);
  await Deno.remove(state);
  assertEquals((await bench.shell(show)).stdout, [""]);
  assertEquals(await double.calls("run"), 4);
});

Deno.test("what is no environment is refused by conda, as without a launcher", async () => {
  await using bench = await Bench.start();
  await Deno.remove(bench.prefix, { recursive: true });
  const error = await bench.shell("echo never").then(() => undefined, (error) => error);
  assertMatch(String(error), /Not a conda environment/);
});

Deno.test("a launcher that is killed takes its programs along; conda starts the next ones, and the log says so once", async () => {
  await using bench = await Bench.start();
  const { double } = bench;
  const seconds = mark();
  const { promise: up, resolve } = Promise.withResolvers<void>();
  const call = bench.shell(`sleep ${seconds} & echo up; sleep ${seconds}; echo never`, {
    onLine: () => resolve(),
  });
  await up;
  Deno.kill(await bench.launcher(), "SIGKILL");
  const execution = await call;
  assertEquals([execution.code, execution.cancelled, execution.started], [137, false, true]);
  assertEquals(execution.stdout, ["up"]);
  await gone(seconds);
  for (let i = 0; i < 2; i++) assertEquals((await bench.shell("echo on")).stdout, ["on"]);
  assertEquals(await double.calls("run"), 3);
  assertEquals(bench.warnings.length, 1);
  assertMatch(bench.warnings[0]!, /launcher.*ended/);
  assertEquals(await double.processes(), []);
});

Deno.test("a program that its launcher had not started yet when that was killed is started by conda", async () => {
  await using bench = await Bench.start();
  await bench.shell("true");
  const launcher = await bench.launcher();
  Deno.kill(launcher, "SIGSTOP");
  const call = bench.shell("echo on");
  const calls = join(bench.double.directory, "cache/runtime/calls");
  const prepared = async () => {
    for await (const { name } of Deno.readDir(calls)) {
      if (await exists(join(calls, name, "arguments"))) return true;
    }
    return false;
  };
  await until(prepared, "the call is on its way");
  Deno.kill(launcher, "SIGKILL");
  assertEquals((await call).stdout, ["on"]);
  assertEquals(await bench.double.calls("run"), 2);
});

Deno.test("where there can be no launcher conda starts the programs, and the log says so once", async () => {
  await using bench = await Bench.start({ commands: ["run"], times: 1, usage_error: true });
  for (let i = 0; i < 2; i++) assertEquals((await bench.shell("echo on")).stdout, ["on"]);
  assertEquals(await bench.double.calls("run"), 3);
  assertEquals(bench.warnings.length, 1);
  assertMatch(
    bench.warnings[0]!,
    /Cannot start the launcher.*before it was ready.*Not a conda environment/,
  );
});

Deno.test("ten minutes after a failure another launcher is tried", async () => {
  await using double = await Double.install("conda");
  let now = 0;
  let tries = 0;
  const log = createLogger({ level: "warning", write: () => {} });
  await using launching = new Launching({
    prepare: () => Promise.reject(new Error(`try ${++tries}`)),
    log,
    now: () => now,
  });
  assertEquals(await launching.get(), undefined);
  now += 9 * 60_000;
  assertEquals([await launching.get(), tries], [undefined, 1]);
  now += 2 * 60_000;
  assertEquals([await launching.get(), tries], [undefined, 2]);
  assertEquals(await double.processes(), []);
});

Deno.test("of a manager that was disposed of nothing is left, and it works on", async () => {
  await using bench = await Bench.start();
  const { double, manager } = bench;
  const seconds = mark();
  const { promise: up, resolve } = Promise.withResolvers<void>();
  const call = bench.shell(`echo up; sleep ${seconds}`, { onLine: () => resolve() });
  await up;
  await manager[Symbol.asyncDispose]();
  assertEquals((await call).code, 137);
  assertEquals(await processes((words) => words.includes(seconds)), []);
  assertEquals(await double.processes(), []);
  const runtime = join(double.directory, "cache/runtime");
  for await (const { name } of Deno.readDir(join(runtime, "calls"))) throw new Error(name);
  for await (const { name, isFile } of Deno.readDir(runtime)) {
    if (isFile) assertMatch(name, /^(supervise|launcher)-[0-9a-f]{12}\.(sh|py)$/);
  }
  assertEquals((await bench.shell("echo on")).stdout, ["on"]);
  assertEquals(await bench.launchers(), []);
  assertEquals(bench.warnings, []);
});

Deno.test("a manager that is disposed of while its launcher is started leaves nothing", async () => {
  await using bench = await Bench.start({ commands: ["run"], start_delay: 60 });
  bench.manager.prepare();
  await until(async () => await bench.double.calls("run") === 1, "conda starts the launcher");
  await bench.manager[Symbol.asyncDispose]();
  assertEquals(await bench.double.processes(), []);
  assertEquals(bench.warnings, []);
});

for (const kind of ["mamba", "micromamba"] satisfies ManagerKind[]) {
  Deno.test(`${kind} has no launcher`, async () => {
    await using bench = await Bench.start({ kind });
    assertEquals((await bench.shell("echo on")).stdout, ["on"]);
    assertEquals([await bench.launchers(), await bench.double.calls("run")], [[], 1]);
  });
}

Deno.test("a killed worker leaves nothing of its builds, nor of its launcher", async () => {
  await using cache = await Cache.make("conda", { hang: "link" });
  const worker = cache.worker({ dependencies: ["python=3.11", "toy-a"] });
  const building = async () =>
    (await cache.double.processes()).some((line) => line.includes("launcher-")) &&
    await cache.double.calls("create") === 1;
  await until(building, "a launcher's build is on its way");
  await worker.kill();
  await until(async () => (await cache.double.processes()).length === 0, "nothing is left");
});

Deno.test("fork servers are started without conda, and end with the launcher", async () => {
  await using bench = await Bench.start();
  const { double } = bench;
  await Deno.remove(bench.prefix, { recursive: true });
  await bench.manager.create(double.request("python=3.11"));
  const directory = await Deno.makeTempDir();
  try {
    const program = await installRuntime(directory);
    await using switchboard = await Switchboard.open(directory, silentLogger);
    const options = {
      manager: bench.manager,
      prefix: bench.prefix,
      program,
      switchboard,
      log: silentLogger,
    };
    const secret = `secret-${mark()}`;
    {
      await using server = await ForkServer.start(options);
      assertMatch(server.version, /^3\.11\./);
      const show = 'echo "$TOKEN $(pwd)"; exec sleep 60';
      // Where the token of the connection, and all else, goes too.
      const child = await bench.manager.run(bench.prefix, ["sh", "-c", show], {
        env: { TOKEN: secret },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      });
      const reader = child.stdout.getReader();
      assertEquals(
        new TextDecoder().decode((await reader.read()).value),
        `${secret} ${Deno.cwd()}\n`,
      );
      assertEquals(await processes((words) => words.join(" ").includes(secret)), []);
      child.kill("SIGTERM");
      assertEquals((await child.status).signal, "SIGTERM");
      await reader.cancel();
      await child.stderr.cancel();
    }
    assertEquals(await double.calls("run"), 1);
    await using lost = await ForkServer.start(options);
    const launcher = await bench.launcher();
    Deno.kill(launcher, "SIGKILL");
    await until(() => lost.gone.aborted, "the fork server is gone");
    // Another one takes its place, whoever starts it.
    await using next = await ForkServer.start(options);
    assertEquals(next.version, lost.version);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  await until(async () => (await double.processes()).length === 0, "nothing is left");
});

Deno.test("environments are activated as conda was seen to activate another one", () => {
  const prefix = "/cache/runtime/env";
  const given = { PATH: "/usr/bin:/bin", HOME: "/h", EMPTY: "" };
  const active = {
    ...given,
    PATH: `${prefix}/bin:/opt/conda/condabin:${given.PATH}`,
    CONDA_PREFIX: prefix,
    CONDA_DEFAULT_ENV: prefix,
    CONDA_PROMPT_MODIFIER: `(${prefix}) `,
    CONDA_SHLVL: "1",
    CONDA_EXE: "/opt/conda/bin/conda",
    PWD: "/elsewhere",
    SHLVL: "2",
    _: "/usr/bin/python",
  };
  const activation = new Activation({ prefix, given, active });
  const own = { PATH: "/own", A: "1", CONDA_SHLVL: "7" };
  const made = (prefix: string, name: string) => ({
    A: "1",
    PATH: `${prefix}/bin:/opt/conda/condabin:/own`,
    CONDA_PREFIX: prefix,
    CONDA_DEFAULT_ENV: name,
    CONDA_PROMPT_MODIFIER: `(${name}) `,
    CONDA_SHLVL: "1",
    CONDA_EXE: "/opt/conda/bin/conda",
  });
  for (
    const [prefix, name] of [
      ["/cache/envs/0123", "0123"],
      ["/some/$&where", "/some/$&where"],
      ["/opt/conda", "base"],
    ] as const
  ) assertEquals(activation.variables(prefix, own), made(prefix, name));
  for (
    const wrong of [
      { PATH: "/usr/bin:/bin" },
      { PATH: `${prefix}/bin:/bin` },
      { CONDA_PREFIX: "/other" },
    ]
  ) {
    let error: unknown;
    try {
      new Activation({ prefix, given, active: { ...active, ...wrong } });
    } catch (thrown) {
      error = thrown;
    }
    assertMatch(String(error), /conda has (made|activated)/);
  }
});

const folder = fromFileUrl(new URL("python", import.meta.url));
const program = fromFileUrl(new URL("../../lib/managers/launcher.py", import.meta.url));

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];
  Deno.test(`the launcher's own unit tests pass, Python ${version}`, async () => {
    const { success, stderr } = await new Deno.Command(python, {
      args: ["-B", "-W", "error", "-m", "unittest", "discover", "-s", folder],
      env: { LAUNCHER: program },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  });
}
