import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { hasCode } from "../../lib/errors.ts";
import { ForkServer } from "../../lib/interpreter/fork_server.ts";
import { encodeFrame } from "../../lib/interpreter/frames.ts";
import { installRuntime } from "../../lib/interpreter/runtime.ts";
import { Switchboard } from "../../lib/interpreter/switchboard.ts";
import { silentLogger } from "../../lib/log.ts";
import { directManager, suite, valueOf } from "./harness.ts";

await suite("start", {
  "a session has the directory, variables, arguments and names it is given": async (_, kernel) => {
    const cwd = await Deno.makeTempDir({ dir: kernel.directory });
    const session = await kernel.session({
      cwd,
      env: { ADDED: "é ü", HOME: null, TZ: "Etc/GMT-5" },
      variables: { config: { a: [1, null, true] }, name: "é" },
      argv: ["app.py", "--x"],
    });
    await session.execute("import os, sys, time");
    assertEquals(await valueOf(session, "os.getcwd()"), `'${await Deno.realPath(cwd)}'`);
    const variables = "os.environ['ADDED'], 'HOME' in os.environ, time.timezone";
    assertEquals(await valueOf(session, variables), "('é ü', False, -18000)");
    assertEquals(await valueOf(session, "sys.argv, sys.path[0]"), "(['app.py', '--x'], '')");
    assertEquals(await valueOf(session, "config, name"), "({'a': [1, None, True]}, 'é')");
    assertEquals(await valueOf(session, "'HYPHA_KERNEL_TOKEN' in os.environ"), "False");
    await Deno.writeTextFile(`${cwd}/helper.py`, "value = 7");
    assertEquals(await valueOf(session, "import helper; helper.value"), "7");
    await session.kill();
  },
  "sessions share nothing": async (one, kernel) => {
    const two = await kernel.session();
    const change = "import os, sys, random\nx = 1\nos.environ['X'] = '1'\nsys.path.append('/x')\n" +
      "os.chdir('/')";
    await one.execute(change);
    const seen =
      "import os, sys\n'x' in globals(), 'X' in os.environ, '/x' in sys.path, os.getcwd() == '/'";
    assertEquals(await valueOf(two, seen), "(False, False, False, False)");
    const number = "import random\nrandom.random()";
    assert(await valueOf(one, number) !== await valueOf(two, number));
    await one.kill();
    assertEquals(await valueOf(two, "1"), "1");
  },
  "twenty sessions can be started and used at once": async (_, kernel) => {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => kernel.session()));
    assertEquals(new Set(sessions.map((session) => session.pid)).size, 20);
    const values = await Promise.all(sessions.map((session, n) => valueOf(session, `${n} * 2`)));
    assertEquals(values, sessions.map((_, n) => String(n * 2)));
    await Promise.all(sessions.map((session) => session.kill()));
  },
  "a session that cannot start says why and leaves nothing": async (_, kernel) => {
    const error = await assertRejects(() => kernel.session({ cwd: `${kernel.directory}/missing` }));
    assert(hasCode(error, "interpreter_failed"));
    assertMatch(error.message, /exit code 1\n(.|\n)*No such file or directory/);
    // Several at once, so that news of their end and their last words come in any order.
    const others = Array.from({ length: 10 }, async () => {
      const other = await assertRejects(() => kernel.session({ cwd: "/missing" }), Error);
      assertMatch(other.message, /exit code 1\n(.|\n)*No such file or directory/);
    });
    await Promise.all(others);
    const session = await kernel.session();
    await session.kill();
  },
  "only one cell runs at a time": async (session) => {
    const running = session.execute("import time; time.sleep(0.05)");
    await assertRejects(() => session.execute("1"), Error, "another one is running");
    assertEquals((await running).status, "ok");
  },
  "the kernel's own modules and folder are not in the way of user code": async (session) => {
    await session.execute("import sys");
    assertEquals(
      await valueOf(session, "[p for p in sys.path if 'kernel-' in p and 'overlay' not in p]"),
      "[]",
    );
    assertEquals(await valueOf(session, "'matplotlib' in sys.modules"), "False");
  },
});

/** A folder with a switchboard, and a program that stands for Python. */
async function withProgram(
  script: string,
  test: (
    start: (timeout?: number) => Promise<ForkServer>,
    switchboard: Switchboard,
  ) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const python = `${directory}/python`;
  await Deno.writeTextFile(python, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const switchboard = await Switchboard.open(directory, silentLogger);
  const program = await installRuntime(directory);
  const start = (timeout?: number) =>
    ForkServer.start({
      manager: directManager(python),
      prefix: directory,
      program,
      switchboard,
      log: silentLogger,
      ...(timeout === undefined ? {} : { timeout }),
    });
  try {
    await test(start, switchboard);
  } finally {
    await switchboard[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a Python that ends at once is reported with what it printed", async () => {
  await withProgram("echo libfoo.so is missing >&2; exit 3", async (start) => {
    const error = await assertRejects(() => start());
    assert(hasCode(error, "interpreter_failed"));
    assertStringIncludes(error.message, "exit code 3");
    assertStringIncludes(error.message, "libfoo.so is missing");
  });
});

Deno.test("a Python that never reports is ended", async () => {
  await withProgram("echo waiting; exec sleep 1000", async (start) => {
    const error = await assertRejects(() => start(300));
    assertStringIncludes(error.message, "did not report in time");
    assertStringIncludes(error.message, "waiting");
  });
});

/** Whether the other side closes a connection after it has been sent some bytes. */
async function isRefused(path: string, bytes: Uint8Array): Promise<boolean> {
  const conn = await Deno.connect({ transport: "unix", path });
  try {
    await conn.write(bytes);
    return await conn.read(new Uint8Array(10)) === null;
  } catch (error) {
    return error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe;
  } finally {
    conn.close();
  }
}

Deno.test("connections without a known token are refused, and the expected one is not disturbed", async () => {
  await withProgram("", async (_, switchboard) => {
    const stop = new AbortController();
    const expected = switchboard.expect("secret", "control", stop.signal);
    const wrong = [
      encodeFrame({ token: "guess", role: "control" }),
      encodeFrame({ token: "secret", role: "stdout" }),
      encodeFrame({}),
      new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      new Uint8Array([0, 0, 0, 2, 0, 0, 0, 0, 123, 123]),
    ];
    for (const bytes of wrong) assertEquals(await isRefused(switchboard.path, bytes), true);
    const right = await Deno.connect({ transport: "unix", path: switchboard.path });
    await right.write(encodeFrame({ token: "secret", role: "control" }));
    const { conn } = await expected;
    // A token serves once.
    const again = encodeFrame({ token: "secret", role: "control" });
    assertEquals(await isRefused(switchboard.path, again), true);
    conn.close();
    right.close();
  });
});

Deno.test("a connection that never says who it is does not hold up the end", async () => {
  await withProgram("", async (_, switchboard) => {
    const silent = await Deno.connect({ transport: "unix", path: switchboard.path });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await switchboard[Symbol.asyncDispose]();
    assertEquals(await silent.read(new Uint8Array(1)).catch(() => null), null);
    silent.close();
  });
});

Deno.test("refused connections are told of, and do not fill the log", async () => {
  const directory = await Deno.makeTempDir();
  const lines: unknown[] = [];
  const warning = (_message: string, facts?: unknown) => lines.push(facts);
  const switchboard = await Switchboard.open(directory, { ...silentLogger, warning });
  for (let i = 0; i < 50; i++) {
    assertEquals(await isRefused(switchboard.path, encodeFrame({ token: "guess" })), true);
  }
  assertEquals(lines, [{ reason: "nobody expects it", connections: 1 }]);
  await switchboard[Symbol.asyncDispose]();
  await Deno.remove(directory);
});

Deno.test("silent connections are bounded, and whoever says who it is gets through", async () => {
  await withProgram("", async (_, switchboard) => {
    const silent: Deno.Conn[] = [];
    const hello = encodeFrame({ token: "t", role: "r" });
    for (let i = 0; i < 700; i++) {
      silent.push(await Deno.connect({ transport: "unix", path: switchboard.path }));
    }
    const expected = switchboard.expect("t", "r", new AbortController().signal);
    const right = await Deno.connect({ transport: "unix", path: switchboard.path });
    await right.write(hello);
    const { conn } = await expected;
    // The oldest ones are closed, and not only after a while.
    const closed = await silent[0]!.read(new Uint8Array(1)).catch(() => null);
    assertEquals(closed, null);
    await silent[699]!.write(encodeFrame({ token: "unknown", role: "r" }));
    for (const one of [conn, right, ...silent]) one.close();
  });
});

Deno.test("a first frame that does not end is refused", async () => {
  await withProgram("", async (_, switchboard) => {
    const long = encodeFrame({ token: "x".repeat(100_000), role: "r" });
    assertEquals(await isRefused(switchboard.path, long.subarray(0, 50_000)), true);
  });
});

Deno.test("an expectation that is given up is forgotten", async () => {
  await withProgram("", async (_, switchboard) => {
    const stop = new AbortController();
    const expected = switchboard.expect("t", "r", stop.signal);
    stop.abort(new Error("no longer"));
    await assertRejects(() => expected, Error, "no longer");
    assertEquals(await isRefused(switchboard.path, encodeFrame({ token: "t", role: "r" })), true);
    await assertRejects(() => switchboard.expect("t", "r", stop.signal), Error, "no longer");
  });
});
