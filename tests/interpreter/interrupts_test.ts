import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

const WAITS: Record<string, string> = {
  "a busy loop": "while True: pass",
  "a sleep": "time.sleep(1000)",
  "an await": "await asyncio.sleep(1000)",
  "an await of a busy task": "async def f():\n    while True: await asyncio.sleep(0)\nawait f()",
  "a task that blocks the loop":
    "async def g():\n    while True: pass\nawait asyncio.ensure_future(g())",
  "a child process": "subprocess.run(['sleep', '1000'])",
  "a shell": "os.system('sleep 1000');\nwhile True: pass",
  "a wait for a lock": "threading.Event().wait()",
  "a printing loop": "while True: print('x' * 1000)",
  "a displaying loop": "while True: display(1)",
  "a failing formatter": "class A:\n    def __repr__(self):\n        while True: pass\nA()",
};

await suite("interrupts", {
  "a timeout interrupts whatever the cell does, and its variables stay": async (session) => {
    await session.execute("import asyncio, os, subprocess, threading, time\nx = 1");
    for (const [name, code] of Object.entries(WAITS)) {
      const result = await session.execute(`x += 1\nprint('started')\n${code}`, {
        timeout: 200,
        outputLimit: 100_000,
      });
      const seen = [result.error?.ename, result.state_lost, textOf(result, "stdout").slice(0, 7)];
      assertEquals(seen, ["TimeoutError", undefined, "started"], name);
      assertStringIncludes(result.error!.evalue, "after 0.2 seconds");
    }
    assertEquals(await valueOf(session, "x"), String(1 + Object.keys(WAITS).length));
  },
  "a cell that ends in time is not touched by its timeout": async (session) => {
    const result = await session.execute("1", { timeout: 20_000 });
    assertEquals(result.status, "ok");
  },
  "an interrupt is a KeyboardInterrupt of the cell, which may handle it": async (session) => {
    const code = "import time\ntry:\n    print('go')\n    while True: time.sleep(0.01)\n" +
      "except KeyboardInterrupt:\n    print('handled')";
    const handled = await session.execute(code, {
      onOutput: (o) => {
        if (o.type === "stream" && o.text.includes("go")) session.interrupt();
      },
    });
    assertEquals([handled.status, textOf(handled, "stdout")], ["ok", "go\nhandled\n"]);
    const plain = await session.execute("print('go')\nwhile True: pass", {
      onOutput: () => session.interrupt(),
    });
    assertEquals(plain.error?.ename, "KeyboardInterrupt");
  },
  "an aborted signal interrupts the cell": async (session) => {
    const stop = new AbortController();
    const result = await session.execute("print('go')\nawait __import__('asyncio').sleep(1000)", {
      signal: stop.signal,
      onOutput: () => stop.abort(),
    });
    assertEquals([result.error?.ename, result.state_lost], ["KeyboardInterrupt", undefined]);
    const before = await session.execute("while True: pass", { signal: AbortSignal.abort() });
    assertEquals(before.error?.ename, "KeyboardInterrupt");
  },
  "a cell that swallows interrupts is killed and says that its variables are lost": async (
    session,
  ) => {
    // A function, since Python 3.11 to 3.13 leave the jumps of some loops out of the handler's reach.
    const code = "def spin():\n    while True: pass\nprint('go')\nwhile True:\n    try: spin()\n" +
      "    except KeyboardInterrupt: print('no')";
    const result = await session.execute(code, { timeout: 1000 });
    assertEquals([result.error?.ename, result.state_lost], ["TimeoutError", true]);
    assertStringIncludes(result.error!.evalue, "killed");
    assert(textOf(result, "stdout").startsWith("go\nno\n"));
    assertEquals((await session.exited).signal, "SIGKILL");
  },
  "an interrupt between cells does nothing": async (session) => {
    await session.execute("import asyncio\nx = 1\nt = asyncio.ensure_future(asyncio.sleep(1000))");
    for (let i = 0; i < 20; i++) {
      await session.interrupt();
      assertEquals(await valueOf(session, "x, t.done()"), "(1, False)");
    }
  },
  "a cell that resets the handler can still be interrupted, and so can the next": async (
    session,
  ) => {
    await session.execute("import asyncio, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN);");
    for (const code of ["while True: pass", "await asyncio.sleep(1000)"]) {
      const result = await session.execute(code, { timeout: 200 });
      assertEquals([result.error?.ename, result.state_lost], ["TimeoutError", undefined]);
      await session.execute("signal.signal(signal.SIGINT, signal.default_int_handler);");
    }
  },
  "interrupts at any moment hit the running cell or nothing, and no reply is lost": async (
    session,
  ) => {
    await session.execute(
      "import asyncio, time\nx = 0\ndef spin(s):\n    e = time.perf_counter() + s\n" +
        "    while time.perf_counter() < e: pass",
    );
    const kinds = [
      (n: number) => `x += 1\nprint('c${n}')\nspin(0.003)\ndisplay(${n})\nprint('e${n}')\n${n}`,
      (n: number) => `x += 1\nprint('c${n}')\nawait asyncio.sleep(0.003)\nprint('e${n}')\n${n}`,
      (n: number) =>
        `x += 1\nprint('c${n}')\nfor i in range(300): print('o', end='')\nprint('e${n}')\n${n}`,
    ];
    let hit = 0;
    let begun = 0;
    for (let n = 0; n < 300; n++) {
      const sent = (async () => {
        const delay = Math.random() * 6;
        if (delay > 1) await new Promise((resolve) => setTimeout(resolve, delay - 1));
        await session.interrupt();
      })();
      const result = await session.execute(kinds[n % 3]!(n));
      await sent;
      const text = textOf(result, "stdout");
      if (text.includes(`c${n}\n`)) begun++;
      // Nothing of another cell is in this one's output.
      const numbers = [...text.matchAll(/[ce](\d+)/g)].map((match) => Number(match[1]));
      assert(numbers.every((number) => number === n), `${n}: ${text}`);
      if (result.status === "ok") {
        const last = result.outputs.at(-1);
        assertEquals(last?.type === "execute_result" && last.data["text/plain"], String(n));
        assertStringIncludes(text, `e${n}`);
      } else {
        hit++;
        assertEquals(result.error?.ename, "KeyboardInterrupt");
        assertEquals(result.state_lost, undefined);
      }
    }
    const x = Number(await valueOf(session, "x"));
    assert(x >= begun && x <= 300);
    assert(hit > 0);
    assertEquals(session.exit, undefined);
  },
  "a signal that reaches the process from outside between cells does nothing": async (session) => {
    const cwd = (await valueOf(session, "x = 1\nimport os\nos.getcwd()"))!.slice(1, -1);
    const code = "import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 0.05; kill -INT %d; " +
      "touch sent' % os.getpid()], start_new_session=True);";
    await session.execute(code);
    await until(() => exists(`${cwd}/sent`));
    assertEquals(await valueOf(session, "x"), "1");
  },
});
