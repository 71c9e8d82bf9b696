import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { createLogger, silentLogger } from "../../lib/log.ts";
import { Metrics, type MetricsSources } from "../../lib/service/metrics.ts";
import { observeEnvironments, observeMethods } from "../../lib/service/observe.ts";
import { PrometheusRegistry } from "../../lib/service/prometheus.ts";
import { startStatusServer } from "../../lib/service/status_server.ts";
import type { Method } from "../../lib/worker/method.ts";
import type { Environments } from "../../lib/worker/starting.ts";

function sources(given: Partial<MetricsSources> = {}): MetricsSources {
  return {
    manager: () => "mamba",
    sessionStates: () => ["running", "running", "starting"],
    load: () => 0.25,
    connected: () => true,
    ...given,
  };
}

const call = {
  caller: {
    kind: "direct",
    workspace: "ws-a",
    user: "user-a",
    anonymous: false,
    admin: false,
  },
  signal: new AbortController().signal,
} as const;

function method(name: string, handler: Method["handler"]): Method {
  return { name, description: "", parameters: [], handler };
}

/** Methods watched by a logger whose lines are kept. */
function watched(methods: Method[], level: "debug" | "info" = "info") {
  const lines: string[] = [];
  const metrics = new Metrics(sources());
  let clock = 0;
  const log = createLogger({ level, format: "json", write: (line) => lines.push(line) });
  const observed = observeMethods(methods, {
    log,
    metrics,
    now: () => clock += 1500,
    defer: (task) => task(),
  });
  return { observed, lines: () => lines.map((line) => JSON.parse(line)), metrics };
}

Deno.test("each call leaves one line with its outcome, duration, session and workspace", async () => {
  const { observed, lines } = watched([
    method("execute", () => Promise.resolve({ status: "error", outputs: [] })),
  ]);
  await observed[0]!.handler({ session_id: "ws-a/s", script: "secret code" }, call);
  const [line] = lines();
  assertEquals(lines().length, 1);
  assertEquals(
    { ...line, time: undefined },
    {
      time: undefined,
      level: "info",
      message: "call",
      method: "execute",
      outcome: "ok",
      ms: 1500,
      caller: "ws-a",
      user: "user-a",
      session: "ws-a/s",
      cell: "error",
    },
  );
});

Deno.test("a failed call is logged and counted with its error's code, and stays the same error", async () => {
  const error = new WorkerError("queue_full", "Cannot execute: 64 wait");
  const { observed, lines, metrics } = watched([
    method("execute", () => Promise.reject(error)),
    method("start", () => Promise.reject(new TypeError("a fault"))),
  ]);
  const seen = await assertRejects(() => observed[0]!.handler({ session_id: "x" }, call));
  assertEquals(seen, error);
  await assertRejects(() =>
    observed[1]!.handler({ config: { id: "i", workspace: "ws-b", app_id: "app" } }, call)
  );
  assertEquals(lines().map((line) => [line.level, line.outcome]), [
    ["warning", "queue_full"],
    ["warning", "internal"],
  ]);
  assertEquals(lines()[1].workspace, "ws-b");
  const text = metrics.text();
  assertStringIncludes(
    text,
    'hypha_conda_worker_calls_total{method="execute",outcome="queue_full"} 1',
  );
  assertStringIncludes(text, 'hypha_conda_worker_executions_total{outcome="queue_full"} 1');
});

Deno.test("calls that only read are details", async () => {
  const methods = [method("get_logs", () => Promise.resolve({ items: [] }))];
  const quiet = watched(methods);
  await quiet.observed[0]!.handler({ session_id: "s" }, call);
  assertEquals(quiet.lines(), []);
  const verbose = watched(methods, "debug");
  await verbose.observed[0]!.handler({ session_id: "s" }, call);
  assertEquals(verbose.lines().length, 1);
});

Deno.test("environments are counted as hits, builds and failures", async () => {
  const metrics = new Metrics(sources());
  const answers = [{ cached: true }, { cached: false }, undefined];
  const environments = observeEnvironments({
    acquire: () => {
      const answer = answers.shift();
      return answer === undefined ? Promise.reject(new Error("no")) : Promise.resolve(answer);
    },
  } as unknown as Environments, { metrics });
  const spec = { channels: [], packages: [], pip: [] };
  await environments.acquire(spec, {});
  await environments.acquire(spec, {});
  await assertRejects(() => environments.acquire(spec, {}));
  const text = metrics.text();
  for (const outcome of ["hit", "built", "failed"]) {
    assertStringIncludes(text, `hypha_conda_worker_environments_total{outcome="${outcome}"} 1`);
  }
  assertStringIncludes(text, "hypha_conda_worker_environment_build_seconds_count 1");
});

Deno.test("two workers of one process keep figures of their own", () => {
  const [one, other] = [new Metrics(sources()), new Metrics(sources())];
  one.execution("ok");
  assertStringIncludes(one.text(), 'executions_total{outcome="ok"} 1');
  assertEquals(other.text().includes('executions_total{outcome="ok"} 1'), false);
});

Deno.test("the status server tells health, readiness and figures", async () => {
  let reason: string | undefined = "the server is not connected";
  const metrics = new Metrics(sources());
  await using status = startStatusServer({
    port: 0,
    metrics,
    notReady: () => reason,
    log: silentLogger,
  });
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${status.port}${path}`, init);
    return { code: response.status, text: await response.text() };
  };
  assertEquals((await get("/health")).code, 200);
  assertEquals(await get("/ready"), {
    code: 503,
    text: JSON.stringify({ status: "not ready", reason }),
  });
  reason = undefined;
  assertEquals((await get("/ready")).code, 200);
  metrics.connection({ type: "reconnected", attempts: 3 });
  const { code, text } = await get("/metrics");
  assertEquals(code, 200);
  for (
    const line of [
      'hypha_conda_worker_sessions{state="running"} 2',
      'hypha_conda_worker_sessions{state="dead"} 0',
      "hypha_conda_worker_load 0.25",
      "hypha_conda_worker_connected 1",
      "hypha_conda_worker_reconnects_total 1",
    ]
  ) assertStringIncludes(text, line);
  assertMatch(text, /^process_resident_memory_bytes \d+$/m);
  assertEquals((await get("/other")).code, 404);
  assertEquals((await get("/metrics", { method: "POST", body: "x" })).code, 405);
});

Deno.test("a port that is taken is named", async () => {
  const metrics = new Metrics(sources());
  const options = { metrics, notReady: () => undefined, log: silentLogger };
  await using first = startStatusServer({ ...options, port: 0 });
  const error = await assertRejects(() =>
    Promise.resolve().then(() => startStatusServer({ ...options, port: first.port }))
  );
  assertStringIncludes((error as Error).message, `127.0.0.1:${first.port}`);
});

Deno.test("figures have Prometheus' text format: escaped labels, cumulative ranges", () => {
  const registry = new PrometheusRegistry();
  registry.counter("a_total", "Of\nlines").add({ x: 'q"\\\n' }, 2);
  const seconds = registry.histogram("b_seconds", "Time", [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
  registry.gauge("c", "Now", () => 1.5);
  assertEquals(
    registry.text(),
    [
      "# HELP a_total Of\\nlines",
      "# TYPE a_total counter",
      'a_total{x="q\\"\\\\\\n"} 2',
      "# HELP b_seconds Time",
      "# TYPE b_seconds histogram",
      'b_seconds_bucket{le="0.1"} 2',
      'b_seconds_bucket{le="1"} 3',
      'b_seconds_bucket{le="+Inf"} 4',
      "b_seconds_sum 7.65",
      "b_seconds_count 4",
      "# HELP c Now",
      "# TYPE c gauge",
      "c 1.5",
      "",
    ].join("\n"),
  );
});
