/**
 * The interpreter beside `jupyter_client` with `ipykernel`, and beside the kernel of Hypha's own conda worker, on the
 * same machine and the same Python, one after the other in one run. Prints a table and writes all numbers to
 * `bench/results/interpreter.json`. See README.md.
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { ensureDir, exists } from "@std/fs";
import { managerPath, stackPaths } from "../tests/stack/stack.ts";
import { NOTES, type Numbers, table } from "./measures.ts";
import { measureOurs } from "./ours.ts";

const folder = dirname(fromFileUrl(import.meta.url));
const environment = join(stackPaths.tools, "bench-env");
const OPPONENTS = {
  "ipykernel, jupyter_client": "ipykernel_twin.py",
  "hypha's conda worker": "reference_twin.py",
};

/** The environment with the opponents, made when it is missing. */
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

async function measureOpponent(python: string, program: string): Promise<Numbers> {
  const file = await Deno.makeTempFile();
  const { success, stderr } = await new Deno.Command(python, {
    args: [join(folder, program), file, environment, join(stackPaths.tools, "hypha")],
    env: { PYTHONWARNINGS: "ignore", PYDEVD_DISABLE_FILE_VALIDATION: "1" },
  }).output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
  const text = await Deno.readTextFile(file);
  await Deno.remove(file);
  return JSON.parse(text) as Numbers;
}

/** `1+1` with this worker and its Python on one processor, so that neither has to be woken on another. */
async function measureOnOneProcessor(python: string): Promise<Numbers> {
  const program = join(folder, "one_processor.ts");
  const { success, stdout, stderr } = await new Deno.Command("taskset", {
    args: ["--cpu-list", "0", Deno.execPath(), "run", "--allow-all", program, python],
  }).output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout)) as Numbers;
}

/** What kind of machine this is, in a few words. */
async function machine(): Promise<string> {
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const model = /model name\s*: (.*)/.exec(info)?.[1] ?? Deno.build.arch;
  return `${navigator.hardwareConcurrency} cores, ${model}`;
}

if (import.meta.main) {
  const python = await opponentPython();
  const load = Deno.loadavg()[0]!.toFixed(1);
  const ours = { ...await measureOurs(python), ...await measureOnOneProcessor(python) };
  const opponents: Record<string, Numbers> = {};
  if (!Deno.args.includes("--alone")) {
    for (const [name, program] of Object.entries(OPPONENTS)) {
      opponents[name] = await measureOpponent(python, program);
    }
  }
  const date = new Date().toISOString();
  const where = `${await machine()}, load ${load} before`;
  const text = `${table(ours, opponents)}\n\n${NOTES}`;
  if (Deno.args.includes("--markdown")) {
    console.log(`Measured on ${date.slice(0, 10)} (${where}). p50 / p95 / p99.\n\n${text}`);
  } else console.log(`${where}; p50 / p95 / p99\n\n${text}`);
  const results = join(folder, "results");
  await ensureDir(results);
  const report = { date, machine: where, ours, opponents };
  await Deno.writeTextFile(join(results, "interpreter.json"), JSON.stringify(report));
}
