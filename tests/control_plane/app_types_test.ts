/** Apps of every type, through the app controller of a real server and by direct calls, in a real cluster. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Job, Pod } from "../../lib/kubernetes/api/types.ts";
import { controlPlaneTest } from "../stack/control_plane.ts";
import { stackPaths } from "../stack/stack.ts";
import { ClusterStage, programImage, pythonImage } from "./cluster_stage.ts";
import { makeClaim, makeSecret } from "./support.ts";

/** An agent: a service under the id that its variables say, which tells what its variables are. */
const AGENT = pythonImage(`
import asyncio, json, os
from hypha_rpc import connect_to_server
async def main():
    own = dict(os.environ)
    print("ENVIRONMENT " + json.dumps(own), flush=True)
    server = await connect_to_server({"server_url": own["HYPHA_SERVER_URL"], "workspace": own["HYPHA_WORKSPACE"],
        "client_id": own["HYPHA_CLIENT_ID"], "token": own["HYPHA_TOKEN"]})
    await server.register_service({"id": own["SERVICE_ID"], "config": {"visibility": own["SERVICE_VISIBILITY"]},
        "environment": lambda: own})
    await asyncio.Event().wait()
asyncio.run(main())
`);

/** Prints its variables, and what it finds in the places of its volumes. */
const SHOW = `
env
echo "ARGUMENTS=$*"
echo "DIRECTORY=$(basename "$PWD")"
echo "FROM_CLAIM=$(cat $TEST_KUBELET_ROOT/data/greeting)"
echo "SECRET_FILE=$(cat $TEST_KUBELET_ROOT/etc/keys/renamed)"
echo "MAP_FILE=$(cat $TEST_KUBELET_ROOT/etc/settings/COLOUR)"
touch $TEST_KUBELET_ROOT/scratch/file && echo SCRATCH=writable
[ -e $TEST_KUBELET_ROOT/var/run/secrets/kubernetes.io/serviceaccount/token ] || echo ACCOUNT=none
`;

const EVERYTHING = {
  type: "k8s-job",
  image: "test.invalid/private:1",
  command: ["sh", "-c", SHOW, "program"],
  args: ["first", "$(GREETING)"],
  env: {
    GREETING: "hello",
    NUMBER: 4,
    FLAG: true,
    REFERS: "$(GREETING) again",
    FROM_SECRET: { secret: "tenant-keys", key: "KEY" },
    FROM_MAP: { config_map: "settings", key: "COLOUR" },
    HYPHA_APP_ID: null,
  },
  resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { cpu: 2, memory: "1Gi" } },
  gpu: 1,
  working_dir: "/some/where",
  volumes: [
    { mount_path: "/data", claim: "data-ws-user-user-1" },
    { mount_path: "/etc/keys", secret: "tenant-keys", files: [{ key: "KEY", path: "renamed" }] },
    { mount_path: "/etc/settings", config_map: "settings" },
    { mount_path: "/scratch", empty_dir: { size_limit: "10Mi" } },
  ],
  service_account: "tenant",
  image_pull_secrets: ["registry"],
  image_pull_policy: "Always",
  restart_policy: "OnFailure",
  node_selector: { disk: "ssd" },
  tolerations: [{ key: "gpu", effect: "NoSchedule" }],
  backoff_limit: 2,
  timeout: 600,
  ttl_seconds_after_finished: 300,
  labels: { team: "growth" },
  annotations: { note: "run 12" },
};

/** `NAME=value` lines as a mapping. */
function variables(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split("\n").filter((line) => /^\w+=/.test(line)).map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

/** Some variables of many. */
function those(all: Record<string, string>, names: string[]): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, all[name]]));
}

controlPlaneTest("apps of every type run as their manifests say", async (test) => {
  await using stage = await ClusterStage.start({
    args: [
      "--allowed-secrets=tenant-keys,registry,other-config",
      "--allowed-config-maps=settings",
      "--allowed-claims=data-{workspace}",
      "--allowed-service-accounts=tenant",
      "--default-timeout=1234",
      "--image-pull-policy=Never",
    ],
    nodes: [{ name: "plain" }, {
      name: "gpu",
      labels: { disk: "ssd" },
      taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }],
      capacity: { "nvidia.com/gpu": "1" },
    }],
    images: {
      "oeway/deno-claude-code:0.1.2": AGENT,
      "ghcr.io/amun-ai/hypha-conda-worker:0.1.0": await programImage(
        `--allow-file-channels=${stackPaths.channelDir}`,
      ),
    },
  });
  const { hypha, token } = stage;
  await Promise.all([
    makeSecret(stage, "tenant-keys", { KEY: "of the tenant" }),
    makeSecret(stage, "registry", { ".dockerconfigjson": '{"auths": {}}' }),
    makeSecret(stage, "deno-claude-code-config", { ANTHROPIC_API_KEY: "key", HYPHA_TOKEN: token }),
    makeSecret(stage, "other-config", { ANTHROPIC_API_KEY: "other", HYPHA_TOKEN: token }),
    makeSecret(stage, "hypha-secrets", { HYPHA_AGENTS_TOKEN: token }),
    stage.create("/api/v1", "configmaps", {
      metadata: { name: "settings" },
      data: { COLOUR: "blue" },
    }),
    stage.create("/api/v1", "serviceaccounts", { metadata: { name: "tenant" } }),
    makeClaim(stage, "data-ws-user-user-1"),
  ]);

  await test.step("by direct calls as documented, with a manifest alone", async () => {
    const found = await stage.python<Record<string, unknown>>(`
server = await connect()
worker = await server.get_service("ws-user-user-1/k8s-worker")
session = await worker.start({"manifest": {"type": "k8s-job", "image": "python:3.11",
    "command": [${JSON.stringify(stackPaths.hyphaPython)}, "-c", "print('Hello from K8s Job!')"]}})
# The type is that of a job unless it is said.
untyped = await worker.start({"client_id": "mine", "app_id": "some-app", "env": {"RATE": "0.5"}, "token": "session-token",
    "server_url": os.environ["SERVER"], "manifest": {"image": "python:3.11", "command": ["env"], "env": {"RATE": "0.1"}}})
info = await ended(worker, session)
await ended(worker, untyped)
listed = [one for one in await server.list_services() if one["id"].endswith(":k8s-worker")]
return {"session": session, "output": await output(worker, session), "info": info, "environment": await output(worker, untyped),
    "types": worker.supported_types, "listed": [[one["type"], one["config"]["visibility"]] for one in listed]}`);
    assertMatch(String(found.session), /^ws-user-user-1\//);
    assertEquals(found.output, "Hello from K8s Job!\n");
    assertEquals(found.types, ["k8s-job", "claude-agent", "conda-worker"]);
    assertEquals(found.listed, [["server-app-worker", "protected"]]);
    const info = found.info as Record<string, Record<string, unknown>>;
    assertEquals(
      [info.status, info.exit_code, info.image],
      ["succeeded", 0, "python:3.11"] as never,
    );
    assertEquals(info.limits, { active_deadline: 1234, backoff_limit: 3, ttl: 3600 });
    const pods = await stage.list<Pod>("/api/v1", "pods");
    assertEquals(pods.map(({ spec }) => spec?.containers[0]?.imagePullPolicy), ["Never", "Never"]);
    const environment = variables(String(found.environment));
    assertEquals(
      those(environment, ["HYPHA_WORKSPACE", "HYPHA_CLIENT_ID", "HYPHA_APP_ID", "RATE"]),
      {
        HYPHA_WORKSPACE: "ws-user-user-1",
        HYPHA_CLIENT_ID: "mine",
        HYPHA_APP_ID: "some-app",
        RATE: "0.5",
      },
    );
    assertEquals(
      [environment.HYPHA_SERVER_URL, environment.HYPHA_TOKEN],
      [hypha.url, "session-token"],
    );
  });

  await test.step("a k8s-job with every field, through the app controller", async () => {
    const found = await stage.python<{ output: string; session: string; running: string[] }>(
      `
server = await connect()
apps = await server.get_service("public/server-apps")
app = await install(apps, "everything", json.loads(os.environ["MANIFEST"]), stage=True)
session = await apps.start(app, stage=True)
worker = await server.get_service(session["worker_id"])
await ended(worker, session["id"])
return {"output": await output(apps, session["id"]), "session": session["id"],
    "running": [one["id"] for one in await apps.list_running()]}`,
      { MANIFEST: JSON.stringify(EVERYTHING) },
    );
    assertEquals(found.running, [found.session]);
    const environment = variables(found.output);
    const { HYPHA_TOKEN, HYPHA_CLIENT_ID, ...rest } = environment;
    assertMatch(HYPHA_TOKEN!, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert(HYPHA_CLIENT_ID !== undefined && HYPHA_CLIENT_ID !== "");
    assertEquals(
      those(rest, [
        ...["GREETING", "NUMBER", "FLAG", "REFERS", "FROM_SECRET", "FROM_MAP", "HYPHA_APP_ID"],
        ...["HYPHA_SERVER_URL", "HYPHA_WORKSPACE", "ARGUMENTS", "DIRECTORY", "FROM_CLAIM"],
        ...["SECRET_FILE", "MAP_FILE", "SCRATCH", "ACCOUNT"],
      ]),
      {
        GREETING: "hello",
        NUMBER: "4",
        FLAG: "true",
        REFERS: "hello again",
        FROM_SECRET: "of the tenant",
        FROM_MAP: "blue",
        HYPHA_APP_ID: undefined,
        HYPHA_SERVER_URL: hypha.url,
        HYPHA_WORKSPACE: "ws-user-user-1",
        ARGUMENTS: "first hello",
        DIRECTORY: "where",
        FROM_CLAIM: "hello from the claim",
        SECRET_FILE: "of the tenant",
        MAP_FILE: "blue",
        SCRATCH: "writable",
        ACCOUNT: "none",
      },
    );

    const jobs = await stage.list<Job>("/apis/batch/v1", "jobs");
    const job = jobs.find(({ metadata }) => metadata?.labels?.team === "growth")!;
    assertEquals(job.metadata?.annotations?.note, "run 12");
    assertEquals(
      [
        job.spec?.backoffLimit,
        job.spec?.activeDeadlineSeconds,
        job.spec?.ttlSecondsAfterFinished,
      ],
      [2, 600, 300],
    );
    const pods = await stage.list<Pod>("/api/v1", "pods");
    const pod = pods.find(({ metadata }) => metadata?.labels?.["job-name"] === job.metadata!.name)!;
    const { spec } = pod;
    const { resources, imagePullPolicy, securityContext, env } = spec!.containers[0]!;
    // The node with the device, which its selector, its toleration and the device lead to.
    assertEquals(
      [spec?.nodeName, spec?.serviceAccountName, spec?.restartPolicy, imagePullPolicy],
      ["gpu", "tenant", "OnFailure", "Always"],
    );
    assertEquals(spec?.imagePullSecrets, [{ name: "registry" }]);
    assertEquals(resources, {
      requests: { cpu: "100m", memory: "64Mi", "nvidia.com/gpu": "1" },
      limits: { cpu: "2", memory: "1Gi", "nvidia.com/gpu": "1" },
    });
    assertEquals(securityContext?.capabilities, { drop: ["ALL"] });
    // The token is in nobody's description of the pod, and the secret that has it goes with the job.
    assert(!JSON.stringify([job, pod]).includes(HYPHA_TOKEN!));
    const secret = env?.find(({ name }) => name === "HYPHA_TOKEN")?.valueFrom?.secretKeyRef?.name;
    assertEquals(secret, job.metadata?.name);
    await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
await apps.stop(${JSON.stringify(found.session)})
check(await apps.list_running() == [])`);
    await stage.gone("/api/v1", "secrets", secret!);
    await stage.gone("/apis/batch/v1", "jobs", job.metadata!.name!);
    await stage.gone("/api/v1", "pods", pod.metadata!.name!);
  });

  await test.step("a claude-agent, with what is the default and with every field", async () => {
    const found = await stage.python<{ plain: string; own: Record<string, string> }>(`
server = await connect()
worker = await server.get_service("ws-user-user-1/k8s-worker")
async def plain():
    session = await worker.start({"client_id": "plain-agent", "manifest": {"type": "claude-agent"}})
    async def told(): return "ENVIRONMENT" in await output(worker, session) and await output(worker, session)
    text = await until(told, "the agent has told its variables")
    await there(server, "ws-user-user-1/claude-agents")
    await worker.stop(session)
    return text
async def own():
    apps = await server.get_service("public/server-apps")
    app = await install(apps, "agent", {"type": "claude-agent", "service_id": "my-agent", "wait_for_service": True,
        "service_timeout": 100, "secret_name": "other-config", "visibility": "public", "workspace": "ws-user-user-1"}, stage=True)
    session = await apps.start(app, stage=True)
    # It is there when the start is over.
    agent = await server.get_service("ws-user-user-1/my-agent")
    environment = await agent.environment()
    await apps.stop(session["id"])
    return environment
plain, own = await asyncio.gather(plain(), own())
return {"plain": plain, "own": own}`);
    const plain = JSON.parse(/ENVIRONMENT (.*)/.exec(found.plain)![1]!) as Record<string, string>;
    const names = [
      ...["HYPHA_SERVER_URL", "HYPHA_WORKSPACE", "SERVICE_ID", "SERVICE_VISIBILITY"],
      ...["AGENT_BASE_DIRECTORY", "AGENT_MAX_COUNT", "ANTHROPIC_API_KEY", "HYPHA_TOKEN"],
    ];
    const common = {
      HYPHA_SERVER_URL: hypha.url,
      HYPHA_WORKSPACE: "ws-user-user-1",
      AGENT_BASE_DIRECTORY: "/workspace",
      AGENT_MAX_COUNT: "1",
      HYPHA_TOKEN: token,
    };
    assertEquals(those(plain, names), {
      ...common,
      SERVICE_ID: "claude-agents",
      SERVICE_VISIBILITY: "protected",
      ANTHROPIC_API_KEY: "key",
    });
    assertEquals(plain.HYPHA_CLIENT_ID, "plain-agent");
    assertEquals(those(found.own, names), {
      ...common,
      SERVICE_ID: "my-agent",
      SERVICE_VISIBILITY: "public",
      ANTHROPIC_API_KEY: "other",
    });
    assert(found.own.HYPHA_CLIENT_ID !== undefined && found.own.HYPHA_CLIENT_ID !== "");
  });

  await test.step("a conda-worker joins the server, and runs apps of its own", async () => {
    const found = await stage.python<Record<string, unknown>>(
      `
server = await connect()
apps = await server.get_service("public/server-apps")
app = await install(apps, "scale", {"type": "conda-worker", "service_id": "conda-1", "visibility": "protected",
    "verbose": False, "service_timeout": 100}, stage=True)
session = await apps.start(app, stage=True)
conda = await server.get_service("ws-user-user-1/conda-1")
kernel = await conda.start({"id": "kernel", "workspace": "ws-user-user-1", "app_id": "none", "manifest":
    {"type": "conda-jupyter-kernel", "dependencies": ["python=3.11"], "channels": [os.environ["CHANNEL"]]}})
result = await conda.execute(kernel, "6 * 7")
await conda.stop(kernel)
logs = await output(apps, session["id"])
await apps.stop(session["id"])
# It takes its leave of the server.
async def left(): return not [one for one in await server.list_services() if one["id"].endswith(":conda-1")]
await until(left, "the conda worker has left")
return {"result": result["outputs"][-1]["data"]["text/plain"], "types": conda.supported_types, "logs": logs}`,
      { CHANNEL: stackPaths.channel },
    );
    assertEquals(found.result, "42");
    assert((found.types as string[]).includes("conda-jupyter-kernel"));
    assertMatch(String(found.logs), /registered successfully/);
    assert(!String(found.logs).includes(token));
  });
});
