import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERSION } from "../../lib/version.ts";
import { eventually, Stage } from "./stage.ts";

Deno.test("operators see health, readiness, figures, and one line per operation without secrets", async () => {
  await using stage = await Stage.start({ args: ["--metrics-port=0", "--log-format=json"] });
  const lines = () =>
    stage.worker.stderr.trim().split("\n").map((line) =>
      JSON.parse(line) as Record<string, unknown>
    );
  const address = lines().find((line) => line.message === "Status server listens")?.address;
  const get = async (path: string) => {
    const response = await fetch(`${address}${path}`);
    return { code: response.status, text: await response.text() };
  };
  assertEquals((await get("/health")).code, 200);
  assertEquals((await get("/ready")).code, 200);
  await stage.python(`
server = await connect()
worker = await server.get_service("conda-worker")
id = await worker.start(config("watched", token=os.environ["TOKEN_USER_1"]))
check((await worker.execute(id, "1 + 1"))["status"] == "ok")
check((await worker.execute(id, "1 / 0"))["status"] == "error")
await fails(worker.execute("nobody", "1"))
await worker.stop(id)
await server.disconnect()
`);
  const calls = () => lines().filter((line) => line.message === "call");
  await eventually(() => Promise.resolve(calls().length >= 5), "a line for each call");
  assertEquals(
    calls().map((line) => [line.method, line.outcome, line.cell]),
    [
      ["start", "ok", undefined],
      ["execute", "ok", "ok"],
      ["execute", "ok", "error"],
      ["execute", "session_not_found", undefined],
      ["stop", "ok", undefined],
    ],
  );
  for (const line of calls()) {
    assert(typeof line.ms === "number" && line.ms >= 0);
    assertEquals(line.caller, "ws-user-user-1");
    assertMatch(String(line.session), /watched|nobody/);
  }
  assertEquals(
    stage.worker.stderr.includes(await stage.server.userToken({ user: "user-1" })),
    false,
  );
  assertEquals(/eyJ[\w-]{10,}\./.test(stage.worker.stderr), false);

  const { text } = await get("/metrics");
  for (
    const line of [
      'hypha_conda_worker_executions_total{outcome="ok"} 1',
      'hypha_conda_worker_executions_total{outcome="error"} 1',
      'hypha_conda_worker_executions_total{outcome="session_not_found"} 1',
      'hypha_conda_worker_environments_total{outcome="built"} 1',
      "hypha_conda_worker_connected 1",
      `hypha_conda_worker_info{version="${VERSION}",manager="mamba"} 1`,
    ]
  ) assertStringIncludes(text, line);

  // A worker that has lost its server works, but no call can arrive.
  await stage.server.stop();
  await eventually(async () => (await get("/ready")).code === 503, "not ready without a server");
  assertEquals((await get("/health")).code, 200);
});
