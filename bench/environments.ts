/**
 * Environments: how fast one is found, what building one costs beside the bare command of the package manager, and
 * whether many who want one at once build it once. Prints a table with the targets and writes all numbers to
 * `bench/results/environments.json`. See README.md.
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { ensureDir } from "@std/fs";
import { EnvironmentStore } from "../lib/environments/store.ts";
import { silentLogger } from "../lib/log.ts";
import {
  type CreateRequest,
  type Manager,
  type ManagerKind,
  spawnCommand,
} from "../lib/managers/manager.ts";
import { Cache, spec } from "../tests/environments/support.ts";
import { CHANNEL, Double, KINDS } from "../tests/managers/double.ts";
import { until } from "../tests/wait.ts";

/** A row of the table. */
interface Row {
  readonly what: string;
  readonly measured: string;
  readonly target: string;
  /** `undefined` where there is no target. */
  readonly met: boolean | undefined;
}

/** What is installed to compare with the bare command. */
const PACKAGES = ["numpy", "pandas"];
/** Pairs of builds, one of the bare command and one of the store, in turns. */
const PAIRS = Number(Deno.env.get("PAIRS") ?? 5);
const HITS = 2000;

/** All values, by name. */
const values: Record<string, number[]> = {};

/** The value below which a share of all values lies. */
function quantile(all: readonly number[], share: number): number {
  const sorted = all.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return performance.now() - started;
}

/** Finding an environment that is there, with nobody and with somebody else using it. */
async function hits(): Promise<Row[]> {
  await using cache = await Cache.make("mamba");
  await cache.build("numpy");
  let spawned = 0;
  const manager = await cache.double.detect({
    spawn: (command, options) => {
      spawned++;
      return spawnCommand(command, options);
    },
  });
  const rows: Row[] = [];
  const store = new EnvironmentStore({ directory: cache.double.cache, manager, log: silentLogger });
  const wanted = spec("numpy");
  await (await store.acquire(wanted)).release();
  const [calls, before] = [await cache.double.calls(), spawned];
  const measure = async (what: string, name: string) => {
    const all: number[] = values[name] = [];
    for (let i = 0; i < HITS; i++) {
      let lease;
      all.push(await timed(async () => lease = await store.acquire(wanted)));
      await lease!.release();
    }
    const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => quantile(all, share).toFixed(2));
    rows.push({
      what: `${what}, p50 / p95 / p99`,
      measured: `${p50} / ${p95} / ${p99} ms`,
      target: "p95 <= 2 ms",
      met: quantile(all, 0.95) <= 2,
    });
  };
  await measure("cache hit, the only user", "hit_ms");
  {
    await using _other = await store.acquire(wanted);
    await measure("cache hit, one user of many", "hit_shared_ms");
  }
  const started = (await cache.double.calls()) - calls + (spawned - before);
  rows.push({
    what: `processes started by ${2 * HITS} hits`,
    measured: `${started}`,
    target: "0",
    met: started === 0,
  });
  await store.close();
  return rows;
}

/** A build with the store, which is removed again: all of it, and without the package manager. */
async function storeCreate(
  cache: Cache,
  manager: Manager,
  packages: readonly string[],
): Promise<{ time: number; own: number }> {
  let managing = 0;
  const create = manager.create.bind(manager);
  const measured: Manager = Object.create(manager, {
    create: {
      value: async (request: CreateRequest) => {
        const started = performance.now();
        const maker = await create(request);
        managing += performance.now() - started;
        return maker;
      },
    },
    // Private parts are those of the object itself.
    execute: { value: manager.execute.bind(manager) },
    installPip: { value: manager.installPip.bind(manager) },
    run: { value: manager.run.bind(manager) },
  });
  // One of its own: closing it ends the compiling of modules, which must not disturb what is measured next.
  const store = new EnvironmentStore({
    directory: cache.double.cache,
    manager: measured,
    limits: {},
    log: silentLogger,
  });
  let key = "";
  const time = await timed(async () => {
    const lease = await store.acquire(spec("python", ...packages));
    key = lease.key;
    await lease.release();
  });
  await store.close();
  await cache.store.admin.remove(key);
  await cache.store.admin.close();
  return { time, own: time - managing };
}

/** What is compared: with packages that are fetched already or not, and who bears what beside the packages. */
interface Comparison {
  readonly kind: ManagerKind;
  readonly packages: readonly string[];
  readonly fetched: boolean;
  readonly what: string;
  readonly target?: string;
}

/** Builds with the store beside the bare command, in turns. */
async function misses(comparison: Comparison): Promise<Row> {
  const { kind, packages, fetched, what } = comparison;
  await using cache = await Cache.make(kind, {}, { limits: {} });
  // As a worker has it, for as long as it lives.
  await using manager = await cache.double.detect({ launcher: true });
  const name = `${kind}_${packages.join("_")}_${fetched ? "fetched" : "new"}`;
  const bare: number[] = values[`${name}_bare_ms`] = [];
  const ours: number[] = values[`${name}_store_ms`] = [];
  const own: number[] = values[`${name}_own_ms`] = [];
  const barePackages = join(cache.double.directory, "bare-pkgs");
  const turns = [
    async () => void bare.push(await bareCreate(cache.double, kind, packages, barePackages)),
    async () => {
      const built = await storeCreate(cache, manager, packages);
      ours.push(built.time);
      own.push(built.own);
    },
  ] as const;
  if (fetched) {
    for (const turn of turns) await turn();
    for (const all of [bare, ours, own]) all.pop();
  }
  for (let pair = 0; pair < PAIRS; pair++) {
    // Neither is always the first.
    for (const index of pair % 2 === 0 ? [0, 1] : [1, 0]) {
      if (!fetched) {
        for (const directory of [barePackages, cache.store.layout.packages]) {
          await Deno.remove(directory, { recursive: true }).catch(() => {});
        }
      }
      await turns[index]!();
    }
  }
  const [theirs, mine] = [quantile(bare, 0.5), quantile(ours, 0.5)];
  return {
    what: `${kind}: ${what}`,
    measured: `${mine.toFixed(0)} / ${theirs.toFixed(0)} ms = ${(mine / theirs).toFixed(3)}x, ` +
      `our own part ${quantile(own, 0.5).toFixed(0)} ms`,
    target: comparison.target ?? "<= 1.05x",
    met: comparison.target === undefined ? mine / theirs <= 1.05 : undefined,
  };
}

/** The command a person would type, with the program the store uses. */
async function bareCreate(
  double: Double,
  kind: ManagerKind,
  packages: readonly string[],
  packageCache: string,
): Promise<number> {
  const prefix = join(double.directory, "bare");
  const specs = ["python=3.11", "python", ...packages];
  const time = await timed(async () => {
    const { success, stdout, stderr } = await new Deno.Command(join(double.bin, kind), {
      args: ["create", "-y", "-p", prefix, "--override-channels", "-c", CHANNEL, ...specs],
      env: { ...double.env, CONDA_PKGS_DIRS: packageCache },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    if (success) return;
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    throw new Error(`Cannot run ${kind}: ${text}`);
  });
  await Deno.remove(prefix, { recursive: true });
  return time;
}

/** Twenty who want the same, in one process and in four. */
async function equalStarts(): Promise<Row[]> {
  const rows: Row[] = [];
  const note = (where: string, builds: number, ready: number, ms: number) => {
    values[`twenty_${where.replaceAll(" ", "_")}_ms`] = [ms];
    rows.push({
      what: `20 equal starts at once in ${where}`,
      measured: `${builds} build, ${ready} ready after ${ms.toFixed(0)} ms`,
      target: "1 build, 20 ready",
      met: builds === 1 && ready === 20,
    });
  };
  {
    await using cache = await Cache.make("mamba");
    let ready = 0;
    const ms = await timed(() =>
      Promise.all(Array.from({ length: 20 }, async () => {
        const lease = await cache.store.acquire(spec("numpy"));
        ready++;
        await lease.release();
      }))
    );
    note("one process", await cache.double.calls("create"), ready, ms);
  }
  await using cache = await Cache.make("mamba");
  const manifest = { dependencies: ["python=3.11", "numpy"] };
  const started = performance.now();
  const workers = Array.from({ length: 4 }, () => cache.worker(...Array(5).fill(manifest)));
  const answers = (kind: string) =>
    workers.flatMap((worker) => worker.lines).filter((line) => line.startsWith(`{"${kind}"`));
  const all = () => answers("lease").length + answers("error").length === 20;
  await until(all, "twenty answers", 120_000);
  const ms = performance.now() - started;
  for (const worker of workers) await worker.end();
  const keys = new Set(answers("lease").map((line) => JSON.parse(line).lease));
  if (keys.size !== 1) throw new Error(`There are ${keys.size} environments`);
  note("four processes", await cache.double.calls("create"), answers("lease").length, ms);
  return rows;
}

/** Eight who want different things. */
async function differentStarts(): Promise<Row> {
  await using cache = await Cache.make("conda");
  const specs = [
    spec(),
    spec("toy-a"),
    spec("toy-a=1"),
    spec("toy-b"),
    spec("toy-data"),
    spec("toy-script"),
    spec("toy-activate"),
    spec("numpy"),
  ];
  const started = performance.now();
  const ended = await Promise.allSettled(specs.map((one) => cache.store.acquire(one)));
  const ms = values.eight_ms = [performance.now() - started];
  const leases = ended.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  for (const lease of leases) await lease.release();
  return {
    what: "8 different environments at once, conda",
    measured: `${leases.length} ready after ${ms[0]!.toFixed(0)} ms`,
    target: "8 ready",
    met: new Set(leases.map((lease) => lease.key)).size === 8,
  };
}

function table(rows: readonly Row[]): string {
  const cells = [
    ["", "measured", "target", ""],
    ...rows.map(({ what, measured, target, met }) => [
      what,
      measured,
      target,
      met === undefined ? "" : met ? "met" : "MISSED",
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells.map((row) => row.map((cell, at) => cell.padEnd(widths[at]!)).join("  ").trimEnd())
    .join("\n");
}

if (import.meta.main) {
  const rows: Row[] = [];
  // `--kinds=conda`: only these package managers.
  const chosen = Deno.args.find((arg) => arg.startsWith("--kinds="))?.slice(8).split(",") ?? KINDS;
  rows.push(...await hits());
  for (const kind of KINDS.filter((one) => chosen.includes(one))) {
    const fetch = "build, packages to be fetched, beside the bare command";
    const link = "build, packages fetched already, beside the bare command";
    rows.push(await misses({ kind, packages: PACKAGES, fetched: false, what: fetch }));
    rows.push(await misses({ kind, packages: PACKAGES, fetched: true, what: link }));
  }
  rows.push(
    await misses({
      kind: "mamba",
      packages: [...PACKAGES, "matplotlib"],
      fetched: true,
      what: "the same with matplotlib, whose list of fonts is made, too",
      target: "",
    }),
  );
  rows.push(...await equalStarts());
  rows.push(await differentStarts());
  console.log(table(rows));
  const results = join(dirname(fromFileUrl(import.meta.url)), "results");
  await ensureDir(results);
  const cpus = navigator.hardwareConcurrency;
  const report = { date: new Date().toISOString(), cpus, load: Deno.loadavg(), rows, values };
  await Deno.writeTextFile(join(results, "environments.json"), JSON.stringify(report));
}
