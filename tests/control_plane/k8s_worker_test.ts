/** The Kubernetes worker against a real control plane, under a service account with just the rights that it names. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { KubernetesClient } from "../../lib/kubernetes/api/client.ts";
import { loadConfiguration } from "../../lib/kubernetes/api/configuration.ts";
import { DEFAULT_JOB_SETTINGS, type JobSettings } from "../../lib/kubernetes/jobs/settings.ts";
import { checkAccess, neededRights } from "../../lib/kubernetes/worker/access_check.ts";
import { kubernetesMethods } from "../../lib/kubernetes/worker/methods.ts";
import { KubernetesWorker } from "../../lib/kubernetes/worker/worker.ts";
import { WorkerError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import type { Caller } from "../../lib/worker/caller.ts";
import { ControlPlane, controlPlaneTest } from "../stack/control_plane.ts";
import { limited, until } from "../wait.ts";
import { accountWith, wantedRights } from "./accounts.ts";

const CALLER: Caller = {
  kind: "direct",
  workspace: "ws",
  user: "user-1",
  anonymous: false,
  admin: true,
};

/** A worker, and calls of its methods. */
async function workerOf(plane: ControlPlane, kubeconfig: string, namespace: string) {
  const stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "k8s-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  await Deno.writeTextFile(`${directory}/config`, kubeconfig);
  const configuration = stack.use(await loadConfiguration({ kubeconfig: `${directory}/config` }));
  const client = stack.use(new KubernetesClient(configuration));
  const settings: JobSettings = {
    ...DEFAULT_JOB_SETTINGS,
    namespace,
    workerId: "ws/k8s-worker",
    workspace: "ws",
    serverUrl: plane.url,
  };
  const worker = stack.use(
    await KubernetesWorker.open({
      client,
      settings,
      log: silentLogger,
      find: () => Promise.resolve(undefined),
      patience: 1000,
    }),
  );
  const methods = kubernetesMethods({
    worker,
    settings,
    rules: { workspace: "ws", public: false, authorizedWorkspaces: undefined },
    serverUrl: plane.url,
    podServerUrl: undefined,
    onShutdown: () => {},
  });
  const call = async <T = Record<string, unknown>>(name: string, args: Record<string, unknown>) => {
    const { handler } = methods.find((method) => method.name === name)!;
    return await handler(args, { caller: CALLER, signal: new AbortController().signal }) as T;
  };
  return {
    client,
    worker,
    call,
    start: (id: string, script: string, more: Record<string, unknown> = {}, config = {}) =>
      call<string>("start", {
        config: {
          id,
          token: "token-of-the-session",
          manifest: { image: "example.org/image:1", command: ["sh", "-c", script], ...more },
          ...config,
        },
      }),
    /** Resolves when a session is so. */
    known: (id: string, isSo: (info: Record<string, unknown>) => boolean) =>
      limited(`session ${id} is as it should be`, 120_000, async (signal) => {
        const session = worker.anySession(`ws/${id}`);
        for (;;) {
          const { revision } = session;
          const info = await call("get_session_info", { "session_id": id });
          if (isSo(info)) return info;
          await session.changedWithin(120_000, revision, signal);
        }
      }),
    log: async (id: string) => {
      const { items } = await call<{ items: { content: string }[] }>("get_logs", {
        "session_id": id,
        type: "stdout",
      });
      return items.map(({ content }) => content).join("");
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

controlPlaneTest(
  "the Kubernetes worker works in a real cluster with just its rights",
  async (test) => {
    await using plane = await ControlPlane.start();
    const namespace = await plane.namespace();
    const rights = neededRights(true);
    const account = async (name: string, rights: Parameters<typeof accountWith>[3]) =>
      plane.kubeconfig({ token: await accountWith(plane, namespace, name, rights) });
    const kubeconfig = await account("worker", wantedRights());
    let first = await workerOf(plane, kubeconfig, namespace);
    try {
      await test.step("its rights are what it asks for, and one less is told", async () => {
        await checkAccess(first.client, namespace, rights, silentLogger);
        const less = wantedRights().filter(({ resource }) => resource !== "secrets");
        await using other = await workerOf(
          plane,
          await account("less", less),
          namespace,
        );
        const error = await assertRejects(
          () => checkAccess(other.client, namespace, rights, silentLogger),
          WorkerError,
        );
        assertMatch(error.message, /may not create secrets$/);
        const refused = await assertRejects(() => other.start("no", "true"), WorkerError);
        assertEquals(refused.code, "kubernetes_forbidden");
        assertEquals(
          (await plane.request<{ items: unknown[] }>(
            "GET",
            `/apis/batch/v1/namespaces/${namespace}/jobs`,
          )).body.items,
          [],
        );
      });

      await test.step("a job runs with the token of its session, its output is read, it succeeds", async () => {
        await first.start(
          "hello",
          'echo "token: $HYPHA_TOKEN"; echo oops >&2; sleep 0.2; echo end',
        );
        const info = await first.known("hello", (one) => one.status === "succeeded");
        assertEquals([info.exit_code, info.message, info.node], [0, "completed", "test-node"]);
        const lines = (await first.log("hello")).trimEnd().split("\n");
        assertEquals(lines.toSorted(), ["end", "oops", "token: token-of-the-session"]);
      });

      await test.step("a command runs in the container; one whose time is up is ended there", async () => {
        await first.start("shell", "sleep 1000");
        const result = await first.call("execute", {
          "session_id": "shell",
          script: "echo out; echo err >&2; exit 3",
        });
        assertEquals([result.stdout, result.stderr, result.exit_code], ["out\n", "err\n", 3]);
        const late = await first.call("execute", {
          "session_id": "shell",
          script: "sleep 1000 & echo $!; wait",
          config: { timeout: 1 },
        });
        assertEquals((late.error as { ename: string }).ename, "TimeoutError");
        const pid = Number(late.stdout);
        assert(pid > 1, String(late.stdout));
        await until(
          () => Deno.stat(`/proc/${pid}`).then(() => false, () => true),
          "the command has ended in the container",
        );
      });

      await test.step("what keeps a pod from running is told, and nothing is left", async () => {
        const cases: [string, Record<string, unknown>, RegExp][] = [
          ["pull", { image: "test.invalid/pull-error:1" }, /cannot be pulled/],
          [
            "none",
            { image: "test.invalid/nothing-there:1", backoff_limit: 0 },
            /exit code 128|cannot be started/,
          ],
          ["exits", {
            command: ["sh", "-c", "echo last words; exit 7"],
            backoff_limit: 0,
            wait_for_service: "x",
          }, /exit code 7.*\nLast output:\nlast words/s],
        ];
        await Promise.all(cases.map(async ([id, more, words]) => {
          const error = await assertRejects(
            () => first.start(id, "true", more),
            WorkerError,
            "",
            id,
          );
          assertMatch(error.message, words);
        }));
        const asks = first.start("big", "true", { resources: { requests: { cpu: "900" } } });
        asks.catch(() => {});
        const info = await first.known("big", (one) => one.reason === "Unschedulable");
        assertMatch(String(info.message), /no node can take the pod now: .*Insufficient cpu/);
        await first.call("stop", { "session_id": "big" });
        await assertRejects(() => asks, WorkerError);
        const { body } = await plane.request<{ items: { metadata: { name: string } }[] }>(
          "GET",
          `/apis/batch/v1/namespaces/${namespace}/jobs`,
        );
        assertEquals(
          body.items.length,
          2,
          JSON.stringify(body.items.map(({ metadata }) => metadata.name)),
        );
      });

      await test.step("a pod that fails is followed by another, and the log by its log", async () => {
        await first.start("again", 'echo "try $HOSTNAME"; sleep 0.1; exit 1', { backoff_limit: 1 });
        const info = await first.known("again", (one) => one.status === "failed");
        assertMatch(String(info.message), /exit code 1: try hypha-job-.*; it was tried 2 times$/);
        assertEquals((await first.log("again")).trimEnd().split("\n").length, 2);
      });

      await test.step("sessions go on while the API server is away, also when it has forgotten the past", async () => {
        await first.start("through", "while [ ! -e $TEST_KUBELET_ROOT/go ]; do sleep 0.1; done");
        await plane.compactEtcd();
        assertEquals(
          (await first.call("get_session_info", { "session_id": "through" })).status,
          "running",
        );
        const script = "touch $TEST_KUBELET_ROOT/go";
        const result = await first.call("execute", { "session_id": "through", script });
        assertEquals(result.status, "ok", JSON.stringify(result));
        await first.known("through", (one) => one.status === "succeeded");
        await first.call("stop", { "session_id": "through" });
      });

      await test.step("a worker that is restarted goes on, and ends what the one before it began", async () => {
        await first[Symbol.asyncDispose]();
        first = await workerOf(plane, kubeconfig, namespace);
        const listed = await first.call<Record<string, unknown>[]>("list_sessions", {});
        assertEquals(
          listed.map((one) => [one.session_id, one.status]).sort(),
          [["ws/again", "failed"], ["ws/hello", "succeeded"], ["ws/shell", "running"]],
        );
        assert((await first.log("hello")).includes("end\n"));
        await first.call("close_workspace", { workspace: "ws" });
        assertEquals(await first.call("list_sessions", {}), [] as never);
      });
    } finally {
      await first[Symbol.asyncDispose]();
    }
  },
);
