import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import type { ForkServerOptions } from "../../lib/interpreter/fork_server.ts";
import { stackPaths } from "../stack/stack.ts";
import { alive, edgePythons, Kernel, textOf } from "./harness.ts";
import { until } from "../wait.ts";

const anyAlive = async (pids: number[]) => (await Promise.all(pids.map(alive))).includes(true);
const allAlive = async (pids: number[]) => !(await Promise.all(pids.map(alive))).includes(false);

/** Leaves a child, a daemon, and a daemon without a single variable, and prints their process ids. */
const LEAVE_BEHIND = `
import os, subprocess, time
print(subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 1000"], start_new_session=True).pid)
def daemon(*argv):
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write, b"%d" % os.getpid())
            os.execvp(argv[0], argv)
        os._exit(0)
    os.wait()
    print(os.read(read, 20).decode())
daemon("sleep", "1000")
daemon("env", "-i", "sleep", "1000")
`;

/** The process that a process is a child of. */
async function parentOf(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
}

/** A fork server with two sessions that have left processes behind. */
async function occupied(python?: string, options: Partial<ForkServerOptions> = {}) {
  const kernel = await Kernel.start(python, options);
  const pids: number[] = [];
  const sessions = [];
  for (let i = 0; i < 2; i++) {
    const session = await kernel.session();
    sessions.push(session);
    const text = textOf(await session.execute(LEAVE_BEHIND), "stdout");
    pids.push(session.pid, ...text.trim().split("\n").map(Number));
  }
  assertEquals(pids.length, 8);
  const server = await parentOf(sessions[0]!.pid);
  const keeper = await parentOf(server);
  assertEquals(await allAlive([...pids, server, keeper]), true);
  return { kernel, sessions, pids, server, keeper };
}

/** Kills processes so that none of them can react to the death of another. */
function killTogether(...pids: number[]): void {
  for (const pid of pids) Deno.kill(pid, "SIGSTOP");
  for (const pid of pids) Deno.kill(pid, "SIGKILL");
}

/** A worker in a process of its own. */
async function startWorker(python: string) {
  const script = fromFileUrl(new URL("kernel_process.ts", import.meta.url));
  const worker = new Deno.Command(stackPaths.deno, {
    args: ["run", "--quiet", "--no-check", "--allow-all", script, python],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let text = "";
  for await (const piece of worker.stdout.pipeThrough(new TextDecoderStream() as never)) {
    text += piece;
    if (text.includes("\n")) break;
  }
  const told = JSON.parse(text) as {
    directory: string;
    server: number;
    keeper: number;
    pids: number[];
  };
  assertEquals(await allAlive([...told.pids, told.server, told.keeper]), true);
  return { ...told, worker };
}

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];

  Deno.test(`a fork server that is ended leaves no process, Python ${version}`, async () => {
    const { kernel, pids, server, keeper } = await occupied(python);
    await kernel[Symbol.asyncDispose]();
    assertEquals(await anyAlive([...pids, server, keeper]), false);
  });

  Deno.test(`a fork server that is killed leaves no process, Python ${version}`, async () => {
    const { kernel, sessions, pids, server, keeper } = await occupied(python);
    const running = sessions[0]!.execute("import time; time.sleep(1000)");
    Deno.kill(server, "SIGKILL");
    const result = await running;
    assertEquals([result.status, result.state_lost], ["error", true]);
    assertStringIncludes(result.error!.evalue, "fork server of its environment ended with signal");
    const exit = await sessions[1]!.exited;
    assertEquals([exit.code, exit.signal], [null, "SIGKILL"]);
    assertEquals(exit.cause, "the fork server of its environment ended with signal SIGKILL");
    await assertRejects(() => kernel.session(), Error, "has ended");
    await until(async () => !await anyAlive([...pids, keeper]));
    await kernel[Symbol.asyncDispose]();
  });

  Deno.test(`a keeper that is killed leaves no process, Python ${version}`, async () => {
    const { kernel, sessions, pids, server, keeper } = await occupied(python);
    Deno.kill(keeper, "SIGKILL");
    await Promise.all(sessions.map((session) => session.exited));
    await until(async () => !await anyAlive([...pids, server]));
    await kernel[Symbol.asyncDispose]();
  });

  Deno.test(`a manager that is killed under its fork server leaves no process, Python ${version}`, async () => {
    const directory = await Deno.makeTempDir();
    // As real managers do, it waits for the program that it runs.
    const manager = join(directory, "manager");
    await Deno.writeTextFile(manager, `#!/bin/sh\n${python} "$@"\nexit $?\n`, { mode: 0o755 });
    const { kernel, sessions, pids, server, keeper } = await occupied(manager);
    Deno.kill(await parentOf(keeper), "SIGKILL");
    await Promise.all(sessions.map((session) => session.exited));
    await until(async () => !await anyAlive([...pids, server, keeper]));
    await kernel[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`keeper and fork server killed at once leave no daemon, Python ${version}`, async () => {
    const { kernel, pids, server, keeper } = await occupied(python);
    // Nothing but descent could tell that this one belongs to a session.
    const nameless = [pids[3]!, pids[7]!];
    killTogether(keeper, server);
    await kernel[Symbol.asyncDispose]();
    assertEquals(await anyAlive(pids.filter((pid) => !nameless.includes(pid))), false);
    for (const pid of nameless) Deno.kill(pid, "SIGKILL");
  });

  Deno.test(`a worker that is killed leaves no process, Python ${version}`, async () => {
    const { directory, pids, server, keeper, worker } = await startWorker(python);
    worker.kill("SIGKILL");
    await worker.status;
    await until(async () => !await anyAlive([...pids, server, keeper]));
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`a worker killed with its fork server leaves no process, Python ${version}`, async () => {
    const { directory, pids, server, keeper, worker } = await startWorker(python);
    killTogether(worker.pid, server);
    await worker.status;
    await until(async () => !await anyAlive([...pids, keeper]));
    await Deno.remove(directory, { recursive: true });
  });

  Deno.test(`what a worker killed with everything leaves is ended by the next, Python ${version}`, async () => {
    const { directory, pids, server, keeper, worker } = await startWorker(python);
    killTogether(worker.pid, keeper, server);
    await worker.status;
    // The sessions are killed by the system; the daemons live until a fork server starts, here or elsewhere.
    await until(async () => !await anyAlive([pids[0]!, pids[3]!]));
    // Another worker's processes are not touched.
    const other = await occupied(python);
    await until(async () => !await anyAlive(pids));
    assertEquals(await allAlive(other.pids), true);
    await using third = await Kernel.start(python);
    await (await third.session()).execute("1");
    assertEquals(await allAlive(other.pids), true);
    await other.kernel[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  });
}

Deno.test("a fork server that does not react is ended, and so are those who wait for it", async () => {
  const { kernel, sessions, pids, server, keeper } = await occupied(undefined, {
    answerTimeout: 200,
  });
  Deno.kill(server, "SIGSTOP");
  const start = kernel.session();
  start.catch(() => {});
  await Promise.all(sessions.map((session) => session.kill()));
  await assertRejects(() => start, Error, "has ended");
  await until(async () => !await anyAlive([...pids, server, keeper]));
  await kernel[Symbol.asyncDispose]();
});

Deno.test("a fork server that does not react to its end, nor its keeper, is ended all the same", async () => {
  const { kernel, pids, server, keeper } = await occupied();
  // Nothing but descent could tell that these belong to a session.
  const nameless = [pids[3]!, pids[7]!];
  Deno.kill(keeper, "SIGSTOP");
  Deno.kill(server, "SIGSTOP");
  await kernel[Symbol.asyncDispose]();
  const named = pids.filter((pid) => !nameless.includes(pid));
  await until(async () => !await anyAlive([...named, server, keeper]));
  for (const pid of nameless) Deno.kill(pid, "SIGKILL");
});
