/**
 * The interpreter beside `jupyter_client` with `ipykernel`, on the same machine and the same Python, one after the
 * other in one run. Prints a table and writes all numbers to `bench/results/interpreter.json`. See README.md.
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import type { Interpreter } from "../lib/interpreter/interpreter.ts";
import { Kernel } from "../tests/interpreter/harness.ts";
import { managerPath, stackPaths } from "../tests/stack/stack.ts";

/** Measured values by name; the twin program uses the same names. */
type Numbers = Record<string, number[]>;

/** What is measured: its unit, and whether less is better. */
const MEASURES: Record<string, { title: string; unit: string; lessIsBetter: boolean }> = {
  session_start_ms: { title: "session start", unit: "ms", lessIsBetter: true },
  twenty_starts_ms: { title: "20 sessions at once", unit: "ms", lessIsBetter: true },
  round_trip_ms: { title: "1+1, round trip", unit: "ms", lessIsBetter: true },
  first_print_ms: { title: "print until it arrives", unit: "ms", lessIsBetter: true },
  prints_mb_s: { title: "100-byte prints", unit: "MB/s", lessIsBetter: false },
  os_write_mb_s: { title: "os.write(1), 1 MiB each", unit: "MB/s", lessIsBetter: false },
  interrupt_loop_ms: { title: "interrupt a busy loop", unit: "ms", lessIsBetter: true },
  interrupt_await_ms: { title: "interrupt an await", unit: "ms", lessIsBetter: true },
  memory_per_session_mb: { title: "memory (PSS) per session", unit: "MB", lessIsBetter: true },
};

const folder = dirname(fromFileUrl(import.meta.url));
const environment = join(stackPaths.tools, "bench-env");
/** More than any cell here puts out. */
const UNLIMITED = 1e10;

/** The environment with the opponent, made when it is missing. */
async function opponentPython(): Promise<string> {
  const python = join(environment, "bin", "python");
  if (await exists(python)) return python;
  const create = ["create", "-y", "-p", environment, "--no-rc", "--override-channels"];
  const { success, stderr } = await new Deno.Command("mamba", {
    args: [...create, "-c", stackPaths.channel, "ipykernel", "jupyter_client"],
    env: { PATH: `${managerPath("mamba")}:${Deno.env.get("PATH")}` },
  }).output();
  if (!success) throw new Error(`Cannot make ${environment}: ${new TextDecoder().decode(stderr)}`);
  return python;
}

async function times(count: number, call: () => Promise<unknown>): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await call();
    found.push(performance.now() - started);
  }
  return found;
}

async function repeat(count: number, call: () => Promise<number>): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i++) found.push(await call());
  return found;
}

async function firstPrint(session: Interpreter): Promise<number> {
  let latency: number | undefined;
  await session.execute("import time\nprint(time.time())\ntime.sleep(0.3)", {
    onOutput: (output) => {
      const now = performance.timeOrigin + performance.now();
      if (output.type === "stream") latency ??= now - Number(output.text.trim()) * 1000;
    },
  });
  return latency!;
}

async function throughput(session: Interpreter, code: string, size: number): Promise<number> {
  const started = performance.now();
  const { outputs } = await session.execute(code, { outputLimit: UNLIMITED });
  const seconds = (performance.now() - started) / 1000;
  const received = outputs.reduce((n, one) => n + (one.type === "stream" ? one.text.length : 0), 0);
  if (received < size) throw new Error(`Only ${received} of ${size} bytes arrived`);
  return size / seconds / 1e6;
}

async function interrupt(session: Interpreter, code: string): Promise<number> {
  const running = session.execute(code);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const sent = performance.now();
  await session.interrupt();
  await running;
  return performance.now() - sent;
}

async function pss(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+)/m.exec(text)![1]) / 1024;
}

async function measureOurs(python: string): Promise<Numbers> {
  const result: Numbers = {};
  result.fork_server_start_ms = await times(3, async () => {
    await using _ = await Kernel.start(python);
  });
  await using kernel = await Kernel.start(python);
  const idle: Interpreter[] = [];
  result.session_start_ms = await times(30, async () => idle.push(await kernel.session()));
  result.memory_per_session_mb = await Promise.all(idle.map((session) => pss(session.pid)));
  await Promise.all(idle.map((session) => session.kill()));
  const session = await kernel.session();
  for (let i = 0; i < 200; i++) await session.execute("1+1");
  result.round_trip_ms = await times(5000, () => session.execute("1+1"));
  result.first_print_ms = await repeat(8, () => firstPrint(session));
  const prints = "for i in range(50000): print('x' * 99)";
  result.prints_mb_s = await repeat(5, () => throughput(session, prints, 5_000_000));
  const write = "import os\nb = b'y' * (1 << 20)\nfor i in range(20): os.write(1, b)";
  result.os_write_mb_s = await repeat(10, () => throughput(session, write, 20 << 20));
  result.interrupt_loop_ms = await repeat(20, () => interrupt(session, "while True: pass"));
  const sleep = "import asyncio\nawait asyncio.sleep(2)";
  result.interrupt_await_ms = await repeat(20, () => interrupt(session, sleep));
  result.twenty_starts_ms = await times(3, async () => {
    const many = await Promise.all(Array.from({ length: 20 }, () => kernel.session()));
    await Promise.all(many.map((one) => one.execute("1+1")));
  });
  return result;
}

async function measureTwin(python: string): Promise<Numbers> {
  const file = await Deno.makeTempFile();
  const { success, stderr } = await new Deno.Command(python, {
    args: [join(folder, "ipykernel_twin.py"), file],
    env: { PYTHONWARNINGS: "ignore", PYDEVD_DISABLE_FILE_VALIDATION: "1" },
  }).output();
  if (!success) throw new Error(`The twin failed: ${new TextDecoder().decode(stderr)}`);
  const text = await Deno.readTextFile(file);
  await Deno.remove(file);
  return JSON.parse(text) as Numbers;
}

/** The value below which a share of all values lies. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function format(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

function table(ours: Numbers, twin: Numbers): string {
  const rows = [["", "unit", "this, p50", "p95", "p99", "ipykernel, p50", "p95", "p99", "factor"]];
  for (const [name, { title, unit, lessIsBetter }] of Object.entries(MEASURES)) {
    const cells = [ours[name]!, twin[name]!].flatMap((values) =>
      [0.5, 0.95, 0.99].map((share) => quantile(values, lessIsBetter ? share : 1 - share))
    );
    const factor = lessIsBetter ? cells[3]! / cells[0]! : cells[0]! / cells[3]!;
    rows.push([title, unit, ...cells.map(format), `${format(factor)}x`]);
  }
  const perSecond = [ours, twin].map((all) => {
    const values = all.round_trip_ms!;
    return values.length / (values.reduce((a, b) => a + b) / 1000);
  });
  const [mine, theirs] = perSecond as [number, number];
  rows.push([
    "executes in sequence",
    "1/s",
    ...[mine, NaN, NaN, theirs, NaN, NaN].map((n) => Number.isNaN(n) ? "" : format(n)),
    `${format(mine / theirs)}x`,
  ]);
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, at) => at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)).join(
      "  ",
    )
  ).join("\n");
}

if (import.meta.main) {
  const python = await opponentPython();
  const ours = await measureOurs(python);
  const twin = await measureTwin(python);
  console.log(table(ours, twin));
  console.log(
    `\nfork server, once per environment: ${format(quantile(ours.fork_server_start_ms!, 0.5))} ms`,
  );
  const results = join(folder, "results");
  await ensureDir(results);
  const file = join(results, "interpreter.json");
  const cpus = navigator.hardwareConcurrency;
  const report = { date: new Date().toISOString(), cpus, load: Deno.loadavg(), ours, twin };
  await Deno.writeTextFile(file, JSON.stringify(report));
}
