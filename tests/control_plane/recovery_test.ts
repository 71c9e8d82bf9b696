/** What the worker does when parts of a real cluster, or itself, go away for a while; and what it may do there. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { KubernetesClient } from "../../lib/kubernetes/api/client.ts";
import { loadConfiguration } from "../../lib/kubernetes/api/configuration.ts";
import type { Job, Pod } from "../../lib/kubernetes/api/types.ts";
import {
  checkAccess,
  neededRights,
  rightInWords,
} from "../../lib/kubernetes/worker/access_check.ts";
import { messageOf } from "../../lib/errors.ts";
import { tool } from "../packages/support.ts";
import { controlPlaneTest } from "../stack/control_plane.ts";
import { throttle } from "../stack/control_plane_throttle.ts";
import { until } from "../wait.ts";
import { accountWith, chartRights, wantedRights } from "./accounts.ts";
import { CHART_IMAGE, chartImage, createChartPod } from "./chart_pod.ts";
import { ClusterStage } from "./cluster_stage.ts";
import { makeSecret, Workloads } from "./support.ts";

const JOBS = ["/apis/batch/v1", "jobs"] as const;

/** Gets the worker that runs now: the server may not have noticed yet that the one before has gone. */
const WORKER = `
server = await connect()
worker = await server.get_service(os.environ["WORKER"])
`;

/** Writes a line each time it is told to. */
const LISTENS =
  "n=0; while :; do n=$((n+1)); while [ ! -e $TEST_KUBELET_ROOT/$n ]; do sleep 0.1; done; " +
  'echo "heard $n"; [ $n = 4 ] && exit 0; done';

/** Lets the program write its next line, and waits until the log has it. */
function tell(line: number): string {
  return `
result = await worker.execute("ws-user-user-1/long", "touch $TEST_KUBELET_ROOT/${line}")
check(result["status"] == "ok", result)
async def heard(): return "heard ${line}" in await output(worker, "ws-user-user-1/long")
await until(heard, "it has heard ${line}")
check(await output(worker, "ws-user-user-1/long") == "".join("heard %d\\n" % n for n in range(1, ${
    line + 1
  })), await output(worker, "ws-user-user-1/long"))
`;
}

controlPlaneTest("sessions outlive the worker and the API server", async (test) => {
  const hasHelm = tool("helm") !== undefined;
  await using stage = await ClusterStage.start({
    images: { [CHART_IMAGE]: await chartImage() },
  });
  const { plane, namespace } = stage;

  await test.step("the chart gives the rights that are needed, and each one that is missing is named", async () => {
    const rights = await chartRights();
    const inWords = ({ verb, group, resource }: typeof rights[number]) => {
      const [kind = "", sub] = resource.split("/");
      return rightInWords({ verb, group, resource: kind, ...(sub ? { subresource: sub } : {}) });
    };
    assertEquals(rights.map(inWords).sort(), wantedRights().map(inWords).sort());
    await Promise.all(rights.map(async (missing, index) => {
      const others = rights.filter((right) => right !== missing);
      const token = await accountWith(plane, namespace, `less-${index}`, others);
      const directory = await Deno.makeTempDir({ prefix: "less-" });
      try {
        await Deno.writeTextFile(`${directory}/config`, plane.kubeconfig({ token }));
        await using configuration = await loadConfiguration({ kubeconfig: `${directory}/config` });
        using client = new KubernetesClient(configuration);
        const expected = [inWords(missing)];
        let named: string[] = [];
        // Roles are known a moment later.
        await until(async () => {
          named = await missingRights(client, namespace);
          return named.join() === expected.join();
        }, `${expected} is missing`).catch((error) => {
          throw new Error(`${messageOf(error)}; it names ${named}`);
        });
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    }));
  });

  await test.step("a start goes on when the API server has too much to do", async () => {
    // The worker stands for itself: nothing of it was refused before.
    const throttled = await throttle(plane, stage.account);
    const refused = async () => {
      const { body } = await plane.request<string>("GET", "/metrics", { timeout: 60_000 });
      return [...body.matchAll(
        /^apiserver_flowcontrol_rejected_requests_total\{.*flow_schema="throttle-.* (\d+)$/gm,
      )].reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const before = await refused();
    const started = stage.python<string>(`${WORKER}
return await worker.start({"client_id": "long", "manifest": shell(${JSON.stringify(LISTENS)})})`);
    started.catch(() => {});
    try {
      await until(async () => await refused() > before, "the worker is refused");
      assertEquals(await stage.list<Job>(...JOBS), []);
    } finally {
      await throttled[Symbol.asyncDispose]();
    }
    assertEquals(await started, "ws-user-user-1/long");
    await stage.python(`${WORKER}${tell(1)}`);
  });

  await test.step("sessions go on through a restart of the API server that has forgotten the past", async () => {
    await plane.compactEtcd();
    const listed = await stage.python<unknown[]>(`${WORKER}${tell(2)}
other = await worker.start({"client_id": "other", "manifest": shell("echo done")})
await ended(worker, other)
return [[one["session_id"], one["status"]] for one in await worker.list_sessions()]`);
    assertEquals(listed.sort(), [
      ["ws-user-user-1/long", "running"],
      ["ws-user-user-1/other", "succeeded"],
    ]);
  });

  await test.step("a worker that was killed finds its jobs again, with what they wrote, and ends them", async () => {
    await stage.worker.stop("SIGKILL");
    const jobs = await stage.list<Job>(...JOBS);
    await stage.startWorker();
    const found = await stage.python<Record<string, unknown>>(`${WORKER}${tell(3)}${tell(4)}
info = await ended(worker, "ws-user-user-1/long")
again = await fails(worker.start({"client_id": "busy", "manifest": {"image": "test.invalid/pull-forever:1", "start_timeout": 5}}))
before = [[one["session_id"], one["status"]] for one in await worker.list_sessions()]
kept = await output(worker, "ws-user-user-1/other")
await worker.close_workspace("ws-user-user-1")
return {"info": info, "again": again, "before": before, "kept": kept, "after": await worker.list_sessions()}`);
    assertEquals((found.before as string[]).sort(), [
      ["ws-user-user-1/long", "succeeded"],
      ["ws-user-user-1/other", "succeeded"],
    ] as never);
    const { job } = found.info as { job: string };
    assert(jobs.some(({ metadata }) => metadata?.name === job), job);
    assertMatch(String(found.again), /does not run after 5 s: the container is being created/);
    assertEquals([found.kept, found.after], ["done\n", []]);
    for (const { metadata } of jobs) await stage.gone(...JOBS, metadata!.name!);
    assertEquals(await stage.list<Job>(...JOBS), []);
  });

  await test.step("jobs go on when the worker is told to end", async () => {
    await stage.python(`${WORKER}
await worker.start({"client_id": "left", "manifest": shell("exec sleep 1000")})`);
    assertEquals(await stage.worker.stop("SIGTERM"), 0);
    assertMatch(stage.worker.stdout, /Worker stopped\.\n$/);
    const [job] = await stage.list<Job>(...JOBS);
    assertEquals([job?.metadata?.deletionTimestamp, job?.status?.active], [undefined, 1]);
  });

  await test.step({
    name: "the pod of the chart does all this with its own account, also when its process has died",
    ignore: !hasHelm,
    fn: async () => {
      await makeSecret(stage, "hypha-secrets", { HYPHA_AGENTS_TOKEN: stage.token });
      const pod = await createChartPod(stage, "chart-worker");
      const work = new Workloads(plane, namespace);
      const restarts = (pod?: Pod) => pod?.status?.containerStatuses?.[0]?.restartCount ?? 0;
      const client = `
server = await connect()
worker = await there(server, "ws-user-user-1/chart-worker")
`;
      const begun = await stage.python<Record<string, string>>(`${client}
session = await worker.start({"client_id": "of-chart", "token": "session-token",
    "manifest": shell("echo token $HYPHA_TOKEN; exec sleep 1000")})
result = await worker.execute(session, "echo $HYPHA_CLIENT_ID")
return {"stdout": result["stdout"], "id": worker.id}`);
      assertEquals(begun.stdout, "of-chart\n");
      const about = (await work.podIs(pod, () => true))!;
      const uid = about.metadata!.uid!;
      await killContainer(uid);
      await work.podIs(pod, (pod) => restarts(pod) === 1);
      const again = await stage.python<Record<string, unknown>>(
        `
server = await connect()
async def another():
    for one in await server.list_services():
        if one["id"].endswith(":chart-worker") and one["id"] != os.environ["BEFORE"]:
            return await server.get_service(one["id"])
worker = await until(another, "the worker is there again")
session = "ws-user-user-1/of-chart"
info = await worker.get_session_info(session)
text = await output(worker, session)
await worker.stop(session)
return {"status": info["status"], "text": text}`,
        { BEFORE: begun.id! },
      );
      assertEquals(again, { status: "running", text: "token session-token\n" });
      // Its log has the words of both, and no token.
      const log = await work.log(pod) + await work.log(pod, "?previous=true");
      assertEquals(log.match(/registered successfully/g)?.length, 2, log);
      assert(!log.includes(stage.token) && !log.includes("session-token"), log);
    },
  });
});

/** Kills the first process of a pod's container, as the kernel does when memory is short. */
async function killContainer(uid: string): Promise<void> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const [variables, command] = await Promise.all([
      Deno.readTextFile(`/proc/${name}/environ`).catch(() => ""),
      Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => ""),
    ]);
    if (!variables.includes(`/${uid}/`) || !command.includes("main.ts")) continue;
    Deno.kill(Number(name), "SIGKILL");
    return;
  }
  throw new Error("Cannot kill the process of the pod: there is none");
}

/** What the worker's check of its start finds missing. */
async function missingRights(client: KubernetesClient, namespace: string): Promise<string[]> {
  const named: string[] = [];
  const warning = (message: string) =>
    named.push(...(/may not (.*): no /.exec(message)?.slice(1) ?? []));
  const log = { debug: () => {}, info: () => {}, error: () => {}, warning };
  await checkAccess(client, namespace, neededRights(true), log).catch((error) => {
    named.push(...messageOf(error).split(" may not ")[1]!.split(", "));
  });
  return named;
}
