/** The start of sessions: what is created, what is told, and that nothing is left when it fails. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { jobs } from "../../../lib/kubernetes/api/resource_path.ts";
import { jobName } from "../../../lib/kubernetes/jobs/names.ts";
import { hasCode, WorkerError } from "../../../lib/errors.ts";
import { until } from "../../wait.ts";
import { Refusal } from "../fake_api_server.ts";
import { Bench, CONTROLLER, ended, JOB, member, NAMESPACE, runs, waits } from "./support.ts";

/** What a start fails with. */
async function failure(started: Promise<unknown>): Promise<WorkerError> {
  return await assertRejects(() => started, WorkerError);
}

function refusal(code: number, reason: string, message: string) {
  const { status } = new Refusal(code, reason, message);
  return () => Response.json(status, { status: code });
}

Deno.test("a start by the app controller creates job and secret, and is over when the pod runs", async () => {
  await using bench = await Bench.start();
  const id = "ws-a/_rapp_quick-fox-12345678__rlb";
  const token = "token-of-the-session";
  const session = await bench.running(JOB, {
    id,
    workspace: "ws-a",
    app_id: "my-app",
    client_id: "_rapp_quick-fox-12345678__rlb",
    server_url: "https://hypha.test",
    artifact_id: "ws-a/my-app",
    entry_point: "source",
    timeout: 60,
    token,
  }, { caller: CONTROLLER });
  assertEquals(session.id, id);
  const [job] = bench.jobs();
  assertEquals(job!.metadata!.name, jobName(id));
  const [secret] = bench.secrets();
  assertEquals(secret!.metadata!.ownerReferences!.map(({ uid }) => uid), [job!.metadata!.uid]);
  // The token is in the secret and nowhere else.
  assert(!JSON.stringify(bench.jobs()).includes(token));
  const info = await bench.call("get_session_info", { "session_id": id });
  assertEquals(info.status, "running");
  assertEquals(info.workspace, "ws-a");
  assertEquals(info.app_type, "k8s-job");
  assertEquals(info.pod, session.pod);
  const messages = bench.progress.map(({ message }) => message);
  assertStringIncludes(messages[0]!, "Starting k8s-job session");
  assertEquals(messages.at(-1), `Session ${id} started successfully`);
});

Deno.test("a direct call with a manifest alone starts a session of the caller's workspace", async () => {
  await using bench = await Bench.start();
  const { id } = await bench.running(JOB, {}, { caller: member("ws-b") });
  assertMatch(id, /^ws-b\/[0-9a-f-]{36}$/);
  const listed = await bench.call<Record<string, unknown>[]>("list_sessions", {}, {
    caller: member("ws-b"),
  });
  assertEquals(listed.map((one) => one.session_id), [id]);
});

Deno.test("a pod that has succeeded before anybody looked is a start, too", async () => {
  await using bench = await Bench.start();
  const started = bench.start(JOB, { id: "quick" });
  bench.api.startPod(NAMESPACE, await bench.nextJob(), ended(0, "Completed"));
  assertEquals(await started, "quick");
  const { status, exit_code: code } = await bench.known(
    "ws-a/quick",
    (one) => one.status === "succeeded",
  );
  assertEquals([status, code], ["succeeded", 0]);
});

Deno.test("what the pod waits for is told in words", async () => {
  await using bench = await Bench.start();
  const started = bench.start(JOB, { id: "slow" });
  const job = await bench.nextJob();
  const pod = bench.api.startPod(NAMESPACE, job, {
    phase: "Pending",
    conditions: [{
      type: "PodScheduled",
      status: "False",
      reason: "Unschedulable",
      message: "0/1 nodes are available: 1 Insufficient cpu.",
    }],
  }).metadata!.name!;
  const info = await bench.known("ws-a/slow", (one) => one.reason === "Unschedulable");
  assertEquals(info.status, "starting");
  assertEquals(
    info.message,
    "no node can take the pod now: 0/1 nodes are available: 1 Insufficient cpu.",
  );
  await bench.told("No node can take the pod now: 0/1 nodes are available: 1 Insufficient cpu.");
  bench.setPod(pod, waits("ContainerCreating"));
  await bench.told("The container is being created (ContainerCreating)");
  bench.setPod(pod, runs());
  await started;
});

for (
  const [what, status, message] of [
    [
      "InvalidImageName",
      waits("InvalidImageName", "couldn't parse"),
      /image's name is not valid \(InvalidImageName\)/,
    ],
    [
      "CreateContainerConfigError",
      waits("CreateContainerConfigError", 'secret "keys" not found'),
      /refers to is missing \(CreateContainerConfigError\): secret "keys" not found/,
    ],
    [
      "ImagePullBackOff",
      waits("ImagePullBackOff", "no such image"),
      /cannot be pulled \(ImagePullBackOff\): no such image/,
    ],
    [
      "OOMKilled",
      ended(137, "OOMKilled"),
      /more memory than its limit and was killed \(OOMKilled\)/,
    ],
  ] as const
) {
  Deno.test(`a start that meets ${what} fails with the reason, and its job goes`, async () => {
    await using bench = await Bench.start({ worker: { patience: 0 } });
    const started = bench.start(JOB, { id: "bad" });
    const job = await bench.nextJob();
    const pod = bench.api.startPod(NAMESPACE, job, status).metadata!.name!;
    bench.api.log(pod).line("the last words");
    const error = await failure(started);
    assertEquals(error.code, "job_failed");
    assertMatch(error.message, message);
    if (what === "OOMKilled") assertMatch(error.message, /Last output:\nthe last words$/);
    assertEquals(bench.jobs(), []);
    // The log of a start that failed can be read, and tells why.
    assertMatch((await bench.log("ws-a/bad", "error")).join("\n"), message);
  });
}

Deno.test("a failed pull may pass by itself for a while", async () => {
  await using bench = await Bench.start({ worker: { patience: 3_600_000 } });
  const started = bench.start(JOB, { id: "pull" });
  const job = await bench.nextJob();
  const pod = bench.api.startPod(NAMESPACE, job, waits("ErrImagePull", "timeout")).metadata!.name!;
  await bench.known("ws-a/pull", (one) => one.reason === "ErrImagePull");
  bench.setPod(pod, runs());
  assertEquals(await started, "pull");
});

Deno.test("a pod that failed is followed by the next one until the job has failed", async () => {
  await using bench = await Bench.start();
  const started = bench.start({ ...JOB, backoff_limit: 1 }, { id: "twice" });
  const job = await bench.nextJob();
  const first = bench.api.startPod(NAMESPACE, job, ended(2)).metadata!.name!;
  bench.api.log(first).line("one");
  await bench.known("ws-a/twice", (one) => one.exit_code === 2);
  const second = bench.api.startPod(NAMESPACE, job, ended(3)).metadata!.name!;
  bench.api.log(second).line("two");
  await bench.known("ws-a/twice", (one) => one.exit_code === 3);
  bench.setJob(job, {
    failed: 2,
    conditions: [{ type: "Failed", status: "True", reason: "BackoffLimitExceeded" }],
  });
  const error = await failure(started);
  assertMatch(error.message, /exit code 3; it was tried 2 times/);
  assertMatch(error.message, /Last output:\none\ntwo$/);
});

Deno.test("a job that runs out of time before its pod runs says so", async () => {
  await using bench = await Bench.start();
  const started = bench.start({ ...JOB, timeout: 60 }, { id: "late" });
  const job = await bench.nextJob();
  bench.setJob(job, {
    conditions: [{ type: "Failed", status: "True", reason: "DeadlineExceeded" }],
  });
  assertMatch(
    (await failure(started)).message,
    /ran longer than it may, 60 s \(DeadlineExceeded\)/,
  );
});

Deno.test("a pod that does not start in time fails the start", async () => {
  await using bench = await Bench.start({ worker: { startTimeout: 1 } });
  const started = bench.start(JOB, { id: "never" });
  await bench.nextJob();
  const error = await failure(started);
  assertEquals(error.code, "start_timeout");
  assertMatch(error.message, /does not run after 0.001 s: the job waits for its pod/);
  assertEquals(bench.jobs(), []);
});

Deno.test("a refused job fails at once: quota, policy, a missing right", async () => {
  await using bench = await Bench.start();
  const forbidden = 'jobs.batch "x" is forbidden: ';
  for (
    const [message, code, words] of [
      [`${forbidden}exceeded quota: count/jobs.batch=1`, "job_refused", /exceeded quota/],
      ['admission webhook "policy" denied the request: no', "job_refused", /denied the request/],
      [
        `${forbidden}User "system:serviceaccount:a:b" cannot create resource "jobs" in API group "batch"`,
        "kubernetes_forbidden",
        /service account may not create jobs$/,
      ],
    ] as const
  ) {
    bench.api.fail(/^POST .*\/jobs\?/, refusal(403, "Forbidden", message));
    const error = await failure(bench.start(JOB, { id: "refused" }));
    assertEquals(error.code, code);
    assertMatch(error.message, words);
  }
});

Deno.test("a name that another session's job has is given up for another name", async () => {
  await using bench = await Bench.start();
  const name = jobName("ws-a/mine");
  bench.api.create(jobs(NAMESPACE), { apiVersion: "batch/v1", kind: "Job", metadata: { name } });
  const started = bench.start(JOB, { id: "mine" });
  await bench.until(() => bench.jobs().length === 2);
  const job = bench.jobs()[1]!.metadata!.name!;
  bench.api.startPod(NAMESPACE, job, runs());
  await started;
  assertEquals((await bench.call("get_session_info", { "session_id": "mine" })).job, job);
});

Deno.test("an id that is in use is refused, one whose job has ended is free", async () => {
  await using bench = await Bench.start();
  const { job } = await bench.running(JOB, { id: "same" });
  const refused = await failure(bench.start(JOB, { id: "same" }));
  assertEquals(refused.code, "session_exists");
  bench.setJob(job, { conditions: [{ type: "Complete", status: "True" }] });
  await bench.known("ws-a/same", (one) => one.status === "succeeded");
  const again = await bench.running(JOB, { id: "same" });
  await bench.until(() =>
    !bench.jobs().some(({ metadata }) => metadata!.name === job) || again.job === job
  );
  const info = await bench.call("get_session_info", { "session_id": "same" });
  assertEquals([info.status, info.pod], ["running", again.pod]);
});

Deno.test("a start is given up when its caller goes, or when it is stopped; its job goes with it", async () => {
  await using bench = await Bench.start();
  const caller = new AbortController();
  const gone = bench.start(JOB, { id: "gone" }, { signal: caller.signal });
  await bench.nextJob();
  const reason = new Error("the caller has disconnected");
  caller.abort(reason);
  assertEquals(await assertRejects(() => gone), reason);
  assertEquals(bench.jobs(), []);

  const stopped = bench.start(JOB, { id: "stopped" });
  await bench.nextJob();
  await bench.call("stop", { "session_id": "stopped" });
  assertEquals((await failure(stopped)).code, "start_cancelled");
  assertEquals(bench.jobs(), []);
});

Deno.test("a job whose creation got no answer does not stay", async () => {
  await using bench = await Bench.start();
  bench.api.fail(/^POST .*\/jobs\?/, async ({ body }) => {
    bench.api.create(jobs(NAMESPACE), JSON.parse(body));
    return await Promise.resolve(new Response("gateway", { status: 502 }));
  });
  await assertRejects(() => bench.start(JOB, { id: "lost" }));
  assertEquals(bench.jobs(), []);
});

Deno.test("a job that somebody deletes during the start fails it", async () => {
  await using bench = await Bench.start();
  const started = bench.start(JOB, { id: "deleted" });
  const job = await bench.nextJob();
  bench.api.startPod(NAMESPACE, job);
  await bench.known("ws-a/deleted", (one) => one.pod !== null);
  bench.api.remove(jobs(NAMESPACE, job));
  assertMatch((await failure(started)).message, /its job was deleted/);
});

Deno.test("places are limited, for all and for each workspace; finished sessions take none", async () => {
  await using bench = await Bench.start({ worker: { maxSessions: 2, maxWorkspaceSessions: 1 } });
  const { job } = await bench.running(JOB, { id: "one" });
  const full = await failure(bench.start(JOB, { id: "two" }));
  assertMatch(full.message, /workspace ws-a runs 1 sessions already/);
  await bench.running(JOB, { id: "one" }, { caller: member("ws-b") });
  assertEquals(await bench.call("get_load", {}), 1 as never);
  const third = await failure(bench.start(JOB, { id: "three" }, { caller: member("home") }));
  assertMatch(third.message, /runs 2 sessions already/);
  bench.setJob(job, { conditions: [{ type: "Complete", status: "True" }] });
  await bench.known("ws-a/one", (one) => one.status === "succeeded");
  await bench.running(JOB, { id: "two" });
});

Deno.test("a manifest that is wrong is refused before anything is created", async () => {
  await using bench = await Bench.start();
  const error = await failure(bench.start({ type: "k8s-job", command: ["a"] }));
  assert(hasCode(error, "invalid_argument"));
  assertEquals(bench.api.count(/^POST/), 0);
});

Deno.test("why no pod is made is told as soon as an event of the job says it", async () => {
  await using bench = await Bench.start({ worker: { patience: 1 } });
  const message = 'Error creating: pods "x" is forbidden: exceeded quota: pods=1';
  const path = { version: "v1", namespace: NAMESPACE, resource: "events" };
  const watching = bench.api.arrival(/events\?.*watch=true/);
  const started = bench.start(JOB, { id: "quota" });
  const name = await bench.nextJob();
  const { uid } = bench.jobs()[0]!.metadata!;
  const event = (of: string, reason: string, id: string) =>
    bench.api.create(path, {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: id },
      involvedObject: { name, uid: of },
      reason,
      message,
    } as never);
  await watching;
  // Neither of another job, nor of something else, nor what passes by itself.
  event("another", "FailedCreate", "a");
  event(uid!, "Other", "b");
  event(uid!, "FailedCreate", "c");
  const error = await failure(started);
  assertEquals(error.code, "job_refused");
  assertMatch(error.message, /exceeded quota/);
  assertEquals(bench.jobs(), []);
  // Watched, not asked again and again.
  assertEquals(bench.api.count(/events\?(?!.*watch=true)/), 1);
  await until(() => bench.api.watches === 2, "the events are not watched any more");
});

Deno.test("a start goes on where events may not be read", async () => {
  await using bench = await Bench.start({ worker: { patience: 1, startTimeout: 1000 } });
  bench.api.fail(/\/events/, refusal(403, "Forbidden", "no events"), Infinity);
  const error = await failure(bench.start(JOB, { id: "blind" }));
  assertEquals(error.code, "start_timeout");
  assertMatch(error.message, /waits for its pod/);
});
