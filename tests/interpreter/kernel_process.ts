/** A worker in a process of its own, for tests that kill it: starts two sessions and prints process ids. */
import { Kernel, textOf } from "./harness.ts";

const kernel = await Kernel.start(Deno.args[0]);
const pids: number[] = [];
for (const busy of [false, true]) {
  const session = await kernel.session();
  const code = "import os, subprocess\nprint(os.getppid())\n" +
    "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)";
  const text = textOf(await session.execute(code), "stdout");
  pids.push(session.pid, ...text.trim().split("\n").map(Number));
  if (busy) session.execute("while True: pass");
}
console.log(JSON.stringify({ directory: kernel.directory, pids }));
// Waits to be killed.
setInterval(() => {}, 1000);
