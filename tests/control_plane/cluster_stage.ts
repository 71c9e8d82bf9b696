/**
 * Everything real: a Hypha server, a Kubernetes cluster, and the program `k8s` as a process of its own, under the
 * permissions of `deno task start` and with the rights that the chart gives it. Python clients use it.
 */
import { join } from "@std/path";
import { spawnProgram, startCommand, WorkerProcess } from "../e2e/worker_process.ts";
import { ControlPlane, type TestImage, type TestNode } from "../stack/control_plane.ts";
import { waitFor } from "../stack/control_plane_wait.ts";
import { type HyphaServer, startHypha } from "../stack/hypha.ts";
import { runPythonClient } from "../stack/python_client.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";
import { accountWith, chartRights } from "./accounts.ts";

/** Longest time of one text of Python (milliseconds). */
const PYTHON_TIME = 180_000;

/** What the Python texts of tests may use without defining it. */
const PRELUDE = `
import asyncio, json, os, sys, time
from hypha_rpc import connect_to_server

async def connect(user="user-1"):
    return await connect_to_server({"server_url": os.environ["SERVER"], "workspace": "ws-user-" + user,
        "token": os.environ["TOKEN_" + user.replace("-", "_").upper()], "method_timeout": 120})

def check(condition, *facts):
    if not condition:
        raise AssertionError("line %d: %r" % (sys._getframe(1).f_lineno, facts))

async def until(condition, what):
    deadline = time.monotonic() + 100
    while True:
        value = await condition()
        if value: return value
        if time.monotonic() > deadline: raise AssertionError("never: " + what)
        await asyncio.sleep(0.1)

async def fails(awaitable):
    try: value = await awaitable
    except Exception as error: return str(error)
    raise AssertionError("expected an error, received %r" % (value,))

def shell(script, **more):
    return {"type": "k8s-job", "image": "example.org/image:1", "command": ["sh", "-c", script], **more}

async def install(apps, id, manifest, **more):
    app = await apps.install(app_id=id, overwrite=True, timeout=120, manifest={"name": id, "version": "1.0.0", **manifest}, **more)
    return app["id"]

async def output(where, session_id):
    logs = await where.get_logs(session_id, type="stdout", offset=0, limit=1000)
    return "".join(item["content"] for item in logs["items"])

async def there(server, service):
    async def is_so():
        try: return await server.get_service(service)
        except Exception: return None
    return await until(is_so, service + " is registered")

async def ended(where, session_id):
    async def is_so():
        info = await where.get_session_info(session_id)
        return info if info["status"] in ("succeeded", "failed") else None
    return await until(is_so, session_id + " has ended")
`;

/** What {@linkcode ClusterStage.start} may be told. */
export interface ClusterStageOptions {
  /** More arguments of the worker. */
  readonly args?: string[];
  readonly nodes?: TestNode[];
  /** Images by their exact name; made when the server is there. */
  readonly images?: Record<string, TestImage>;
}

/** The parts, started. */
export class ClusterStage implements AsyncDisposable {
  private constructor(
    readonly hypha: HyphaServer,
    readonly plane: ControlPlane,
    /** Namespace of the jobs. */
    readonly namespace: string,
    /** Token of the worker's service account. */
    readonly account: string,
    /** Token of the worker's user. */
    readonly token: string,
    readonly args: readonly string[],
    /** The worker, until it is replaced. */
    public worker: WorkerProcess,
  ) {}

  /** Starts everything, and waits until the worker is registered in the workspace of `user-1`. */
  static async start(options: ClusterStageOptions = {}): Promise<ClusterStage> {
    const { args = [], nodes, images } = options;
    const stack = new AsyncDisposableStack();
    try {
      const plane = stack.use(
        await ControlPlane.start({
          ...(nodes === undefined ? {} : { nodes }),
          ...(images === undefined ? {} : { images }),
        }),
      );
      const hypha = stack.use(await startHypha());
      const namespace = await plane.namespace("hypha");
      const account = await accountWith(plane, namespace, "worker", await chartRights());
      const token = await hypha.userToken({ user: "user-1" });
      const worker = await startWorker(hypha, plane, account, token, args);
      stack.move();
      return new ClusterStage(hypha, plane, namespace, account, token, args, worker);
    } finally {
      await stack.disposeAsync();
    }
  }

  /** Starts another worker when the one before has ended. */
  async startWorker(): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    this.worker = await startWorker(
      this.hypha,
      this.plane,
      this.account,
      this.token,
      this.args,
    );
  }

  /**
   * Runs an async Python text with the real client, and gives what it has returned. Throws with everything that was
   * printed when it fails or takes too long.
   */
  async python<T = unknown>(body: string, env: Record<string, string> = {}): Promise<T> {
    const lines = body.split("\n").map((line) => "    " + line).join("\n");
    const script = `${PRELUDE}\nasync def main():\n    pass\n${lines}\n` +
      `print("RETURNED " + json.dumps(asyncio.run(main())))\n`;
    const signal = AbortSignal.timeout(PYTHON_TIME);
    const { code, stdout, stderr } = await runPythonClient(script, {
      signal,
      env: {
        SERVER: this.hypha.url,
        // Its whole id, by which no other worker is meant.
        WORKER: /Service ID: (\S+:\S+)/.exec(this.worker.stdout)?.[1] ?? "",
        TOKEN_USER_1: this.token,
        TOKEN_USER_2: await this.hypha.userToken({ user: "user-2" }),
        ...env,
      },
    });
    const returned = stdout.split("\n").find((line) => line.startsWith("RETURNED "));
    if (code === 0 && returned !== undefined) return JSON.parse(returned.slice(9)) as T;
    const what = signal.aborted ? `takes longer than ${PYTHON_TIME / 1000} s` : "failed";
    throw new Error(`the Python client ${what}\n${stdout}\n${stderr}\n${this.worker.output()}`);
  }

  /** Objects of the namespace, such as `list("/apis/batch/v1", "jobs")`. */
  async list<T>(group: string, kind: string): Promise<T[]> {
    const path = `${group}/namespaces/${this.namespace}/${kind}`;
    return (await this.plane.request<{ items: T[] }>("GET", path)).body.items;
  }

  /** Makes an object of the namespace. */
  async create(group: string, kind: string, object: Record<string, unknown>): Promise<void> {
    await this.plane.create(`${group}/namespaces/${this.namespace}/${kind}`, object);
  }

  /** Resolves when an object of the namespace has gone. */
  async gone(group: string, kind: string, name: string): Promise<void> {
    const path = `${group}/namespaces/${this.namespace}/${kind}`;
    await waitFor(this.plane, path, name, (object) => object === undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    await this.hypha.stop();
    await this.plane.stop();
  }
}

async function startWorker(
  hypha: HyphaServer,
  plane: ControlPlane,
  account: string,
  token: string,
  args: readonly string[],
): Promise<WorkerProcess> {
  const directory = await Deno.makeTempDir({ prefix: "worker-" });
  const kubeconfig = join(directory, "kubeconfig");
  await Deno.writeTextFile(kubeconfig, plane.kubeconfig({ token: account }));
  const child = await spawnProgram(["k8s", ...args], {
    // As the documentation of the worker has them.
    HYPHA_SERVER_URL: hypha.url,
    HYPHA_WORKSPACE: "ws-user-user-1",
    HYPHA_TOKEN: token,
    HYPHA_K8S_NAMESPACE: "hypha",
    KUBECONFIG: kubeconfig,
    TMPDIR: directory,
    no_proxy: "*",
  });
  const worker = new WorkerProcess(child, directory, directory, directory);
  try {
    await worker.printed("registered successfully");
    return worker;
  } catch (error) {
    await worker[Symbol.asyncDispose]();
    throw error;
  }
}

/** An image with a Python text; it has the client of Hypha. */
export function pythonImage(script: string): TestImage {
  return { command: [stackPaths.hyphaPython, "-c", script], env: { no_proxy: "*" } };
}

/** The image of this very program: its arguments are the program's, as with the real one. */
export async function programImage(...more: string[]): Promise<TestImage> {
  // What is / in a container is a directory here.
  const places = '--cache-dir="$TEST_KUBELET_ROOT/cache" --working-dir="$TEST_KUBELET_ROOT/work"';
  const line = `exec ${await programCommand()} "$@" ${places} ${more.join(" ")}`;
  return { command: ["sh", "-c", line, "hypha-conda-worker"], env: programVariables() };
}

/** The program under the permissions of `deno task start`, for a shell. */
export async function programCommand(): Promise<string> {
  const words = await startCommand();
  const program = join(stackPaths.root, words.at(-1)!);
  return [stackPaths.deno, ...words.slice(0, -1), program].join(" ");
}

/** What the program needs besides in a pod of the tests. */
export function programVariables(): Record<string, string> {
  return {
    PATH: `${managerPath()}:${Deno.env.get("PATH")}`,
    DENO_DIR: denoDirectory(),
    no_proxy: "*",
  };
}

/** Where Deno has what it has downloaded; pods have a home of their own. */
function denoDirectory(): string {
  const own = Deno.env.get("DENO_DIR");
  if (own !== undefined && own !== "") return own;
  return join(Deno.env.get("XDG_CACHE_HOME") ?? join(Deno.env.get("HOME")!, ".cache"), "deno");
}
