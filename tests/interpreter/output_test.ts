import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { LiveOutput } from "../../lib/interpreter/outputs.ts";
import { orderOf, suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

await suite("output", {
  "prints, errors and displays keep their order": async (session) => {
    await session.execute("import sys");
    const code = "for i in range(3):\n    print(i)\n    print(-i, file=sys.stderr)\n    display(i)";
    const expected = "out:0|err:0|display_data|out:1|err:-1|display_data|out:2|err:-2|display_data";
    for (let i = 0; i < 20; i++) assertEquals(orderOf(await session.execute(code)), expected);
  },
  "the result comes behind everything that was printed": async (session) => {
    const result = await session.execute("import sys\nprint(1)\nprint(2, file=sys.stderr)\n3");
    assertEquals(orderOf(result), "out:1|err:2|execute_result");
  },
  "what cells write below Python is theirs, whole, however soon they end": async (session) => {
    await session.execute("import os, time");
    const last = "\\x1e";
    for (let i = 0; i < 300; i++) {
      const size = [0, 1, 7, 5000, 300_000][i % 5]!;
      const pause = i % 3 === 0 ? "time.sleep(0.002)\n" : "";
      const code = `os.write(1, b'${i}' + b'.' * ${size} + b'${last}')\n${pause}` +
        `os.write(2, b'${-i}${last}')\n${i % 2 === 0 ? pause : ""}None`;
      const result = await session.execute(code);
      assertEquals(textOf(result, "stdout"), `${i}${".".repeat(size)}\x1e`);
      assertEquals(textOf(result, "stderr"), `${-i}\x1e`);
    }
  },
  "output of programs, C code, threads and children is complete when a cell ends": async (
    session,
  ) => {
    await session.execute(
      "import os, sys, ctypes, threading, subprocess, time\nlibc = ctypes.CDLL(None)",
    );
    for (let i = 0; i < 5; i++) {
      assertEquals(textOf(await session.execute("os.write(1, b'raw'); None"), "stdout"), "raw");
      assertEquals(
        textOf(await session.execute("os.system('echo a; echo b >&2');"), "stderr"),
        "b\n",
      );
      const child = await session.execute("subprocess.run(['sh', '-c', 'seq 20000']);");
      assertEquals(textOf(child, "stdout").split("\n").length, 20001);
      const c = await session.execute("for i in range(100): _ = libc.printf(b'%d\\n', i)");
      assertEquals(textOf(c, "stdout").split("\n").length, 101);
      const threads = "ts = [threading.Thread(target=print, args=('t',)) for _ in range(10)]\n" +
        "[t.start() for t in ts]; [t.join() for t in ts]; None";
      assertEquals(textOf(await session.execute(threads), "stdout").match(/t/g)?.length, 10);
      const fork =
        "child = os.fork()\nif child == 0:\n    print('from the child')\n    os._exit(0)\n" +
        "os.waitpid(child, 0); None";
      assertEquals(textOf(await session.execute(fork), "stdout"), "from the child\n");
    }
  },
  "what is printed comes before what a program prints that is started then": async (session) => {
    await session.execute("import os, subprocess");
    const code =
      "for i in range(5): print(i)\nos.system('echo sys')\nfor i in range(5): print(i)\n" +
      "subprocess.run(['echo', 'run'])\nfor i in range(5): print(i)\nif os.fork() == 0:\n" +
      "    os.write(1, b'fork\\n'); os._exit(0)\nos.wait(); None";
    const numbers = "0\n1\n2\n3\n4\n";
    const expected = `${numbers}sys\n${numbers}run\n${numbers}fork\n`;
    for (let i = 0; i < 5; i++) {
      assertEquals(textOf(await session.execute(code), "stdout"), expected);
    }
  },
  "forking right after printing gives no warning about threads": async (session) => {
    const code =
      "import os\nprint('a')\nprint('b')\nif os.fork() == 0: os._exit(0)\nos.wait(); None";
    for (let i = 0; i < 5; i++) {
      const result = await session.execute(code);
      assertEquals([textOf(result, "stdout"), textOf(result, "stderr")], ["a\nb\n", ""]);
    }
  },
  "C output comes before the result it was written before": async (session) => {
    const code = "import ctypes\nctypes.CDLL(None).printf(b'c\\n');\n1";
    assertEquals(orderOf(await session.execute(code)), "out:c|execute_result");
  },
  "bytes that are no UTF-8 become replacement characters": async (session) => {
    const result = await session.execute("import os\nos.write(1, b'a\\xff\\xc3b\\xe2\\x82');");
    assertEquals(textOf(result, "stdout"), "a\ufffd\ufffdb\ufffd");
  },
  "characters survive wherever reads cut them": async (session) => {
    const code = "import os, time\ndata = '€𐍈é'.encode()\nfor byte in data:\n" +
      "    os.write(1, bytes([byte])); time.sleep(0.001)\nprint('€' * 300000)";
    const expected = "€𐍈é" + "€".repeat(300000) + "\n";
    assert(textOf(await session.execute(code), "stdout") === expected);
  },
  "carriage returns and control characters arrive as they are": async (session) => {
    const live: LiveOutput[] = [];
    const result = await session.execute("print('10%\\r20%\\x1e\\x1b[0m', end='')", {
      onOutput: (output) => live.push(output),
    });
    assertEquals(textOf({ outputs: live }, "stdout"), "10%\r20%\x1e\x1b[0m");
    // The result has what a terminal would be left with.
    assertEquals(textOf(result, "stdout"), "20%\x1e\x1b[0m");
  },
  "standard output has what programs expect of it": async (session) => {
    await session.execute("import sys");
    const code =
      "sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.fileno(), sys.stdout.writable()";
    assertEquals(await valueOf(session, code), "(False, 'utf-8', 1, True)");
    const result = await session.execute(
      "print('a')\nsys.stdout.buffer.write(b'b\\n')\nsys.stdout.writelines(['c\\n'])\n" +
        "print('d', file=sys.__stdout__, flush=True)",
    );
    assertEquals(textOf(result, "stdout"), "a\nb\nc\nd\n");
    assertEquals(
      (await session.execute("print(1, file=sys.stdout); sys.stdout.write(b'x')")).error
        ?.ename,
      "TypeError",
    );
  },
  "redirecting output within Python takes it out of the cell": async (session) => {
    const code = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as f:\n" +
      "    print('inside')\nf.getvalue()";
    assertEquals(await valueOf(session, code), "'inside\\n'");
  },
  "descriptors that are redirected to a file and back": async (session) => {
    const code =
      "import os\nsaved = os.dup(1)\nfile = os.open('out.txt', os.O_CREAT | os.O_RDWR)\n" +
      "print('before')\nos.dup2(file, 1)\nos.system('echo in the file')\n" +
      "os.dup2(saved, 1)\nprint('after')\nopen('out.txt').read()";
    const result = await session.execute(code);
    assertEquals(textOf(result, "stdout"), "before\nafter\n");
    assertEquals(await valueOf(session, "_"), "'in the file\\n'");
  },
  "a cell that leaves descriptors redirected or closed ends, and so do the next": async (
    session,
  ) => {
    await session.execute("import os\nos.dup2(os.open(os.devnull, os.O_WRONLY), 1);");
    assertEquals((await session.execute("print('lost')")).status, "ok");
    assertEquals(await valueOf(session, "1"), "1");
    await session.execute("import sys\nprint('x', end='')\nos.close(1); os.close(2)");
    await session.execute("print('x')\nprint('y', file=sys.stderr)");
    await session.execute("os.system('echo z');");
    assertEquals(await valueOf(session, "2"), "2");
  },
  "a session whose own descriptors are closed is reported as dead": async (session) => {
    const result = await session.execute("import os\nos.closerange(3, 256)");
    assertEquals([result.status, result.state_lost], ["error", true]);
    await session.exited;
  },
  "a program that makes the shared descriptors non-blocking harms nothing": async (session) => {
    const code = "import os\nos.set_blocking(1, False); os.set_blocking(2, False)\n" +
      "for i in range(200): print('x' * 50000)";
    const result = await session.execute(code);
    assertEquals([result.status, textOf(result, "stdout").length], ["ok", 200 * 50001]);
  },
  "output beyond the limit is cut with a notice and never blocks": async (session) => {
    const code =
      "import os\nfor i in range(100): os.write(1, b'x' * 1_000_000)\nprint('end')\n'result'";
    const live: LiveOutput[] = [];
    const result = await session.execute(code, {
      outputLimit: 1_000_000,
      onOutput: (output) => live.push(output),
    });
    assertEquals([result.status, result.truncated], ["ok", true]);
    const kept = textOf(result, "stdout");
    assert(kept.length <= 1_000_000 && kept.length > 800_000 && kept.endsWith("xend\n"));
    assertEquals(result.outputs.at(-1)?.type, "execute_result");
    assertStringIncludes(textOf(result, "stderr"), "output truncated");
    assert(live.length < 1000);
    const next = await session.execute("print('next')\n_");
    assertEquals([textOf(next, "stdout"), next.truncated], ["next\n", undefined]);
  },
  "a character at the limit is not torn": async (session) => {
    const result = await session.execute("print('€' * 10)", { outputLimit: 10 });
    assertEquals(textOf(result, "stdout"), "€€€€€€€€" + "€\n");
    assertStringIncludes(textOf(result, "stderr"), "truncated");
  },
  "output arrives while the cell runs": async (session) => {
    // The cell goes on only when the file is there, which is made when its first output has arrived.
    const path = (await valueOf(session, "import os\nos.path.abspath('go')"))!.slice(1, -1);
    for (const print of ["print('first')", "print('first', end='')", "os.write(1, b'first')"]) {
      let seen = "";
      const running = session.execute(
        `import time\n${print}\nwhile not os.path.exists('go'): time.sleep(0.005)\nos.remove('go')`,
        {
          onOutput: (output) => seen += output.type === "stream" ? output.text : "",
          timeout: 20_000,
        },
      );
      await until(() => seen.includes("first"));
      assertEquals(session.busy, true);
      await Deno.writeTextFile(path, "");
      assertEquals((await running).status, "ok");
    }
  },
  "the live stream and the result have the same text": async (session) => {
    const live: LiveOutput[] = [];
    const result = await session.execute("for i in range(20000): print(i)", {
      onOutput: (output) => live.push(output),
    });
    const text = live.map((output) => output.type === "stream" ? output.text : "").join("");
    assert(text === textOf(result, "stdout"));
    assertEquals(result.outputs.length, 1);
    assert(live.length > 1 && live.length < 2000);
  },
  "a coroutine that nobody awaits is reported at the line that dropped it": async (session) => {
    await session.execute("async def f(): pass");
    for (const [code, line] of [["1\nf();", 2], ["x = 1\nf()\nx", 2], ["f()\n1", 1]] as const) {
      const result = await session.execute(code, { filename: `<test ${code.length}>` });
      const place =
        `<test ${code.length}>:${line}: RuntimeWarning: coroutine 'f' was never awaited`;
      assertStringIncludes(textOf(result, "stderr"), place);
    }
    const inside = await session.execute("def g():\n    f()\n    return 1\ng()");
    assertMatch(textOf(inside, "stderr"), /^<cell \d+>:2: RuntimeWarning/);
  },
  "a value that nobody keeps ends within its cell": async (session) => {
    await session.execute("class A:\n    def __del__(self): print('gone')");
    assertEquals(textOf(await session.execute("A();"), "stdout"), "gone\n");
  },
  "what a cell leaves behind prints into the log, and the next cell's output is its own": async (
    _,
    kernel,
  ) => {
    let late = "";
    const session = await kernel.session({ onBackground: (_name, text) => late += text });
    const leave = {
      thread: "import threading, time\n" +
        "threading.Thread(target=lambda: (time.sleep(0.02), print('late'))).start()",
      child: "import subprocess\nsubprocess.Popen(['sh', '-c', 'sleep 0.02; echo late']);",
      daemon: "import os\nos.system('(sleep 0.02; echo late) &');",
      task: "import asyncio\nasync def f():\n    await asyncio.sleep(0.02); print('late')\n" +
        "t = asyncio.ensure_future(f());",
      callback: "asyncio.get_running_loop().call_later(0.02, os.write, 1, b'late\\n');",
    };
    for (const [name, code] of Object.entries(leave)) {
      late = "";
      await session.execute(code);
      await until(() => late.includes("late\n"));
      assertEquals(textOf(await session.execute("print('own')"), "stdout"), "own\n", name);
      assertEquals(late, "late\n", name);
    }
    await session.kill();
  },
  "a cell prints as fast as to a file, and all of it arrives": async (session) => {
    const code = "for i in range(300000): print('line', i)";
    const result = await session.execute(code);
    const lines = textOf(result, "stdout").split("\n");
    assertEquals(lines.length, 300001);
    assert(lines.every((line, i) => i === 300000 ? line === "" : line === `line ${i}`));
    // The same when writing is kept under another name, and with an interrupt in between.
    const stopped = await session.execute(
      "import sys\nw = sys.stdout.write\ni = 0\nwhile True:\n    w('%d\\n' % i); i += 1",
      { timeout: 300, outputLimit: 1e9 },
    );
    const seen = textOf(stopped, "stdout").trimEnd().split("\n");
    assert(seen.every((line, i) => line === String(i)));
    const next = Number(await valueOf(session, "i"));
    assert(next === seen.length || next === seen.length - 1, `${next} of ${seen.length}`);
  },
  "lines of threads that print at once are complete": async (session) => {
    const code = "import threading\ndef work(n):\n    for i in range(500):\n" +
      "        sys.stdout.write('%d-%d\\n' % (n, i))\nimport sys\n" +
      "threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]\n" +
      "[t.start() for t in threads]; [t.join() for t in threads]; None";
    const lines = textOf(await session.execute(code), "stdout").trimEnd().split("\n");
    assertEquals(new Set(lines).size, 2000);
    assertEquals(lines.length, 2000);
  },
});
