import { assertEquals } from "@std/assert";
import { suite, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

interface Variable {
  name: string;
  value: string;
}

/** Code that swallows one interrupt, says so, and goes on as before. */
const SWALLOWING: Record<string, string> = {
  "a busy loop": `
try:
    print('one', flush=True)
    while True: pass
except KeyboardInterrupt: print('two', flush=True)
while True: pass`,
  "a sleep": `
try:
    print('one', flush=True)
    time.sleep(1000)
except KeyboardInterrupt: print('two', flush=True)
time.sleep(1000)`,
  "a child process": `
try:
    print('one', flush=True)
    subprocess.run(['sleep', '1000'])
except KeyboardInterrupt: print('two', flush=True)
subprocess.run(['sleep', '1000'])`,
  "an await": `
try:
    print('one', flush=True)
    await asyncio.sleep(1000)
except (KeyboardInterrupt, asyncio.CancelledError): print('two', flush=True)
await asyncio.sleep(1000)`,
  "an await of a task": `
async def wait():
    try:
        print('one', flush=True)
        await asyncio.sleep(1000)
    except (KeyboardInterrupt, asyncio.CancelledError): print('two', flush=True)
    await asyncio.sleep(1000)
await asyncio.ensure_future(wait())`,
};

await suite("interrupts that are counted", {
  "one interrupt of an await is one, however it reaches the cell": async (session) => {
    const code = "import asyncio\ncaught = 0\nwhile caught < 100:\n    try:\n" +
      "        print(caught, flush=True)\n        await asyncio.sleep(1000)\n" +
      "    except (KeyboardInterrupt, asyncio.CancelledError): caught += 1";
    let seen = "";
    const running = session.execute(code, {
      onOutput: (output) => {
        if (output.type === "stream") seen += output.text;
      },
    });
    await until(() => seen === "0\n");
    for (let count = 1; count < 100; count++) {
      await session.interrupt();
      let caught: string | undefined;
      // It takes the loop a few turns, and a second one would have as many.
      for (let turns = 0; turns < 3; turns += caught === String(count - 1) ? 0 : 1) {
        const found = await session.ask("variables", {}, 60_000) as Variable[];
        caught = found.find(({ name }) => name === "caught")?.value;
      }
      assertEquals(caught, String(count));
    }
    await session.interrupt();
    assertEquals((await running).status, "ok");
  },
});

await suite(
  "interrupts that are swallowed",
  Object.fromEntries(
    Object.entries(SWALLOWING).map(([name, code]) => [
      `the second one ends ${name} that has caught the first`,
      async (session) => {
        await session.execute("import asyncio, subprocess, time\nkept = 1");
        let seen = "";
        const running = session.execute(code, {
          onOutput: (output) => {
            if (output.type === "stream") seen += output.text;
          },
        });
        await until(() => seen.includes("one"));
        await session.interrupt();
        await until(() => seen.includes("two"));
        await session.interrupt();
        const result = await running;
        assertEquals(result.error?.ename, "KeyboardInterrupt");
        assertEquals([result.state_lost, textOf(result, "stdout")], [undefined, "one\ntwo\n"]);
        assertEquals(await valueOf(session, "kept"), "1");
      },
    ]),
  ),
);
