/** A server with a worker, and the Python client, for end-to-end tests. */
import { join } from "@std/path";
import { type HyphaServer, startHypha } from "../stack/hypha.ts";
import { type PythonClientResult, runPythonClient } from "../stack/python_client.ts";
import { TcpProxy } from "../stack/tcp_proxy.ts";
import { type PrivateManagers, privateManagers, stackPaths } from "../stack/stack.ts";
import { startWorker, type WorkerProcess, type WorkerProcessOptions } from "./worker_process.ts";

/** What the Python texts of tests may use without defining it. */
const PRELUDE = `
import asyncio, json, os, sys, time
from hypha_rpc import connect_to_server

SERVER = os.environ["SERVER"]
CHANNEL = os.environ["CHANNEL"]

async def connect(user="user-1", **more):
    return await connect_to_server({
        "server_url": SERVER, "workspace": "ws-user-" + user,
        "token": os.environ["TOKEN_" + user.replace("-", "_").upper()], "method_timeout": 300, **more})

def check(condition, *facts):
    if not condition:
        frame = sys._getframe(1)
        raise AssertionError("line %d: %r" % (frame.f_lineno, facts))

def stdout(result):
    return "".join(o["text"] for o in result["outputs"] if o["type"] == "stream" and o["name"] == "stdout")

DEPENDENCIES = ["python=3.11"]
def config(id, workspace="ws-user-user-1", **more):
    return {"id": id, "workspace": workspace, "app_id": "none",
            "manifest": {"type": "conda-jupyter-kernel", "dependencies": DEPENDENCIES, "channels": [CHANNEL]}, **more}

DETACHED = {"wait_for_service": False, "stop_after_inactive": 0}
def manifest(**more):
    return {"name": "App", "type": "conda-jupyter-kernel", "version": "1.0.0", "entry_point": "main.py",
            "dependencies": DEPENDENCIES, "channels": [CHANNEL], "startup_config": DETACHED, **more}

def files(**contents):
    return [{"path": k.replace("__", "/").replace("_dot_", "."), "content": v, "format": "text"} for k, v in contents.items()]

async def until(condition, what="", seconds=120):
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline: raise AssertionError("never: " + what)
        await asyncio.sleep(0.05)

async def fails(awaitable):
    try:
        value = await awaitable
    except Exception as error:
        return str(error)
    raise AssertionError("expected an error, received %r" % (value,))
`;

/** A running stage. */
export class Stage implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly server: HyphaServer,
    /** The network between worker and server, when there is one to disturb. */
    readonly proxy: TcpProxy | undefined,
    readonly managers: PrivateManagers,
    /** The worker; replaced by {@linkcode restartWorker}. */
    public worker: WorkerProcess,
    readonly options: WorkerProcessOptions,
  ) {}

  /** Starts a server and a worker with managers of their own. */
  static async start(
    { throughProxy = false, ...options }: WorkerProcessOptions & { throughProxy?: boolean } = {},
  ): Promise<Stage> {
    const directory = await Deno.makeTempDir({ prefix: "stage-" });
    const server = await startHypha();
    const proxy = throughProxy ? new TcpProxy(server.url) : undefined;
    try {
      const managers = await privateManagers(join(directory, "managers"), ["mamba"]);
      const all = {
        managers: managers.bin,
        cacheDir: join(directory, "cache"),
        ...(proxy === undefined ? {} : { serverUrl: proxy.url }),
        ...options,
      };
      return new Stage(directory, server, proxy, managers, await startWorker(server, all), all);
    } catch (error) {
      await proxy?.[Symbol.asyncDispose]();
      await server.stop();
      throw error;
    }
  }

  /** Starts another worker with the same cache, when the first has ended; it may get other arguments and variables. */
  async restartWorker(other: WorkerProcessOptions = {}): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    this.worker = await startWorker(this.server, { ...this.options, ...other });
  }

  /** Runs an async Python text with the real client. Throws with everything it printed when it fails. */
  async python(body: string, env: Record<string, string> = {}): Promise<string> {
    const lines = body.split("\n").map((line) => "    " + line).join("\n");
    const script = `${PRELUDE}\nasync def main():\n    pass\n${lines}\nasyncio.run(main())\n`;
    const result = await this.rawPython(script, env);
    if (result.code !== 0) {
      throw new Error(
        `the Python client failed\n${result.stdout}\n${result.stderr}\n${this.worker.output()}`,
      );
    }
    return result.stdout;
  }

  /** Runs a Python text as it is. */
  async rawPython(
    script: string,
    env: Record<string, string> = {},
  ): Promise<PythonClientResult> {
    return await runPythonClient(script, {
      env: {
        SERVER: this.server.url,
        CHANNEL: stackPaths.channel,
        TOKEN_USER_1: await this.server.userToken({ user: "user-1" }),
        TOKEN_USER_2: await this.server.userToken({ user: "user-2" }),
        ...env,
      },
    });
  }

  /** Session directories that exist. */
  async sessionDirectories(): Promise<string[]> {
    const found: string[] = [];
    try {
      for await (const entry of Deno.readDir(this.worker.workingDir)) {
        if (entry.isDirectory) found.push(entry.name);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    await this.proxy?.[Symbol.asyncDispose]();
    await this.server.stop();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Whether a process exists and is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    const status = await Deno.readTextFile(`/proc/${pid}/stat`);
    return !/^\d+ \(.*\) Z/s.test(status);
  } catch {
    return false;
  }
}

/** Process ids of everything below a process. */
export async function descendants(pid: number): Promise<number[]> {
  const found: number[] = [];
  const pending = [pid];
  while (pending.length > 0) {
    const current = pending.pop()!;
    const tasks = await listing(`/proc/${current}/task`);
    for (const task of tasks) {
      const children = await Deno.readTextFile(`/proc/${current}/task/${task}/children`).catch(() =>
        ""
      );
      const pids = children.split(" ").filter((word) => word.trim() !== "").map(Number);
      found.push(...pids);
      pending.push(...pids);
    }
  }
  return found;
}

async function listing(path: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Waits until a condition holds. Fails after two minutes, or the time given (milliseconds): machines may be slow. */
export async function eventually(
  condition: () => Promise<boolean>,
  what: string,
  limit = 120_000,
): Promise<void> {
  const deadline = performance.now() + limit;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
