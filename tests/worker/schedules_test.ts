/** Many things at once, in random order: whatever happens, calls are answered and nothing is left. */
import { assert, assertEquals } from "@std/assert";
import { delay, settledWithin } from "../../lib/delay.ts";
import { type ErrorCode, hasCode } from "../../lib/errors.ts";
import { until } from "../wait.ts";
import { Bench, markedProcesses, parentOf, randomNumbers } from "./support.ts";

/** What a call may be refused with when others stop, restart and kill its session. */
const EXPECTED: ErrorCode[] = [
  "session_exists",
  "session_not_found",
  "session_not_ready",
  "session_dead",
  "too_many_sessions",
  "start_cancelled",
  "worker_stopping",
  "execution_cancelled",
  "init_script_failed",
  "interpreter_failed",
];

const CELLS = [
  "x = 1",
  "open('probe', 'w').close()",
  "import time; time.sleep(0.03)",
  "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True)",
  "while True: pass",
  "import os; os._exit(3)",
  "import ctypes; ctypes.string_at(0)",
];
const SCRIPTS = ["y = 1", "import time; time.sleep(0.05)", "while True: pass", "1 / 0"];

const IDS = ["one", "two", "three", "four", "five"];
const STEPS = 60;

async function schedule(seed: number): Promise<void> {
  const random = randomNumbers(seed);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!;
  const history: string[] = [];
  const failures: string[] = [];
  const bench = await Bench.start({
    acquireTime: () => random() * 20,
    linger: random() < 0.5 ? 0 : 50,
    worker: { maxSessions: 4 },
  });
  const { worker } = bench;
  const find = (id: string) => worker.sessions.find((session) => session.id === id);

  const actions: [number, string, (id: string) => Promise<unknown>][] = [
    [6, "start", async (id) => {
      const script = random() < 0.3 ? pick(SCRIPTS) : undefined;
      const more = { timeout: 100 };
      const request = script === undefined
        ? bench.request(id, more, pick(["a", "b"]))
        : bench.scripted(id, script, more);
      const stop = new AbortController();
      const aborted = random() < 0.2 ? delay(random() * 40) : undefined;
      aborted?.then(() => stop.abort());
      try {
        await worker.start(request, { onProgress: () => {}, signal: stop.signal });
      } catch (error) {
        if (!stop.signal.aborted || error !== stop.signal.reason) throw error;
      } finally {
        await aborted;
      }
    }],
    [3, "stop", (id) => worker.stop(id)],
    [8, "execute", async (id) => {
      const session = worker.anySession(id);
      const code = pick(CELLS);
      const timeout = code.startsWith("while") ? 30 : undefined;
      const result = await session.execute({ code, timeout, executionId: undefined });
      // The directory of a session is never taken away from it.
      const ename = result.error?.ename;
      assert(ename !== "FileNotFoundError", JSON.stringify(result));
    }],
    [3, "restart", async (id) => await worker.anySession(id).restart()],
    [2, "interrupt", async (id) => await worker.anySession(id).interrupt()],
    [1, "describe", async (id) => {
      const session = worker.anySession(id);
      await Promise.all([session.usage(), session.resources(), session.ask("variables", {})]);
    }],
    [1, "kill session", (id) => {
      const pid = find(id)?.pid;
      if (pid !== undefined) kill(pid);
      return Promise.resolve();
    }],
    [0.5, "kill fork server", async (id) => {
      const session = find(id);
      const server = session?.pid === undefined ? undefined : await parentOf(session.pid);
      // Not the worker: a session that has just died is nobody's child.
      if (server !== undefined && (await markedProcesses()).includes(server)) kill(server);
    }],
  ];
  const total = actions.reduce((sum, [weight]) => sum + weight, 0);
  const choose = () => {
    let rest = random() * total;
    return actions.find(([weight]) => (rest -= weight) < 0) ?? actions[0]!;
  };

  const calls: Promise<void>[] = [];
  for (let step = 0; step < STEPS; step++) {
    const [, name, action] = choose();
    const id = pick(IDS);
    const label = `${step} ${name} ${id}`;
    history.push(label);
    const call = (async () => {
      try {
        await action(id);
      } catch (error) {
        if (!hasCode(error, ...EXPECTED)) failures.push(`${label}: ${(error as Error).stack}`);
      }
    })();
    calls.push(call.finally(() => history.push(`  ${label} ended`)));
    if (random() < 0.6) await delay(random() * 15);
  }
  // Half of the schedules are cut off in the middle of everything.
  if (random() < 0.5) await Promise.all(calls);
  const ended = settledWithin(
    Promise.all([...calls, worker[Symbol.asyncDispose]()]).then(() => true),
    300_000,
  );
  const story = () => `seed ${seed}\n${history.join("\n")}`;
  assert(await ended, `calls without an answer: ${story()}`);
  assertEquals(failures, [], story());
  assertEquals(worker.sessions.length, 0, story());
  assertEquals(bench.held, 0, story());
  assertEquals(await bench.directories(), [], story());
  for (const id of IDS) {
    try {
      const { state } = worker.anySession(id);
      assert(state === "stopped" || state === "failed", `${id} is ${state}: ${story()}`);
    } catch (error) {
      if (!hasCode(error, "session_not_found")) throw error;
    }
  }
  await until(async () => (await markedProcesses()).length === 0);
  await bench[Symbol.asyncDispose]();
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

const given = Deno.env.get("HYPHA_TEST_SEED");
const seeds = given === undefined
  ? [1, 2, 3, 4, 5, Math.floor(Math.random() * 2 ** 31)]
  : given.split(",").map(Number);

for (const seed of seeds) {
  Deno.test(`random schedule of starts, stops, restarts, cells and deaths, seed ${seed}`, async () => {
    await schedule(seed);
  });
}
