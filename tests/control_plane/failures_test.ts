/** What users are told of apps that fail, and what they can do with those that run, in a real cluster. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { jobName } from "../../lib/kubernetes/jobs/names.ts";
import type { Job, Pod } from "../../lib/kubernetes/api/types.ts";
import { controlPlaneTest } from "../stack/control_plane.ts";
import { ClusterStage, pythonImage } from "./cluster_stage.ts";
import { makeSecret } from "./support.ts";

const JOBS = ["/apis/batch/v1", "jobs"] as const;

/** Manifests that cannot run, and what is said of them. */
const FAILURES: Record<string, { manifest: Record<string, unknown>; says: RegExp }> = {
  pull: {
    manifest: { image: "test.invalid/pull-error:1" },
    says: /the image cannot be pulled \(ImagePullBackOff\): .*pull-error:1.*not found/,
  },
  memory: {
    manifest: {
      command: ["sh", "-c", 'echo grows; x=$(head -c 90000000 /dev/zero | tr "\\0" x); sleep 1000'],
      resources: { limits: { memory: "30Mi" } },
      wait_for_service: "never",
    },
    // More memory does not come by trying again, and nobody waits for that.
    says: /used more memory than its limit of 30Mi and was killed \(OOMKilled\)(?!; it was tried)/,
  },
  large: {
    manifest: { resources: { requests: { cpu: 900 } }, start_timeout: 8 },
    says: /does not run after 8 s: no node can take the pod now: .*Insufficient cpu/,
  },
  missing: {
    manifest: { env: { KEY: { secret: "tenant-keys", key: "nothing" } } },
    says: /is missing \(CreateContainerConfigError\): couldn't find key nothing/,
  },
  program: {
    manifest: { command: ["no-such-program"], backoff_limit: 0 },
    says: /command cannot be started: .*executable file not found in \$PATH/,
  },
  deadline: {
    manifest: { command: ["sleep", "1000"], timeout: 2, wait_for_service: "never" },
    says: /it ran longer than it may, 2 s \(DeadlineExceeded\)/,
  },
  exits: {
    manifest: {
      command: ["sh", "-c", "echo last words; exit 7"],
      backoff_limit: 0,
      wait_for_service: "never",
    },
    says:
      /(never was not registered: )?the container ended with exit code 7: last words.*Last output:\\?n?\n?last words/s,
  },
  silent: {
    manifest: {
      command: ["sh", "-c", "echo busy; exec sleep 1000"],
      wait_for_service: "never",
      service_timeout: 2,
    },
    says: /never was not registered within 2 s; the session is running.*Last output:\\?n?\n?busy/s,
  },
  large_by_rule: {
    manifest: { resources: { limits: { memory: "9Gi" } } },
    says: /the cluster refuses its pod: .*maximum memory usage per Container is 8Gi/,
  },
};

controlPlaneTest("users see why apps fail, and what they do", async (test) => {
  await using stage = await ClusterStage.start({
    args: [
      "--visibility=public",
      "--authorized-workspaces=ws-user-user-2",
      "--allowed-secrets=tenant-keys,key-of-{workspace}",
    ],
    images: {
      "example.org/service:1": pythonImage(`
import asyncio, os
from hypha_rpc import connect_to_server
async def main():
    server = await connect_to_server({"server_url": os.environ["HYPHA_SERVER_URL"], "workspace": os.environ["HYPHA_WORKSPACE"],
        "client_id": os.environ["HYPHA_CLIENT_ID"], "token": os.environ["HYPHA_TOKEN"]})
    await server.register_service({"id": "default", "name": "default", "add": lambda a, b: a + b})
    print("registered", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
`),
      "oeway/deno-claude-code:0.1.2": { command: ["sleep", "1000"] },
    },
  });
  const { token } = stage;
  await makeSecret(stage, "tenant-keys", { KEY: "value" });
  await makeSecret(stage, "key-of-ws-user-user-1", { KEY: "of user 1" });
  await makeSecret(stage, "deno-claude-code-config", {
    ANTHROPIC_API_KEY: "k",
    HYPHA_TOKEN: token,
  });
  await stage.create("/api/v1", "limitranges", {
    metadata: { name: "most" },
    spec: {
      limits: [{
        type: "Container",
        max: { memory: "8Gi" },
        default: { memory: "1Gi" },
        defaultRequest: { memory: "1Mi" },
      }],
    },
  });

  await test.step("a start that fails tells why, through the app controller, and leaves nothing", async () => {
    const manifests = Object.fromEntries(
      Object.entries(FAILURES).map(([name, { manifest }]) => [name, manifest]),
    );
    const errors = await stage.python<Record<string, string>>(
      `
server = await connect()
apps = await server.get_service("public/server-apps")
# One after the other: the server's first installation in a workspace does not like company.
ids = {}
for name, manifest in json.loads(os.environ["MANIFESTS"]).items():
    ids[name] = await install(apps, name, {**shell("exec sleep 1000"), **manifest}, stage=True)
# What can be seen before is told before.
refused = await fails(install(apps, "name", shell("true", image="example.org/UPPER:1"), stage=True))
async def failure(name): return name, await fails(apps.start(ids[name], stage=True, timeout=100))
return {"name": refused, **dict(await asyncio.gather(*map(failure, ids)))}`,
      { MANIFESTS: JSON.stringify(manifests) },
    );
    for (const [name, { says }] of Object.entries(FAILURES)) assertMatch(errors[name]!, says, name);
    assertMatch(errors.name!, /manifest\.image must be .*, received "example\.org\/UPPER:1"/);
    assertEquals(await stage.list<Job>(...JOBS), []);
  });

  await test.step("a session that fails later says why, and keeps its output", async () => {
    const found = await stage.python<[string, string | null, number | null, string, string][]>(`
server = await connect()
apps = await server.get_service("public/server-apps")
wait = "echo begin; while [ ! -e $TEST_KUBELET_ROOT/go ]; do sleep 0.1; done; "
apps_of = {"fails": shell(wait + "echo end; exit 3", backoff_limit=0), "late": shell("echo begin; exec sleep 1000", timeout=10),
    "grows": shell(wait + "x=$(head -c 90000000 /dev/zero | tr '\\\\0' x); sleep 1000", backoff_limit=0,
        resources={"limits": {"memory": "30Mi"}})}
sessions = {}
for name, manifest in apps_of.items():
    app = await install(apps, name, manifest, stage=True)
    sessions[name] = await apps.start(app, stage=True)
result = []
for name, session in sessions.items():
    worker = await server.get_service(session["worker_id"])
    if name != "late": await worker.execute(session["id"], "touch $TEST_KUBELET_ROOT/go")
    info = await ended(worker, session["id"])
    result.append([info["status"], info["reason"], info["exit_code"], info["message"], await output(apps, session["id"])])
    await apps.stop(session["id"])
return result`);
    const [fails, late, grows] = found;
    assertEquals(fails, [
      "failed",
      "BackoffLimitExceeded",
      3,
      "the container ended with exit code 3: end",
      "begin\nend\n",
    ]);
    const words = "it ran longer than it may, 10 s (DeadlineExceeded)";
    assertEquals([late![0], late![1], late![3], late![4]], [
      "failed",
      "DeadlineExceeded",
      words,
      "begin\n",
    ]);
    assertEquals(grows!.slice(0, 3), ["failed", "OOMKilled", 137]);
    assertMatch(grows![3], /limit of 30Mi and was killed/);
  });

  await test.step("a start waits for the service of the program, and its caller can use it", async () => {
    const found = await stage.python<Record<string, unknown>>(`
server = await connect()
apps = await server.get_service("public/server-apps")
manifest = {"type": "k8s-job", "image": "example.org/service:1", "wait_for_service": True, "service_timeout": 100}
app = await install(apps, "calculator", manifest, stage=True)
session = await apps.start(app, stage=True)
service = await server.get_service(session["id"] + ":default")
# Hypha's own waiting does the same.
app = await install(apps, "other", {"type": "k8s-job", "image": "example.org/service:1",
    "startup_config": {"wait_for_service": "default", "stop_after_inactive": 0}}, stage=True)
other = await apps.start(app, stage=True, timeout=100)
result = {"sum": await service.add(1, 2), "services": len(other["services"])}
for one in (session, other): await apps.stop(one["id"])
return result`);
    assertEquals(found.sum, 3);
    assert(Number(found.services) > 0);
  });

  await test.step("commands are streamed, and pages of logs stay where they are when the pod has ended", async () => {
    const found = await stage.python<Record<string, unknown>>(`
server = await connect()
apps = await server.get_service("public/server-apps")
script = "for i in 1 2 3 4 5; do echo line $i; done; while [ ! -e $TEST_KUBELET_ROOT/go ]; do sleep 0.1; done; echo end"
app = await install(apps, "talks", shell(script), stage=True)
session = await apps.start(app, stage=True)
id = session["id"]
worker = await server.get_service(session["worker_id"])
async def written(): return "line 5" in await output(apps, id)
await until(written, "it has written")
page = await apps.get_logs(id, type="stdout", offset=1, limit=2)
pieces, second = [], asyncio.Event()
async def on_output(piece):
    pieces.append([piece["name"], piece["text"]])
    # The command goes on only when its first output has come through.
    if len(pieces) == 1: await worker.execute(id, "touch $TEST_KUBELET_ROOT/on")
command = "echo first; while [ ! -e $TEST_KUBELET_ROOT/on ]; do sleep 0.1; done; echo second >&2; exit 5"
result = await worker.execute(id, command, output_callback=on_output)
listed = await worker.execute(id, ["sh", "-c", "echo $0 $1", "a b", "c"])
await worker.execute(id, "touch $TEST_KUBELET_ROOT/go")
info = await ended(worker, id)
error = await fails(worker.execute(id, "true"))
after = await apps.get_logs(id, type="stdout", offset=4, limit=10)
again = await apps.get_logs(id, type="stdout", offset=1, limit=2)
running = [one["id"] for one in await apps.list_running()]
await apps.stop(id)
gone = await worker.list_sessions()
kept = await output(worker, id)
return {"page": [i["content"] for i in page["items"]], "again": [i["content"] for i in again["items"]],
    "after": [i["content"] for i in after["items"]], "total": after["total"], "pieces": pieces, "status": result["status"],
    "code": result["exit_code"], "listed": listed["stdout"], "info": info["status"], "error": error, "running": running == [id],
    "gone": gone, "kept": kept}`);
    assertEquals(found.page, ["line 2\n", "line 3\n"]);
    assertEquals(found.again, found.page);
    assertEquals(found.after, ["line 5\n", "end\n"]);
    assertEquals(found.total, 6);
    assertEquals(found.pieces, [["stdout", "first\n"], ["stderr", "second\n"]]);
    assertEquals([found.status, found.code, found.listed], ["error", 5, "a b c\n"]);
    assertEquals([found.info, found.running, found.gone], ["succeeded", true, []]);
    assertMatch(String(found.error), /is succeeded: completed/);
    assertStringIncludes(String(found.kept), "end\n");
  });

  await test.step("an id is used once, and a job of somebody else with its name is left alone", async () => {
    const name = jobName("ws-user-user-1/taken");
    const template = {
      spec: {
        restartPolicy: "Never",
        containers: [{ name: "main", image: "x/y:1", command: ["sleep", "1000"] }],
      },
    };
    await stage.create(...JOBS, { metadata: { name }, spec: { template } });
    const found = await stage.python<Record<string, string>>(`
server = await connect()
worker = await server.get_service("ws-user-user-1/k8s-worker")
config = {"client_id": "taken", "manifest": shell("exec sleep 1000")}
session = await worker.start(config)
error = await fails(worker.start(config))
info = await worker.get_session_info(session)
await worker.stop(session)
return {"session": session, "error": error, "job": info["job"], "status": info["status"]}`);
    assertEquals([found.session, found.status], ["ws-user-user-1/taken", "running"]);
    assertMatch(found.error!, /Session ws-user-user-1\/taken already exists/);
    assert(found.job !== name);
    await stage.gone(...JOBS, found.job!);
    const left = await stage.list<Job>(...JOBS);
    assertEquals(left.map(({ metadata }) => metadata?.name), [name]);
    await stage.plane.request(
      "DELETE",
      `/apis/batch/v1/namespaces/hypha/jobs/${name}?propagationPolicy=Background`,
    );
    await stage.gone(...JOBS, name);
  });

  await test.step("tenants have what is theirs, and nothing of each other or of the operator", async () => {
    const found = await stage.python<Record<string, string | unknown[]>>(`
mine, theirs = await connect(), await connect("user-2")
worker = await mine.get_service("ws-user-user-1/k8s-worker")
foreign = await theirs.get_service("ws-user-user-1/k8s-worker")
session = await worker.start({"client_id": "private", "token": "secret-token", "manifest": shell("echo private; exec sleep 1000",
    env={"KEY": {"secret": "key-of-ws-user-user-1", "key": "KEY"}})})
agent = await worker.start({"client_id": "agent", "manifest": {"type": "claude-agent"}})
result = {}
for name in ("get_logs", "get_session_info", "stop"):
    result[name] = await fails(getattr(foreign, name)(session))
result["execute"] = await fails(foreign.execute(session, "true"))
result["list"] = await fails(foreign.list_sessions("ws-user-user-1"))
result["close"] = await fails(foreign.close_workspace("ws-user-user-1"))
result["shutdown"] = await fails(foreign.shutdown())
result["agent"] = await fails(foreign.execute(agent, "env"))
def start(**config): return foreign.start(config)
result["as"] = await fails(start(workspace="ws-user-user-1", manifest=shell("true")))
result["secret"] = await fails(start(manifest=shell("true", env={"KEY": {"secret": "key-of-ws-user-user-1", "key": "KEY"}})))
result["session_secret"] = await fails(start(manifest=shell("true", env={"KEY": {"secret": "hypha-job-x", "key": "HYPHA_TOKEN"}})))
result["conda"] = await fails(start(manifest={"type": "conda-worker"}))
result["workspace"] = await fails(start(manifest={"type": "claude-agent", "workspace": "ws-user-user-1"}))
result["namespace"] = await fails(start(manifest=shell("true", namespace="kube-system")))
result["privileged"] = await fails(start(manifest=shell("true", privileged=True)))
result["network"] = await fails(start(manifest=shell("true", host_network=True)))
result["path"] = await fails(start(manifest=shell("true", volumes=[{"mount_path": "/x", "host_path": "/"}])))
# Its own jobs run, by a call and through the app controller.
own = await start(client_id="own", manifest=shell("echo theirs; exec sleep 1000"))
apps = await theirs.get_service("public/server-apps")
worker_id = foreign.id
app = await install(apps, "theirs", shell("exec sleep 1000"), stage=True, worker_id=worker_id)
controlled = await apps.start(app, stage=True, worker_id=worker_id)
result["theirs"] = sorted(one["session_id"] for one in await foreign.list_sessions())
result["mine"] = sorted(one["session_id"] for one in await worker.list_sessions())
result["expected"] = sorted([own, controlled["id"]])
result["operator"] = await fails(worker.get_logs(own))
await apps.stop(controlled["id"])
for one in (session, agent): await worker.stop(one)
await foreign.stop(own)
return result`);
    const { theirs, mine, expected, ...errors } = found;
    assertEquals(theirs, expected);
    assertEquals(mine, ["ws-user-user-1/agent", "ws-user-user-1/private"]);
    const foreign =
      /not found|belongs to another workspace|only administrators|permission|authori/i;
    const names = ["get_logs", "get_session_info", "execute", "list", "close", "shutdown", "agent"];
    for (const name of [...names, "operator"]) assertMatch(String(errors[name]), foreign, name);
    assertMatch(String(errors.as), /config.workspace is ws-user-user-1/);
    assertMatch(String(errors.secret), /has not allowed "key-of-ws-user-user-1"/);
    assertMatch(String(errors.session_secret), /has not allowed "hypha-job-x"/);
    assertMatch(String(errors.conda), /only members of workspace ws-user-user-1/);
    assertMatch(String(errors.workspace), /must be the name of your own workspace|workspace/);
    assertMatch(String(errors.namespace), /jobs run in the namespace hypha/);
    assertMatch(String(errors.privileged), /rights of its node|--allow-privileged/);
    assertMatch(String(errors.network), /--allow-host-network/);
    assertMatch(String(errors.path), /--allow-host-path/);
    for (const pod of await stage.list<Pod>("/api/v1", "pods")) {
      assert(pod.metadata?.deletionTimestamp !== undefined, pod.metadata?.name);
    }
    assert(!stage.worker.output().includes("secret-token"));
  });
});
