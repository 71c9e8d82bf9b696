import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { silentLogger } from "../../lib/log.ts";
import { Metrics } from "../../lib/service/metrics.ts";
import { startStatusServer } from "../../lib/service/status_server.ts";
import { program } from "../cli/program.ts";
import { startWorker } from "../e2e/worker_process.ts";
import { startHypha } from "../stack/hypha.ts";

/** The status server of a worker, which is ready or not. */
function statusServer(notReady?: string, hostname = "127.0.0.1") {
  const metrics = new Metrics({
    manager: () => "mamba",
    sessionStates: () => [],
    load: () => 0,
    connected: () => notReady === undefined,
  });
  return startStatusServer({
    port: 0,
    hostname,
    metrics,
    notReady: () => notReady,
    log: silentLogger,
  });
}

Deno.test("a healthy worker is said to be healthy, and whether calls can arrive is another question", async () => {
  await using server = statusServer("the Hypha server is not connected");
  const port = `--metrics-port=${server.port}`;
  assertEquals(await program(["health", port]), { code: 0, stdout: "ok\n", stderr: "" });
  assertEquals(await program(["health", "--ready", port]), {
    code: 1,
    stdout: "",
    stderr: "Not ready: the Hypha server is not connected\n",
  });
});

Deno.test("port and address come from the worker's own variables, past any proxy", async () => {
  await using server = statusServer(undefined, "0.0.0.0");
  const { code, stdout, stderr } = await program(["health", "--ready"], {
    HYPHA_CONDA_METRICS_PORT: String(server.port),
    HYPHA_METRICS_HOST: "0.0.0.0",
    http_proxy: "http://127.0.0.1:9",
    HTTP_PROXY: "http://127.0.0.1:9",
    no_proxy: "",
    NO_PROXY: "",
  });
  assertEquals([code, stdout], [0, "ok\n"], stderr);
});

Deno.test("no answer, none in time, and answers of others are no health", async () => {
  const free = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = free.addr;
  free.close();
  const refused = await program(["health", `--metrics-port=${port}`]);
  assertEquals(refused.code, 1);
  assertStringIncludes(
    refused.stderr,
    `Cannot ask the worker at http://127.0.0.1:${port}/health: `,
  );

  using silent = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const late = await program([
    "health",
    `--metrics-port=${silent.addr.port}`,
    "--timeout=0.2",
  ]);
  assertEquals(late.code, 1);
  assertStringIncludes(late.stderr, "no answer within 0.2 s");

  const answers: Record<string, () => Response> = {
    "a page": () => new Response("<html>"),
    "another status": () => Response.json({ status: "ill" }),
    "an error": () => Response.json({ status: "ok" }, { status: 500 }),
    "no object": () => Response.json(null),
    "too much": () => new Response("x".repeat(100_000)),
    "elsewhere": () =>
      new Response(null, { status: 302, headers: { location: `http://127.0.0.1:${port}` } }),
  };
  let next = "";
  await using other = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => answers[next]!(),
  );
  for (next of Object.keys(answers)) {
    const { code, stdout, stderr } = await program([
      "health",
      `--metrics-port=${other.addr.port}`,
    ]);
    assertEquals([code, stdout], [1, ""], next);
    assert(stderr.length < 300, `${next}: ${stderr}`);
  }
});

Deno.test("a running worker is healthy and ready, one without its server is healthy, and one that has ended is neither", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const env = { HYPHA_CONDA_METRICS_PORT: String(port) };
  const codes = async () => [
    (await program(["health"], env)).code,
    (await program(["health", "--ready"], env)).code,
  ];
  await using server = await startHypha();
  await using worker = await startWorker(server, { env });
  assertEquals(await codes(), [0, 0], worker.output());
  await server.stop();
  // It takes the worker a moment to see it.
  while ((await codes())[1] === 0);
  assertEquals(await codes(), [0, 1], worker.output());
  await worker.stop();
  assertEquals(await codes(), [1, 1]);
});

Deno.test("wrong usage of health ends with code 2 and says what is wrong", async () => {
  for (
    const [args, says] of [
      [[], "--metrics-port is required"],
      [["--metrics-port=0"], "--metrics-port must be"],
      [["--metrics-port=ninety"], "--metrics-port must be"],
      [["--metrics-port=9090", "--timeout=soon"], "--timeout must be"],
      [["--metrics-port=9090", "--metrics-host=a b"], "--metrics-host must be"],
      [["--metrics-port=9090", "now"], "Unexpected argument now"],
    ] as [string[], string][]
  ) {
    const { code, stdout, stderr } = await program(["health", ...args]);
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, says);
  }
});
