/** Measures this worker's interpreter. */
import { join } from "@std/path";
import { silentLogger } from "../lib/log.ts";
import { ForkServer } from "../lib/interpreter/fork_server.ts";
import type { Interpreter } from "../lib/interpreter/interpreter.ts";
import { installRuntime } from "../lib/interpreter/runtime.ts";
import { Interpreter as Sessions } from "../lib/interpreter/interpreter.ts";
import { Switchboard } from "../lib/interpreter/switchboard.ts";
import { directManager, Kernel } from "../tests/interpreter/harness.ts";
import { Echo, Fork, runText } from "./baselines.ts";
import { type Numbers, quantile } from "./measures.ts";

/** More than any cell here puts out. */
const UNLIMITED = 1e10;
const PRINTS = "for i in range(200000): print('x' * 99)";
const PRINTS_SIZE = 20_000_000;
const WRITE = "import os\nb = b'y' * (1 << 20)\nfor i in range(200): _ = os.write(1, b)";
const CHILD = "import subprocess\nsubprocess.run(['head', '-c', '200000000', '/dev/zero']);";

/** Durations of calls (milliseconds). */
async function times(count: number, call: () => Promise<unknown>): Promise<number[]> {
  return await repeat(count, async () => {
    const started = performance.now();
    await call();
    return performance.now() - started;
  });
}

async function repeat(count: number, call: () => Promise<number>): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push(await call());
  return found;
}

async function firstPrint(session: Interpreter): Promise<number> {
  let latency: number | undefined;
  await session.execute("import time\nprint(time.time())\ntime.sleep(0.03)", {
    onOutput: (output) => {
      const now = performance.timeOrigin + performance.now();
      if (output.type === "stream") latency ??= now - Number(output.text.trim()) * 1000;
    },
  });
  return latency!;
}

/** Bytes per second (MB); without `keep` under the default limit of output. */
async function throughput(
  session: Interpreter,
  code: string,
  size: number,
  keep = true,
): Promise<number> {
  let received = 0;
  const started = performance.now();
  const { truncated } = await session.execute(code, {
    ...(keep ? { outputLimit: UNLIMITED } : {}),
    onOutput: (output) => {
      if (output.type === "stream") received += output.text.length;
    },
  });
  const seconds = (performance.now() - started) / 1000;
  if (keep ? received < size : !truncated) {
    throw new Error(`Only ${received} of ${size} bytes arrived`);
  }
  return size / seconds / 1e6;
}

/** The same prints by a plain Python whose output goes to `cat`. */
async function pipe(python: string): Promise<number> {
  const script = `import sys, time\nt = time.perf_counter()\n${PRINTS}\nsys.stdout.flush()\n` +
    "sys.stderr.write(str(time.perf_counter() - t))";
  const { stderr } = await new Deno.Command("sh", {
    args: ["-c", '"$0" -c "$1" | cat >/dev/null', python, script],
  }).output();
  return PRINTS_SIZE / Number(new TextDecoder().decode(stderr)) / 1e6;
}

/** Growth of this process while a cell puts out 1 GB with the default limit (MB). */
async function growth(session: Interpreter): Promise<number> {
  const before = Deno.memoryUsage().rss;
  let peak = before;
  let live = 0;
  const timer = setInterval(() => peak = Math.max(peak, Deno.memoryUsage().rss), 5);
  const code = "import os\nb = b'y' * (1 << 20)\nfor i in range(1000): _ = os.write(1, b)";
  await session.execute(code, {
    onOutput: (output) => {
      live += output.type === "stream" ? output.text.length : 0;
    },
  });
  clearInterval(timer);
  if (live === 0) throw new Error("Nothing arrived");
  return (peak - before) / 1e6;
}

async function interrupt(session: Interpreter, code: string): Promise<number> {
  const begun = Promise.withResolvers<void>();
  const running = session.execute(`print('go')\n${code}`, { onOutput: () => begun.resolve() });
  await begun.promise;
  await new Promise((resolve) => setTimeout(resolve, 20));
  const sent = performance.now();
  await session.interrupt();
  const { error } = await running;
  if (error?.ename !== "KeyboardInterrupt") throw new Error(`Interrupted: ${error?.ename}`);
  return performance.now() - sent;
}

/** How often an interrupt 0 to 5 ms after the submission of a cell had any other effect than it should. */
async function randomInterrupts(session: Interpreter, count: number): Promise<number> {
  let wrong = 0;
  let begun = 0;
  await session.execute("import time\nx = 0");
  for (let n = 0; n < count; n++) {
    const running = session.execute(`x += 1\nprint('<${n}>')\ntime.sleep(0.002)\n${n}`);
    const until = performance.now() + Math.random() * 5;
    while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 0));
    await session.interrupt();
    const result = await running;
    const text = result.outputs.map((one) => one.type === "stream" ? one.text : "").join("");
    // An interrupt may come before the print, and between its text and its line end.
    const own = result.status === "error" ? `<${n}>\n`.startsWith(text) : text === `<${n}>\n`;
    const value = result.outputs.find((one) => one.type === "execute_result");
    const right = result.status === "ok"
      ? value?.data["text/plain"] === String(n)
      : result.error?.ename === "KeyboardInterrupt" && result.state_lost === undefined;
    if (text !== "") begun++;
    const next = await session.execute(`${n} + 0.5`);
    const after = next.outputs.length === 1 && next.outputs[0]?.type === "execute_result" &&
      next.outputs[0].data["text/plain"] === `${n}.5`;
    if (!own || !right || !after) wrong++;
  }
  const last = (await session.execute("x")).outputs[0];
  const x = last?.type === "execute_result" ? Number(last.data["text/plain"]) : NaN;
  return x >= begun && x <= count ? wrong : wrong + 1;
}

async function pss(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+)/m.exec(text)![1]) / 1024;
}

/**
 * From nothing to the first session of an environment, and `import asyncio` alone, in turns and both without what a
 * bare Python takes (milliseconds).
 */
async function firstStarts(
  python: string,
): Promise<Pick<Numbers, "first_start_ms" | "asyncio_ms">> {
  const directory = await Deno.makeTempDir();
  const program = await installRuntime(directory);
  const manager = directManager(python);
  await using switchboard = await Switchboard.open(directory, silentLogger);
  const start = async () => {
    const started = performance.now();
    await using server = await ForkServer.start({
      manager,
      prefix: directory,
      program,
      switchboard,
      log: silentLogger,
    });
    const session = await Sessions.start(server, switchboard, { cwd: directory, env: {} });
    const taken = performance.now() - started;
    await session.kill();
    return taken;
  };
  // The first one compiles the modules, once for all environments with this Python.
  await start();
  const first_start_ms: number[] = [];
  const asyncio_ms: number[] = [];
  for (let i = 0; i < 20; i++) {
    const bare = await runText(python, "pass");
    first_start_ms.push(await start() - bare);
    asyncio_ms.push(await runText(python, "import asyncio") - bare);
  }
  await Deno.remove(directory, { recursive: true });
  return { first_start_ms, asyncio_ms };
}

/** `1+1` in turns with a bare echo of as many bytes (milliseconds). */
export async function roundTrips(session: Interpreter, echo: Echo): Promise<Numbers> {
  for (let i = 0; i < 500; i++) await session.execute("1+1");
  const found: Numbers = { round_trip_ms: [], echo_ms: [], executes_per_s: [] };
  for (let turn = 0; turn < 50; turn++) {
    const started = performance.now();
    const own = await times(100, () => session.execute("1+1"));
    found.executes_per_s!.push(own.length / ((performance.now() - started) / 1000));
    const bare = await repeat(100, () => echo.call());
    found.round_trip_ms!.push(...own);
    found.echo_ms!.push(...bare);
  }
  return found;
}

/** Starts of sessions in turns with bare forks (milliseconds); the sessions stay. */
async function sessionStarts(kernel: Kernel, fork: Fork): Promise<[Numbers, Interpreter[]]> {
  const found: Numbers = { session_start_ms: [], fork_ms: [] };
  const idle: Interpreter[] = [];
  for (let i = 0; i < 50; i++) {
    found.session_start_ms!.push(...await times(1, async () => idle.push(await kernel.session())));
    found.fork_ms!.push(await fork.call());
  }
  return [found, idle];
}

/** Everything below a process that runs, open descriptors here, and files: what must be the same after as before. */
async function census(kernel: Kernel, serverPid: number): Promise<number> {
  let processes = 0;
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`).catch(() => "");
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (parent === serverPid) processes++;
  }
  let open = 0;
  for (const pid of ["self", String(serverPid)]) {
    for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) open++;
  }
  let files = 0;
  for await (const _ of Deno.readDir(kernel.directory)) files++;
  return processes + open + files;
}

async function cycles(kernel: Kernel, count: number): Promise<number> {
  const cwd = join(kernel.directory, "cycles");
  await Deno.mkdir(cwd);
  const one = async () => {
    const session = await Sessions.start(kernel.server, kernel.switchboard, { cwd, env: {} });
    const parent = await session.execute("import os\nos.getppid()");
    await session.kill();
    const output = parent.outputs[0];
    return output?.type === "execute_result" ? Number(output.data["text/plain"]) : NaN;
  };
  const serverPid = await one();
  const before = await census(kernel, serverPid);
  for (let i = 0; i < count; i += 4) await Promise.all([one(), one(), one(), one()]);
  return await census(kernel, serverPid) - before;
}

/** All figures of this worker with a Python. */
export async function measureOurs(python: string): Promise<Numbers> {
  const result: Numbers = { ...await firstStarts(python) };
  await using kernel = await Kernel.start(python);
  await using fork = await Fork.start(python, kernel.directory);
  const [starts, idle] = await sessionStarts(kernel, fork);
  Object.assign(result, starts);
  result.memory_per_session_mb = await Promise.all(idle.map((session) => pss(session.pid)));
  await Promise.all(idle.map((session) => session.kill()));
  result.many_starts_ms = await repeat(5, async () => {
    const started = performance.now();
    const many = await Promise.all(Array.from({ length: 50 }, () => kernel.session()));
    const taken = performance.now() - started;
    await Promise.all(many.map((one) => one.kill()));
    return taken;
  });
  const session = await kernel.session();
  await using echo = await Echo.start(python, kernel.directory);
  Object.assign(result, await roundTrips(session, echo));
  result.first_print_ms = await repeat(1000, () => firstPrint(session));
  result.growth_mb = [await growth(session)];
  result.prints_mb_s = [];
  result.pipe_mb_s = [];
  for (let i = 0; i < 7; i++) {
    result.pipe_mb_s.push(await pipe(python));
    result.prints_mb_s.push(await throughput(session, PRINTS, PRINTS_SIZE));
  }
  const piped = quantile(result.pipe_mb_s, 0.5);
  result.prints_share = result.prints_mb_s.map((speed) => 100 * speed / piped);
  result.os_write_mb_s = await repeat(7, () => throughput(session, WRITE, 200 << 20));
  result.os_write_limited_mb_s = await repeat(
    7,
    () => throughput(session, WRITE, 200 << 20, false),
  );
  result.child_mb_s = await repeat(7, () => throughput(session, CHILD, 200_000_000));
  result.child_limited_mb_s = await repeat(
    7,
    () => throughput(session, CHILD, 200_000_000, false),
  );
  for (const [name, code] of Object.entries(INTERRUPTED)) {
    result[`interrupt_${name}_ms`] = await repeat(400, () => interrupt(session, code));
  }
  result.random_interrupts_wrong = [await randomInterrupts(session, 1000)];
  result.cycles_left = [await cycles(kernel, 1000)];
  return result;
}

const INTERRUPTED = {
  loop: "while True: pass",
  sleep: "import time\ntime.sleep(10)",
  child: "import subprocess\nsubprocess.run(['sleep', '10'])",
  await: "import asyncio\nawait asyncio.sleep(10)",
};
