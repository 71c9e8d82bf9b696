/** The whole command against a real Hypha server: its app controller, and the cluster of the fake API server. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import type { CommandContext } from "../../../lib/cli/command.ts";
import { k8s } from "../../../lib/cli/k8s.ts";
import type { Job } from "../../../lib/kubernetes/api/types.ts";
import { startHypha } from "../../stack/hypha.ts";
import { runPythonClient } from "../../stack/python_client.ts";
import { FakeApiServer } from "../fake_api_server.ts";
import { ended, runs } from "./support.ts";

const NAMESPACE = "jobs";
const COLLECTION = `apis/batch/v1/namespaces/${NAMESPACE}/jobs`;

/** Gives every job a pod that runs, and whose log says so; those of `bad` images cannot be pulled. */
function kubelet(api: FakeApiServer): void {
  const known = new Set<string>();
  api.store.listeners.add(() => {
    const { items } = api.store.list(COLLECTION, { labels: "", fields: "" }, Infinity);
    for (const job of items as Job[]) {
      const name = job.metadata!.name!;
      if (known.has(job.metadata!.uid!)) continue;
      known.add(job.metadata!.uid!);
      const image = job.spec!.template.spec!.containers[0]!.image!;
      // Once the listeners have heard of the job.
      queueMicrotask(() => {
        const status = image.startsWith("bad") ? ended(137, "OOMKilled") : runs();
        const pod = api.startPod(NAMESPACE, name, status).metadata!.name!;
        api.log(pod).line(`hello from ${image}`);
      });
    }
  });
}

const PYTHON = `
import asyncio, json, os
from hypha_rpc import connect_to_server

async def connect(user):
    return await connect_to_server({"server_url": os.environ["SERVER"], "workspace": "ws-user-" + user,
        "token": os.environ["TOKEN_" + user[-1]], "method_timeout": 60})

def check(condition, *facts):
    if not condition: raise AssertionError(repr(facts))

async def fails(awaitable):
    try: value = await awaitable
    except Exception as error: return str(error)
    raise AssertionError("expected an error, received %r" % (value,))

JOB = {"type": "k8s-job", "image": "python:3.11", "command": ["python", "-c", "print('hello')"]}

async def main():
    server = await connect("user-1")
    apps = await server.get_service("public/server-apps")

    # Through the app controller: install (with its test start), start, list, logs, execute, stop.
    messages = []
    app = await apps.install(app_id="job", overwrite=True, timeout=60, manifest={"name": "Job", "version": "1.0.0", **JOB},
        progress_callback=lambda p: messages.append(p["message"]))
    check(any("was created" in m for m in messages), messages)
    session = await apps.start(app["id"])
    running = await apps.list_running()
    check([r["id"] for r in running] == [session["id"]], running)
    logs = await apps.get_logs(session["id"], type="stdout", offset=0, limit=1)
    check([i["content"] for i in logs["items"]] == ["hello from python:3.11\\n"], logs)
    worker = await server.get_service(session["worker_id"])
    outputs = []
    result = await worker.execute(session["id"], "echo hi", output_callback=lambda o: outputs.append(o["text"]))
    check(result["stdout"] == "hi\\n" and result["exit_code"] == 0 and outputs == ["hi\\n"], result, outputs)
    info = await worker.get_session_info(session["id"])
    check(info["status"] == "running" and info["app_id"] == "job", info)
    await apps.stop(session["id"])
    check(await apps.list_running() == [])
    check(await worker.list_sessions() == [])

    # A start that fails says why.
    bad = await apps.install(app_id="bad", overwrite=True, stage=True, timeout=60,
        manifest={"name": "Bad", "version": "1.0.0", **JOB, "image": "bad:1"})
    error = await fails(apps.start(bad["id"], stage=True))
    check("OOMKilled" in error and "hello from bad:1" in error, error)

    # Direct calls, as documented: a manifest alone.
    k8s = await server.get_service("ws-user-user-1/k8s-worker")
    session_id = await k8s.start({"manifest": JOB})
    check(session_id.startswith("ws-user-user-1/"), session_id)

    # Its service is found with the worker's own identity.
    async def register():
        while True:
            for one in await k8s.list_sessions():
                if one["client_id"] == "waits":
                    client = await connect_to_server({"server_url": os.environ["SERVER"], "workspace": "ws-user-user-1",
                        "token": os.environ["TOKEN_1"], "client_id": "waits"})
                    await client.register_service({"id": "calc", "config": {"visibility": "protected"}, "add": lambda a, b: a + b})
                    return client
            await asyncio.sleep(0.05)
    registering = asyncio.ensure_future(register())
    waited = await k8s.start({"client_id": "waits", "manifest": {**JOB, "wait_for_service": "calc"}})
    client = await registering
    error = await fails(k8s.start({"manifest": {**JOB, "wait_for_service": "never", "service_timeout": 1}}))
    check("ws-user-user-1/never was not registered within 1 s" in error, error)
    await client.disconnect()

    # Another tenant, through the controller that may call any worker.
    other = await connect("user-2")
    theirs = await other.get_service("public/server-apps")
    await theirs.install(app_id="theirs", overwrite=True, stage=True, timeout=60, worker_id=session["worker_id"],
        manifest={"name": "Theirs", "version": "1.0.0", **JOB})
    error = await fails(theirs.start("theirs", stage=True, worker_id=session["worker_id"]))
    check("workspace ws-user-user-2 is not authorised for this worker" in error, error)
    await k8s.stop(session_id)
    await k8s.stop(waited)
    print("done")

asyncio.run(main())
`;

Deno.test("apps of type k8s-job run through the app controller of a real server, and by direct calls", async () => {
  await using api = FakeApiServer.start();
  kubelet(api);
  api.onExec = (exec) => {
    if (exec.command[0] === "/bin/sh") exec.stderr(`${exec.command[3]} 1\n`);
    exec.stdout("hi\n");
    exec.exit(0);
  };
  await using server = await startHypha();
  const directory = await Deno.makeTempDir({ prefix: "k8s-" });
  const token = await server.userToken({ user: "user-1" });
  try {
    const kubeconfig = join(directory, "config");
    await Deno.writeTextFile(kubeconfig, api.kubeconfig());
    const registered = Promise.withResolvers<void>();
    let stop: (signal: string) => void = () => {};
    const printed: string[] = [];
    const context: CommandContext = {
      environment: () => undefined,
      print: (line) => {
        printed.push(line);
        if (line.includes("registered successfully")) registered.resolve();
      },
      write: () => {},
      terminal: false,
      colour: { stdout: false, stderr: false },
      columns: { stdout: undefined, stderr: undefined },
      ask: undefined,
      onStop: (listener) => {
        stop = listener;
        return { [Symbol.dispose]: () => {} };
      },
    };
    const running = k8s([
      `--server-url=${server.url}`,
      "--workspace=ws-user-user-1",
      `--token=${token}`,
      `--namespace=${NAMESPACE}`,
      `--kubeconfig=${kubeconfig}`,
    ], context);
    await Promise.race([registered.promise, running]);
    const { code, stdout, stderr } = await runPythonClient(PYTHON, {
      env: {
        SERVER: server.url,
        TOKEN_1: token,
        TOKEN_2: await server.userToken({ user: "user-2" }),
      },
    });
    stop("SIGTERM");
    assertEquals(await running, 0);
    // The client has words of its own about connections.
    assertEquals([code, stdout.trimEnd().split("\n").at(-1)], [0, "done"], `${stdout}\n${stderr}`);
    assertEquals(printed.at(-1), "Worker stopped.");
    const left = api.store.list(COLLECTION, { labels: "", fields: "" }, Infinity).items;
    assertEquals(left.map(({ metadata }) => metadata?.name), []);
    // The worker's own token is told to nobody.
    assert(!api.requests.some(({ path, body }) => `${path}${body}`.includes(token)));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
