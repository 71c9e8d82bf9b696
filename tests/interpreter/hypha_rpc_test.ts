/** Cells that are clients of a Hypha server, and offer services there, in both styles of `hypha_rpc`. */
import { assertEquals } from "@std/assert";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { startHypha } from "../stack/hypha.ts";
import { stackPaths } from "../stack/stack.ts";
import { Kernel, textOf, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

async function run(session: Interpreter, code: string): Promise<string> {
  const result = await session.execute(code, { timeout: 60_000 });
  if (result.error !== undefined) throw new Error(result.error.traceback.join("\n"));
  return textOf(result, "stdout");
}

Deno.test("cells use and offer services with hypha_rpc", async (t) => {
  await using hypha = await startHypha();
  await using kernel = await Kernel.start(stackPaths.hyphaPython);
  const env = { URL: hypha.url, TOKEN: await hypha.userToken({ user: "user-1" }) };
  const connect =
    "connect_to_server({'server_url': os.environ['URL'], 'token': os.environ['TOKEN']})";

  await t.step("async: a service goes on between cells and is used by other cells", async () => {
    const background: string[] = [];
    const session = await kernel.session({
      env,
      onBackground: (_, text, cell) => background.push(`${cell}:${text}`),
    });
    await run(
      session,
      `import asyncio, os\nfrom hypha_rpc import connect_to_server\nserver = await ${connect}`,
    );
    await run(
      session,
      "async def work(n, report):\n    for i in range(n):\n        await report(i)\n" +
        "        await asyncio.sleep(0)\n    print('worked')\n    return n * 2\n" +
        "info = await server.register_service({'id': 'cell', 'work': work})",
    );
    const other = await kernel.session({ env });
    await run(
      other,
      `import os\nfrom hypha_rpc import connect_to_server\nserver = await ${connect}`,
    );
    // The offering session runs no cell meanwhile.
    await run(other, `service = await server.get_service(${await valueOf(session, "info['id']")})`);
    const called = "seen = []\ndoubled = await service.work(3, seen.append)\ndoubled, seen";
    assertEquals(await valueOf(other, called), "(6, [0, 1, 2])");
    await until(() => background.join("").includes("worked"));
    // And runs one meanwhile, which does not get the service's text.
    const waiting = session.execute("print('waiting')\nawait asyncio.sleep(1)");
    assertEquals(await valueOf(other, "await service.work(1, seen.append)"), "2");
    assertEquals(textOf(await waiting, "stdout"), "waiting\n");
    await session.kill();
    await other.kill();
  });

  await t.step("sync: cells call services without await", async () => {
    const session = await kernel.session({ env });
    await run(
      session,
      `import os\nfrom hypha_rpc.sync import connect_to_server\nserver = ${connect}`,
    );
    await run(session, "info = server.register_service({'id': 'sync', 'twice': lambda n: 2 * n})");
    const other = await kernel.session({ env });
    await run(
      other,
      `import os\nfrom hypha_rpc.sync import connect_to_server\nserver = ${connect}`,
    );
    const id = await valueOf(session, "info['id']");
    assertEquals(
      await valueOf(other, `service = server.get_service(${id})\nservice.twice(21)`),
      "42",
    );
    await session.kill();
    await other.kill();
  });
});
