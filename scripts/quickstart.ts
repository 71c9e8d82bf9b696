/**
 * The quickstart: the example app on a real Hypha server, a worker under the permissions of `deno task start`, and
 * proof that nothing is left. `quickstart.sh` sets up and runs it.
 */
import { join, relative, resolve } from "@std/path";
import { startHypha } from "../tests/stack/hypha.ts";
import { stackPaths } from "../tests/stack/stack.ts";
import { startWorker, type WorkerProcess } from "../tests/e2e/worker_process.ts";
import { chooseManager, type ManagerChoice } from "./quickstart_manager.ts";
import { filesBelow, leftProcesses, markedProcesses } from "./leftovers.ts";

const STARTED = performance.now();
const PNG = [0x89, 0x50, 0x4e, 0x47];
/** The cell prints five lines, 0.2 s apart; output that came at its end would come all at once. */
const LEAST_TICK_SPAN = 500;
/** How long a worker is given to show that a signal of the terminal has reached it as well. */
const SIGNAL_MS = 500;

function say(text: string): void {
  console.log(`${((performance.now() - STARTED) / 1000).toFixed(1).padStart(5)} s  ${text}`);
}

/** A failure that needs no stack trace. */
class Failure extends Error {}

/** Runs the client, passes its lines on as they come, and checks that they came live. */
async function runClient(env: Record<string, string>, signal: AbortSignal): Promise<void> {
  const child = new Deno.Command(stackPaths.hyphaPython, {
    args: [join(stackPaths.root, "examples", "client.py")],
    env: { ...env, PYTHONUNBUFFERED: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal,
  }).spawn();
  const ticks: number[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (/\| tick \d/.test(line)) ticks.push(performance.now());
      console.log(`         ${line}`);
    }
  }
  const { code } = await child.status;
  signal.throwIfAborted();
  if (code !== 0) throw new Failure(`examples/client.py ended with exit code ${code}`);
  const span = ticks.length < 2 ? 0 : ticks.at(-1)! - ticks[0]!;
  if (ticks.length !== 5 || span < LEAST_TICK_SPAN) {
    throw new Failure(
      `output did not come while the cell ran: ${ticks.length} lines in ${span} ms`,
    );
  }
}

/** Ends the worker once: a terminal has told it already, and a second signal would cut its cleaning short. */
async function stopWorker(worker: WorkerProcess, signal: AbortSignal): Promise<void> {
  if (signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, SIGNAL_MS));
    if (worker.stderr.includes(" Stopping")) await worker.status;
  }
  const code = await worker.stop();
  if (code !== 0) throw new Failure(`the worker ended with exit code ${code}\n${worker.output()}`);
  // The file that says whose the directory is stays, as lock files must.
  const sessions = (await filesBelow(worker.workingDir)).filter((file) => file !== ".lock");
  if (sessions.length > 0) throw new Failure(`the worker left ${sessions.join(", ")}`);
  say("Worker stopped: no session directory is left");
}

async function checkPlot(path: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  if (PNG.some((byte, index) => bytes[index] !== byte)) throw new Failure(`${path} is no PNG file`);
  say(`Plot: ${relative(Deno.cwd(), path)} (${bytes.length} bytes)`);
}

/** Server, worker, client; `marks` tell their processes from all others. */
async function demonstrate(
  choice: ManagerChoice,
  output: string,
  marks: string[],
  signal: AbortSignal,
): Promise<void> {
  say("Starting a Hypha server");
  await using server = await startHypha();
  signal.throwIfAborted();
  say(`Hypha server ready: ${server.url}`);
  await using worker = await startWorker(server, {
    cacheDir: join(stackPaths.tools, "quickstart-cache"),
    ...(choice.directory === undefined ? {} : { managers: choice.directory }),
  });
  try {
    signal.throwIfAborted();
    say("Worker ready, with the permissions of `deno task start`; examples/client.py takes over:");
    const plot = join(output, "distribution.png");
    await Deno.remove(plot).catch(() => {});
    await runClient({
      HYPHA_SERVER_URL: server.url,
      HYPHA_WORKSPACE: server.workspaceOf("user-1"),
      HYPHA_TOKEN: await server.userToken({ user: "user-1" }),
      HYPHA_OUTPUT_DIR: output,
      ...(choice.channel === undefined ? {} : { HYPHA_APP_CHANNEL: choice.channel }),
      no_proxy: "*",
    }, signal);
    await checkPlot(plot);
    const running = await markedProcesses(marks);
    if (running.length === 0) throw new Failure("no process is seen, so none could be missed");
    say(`Stopping everything: ${running.length} processes run`);
  } catch (error) {
    if (!signal.aborted) console.error(worker.stderr);
    throw error;
  } finally {
    await stopWorker(worker, signal);
  }
}

/** Names what is left of a run, and fails when there is anything. */
async function checkNothingLeft(temporary: string, marks: string[]): Promise<void> {
  const processes = await leftProcesses(marks);
  const files = await filesBelow(temporary);
  for (const { pid, command } of processes) console.error(`left: process ${pid} ${command}`);
  for (const file of files) console.error(`left: ${join(temporary, file)}`);
  if (processes.length + files.length > 0) {
    throw new Failure(`${processes.length} processes and ${files.length} files are left`);
  }
  say("Nothing is left: no process, no session directory, no temporary file");
}

async function main(signal: AbortSignal): Promise<void> {
  const output = resolve(Deno.args[0] ?? join(stackPaths.tools, "quickstart"));
  await Deno.mkdir(output, { recursive: true });
  const choice = await chooseManager(Deno.env.toObject());
  say(choice.reason);
  // All parts put their temporary files here, which makes them easy to count; the name marks their processes.
  const temporary = await Deno.makeTempDir({ prefix: "hypha-quickstart-" });
  Deno.env.set("TMPDIR", temporary);
  const marks = [temporary];
  try {
    try {
      await demonstrate(choice, output, marks, signal);
    } finally {
      await checkNothingLeft(temporary, marks);
    }
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => {
      if (!stop.signal.aborted) say("Interrupted: cleaning up");
      stop.abort(new Failure("interrupted"));
    });
  }
  try {
    await main(stop.signal);
    say("Done");
    Deno.exit(0);
  } catch (error) {
    // Whatever fails after an interruption fails because of it, but for what is left.
    if (error instanceof Failure) console.error(`quickstart: ${error.message}`);
    else console.error(stop.signal.aborted ? "quickstart: interrupted" : error);
    Deno.exit(stop.signal.aborted ? 130 : 1);
  }
}
