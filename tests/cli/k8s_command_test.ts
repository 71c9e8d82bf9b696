/** `k8s` before it serves: what it says when Kubernetes is not there, or does not let it work. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { k8s } from "../../lib/cli/k8s.ts";
import type { CommandContext } from "../../lib/cli/command.ts";
import { WorkerError } from "../../lib/errors.ts";
import { neededRights } from "../../lib/kubernetes/worker/access_check.ts";
import { FakeApiServer } from "../kubernetes/fake_api_server.ts";

function context(printed: string[] = [], onStop: CommandContext["onStop"] = never): CommandContext {
  return {
    environment: () => undefined,
    print: (line) => void printed.push(line),
    write: () => {},
    terminal: false,
    colour: { stdout: false, stderr: false },
    columns: { stdout: undefined, stderr: undefined },
    ask: undefined,
    onStop,
  };
}

function never(): Disposable {
  return { [Symbol.dispose]: () => {} };
}

/** A cluster, and arguments that lead to it. */
async function cluster() {
  const stack = new AsyncDisposableStack();
  const api = stack.use(FakeApiServer.start());
  const directory = await Deno.makeTempDir({ prefix: "k8s-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const kubeconfig = join(directory, "config");
  await Deno.writeTextFile(kubeconfig, api.kubeconfig());
  const args = [
    "--server-url=http://127.0.0.1:9",
    "--workspace=home",
    "--token=token-of-the-worker",
    "--namespace=jobs",
    `--kubeconfig=${kubeconfig}`,
  ];
  return { api, args, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("k8s: a right that is missing is named before anything is served", async () => {
  await using fake = await cluster();
  fake.api.fail(/selfsubjectaccessreviews/, ({ body }) => {
    const review = JSON.parse(body);
    const { resource, verb, namespace } = review.spec.resourceAttributes;
    assertEquals(namespace, "jobs");
    const allowed = !(resource === "jobs" && verb === "create") && resource !== "secrets";
    return Response.json({ ...review, status: { allowed } }, { status: 201 });
  }, 100);
  const printed: string[] = [];
  const error = await assertRejects(() => k8s(fake.args, context(printed)), WorkerError);
  assertEquals(error.code, "kubernetes_forbidden");
  assertEquals(
    error.message,
    "Cannot start jobs in namespace jobs: the worker's account may not create jobs.batch, create secrets",
  );
  assertEquals(fake.api.count(/selfsubjectaccessreviews/), neededRights(true).length);
  assertStringIncludes(printed[0]!, "Namespace: jobs");
  assertStringIncludes(printed[0]!, "Worker ID: home/k8s-worker");
});

Deno.test("k8s: credentials that are not accepted are told apart from an API that does not answer", async () => {
  await using fake = await cluster();
  fake.api.tokens.clear();
  const refused = await assertRejects(() => k8s(fake.args, context()), WorkerError);
  assertEquals(refused.code, "kubernetes_forbidden");
  assertMatch(refused.message, /does not accept the worker's credentials/);
});

Deno.test("k8s: without tokens of sessions no right on secrets is needed", async () => {
  await using fake = await cluster();
  const args = [...fake.args, "--session-tokens=false"];
  // The cluster is well; the Hypha server is not there.
  const error = await assertRejects(() => k8s(args, context()), WorkerError);
  assertEquals(error.code, "connection_failed");
  const asked = fake.api.requests.filter(({ path }) => path.includes("selfsubjectaccessreviews"));
  const resources = asked.map(({ body }) => JSON.parse(body).spec.resourceAttributes.resource);
  assertEquals(new Set(resources), new Set(["jobs", "pods", "events"]));
});

Deno.test("k8s: a signal while it looks for its rights ends it", async () => {
  await using fake = await cluster();
  fake.api.fail(/selfsubjectaccessreviews/, "hang", 100);
  let stop: (signal: string) => void = () => {};
  const asked = fake.api.arrival(/selfsubjectaccessreviews/);
  const running = k8s(
    fake.args,
    context([], (listener) => {
      stop = listener;
      return never();
    }),
  );
  await asked;
  stop("SIGTERM");
  assertEquals(await running, 0);
});
