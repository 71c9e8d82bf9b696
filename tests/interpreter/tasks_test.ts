import { assertEquals } from "@std/assert";
import { suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

await suite("tasks", {
  "await works at the top level": async (session) => {
    const code =
      "import asyncio\nasync def f():\n    await asyncio.sleep(0.001)\n    return 5\nawait f()";
    assertEquals(await valueOf(session, code), "5");
    assertEquals(await valueOf(session, "x = await f()\nx + 1"), "6");
    const many = "async with asyncio.Lock():\n    y = [i async for i in gen()]\ny";
    await session.execute("async def gen():\n    for i in range(3):\n        yield i");
    assertEquals(await valueOf(session, many), "[0, 1, 2]");
  },
  "a task goes on between cells and its output belongs to the cell that made it": async (
    _,
    kernel,
  ) => {
    const background: string[] = [];
    const session = await kernel.session({
      onBackground: (name, text, cell) => background.push(`${cell}:${name}:${text}`),
    });
    await session.execute("1");
    await session.execute(
      "import asyncio, sys\ngo = asyncio.Event()\nasync def late():\n    print('early')\n" +
        "    await go.wait()\n    print('late')\n    await asyncio.sleep(0.01)\n" +
        "    print('later', file=sys.stderr)\n" +
        "task = asyncio.ensure_future(late())\nawait asyncio.sleep(0)",
    );
    const result = await session.execute(
      "go.set()\nprint('mine')\nawait asyncio.sleep(0.001)\n'r'",
    );
    assertEquals(textOf(result, "stdout"), "mine\n");
    await until(() => background.join("").includes("later"));
    assertEquals(await valueOf(session, "await task\ntask.done()"), "True");
    const text = background.join("").replaceAll(/(2:std(?:out|err):)([^\n]*)\1/g, "$1$2");
    assertEquals(text, "2:stdout:late\n2:stderr:later\n");
    await session.kill();
  },
  "what a task displays after its cell is reported with the cell that made it": async (
    _,
    kernel,
  ) => {
    const late: unknown[] = [];
    const session = await kernel.session({
      onLateDisplay: (display, cell) => late.push([cell, display]),
    });
    await session.execute("'first'");
    await session.execute(
      "import asyncio\ngo = asyncio.Event()\nclass Rich:\n    def _repr_html_(self): return '<b>'\n" +
        "    def __repr__(self): return 'rich'\nhandle = display('h', display_id=True)\n" +
        "async def show():\n    await go.wait()\n    display(Rich())\n    handle.update('again')\n" +
        "    clear_output()\n    return 'shown'\ntask = asyncio.ensure_future(show())",
    );
    const result = await session.execute("go.set()\nprint('mine')\nawait task");
    assertEquals(result.outputs.map((output) => output.type), ["stream", "execute_result"]);
    const shown = { "text/plain": "rich", "text/html": "<b>" };
    assertEquals(late, [[2, { type: "display_data", data: shown, metadata: {} }]]);
    // The same between cells.
    await session.execute(
      "go.clear()\nloop = asyncio.get_running_loop()\n" +
        "task = asyncio.ensure_future(show())\n_h = loop.call_later(0.01, go.set)",
    );
    await until(() => late.length === 2);
    assertEquals(await valueOf(session, "await task"), "'shown'");
    await session.kill();
  },
  "output of threads and programs between cells goes to the background": async (_, kernel) => {
    let background = "";
    const session = await kernel.session({ onBackground: (_, text) => background += text });
    const result = await session.execute(
      "import subprocess, threading\ngo = threading.Event()\n" +
        "threading.Thread(target=lambda: (go.wait(), print('thread')), daemon=True).start()\n" +
        "child = subprocess.Popen(['sh', '-c', 'read x; echo child; echo err >&2'], stdin=subprocess.PIPE)\n" +
        "import asyncio\nloop = asyncio.get_running_loop()\n" +
        "_h = loop.call_later(0.05, lambda: (go.set(), child.stdin.close()))",
    );
    assertEquals(result.outputs, []);
    await until(() => ["thread", "child", "err"].every((text) => background.includes(text)));
    await session.kill();
  },
  "a task that fails or exits does not end the session": async (session) => {
    await session.execute(
      "import asyncio, sys\nasync def bad(): sys.exit(3)\nt = asyncio.ensure_future(bad())",
    );
    await session.execute(
      "async def worse(): raise KeyboardInterrupt\nt = asyncio.ensure_future(worse())",
    );
    assertEquals(await valueOf(session, "await asyncio.sleep(0.01)\n1"), "1");
    assertEquals(await valueOf(session, "2"), "2");
  },
  "a server that a cell starts serves later cells, threads and programs": async (_, kernel) => {
    const background: string[] = [];
    const session = await kernel.session({
      onBackground: (_, text, cell) => background.push(`${cell}:${text}`),
    });
    await session.execute(
      "import asyncio\nasync def handle(reader, writer):\n    data = await reader.readline()\n" +
        "    print('served', data)\n    writer.write(data.upper())\n    await writer.drain()\n" +
        "    writer.close()\nserver = await asyncio.start_server(handle, '127.0.0.1', 0)\n" +
        "port = server.sockets[0].getsockname()[1]",
    );
    const asked = "reader, writer = await asyncio.open_connection('127.0.0.1', port)\n" +
      "writer.write(b'one\\n')\nanswer = await reader.read()\nwriter.close()\nanswer";
    assertEquals(await valueOf(session, asked), "b'ONE\\n'");
    // A program that asks while no cell runs.
    const program =
      'import subprocess, sys\ncode = "import socket, sys; s = socket.create_connection(' +
      "('127.0.0.1', int(sys.argv[1]))); s.sendall(b'two\\\\n'); print(s.recv(9))\"\n" +
      "child = subprocess.Popen([sys.executable, '-c', code, str(port)], stdout=subprocess.PIPE)";
    assertEquals((await session.execute(program)).error, undefined);
    await until(() => background.join("").includes("two"));
    assertEquals(await valueOf(session, "child.communicate()[0]"), "b\"b'TWO\\\\n'\\n\"");
    assertEquals(new Set(background.map((text) => text.split(":")[0])), new Set(["1"]));
    await session.kill();
  },
  "async generators and comprehensions go on over cells": async (session) => {
    await session.execute(
      "import asyncio\nasync def count(n):\n    try:\n        for i in range(n):\n            yield i\n" +
        "            await asyncio.sleep(0)\n    finally:\n        print('closed')\ng = count(9)",
    );
    assertEquals(await valueOf(session, "await g.__anext__(), await g.asend(None)"), "(0, 1)");
    const rest = "found = []\nasync for i in g:\n    found.append(i)\n    if i == 4: break\nfound";
    assertEquals(await valueOf(session, rest), "[2, 3, 4]");
    assertEquals(textOf(await session.execute("await g.aclose()"), "stdout"), "closed\n");
    assertEquals(
      await valueOf(session, "{i: i * i async for i in count(3)}"),
      "{0: 0, 1: 1, 2: 4}",
    );
  },
  "programs can be awaited": async (session) => {
    const code = "import asyncio\np = await asyncio.create_subprocess_exec('echo', 'hi', " +
      "stdout=asyncio.subprocess.PIPE)\nout, _e = await p.communicate()\nout, p.returncode";
    assertEquals(await valueOf(session, code), "(b'hi\\n', 0)");
  },
});
