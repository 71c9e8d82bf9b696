/**
 * The worker as its users meet it: through a real Hypha server, called by the Python client, beside a plain echo on
 * the same server, beside Hypha's own conda worker and beside a plain `fetch`. At last a soak: mixed load for
 * `--minutes`, after which nothing may have grown. Prints a table and writes all numbers to
 * `bench/results/service.json`. See README.md.
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { Stage } from "../tests/e2e/stage.ts";
import { stackPaths } from "../tests/stack/stack.ts";
import { type Numbers, table } from "./measures.ts";
import { columns, SERVICE_MEASURES, SERVICE_NOTES, SESSIONS } from "./service_measures.ts";
import { runClient, startEcho, startReference } from "./service_parts.ts";
import { develop, type Development, type Rest, type Soak, soak } from "./service_soak.ts";
import { measureStaging } from "./service_staging.ts";

const PARTS = ["calls", "staging", "sessions", "soak"];
const ROUND_SECONDS = 8;
/**
 * The heap of the worker that is soaked. Where memory is plenty V8 collects its garbage late, and resident memory
 * goes up and down by 100 MB; with little of it what stays is what is used.
 */
const HEAP = "--max-old-space-size=160";
/** What a round and the look after it take. */
const ROUND_MINUTES = 10.5 / 60;

function option(name: string): string | undefined {
  const start = `--${name}=`;
  return Deno.args.find((arg) => arg.startsWith(start))?.slice(start.length);
}

/** A stage whose server and worker nobody has used before. */
async function fresh<T>(
  use: (stage: Stage) => Promise<T>,
  env: Record<string, string> = {},
): Promise<T> {
  await using stage = await Stage.start({ env });
  return await use(stage);
}

async function measureCalls(count: number): Promise<Numbers> {
  const environment = join(stackPaths.tools, "bench-env");
  const known = await exists(join(environment, "bin", "python"));
  if (!known) console.error("Without the reference worker: run bench/interpreter.ts once before");
  return await fresh(async (stage) => {
    await using _echo = await startEcho(stage);
    await using _reference = known ? await startReference(stage, environment) : undefined;
    if (known) await runClient(stage, "artifact", { LARGE: "1", SMALL: "0" });
    const env = { CALLS: String(count), REFERENCE: known ? "100" : "0" };
    return await runClient(stage, "calls", env);
  });
}

async function measureSessions(count: number): Promise<Numbers> {
  return await fresh(async (stage) => {
    await using _echo = await startEcho(stage);
    return await runClient(stage, "sessions", {
      CALLS: String(count),
      SESSIONS: JSON.stringify(SESSIONS),
      WORKER_PID: String(stage.worker.pid),
    });
  });
}

async function measureSoak(minutes: number): Promise<Soak> {
  const options = {
    rounds: Math.max(4, Math.round(minutes / ROUND_MINUTES)),
    seconds: ROUND_SECONDS,
    onRest: (rest: Rest, done: Record<string, number>) => {
      if (Deno.args.includes("--verbose")) console.error(JSON.stringify({ ...rest, done }));
    },
  };
  return await fresh((stage) => soak(stage, options), { DENO_V8_FLAGS: HEAP });
}

function soakText({ rests, done }: Soak, developments: readonly Development[]): string {
  const format = (value: number) => value.toFixed(Number.isInteger(value) ? 0 : 2);
  const rows = developments.map((one) =>
    [one.name, ...[one.first, one.last, one.most, one.slope].map(format)].concat(
      one.grows === undefined ? "too short to tell" : one.grows ? "missed: it grows" : "met",
    )
  );
  const head = ["at rest", "first", "last", "most", "per minute", "no growth"];
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const lines = [head, widths.map((width) => "-".repeat(width)), ...rows].map(line);
  const deeds = Object.entries(done).map(([name, count]) => `${name}: ${count}`).join(", ");
  return `Soak of ${rests.at(-1)!.minutes.toFixed(1)} minutes. ${deeds}.\n\n${lines.join("\n")}`;
}

/** What kind of machine this is, in a few words. */
async function machine(): Promise<string> {
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const model = /model name\s*: (.*)/.exec(info)?.[1] ?? Deno.build.arch;
  return `${navigator.hardwareConcurrency} cores, ${model}`;
}

const load = () => Deno.loadavg()[0]!.toFixed(1);

if (import.meta.main) {
  const parts = option("only")?.split(",") ?? PARTS;
  const unknown = parts.find((part) => !PARTS.includes(part));
  if (unknown !== undefined) throw new Error(`There is no ${unknown}, only ${PARTS.join(", ")}`);
  const count = Number(option("calls") ?? 1000);
  const before = load();
  const calls = parts.includes("calls") ? await measureCalls(count) : {};
  const staging = parts.includes("staging") ? await fresh(measureStaging) : { ours: {}, plain: {} };
  const sessions = parts.includes("sessions") ? await measureSessions(Math.ceil(count / 2)) : {};
  const { ours, echo, reference } = columns(calls, sessions);
  Object.assign(ours, staging.ours);
  const opponents = {
    "the echo": echo,
    "plain fetch": staging.plain,
    "hypha's conda worker": reference,
  };
  // Only the rows of the parts that were measured.
  const measured = Object.entries(SERVICE_MEASURES).filter(([name]) => ours[name] !== undefined);
  const date = new Date().toISOString();
  const where = `${await machine()}, load ${before} before and ${load()} after`;
  if (parts.some((part) => part !== "soak")) {
    console.log(`${where}; p50 / p95 / p99\n`);
    console.log(`${table(ours, opponents, Object.fromEntries(measured))}\n\n${SERVICE_NOTES}`);
  }
  let growth: Development[] = [];
  let long: Soak | undefined;
  if (parts.includes("soak")) {
    long = await measureSoak(Number(option("minutes") ?? 2));
    growth = develop(long.rests);
    console.log(`\n${soakText(long, growth)}`);
  }
  const results = join(dirname(fromFileUrl(import.meta.url)), "results");
  await ensureDir(results);
  const report = { date, machine: where, ours, opponents, soak: long, growth };
  // Parts alone do not replace the whole.
  const name = parts.length === PARTS.length ? "service.json" : `service_${parts.join("_")}.json`;
  await Deno.writeTextFile(join(results, name), JSON.stringify(report));
  if (growth.some((one) => one.grows)) Deno.exit(1);
}
