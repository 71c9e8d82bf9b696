/** Sessions as others see them: tenants, a worker that is restarted, jobs that go. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { jobs } from "../../../lib/kubernetes/api/resource_path.ts";
import { WorkerError } from "../../../lib/errors.ts";
import { FakeApiServer } from "../fake_api_server.ts";
import { Bench, CONTROLLER, ended, JOB, member, NAMESPACE, OPERATOR, runs } from "./support.ts";

Deno.test("no method lets one tenant touch what belongs to another", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "mine" });
  const stranger = { caller: member("ws-b") };
  const session = { "session_id": "ws-a/mine" };
  const calls: [string, Record<string, unknown>][] = [
    ["stop", session],
    ["execute", { ...session, script: "id" }],
    ["get_logs", session],
    ["get_session_info", session],
    ["list_sessions", { workspace: "ws-a" }],
    ["close_workspace", { workspace: "ws-a" }],
    ["prepare_workspace", { workspace: "ws-a" }],
    ["shutdown", {}],
    ["start", { config: { workspace: "ws-a", manifest: JOB } }],
  ];
  for (const [name, args] of calls) {
    for (const { caller } of [stranger, { caller: { ...member("ws-a"), anonymous: true } }]) {
      const error = await assertRejects(
        () => bench.call(name, args, { caller }),
        WorkerError,
        "",
        name,
      );
      assertEquals(error.code, "permission_denied", name);
    }
  }
  // The same id of another workspace is another session.
  const error = await assertRejects(
    () => bench.call("get_session_info", { "session_id": "mine" }, stranger),
    WorkerError,
  );
  assertEquals(error.code, "session_not_found");
  assertEquals(await bench.call("list_sessions", {}, stranger), [] as never);
  assertEquals(bench.jobs().length, 1);
});

Deno.test("the app controller starts only for workspaces that the operator serves", async () => {
  await using bench = await Bench.start();
  const config = { id: "ws-c/x", workspace: "ws-c", "client_id": "x" };
  const error = await assertRejects(
    () => bench.start(JOB, config, { caller: CONTROLLER }),
    WorkerError,
  );
  assertEquals(error.code, "permission_denied");
  const other = await assertRejects(
    () => bench.start(JOB, { ...config, workspace: "ws-a" }, { caller: CONTROLLER }),
    WorkerError,
  );
  assertEquals(other.code, "invalid_argument");
  assertEquals(bench.api.count(/^POST/), 0);
});

Deno.test("stop deletes the job, waits for its pods to end, and may be called again", async () => {
  await using bench = await Bench.start();
  bench.api.podsLinger = true;
  const { job } = await bench.running(JOB, { id: "s" });
  const stopped = bench.call("stop", { "session_id": "s" });
  assertEquals(await stopped, null as never);
  assert(!bench.jobs().some(({ metadata }) => metadata!.name === job));
  const [request] = bench.api.requests.filter(({ method }) => method === "DELETE");
  assertEquals(JSON.parse(request!.body).propagationPolicy, "Background");
  assertEquals(await bench.call("stop", { "session_id": "s" }), null as never);
  assertEquals(await bench.call("stop", { "session_id": "never-there" }), null as never);
  assertEquals(await bench.call("list_sessions", {}), [] as never);
});

Deno.test("a stop that the cluster does not do is an error, and the session stays", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "s" });
  bench.api.fail(
    /^DELETE/,
    () => Response.json({ kind: "Status", reason: "Forbidden" }, { status: 403 }),
  );
  await assertRejects(() => bench.call("stop", { "session_id": "s" }), WorkerError);
  const listed = await bench.call<{ session_id: string; status: string }[]>("list_sessions", {});
  assertEquals(listed.map((one) => [one.session_id, one.status]), [["ws-a/s", "running"]]);
  await bench.call("stop", { "session_id": "s" });
  assertEquals(bench.jobs(), []);
});

Deno.test("a restarted worker finds its sessions, with their state, logs and rights; other workers' it leaves alone", async () => {
  await using api = FakeApiServer.start();
  const first = await Bench.start({}, api);
  const running = await first.running(JOB, { id: "running", token: "token-of-the-session" });
  api.log(running.pod).line("hello");
  const over = await first.running(JOB, { id: "over" });
  first.setPod(over.pod, ended(0, "Completed"));
  first.setJob(over.job, { conditions: [{ type: "Complete", status: "True" }] });
  await first[Symbol.asyncDispose]();
  assertEquals(first.jobs().length, 2);

  await using other = await Bench.start({ settings: { workerId: "home/other" } }, api);
  assertEquals(await other.call("list_sessions", {}), [] as never);
  await using second = await Bench.start({}, api);
  const listed = await second.call<Record<string, unknown>[]>("list_sessions", {});
  assertEquals(
    listed.map((one) => [one.session_id, one.status, one.app_id]).sort(),
    [["ws-a/over", "succeeded", "over"], ["ws-a/running", "running", "running"]],
  );
  assertEquals(await second.log("ws-a/running"), ["hello\n"]);
  assertEquals(await second.log("ws-a/running", "info"), []);
  const refused = await assertRejects(() => second.start(JOB, { id: "running" }), WorkerError);
  assertEquals(refused.code, "session_exists");
  await second.call("stop", { "session_id": "running" });
  assertEquals(second.jobs().map(({ metadata }) => metadata!.name), [over.job]);
});

Deno.test("a worker that ends leaves its jobs, but for those that are only starting", async () => {
  await using api = FakeApiServer.start();
  const bench = await Bench.start({}, api);
  const { job } = await bench.running(JOB, { id: "stays" });
  const started = bench.start(JOB, { id: "goes" });
  await bench.nextJob();
  await bench[Symbol.asyncDispose]();
  const error = await assertRejects(() => started, WorkerError);
  assertEquals(error.code, "worker_stopping");
  assertEquals(bench.jobs().map(({ metadata }) => metadata!.name), [job]);
});

Deno.test("a job that somebody deletes ends its session, which is known for a while", async () => {
  await using bench = await Bench.start();
  const { job } = await bench.running(JOB, { id: "s" });
  const { signal } = bench.worker.anySession("ws-a/s");
  bench.api.remove(jobs(NAMESPACE, job));
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  assertEquals(await bench.call("list_sessions", {}), [] as never);
  assertEquals((await bench.call("get_session_info", { "session_id": "s" })).status, "stopped");
});

Deno.test("sessions stay known through an outage of the API, and what happened meanwhile is seen", async () => {
  await using bench = await Bench.start();
  const { pod } = await bench.running(JOB, { id: "s" });
  const back = await bench.api.stop();
  assertEquals((await bench.call("get_session_info", { "session_id": "s" })).status, "running");
  bench.api.store.compact();
  back();
  bench.setPod(pod, ended(1));
  const info = await bench.known("ws-a/s", (one) => one.exit_code === 1);
  assertMatch(String(info.message), /exit code 1/);
});

Deno.test("close_workspace ends the sessions of one workspace, shutdown all of them", async () => {
  await using bench = await Bench.start();
  await bench.running(JOB, { id: "one" });
  const { job } = await bench.running(JOB, { id: "two" }, { caller: member("ws-b") });
  await bench.call("close_workspace", { workspace: "ws-a" }, { caller: CONTROLLER });
  assertEquals(bench.jobs().map(({ metadata }) => metadata!.name), [job]);
  await bench.call("shutdown", {}, { caller: OPERATOR });
  assertEquals(bench.jobs(), []);
});

Deno.test("compile fills in what the app controller must know of jobs, and checks the manifest", async () => {
  await using bench = await Bench.start();
  const files = [{ path: "readme.md", content: "x", format: "text" }];
  const { type: _, ...untyped } = JOB;
  const [manifest, returned] = await bench.call<[Record<string, unknown>, unknown]>("compile", {
    manifest: { ...untyped, name: "My job", startup_config: { timeout: 5 } },
    files,
    config: { workspace: "ws-a" },
  }, { caller: CONTROLLER });
  assertEquals(returned, files);
  assertEquals(manifest, {
    ...JOB,
    name: "My job",
    startup_config: { timeout: 5, wait_for_service: false, stop_after_inactive: 0 },
  });
  const wrong = { manifest: { ...JOB, image: "python" }, config: { workspace: "ws-a" } };
  await assertRejects(() => bench.call("compile", wrong, { caller: CONTROLLER }), WorkerError);
});

Deno.test("a service that is waited for ends the start, and what was there before does not count", async () => {
  await using bench = await Bench.start();
  bench.services.set("ws-a/calc", "ws-a/older-client:calc");
  const manifest = { ...JOB, wait_for_service: "calc" };
  const started = bench.start(manifest, { id: "s" });
  bench.api.startPod(NAMESPACE, await bench.nextJob(), runs());
  await bench.told("Waiting for service ws-a/calc");
  assertEquals(bench.worker.anySession("ws-a/s").state, "running");
  bench.services.set("ws-a/s:calc", "ws-a/s:calc");
  assertEquals(await started, "s");
  const told = bench.progress.map(({ message }) => message);
  assert(told.includes("Service ws-a/s:calc is registered"), told.join("\n"));
});

Deno.test("a service that never comes fails the start, with the pod's reason and its last output", async () => {
  await using bench = await Bench.start();
  const manifest = { ...JOB, wait_for_service: "calc", service_timeout: 1 };
  const late = bench.start(manifest, { id: "late" });
  bench.api.startPod(NAMESPACE, await bench.nextJob(), runs());
  const error = await assertRejects(() => late, WorkerError);
  assertEquals(error.code, "service_missing");
  assertMatch(error.message, /ws-a\/calc was not registered within 1 s; the session is running/);
  assertEquals(bench.jobs(), []);

  const dies = bench.start({ ...manifest, service_timeout: 600 }, { id: "dies" });
  const job = await bench.nextJob();
  const pod = bench.api.startPod(NAMESPACE, job, runs()).metadata!.name!;
  await bench.told("Waiting for service");
  bench.api.log(pod).line("ModuleNotFoundError: hypha_rpc");
  bench.setPod(pod, ended(1));
  bench.setJob(job, {
    failed: 1,
    conditions: [{ type: "Failed", status: "True", reason: "BackoffLimitExceeded" }],
  });
  const died = await assertRejects(() => dies, WorkerError);
  assertEquals(died.code, "job_failed");
  assertMatch(died.message, /was not registered: the container ended with exit code 1/);
  assertMatch(died.message, /Last output:\nModuleNotFoundError: hypha_rpc$/);
});
