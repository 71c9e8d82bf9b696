/**
 * A worker in a process of its own, for tests that kill it: starts two sessions, one of them busy, which leave daemons,
 * and prints process ids.
 */
import { Kernel, textOf } from "./harness.ts";

const kernel = await Kernel.start(Deno.args[0]);
const pids: number[] = [];
let server = 0;
let keeper = 0;
for (const busy of [false, true]) {
  const session = await kernel.session();
  const code = `
import os, subprocess, time
def parent(pid): return int(open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[1])
print(os.getppid(), parent(os.getppid()))
print(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(write, b"%d" % os.getpid())
        time.sleep(1000)
    os._exit(0)
os.wait()
print(os.read(read, 20).decode())
`;
  const text = textOf(await session.execute(code), "stdout");
  const numbers = text.trim().split(/\s+/).map(Number);
  [server, keeper] = numbers as [number, number];
  pids.push(session.pid, ...numbers.slice(2));
  if (busy) session.execute("while True: pass");
}
console.log(JSON.stringify({ directory: kernel.directory, server, keeper, pids }));
// Waits to be killed.
setInterval(() => {}, 1000);
