import { assertEquals } from "@std/assert";
import { edgePythons, Kernel, valueOf } from "./harness.ts";

/** What could be left: children of the fork server, descriptors here and there, and files beside the sessions'. */
async function census(kernel: Kernel, server: number): Promise<Record<string, number>> {
  const found = { children: 0, own: 0, server: 0, files: 0 };
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`).catch(() => "");
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    if (parent === server) found.children++;
  }
  for await (const _ of Deno.readDir("/proc/self/fd")) found.own++;
  for await (const _ of Deno.readDir(`/proc/${server}/fd`)) found.server++;
  for await (const _ of Deno.readDir(kernel.directory)) found.files++;
  return found;
}

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];
  Deno.test({
    name: `a hundred starts and ends leave no process, descriptor or file, Python ${version}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using kernel = await Kernel.start(python);
      const cycle = async (end: "kill" | "exit") => {
        const session = await kernel.session();
        const server = Number(await valueOf(session, "import os\nprint('x')\nos.getppid()"));
        if (end === "kill") await session.kill();
        else assertEquals((await session.execute("os._exit(3)")).state_lost, true);
        await session.exited;
        return server;
      };
      const server = await cycle("kill");
      const before = await census(kernel, server);
      for (let i = 0; i < 25; i++) {
        await Promise.all([cycle("kill"), cycle("exit"), cycle("kill"), cycle("exit")]);
      }
      assertEquals(await census(kernel, server), before);
    },
  });
}
