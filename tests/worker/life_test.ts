import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { hasCode, WorkerError } from "../../lib/errors.ts";
import type { Session } from "../../lib/worker/session.ts";
import { NO_LIMITS } from "../../lib/worker/session_limits.ts";
import { alive, edgePythons, textOf } from "../interpreter/harness.ts";
import { until } from "../wait.ts";
import { Bench, parentOf } from "./support.ts";

const HOOKS = { onProgress: () => {} };

/** What a cell prints. */
async function printed(session: Session, code: string): Promise<string> {
  const result = await session.execute({ code });
  assertEquals(result.error, undefined);
  return textOf(result, "stdout");
}

/** Whether the fork server of a session is the one that its environment's sessions have from now on. */
async function isChildOfLiving(bench: Bench, session: Session): Promise<boolean> {
  const parent = session.pid === undefined ? undefined : await parentOf(session.pid);
  // What is about to be ended with a fork server that died is a child of its keeper, or of the system, by now.
  const next = await bench.worker.start(bench.request("probe"), HOOKS);
  const living = await parentOf(next.pid!);
  await bench.worker.stop("probe");
  return parent !== undefined && parent === living;
}

async function refusal(promise: Promise<unknown>): Promise<WorkerError> {
  return await assertRejects(() => promise, WorkerError);
}

const errorsOf = (session: Session) => session.log.page("error", 0, undefined).items;

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];

  Deno.test(`sessions of a fork server that was killed can be restarted, Python ${version}`, async () => {
    let started = 0;
    await using bench = await Bench.start({
      python,
      linger: 0,
      manager: (manager) => ({
        ...manager,
        run: (prefix, argv, options) => {
          if (!argv.includes("--sweep")) started++;
          return manager.run(prefix, argv, options);
        },
      }),
    });
    const { worker } = bench;
    const sessions = await Promise.all(
      ["a", "b", "c"].map((id) => worker.start(bench.request(id), HOOKS)),
    );
    const [one, two] = sessions as [Session, Session, Session];
    await printed(one, "x = 1; open('kept', 'w').close()");
    const running = two.execute({ code: "import time; time.sleep(1000)" });
    Deno.kill((await parentOf(one.pid!))!, "SIGKILL");
    const result = await running;
    assertEquals(result.state_lost, true);
    await until(() => sessions.every((session) => session.state === "dead"));
    const cause = "the fork server of its environment ended with signal SIGKILL";
    for (const session of sessions) {
      assertEquals([session.death?.signal, session.pid], ["SIGKILL", undefined]);
      assertStringIncludes(session.death!.reason, cause);
      assertStringIncludes((await refusal(session.execute({ code: "1" }))).message, cause);
      assertStringIncludes(errorsOf(session).at(-1)!.content, cause);
    }
    // The environment must not be evicted under sessions that want it again.
    assertEquals(bench.held, 3);
    await Promise.all(sessions.map((session) => session.restart()));
    assertEquals([bench.held, started], [3, 2]);
    const look = "import os; print('x' in globals(), os.path.exists('kept'))";
    assertEquals(await printed(one, look), "False True\n");
    assertEquals([one.state, one.death], ["running", undefined]);
    assertEquals(await printed(two, "print(1)"), "1\n");
    await Promise.all(["a", "b", "c"].map((id) => worker.stop(id)));
    assertEquals(bench.held, 0);
  });

  Deno.test(`how a session died is told, whoever asks, Python ${version}`, async () => {
    await using bench = await Bench.start({ python });
    const session = await bench.worker.start(bench.request("s"), HOOKS);
    const deaths: [string, number | null, string | null, string][] = [
      ["os.write(2, b'last words\\n'); os._exit(5)", 5, null, "exit code 5"],
      ["import ctypes; ctypes.string_at(0)", null, "SIGSEGV", "signal SIGSEGV"],
      [
        "os.kill(os.getpid(), 9)",
        null,
        "SIGKILL",
        "SIGKILL (out of memory, or killed from outside)",
      ],
    ];
    for (const [code, exit, signal, words] of deaths) {
      await printed(session, "import os");
      const queued = session.execute({ code });
      const behind = session.execute({ code: "1" });
      behind.catch(() => {});
      const result = await queued;
      assertEquals([result.error?.ename, result.state_lost], ["DeadKernelError", true]);
      assertStringIncludes(result.error!.evalue, words);
      const errors = [await refusal(behind), await refusal(session.execute({ code: "1" }))];
      for (const error of errors) {
        assert(hasCode(error, "session_dead"));
        assertStringIncludes(error.message, words);
        assertEquals([error.context.code, error.context.signal], [exit, signal]);
      }
      const { death } = session;
      assertEquals([session.state, death?.code, death?.signal], ["dead", exit, signal]);
      if (exit === 5) {
        assertEquals(death?.stderr, "last words");
        assertStringIncludes(errors[1]!.message, "last words");
      }
      if (signal === "SIGSEGV") assertStringIncludes(death!.stderr, "Segmentation fault");
      assert(errorsOf(session).some((entry) => entry.content.includes(words)));
      await session.restart();
      assertEquals([session.state, session.death], ["running", undefined]);
    }
  });
}

Deno.test("a session that dies while nobody uses it is dead at once", async () => {
  await using bench = await Bench.start();
  const session = await bench.worker.start(bench.request("s"), HOOKS);
  const code = `import os, threading, time
def die():
    while not os.path.exists("go"): time.sleep(0.01)
    os.write(2, b"bye\\n")
    os._exit(7)
threading.Thread(target=die).start()`;
  await printed(session, code);
  await Deno.writeTextFile(`${session.workingDirectory}/go`, "");
  await until(() => session.state === "dead");
  assertEquals([session.death?.code, session.death?.stderr], [7, "bye"]);
});

Deno.test("fake manager: a fork server that cannot be started again leaves a dead session, which can be revived", async () => {
  let broken = false;
  await using bench = await Bench.start({
    manager: (manager) => ({
      ...manager,
      run: (prefix, argv, options) => {
        if (broken && !argv.includes("--sweep")) throw new Error("no such file as mamba");
        return manager.run(prefix, argv, options);
      },
    }),
  });
  const session = await bench.worker.start(bench.request("s"), HOOKS);
  Deno.kill((await parentOf(session.pid!))!, "SIGKILL");
  await until(() => session.state === "dead");
  broken = true;
  await assertRejects(() => session.restart(), Error, "no such file as mamba");
  assertEquals(session.state, "dead");
  assertStringIncludes(session.death!.reason, "Python cannot be started again");
  assertEquals(bench.held, 1);
  broken = false;
  await session.restart();
  assertEquals(await printed(session, "print(1)"), "1\n");
  assertEquals(bench.held, 1);
});

Deno.test("a fork server that is killed while no session uses it gives its lease back", async () => {
  await using bench = await Bench.start();
  const session = await bench.worker.start(bench.request("s"), HOOKS);
  const server = (await parentOf(session.pid!))!;
  await bench.worker.stop("s");
  assertEquals([bench.held, await alive(server)], [1, true]);
  Deno.kill(server, "SIGKILL");
  await until(() => bench.held === 0);
  await bench.worker.start(bench.request("s"), HOOKS);
});

Deno.test("a start that meets a fork server which dies at that moment gets another", async () => {
  await using bench = await Bench.start();
  for (let i = 0; i < 8; i++) {
    const old = await bench.worker.start(bench.request(`old-${i}`), HOOKS);
    const server = (await parentOf(old.pid!))!;
    const starting = bench.worker.start(bench.request(`new-${i}`), HOOKS);
    // Another moment of the start each time.
    for (let turn = 0; turn < i; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    Deno.kill(server, "SIGKILL");
    const session = await starting;
    // It may have been a child of the one that died, and lives a moment longer.
    await until(async () => session.state === "dead" || await isChildOfLiving(bench, session));
    if (session.state === "dead") await session.restart();
    assertEquals(await printed(session, "print(1)"), "1\n");
    assert(await parentOf(session.pid!) !== server);
  }
});

Deno.test("a session that is stopped while it restarts is stopped, and no process is left", async () => {
  await using bench = await Bench.start();
  for (let i = 0; i < 20; i++) {
    const session = await bench.worker.start(bench.request("s"), HOOKS);
    const restarting = session.restart().then(() => "done", (error) => error.code);
    // Another moment of the restart each time.
    for (let turn = 0; turn < i; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    await bench.worker.stop("s");
    assert(["done", "session_not_ready"].includes(await restarting));
    assertEquals([session.state, session.pid], ["stopped", undefined]);
    assertEquals(await bench.directories(), []);
  }
});

Deno.test("a restart during the replacement of a cell that kept its interrupts waits for the same process", async () => {
  await using bench = await Bench.start();
  const session = await bench.worker.start(bench.request("s"), HOOKS);
  const before = session.pid!;
  const begun = Promise.withResolvers<void>();
  const running = session.execute({
    code: "def spin():\n    while True: pass\nwhile True:\n" +
      "    try:\n        print('begun')\n        spin()\n    except KeyboardInterrupt: pass",
    executionId: "stubborn",
    onOutput: () => begun.resolve(),
  });
  await begun.promise;
  assert(session.cancel("stubborn"));
  await until(async () => !await alive(before));
  // It runs in the first process that follows, which the restart may end, or is refused by the restart.
  const queued = session.execute({ code: "import os; print(os.getpid())" })
    .then((result) => textOf(result, "stdout"), (error) => error.code);
  await session.restart();
  const after = session.pid!;
  const result = await running;
  assertEquals([result.error?.ename, result.state_lost], ["KeyboardInterrupt", true]);
  const answer = await queued;
  assert(/^(\d+\n)?$/.test(answer) && answer !== `${before}\n` || answer === "execution_cancelled");
  assert(after !== before);
  assertEquals([session.pid, session.state], [after, "running"]);
});

Deno.test("starts at once never make more sessions than allowed", async () => {
  await using bench = await Bench.start({ worker: { maxSessions: 3 } });
  const starts = await Promise.allSettled(
    Array.from({ length: 12 }, (_, n) => bench.worker.start(bench.request(`s${n}`), HOOKS)),
  );
  const refused = starts.filter((one) => one.status === "rejected").map((one) => one.reason.code);
  assertEquals(refused, Array(9).fill("too_many_sessions"));
  assertEquals(bench.worker.sessions.length, 3);
});

Deno.test("starts that come with the end of the worker leave nothing", async () => {
  const bench = await Bench.start({ acquireTime: () => 5 });
  const starts = Array.from(
    { length: 6 },
    (_, n) => bench.worker.start(bench.request(`s${n}`), HOOKS),
  );
  const settled = Promise.allSettled(starts);
  await bench.worker[Symbol.asyncDispose]();
  for (const one of await settled) {
    assertEquals(one.status, "rejected");
    assert(hasCode((one as PromiseRejectedResult).reason, "worker_stopping", "start_cancelled"));
  }
  assertEquals([bench.worker.sessions.length, bench.held], [0, 0]);
  assertEquals(await bench.directories(), []);
  await bench[Symbol.asyncDispose]();
});

Deno.test("twenty sessions start while twenty others stop", async () => {
  await using bench = await Bench.start();
  const ids = (wave: number) => Array.from({ length: 20 }, (_, n) => `${wave}-${n}`);
  await Promise.all(ids(0).map((id) => bench.worker.start(bench.request(id), HOOKS)));
  for (let wave = 1; wave < 3; wave++) {
    await Promise.all([
      ...ids(wave - 1).map((id) => bench.worker.stop(id)),
      ...ids(wave).map((id) => bench.worker.start(bench.request(id), HOOKS)),
    ]);
    assertEquals(bench.worker.sessions.map((session) => session.id).sort(), ids(wave).sort());
    assertEquals((await bench.directories()).length, 20);
  }
  const texts = await Promise.all(
    bench.worker.sessions.map((session) => printed(session, `print('${session.id}')`)),
  );
  assertEquals(texts.sort(), ids(2).map((id) => `${id}\n`).sort());
});

Deno.test("a session can start with the id of one that has just been stopped in its start", async () => {
  await using bench = await Bench.start({ acquireTime: () => 3 });
  for (let i = 0; i < 15; i++) {
    const first = bench.worker.start(bench.request("s"), HOOKS)
      .then(() => "started", (error) => error.code);
    for (let turn = 0; turn < i; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    await until(() => bench.worker.sessions.length === 1);
    await bench.worker.stop("s");
    const second = await bench.worker.start(bench.request("s"), HOOKS);
    assert(["started", "start_cancelled"].includes(await first));
    assertEquals(
      await printed(second, "import os; open('f', 'w').close(); print(os.listdir())"),
      "['f']\n",
    );
    await bench.worker.stop("s");
  }
});

Deno.test("a session is not idle while its entry script runs on", async () => {
  await using bench = await Bench.start();
  const script = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)";
  const limits = { resources: {}, idleTimeout: 100 };
  const more = { timeout: 20, limits };
  const session = await bench.worker.start(bench.scripted("s", script, more), HOOKS);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assertEquals([session.state, session.pendingExecutions], ["running", 1]);
  await Deno.writeTextFile(`${session.workingDirectory}/go`, "");
  await until(() => session.state === "stopped");
  await until(() => bench.worker.sessions.length === 0);
});

Deno.test("an entry script that exits without a fault has not failed, and the session is there; one with a fault has", async () => {
  await using bench = await Bench.start();
  for (const [index, code] of ["sys.exit()", "sys.exit(0)", "raise SystemExit"].entries()) {
    const request = bench.scripted(`s${index}`, `import sys\nx = 5\n${code}\nx = 6`);
    const session = await bench.worker.start(request, HOOKS);
    assertEquals([session.state, await printed(session, "print(x)")], ["running", "5\n"]);
  }
  for (const code of ["sys.exit(3)", "sys.exit('no data')"]) {
    const request = bench.scripted("failing", `import sys\n${code}`);
    const error = await refusal(bench.worker.start(request, HOOKS));
    assertEquals(error.code, "init_script_failed");
    assertStringIncludes(error.message, "SystemExit");
  }
  assertEquals(bench.worker.sessions.length, 3);
});

Deno.test("fake timers: a life longer than a timer can count is not cut short", async () => {
  const timers: { action: () => void; milliseconds: number }[] = [];
  const original = globalThis.setTimeout;
  await using bench = await Bench.start();
  const day = 24 * 3600 * 1000;
  const limits = { ...NO_LIMITS, maxLifetime: 60 * day };
  try {
    globalThis.setTimeout = ((action: () => void, milliseconds: number) => {
      if (milliseconds <= day) return original(action, milliseconds);
      timers.push({ action, milliseconds });
      return 0;
    }) as typeof setTimeout;
    const session = await bench.worker.start(bench.request("s", { limits }), HOOKS);
    let passed = 0;
    while (session.state === "running") {
      const timer = timers.shift();
      assert(timer !== undefined && timer.milliseconds < 2 ** 31, "no timer is left");
      passed += timer.milliseconds;
      timer.action();
      await new Promise((resolve) => original(resolve, 1));
    }
    assertEquals(passed, 60 * day);
    await until(() => bench.worker.sessions.length === 0);
  } finally {
    globalThis.setTimeout = original;
  }
});

Deno.test("a start whose caller has gone already is not begun", async () => {
  await using bench = await Bench.start();
  const signal = AbortSignal.abort(new Error("gone"));
  await assertRejects(
    () => bench.worker.start(bench.request("s"), { ...HOOKS, signal }),
    Error,
    "gone",
  );
  assertEquals(bench.worker.sessions.length, 0);
});

Deno.test("a workspace gets no more than its share, starts at once included; others get theirs", async () => {
  await using bench = await Bench.start({ worker: { maxWorkspaceSessions: 2 } });
  const { worker } = bench;
  const start = (id: string, workspace: string) =>
    worker.start(bench.request(`${workspace}/${id}`, { workspace }), { onProgress: () => {} });
  const results = await Promise.allSettled(["1", "2", "3", "4"].map((id) => start(id, "greedy")));
  const refused = results.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
  assertEquals(refused.map((error) => error.code), ["too_many_sessions", "too_many_sessions"]);
  assertStringIncludes(refused[0].message, "workspace greedy has 2 sessions");
  await start("1", "modest");
  const [one] = worker.sessions.filter((session) => session.request.workspace === "greedy");
  await worker.stop(one!.id);
  await start("5", "greedy");
  assertEquals(worker.sessions.length, 3);
});

Deno.test("the logs of ended sessions have one budget, of which the newest keep theirs", async () => {
  await using bench = await Bench.start();
  const { worker } = bench;
  for (let n = 0; n < 10; n++) {
    const session = await worker.start(bench.request(`s${n}`), HOOKS);
    // 3.9 million characters each.
    for (let i = 0; i < 60; i++) session.log.add("info", "x".repeat(65_000));
    await worker.stop(session.id);
  }
  const kept = Array.from({ length: 10 }, (_, n) => worker.anySession(`s${n}`).log.characters);
  assert(kept.reduce((sum, one) => sum + one, 0) <= 32_000_000, String(kept));
  assert(kept[9]! > 3_800_000 && kept[0]! <= 100_000, String(kept));
});
