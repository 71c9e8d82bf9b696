import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { stackPaths } from "../stack/stack.ts";
import { alive, edgePythons, Kernel, textOf, until } from "./harness.ts";

const noneAlive = async (pids: number[]) => !(await Promise.all(pids.map(alive))).includes(true);

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];

  Deno.test(`a fork server that is ended leaves no process, Python ${version}`, async () => {
    const kernel = await Kernel.start(python);
    const pids: number[] = [];
    for (let i = 0; i < 3; i++) {
      const session = await kernel.session();
      const code = "import os, subprocess\n" +
        "print(subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 1000'], start_new_session=True).pid)";
      pids.push(session.pid, Number(textOf(await session.execute(code), "stdout")));
    }
    await kernel[Symbol.asyncDispose]();
    assertEquals(await noneAlive(pids), true);
  });

  Deno.test(`a worker that is killed leaves no process, Python ${version}`, async () => {
    const script = fromFileUrl(new URL("kernel_process.ts", import.meta.url));
    const worker = new Deno.Command(stackPaths.deno, {
      args: ["run", "--quiet", "--allow-all", script, python],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let text = "";
    for await (const piece of worker.stdout.pipeThrough(new TextDecoderStream() as never)) {
      text += piece;
      if (text.includes("\n")) break;
    }
    const { directory, pids } = JSON.parse(text) as { directory: string; pids: number[] };
    assertEquals((await Promise.all(pids.map(alive))).includes(false), false);
    worker.kill("SIGKILL");
    await worker.status;
    await until(() => noneAlive(pids));
    await Deno.remove(directory, { recursive: true });
  });
}
