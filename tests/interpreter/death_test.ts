import { assertEquals, assertStringIncludes } from "@std/assert";
import { alive, suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

/** Starts what user code may leave behind, and prints the process ids. */
const LEAVE_BEHIND = `
import os, signal, subprocess, sys, time
def say(pid): print(pid, flush=True)
# An ordinary child, one in a session of its own, one that ignores every polite signal.
say(subprocess.Popen(['sleep', '1000']).pid)
say(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)
stubborn = "import os, signal, time\\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\\ntime.sleep(1000)"
say(subprocess.Popen([sys.executable, '-c', stubborn]).pid)
# A daemon: forked twice, in a session of its own.
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(write, b'%d' % os.getpid())
        time.sleep(1000)
    os._exit(0)
os.waitpid(child, 0)
say(int(os.read(read, 20)))
# A shell with children of its own in the background.
shell = subprocess.Popen(['setsid', 'sh', '-c', 'sleep 1000 & echo $!; wait'], stdout=subprocess.PIPE)
say(int(shell.stdout.readline()))
say(shell.pid)
`;

await suite("death", {
  "a segmentation fault is reported with its signal and Python's stack": async (session) => {
    await session.execute("import sys\nprint('old', file=sys.stderr)");
    const result = await session.execute("print('before')\nimport ctypes\nctypes.string_at(0)");
    assertEquals([result.status, result.state_lost, result.error?.ename], [
      "error",
      true,
      "DeadKernelError",
    ]);
    assertStringIncludes(result.error!.evalue, "SIGSEGV");
    assertEquals(textOf(result, "stdout"), "before\n");
    const text = result.error!.traceback.join("\n");
    assertStringIncludes(text, '"<cell 2>", line 3');
    assertEquals(text.includes("old"), false);
    assertEquals(await session.exited, { code: null, signal: "SIGSEGV" });
  },
  "an exit of the process is reported with its code": async (session) => {
    const result = await session.execute(
      "import os\nprint('last words', end='', flush=True)\nos._exit(5)",
    );
    assertEquals([result.status, result.state_lost], ["error", true]);
    assertStringIncludes(result.error!.evalue, "exit code 5");
    assertEquals(textOf(result, "stdout"), "last words");
    assertEquals(await session.exited, { code: 5, signal: null });
    assertEquals((await session.execute("1")).state_lost, true);
  },
  "a process killed from outside is reported, running or not": async (session, kernel) => {
    const result = await session.execute("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)");
    assertEquals([result.status, result.state_lost], ["error", true]);
    assertStringIncludes(result.error!.evalue, "SIGKILL (out of memory, or killed from outside)");
    const idle = await kernel.session();
    await idle.execute("import os, subprocess");
    await idle.execute(
      "subprocess.Popen(['sh', '-c', 'kill -9 %d' % os.getpid()], start_new_session=True);",
    );
    assertEquals(await idle.exited, { code: null, signal: "SIGKILL" });
  },
  "killing a session leaves no process of it": async (session) => {
    const pids = textOf(await session.execute(LEAVE_BEHIND), "stdout").trim().split("\n").map(
      Number,
    );
    assertEquals(pids.length, 6);
    for (const pid of pids) assertEquals(await alive(pid), true);
    await session.kill();
    await until(async () => !(await Promise.all(pids.map(alive))).includes(true));
    assertEquals(await alive(session.pid), false);
  },
  "a session that dies by itself leaves no process": async (session) => {
    const result = await session.execute(`${LEAVE_BEHIND}\nos._exit(1)`);
    const pids = textOf(result, "stdout").trim().split("\n").map(Number);
    assertEquals(pids.length, 6);
    await until(async () => !(await Promise.all(pids.map(alive))).includes(true));
  },
  "a session that forks without end is ended whole": async (session) => {
    const code =
      "import os, time\nif os.fork() == 0:\n    os.setsid()\n    end = time.time() + 60\n" +
      "    while time.time() < end:\n        if os.fork() != 0: os._exit(0)\n        os.setsid()\n" +
      "        time.sleep(0.001)\nopen('started', 'w').close()\nos.getcwd()";
    const cwd = (await valueOf(session, code))!.slice(1, -1);
    await session.kill();
    // The chain of processes never has two members at a time for long; none may have this directory.
    await until(async () => {
      for await (const entry of Deno.readDir("/proc")) {
        if (!/^\d+$/.test(entry.name)) continue;
        if (await Deno.readLink(`/proc/${entry.name}/cwd`).catch(() => "") === cwd) return false;
      }
      return true;
    });
  },
  "memory beyond the limit is an error of the cell, and the session lives": async (_, kernel) => {
    const session = await kernel.session({ limits: { memory: 2 ** 30 } });
    const result = await session.execute("x = 1\ny = bytearray(2 ** 31)");
    assertEquals([result.error?.ename, result.state_lost], ["MemoryError", undefined]);
    assertEquals((await session.execute("x")).status, "ok");
  },
  "processor time beyond the limit ends the process, and that is told": async (_, kernel) => {
    const session = await kernel.session({ limits: { cpu_time: 1 } });
    const result = await session.execute("while True: pass");
    assertEquals([result.status, result.state_lost], ["error", true]);
    assertStringIncludes(result.error!.evalue, "SIGXCPU (its limit of processor time is used up)");
  },
  "the last words of a process are kept": async (session) => {
    await session.execute("import os, sys\nprint('early', file=sys.stderr)");
    await session.execute("os.write(2, b'cannot go on\\n')\nos._exit(3)");
    assertEquals(session.lastError, "cannot go on\n");
  },
  "what a killed process leaves unfinished holds nobody up": async (session) => {
    // A child that keeps writing while the session dies in the middle of its output.
    const code =
      "import os, subprocess\nsubprocess.Popen(['yes'])\nfor i in range(1000): display(i)\n" +
      "os.kill(os.getpid(), 9)";
    const result = await session.execute(code, { outputLimit: 100_000 });
    assertEquals(result.state_lost, true);
    await session.exited;
  },
});
