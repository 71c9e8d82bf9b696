import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { KubernetesClient } from "../../lib/kubernetes/api/client.ts";
import { loadConfiguration } from "../../lib/kubernetes/api/configuration.ts";
import { exec } from "../../lib/kubernetes/api/exec.ts";
import type { Job, Pod, Secret } from "../../lib/kubernetes/api/types.ts";
import { ControlPlane, controlPlaneTest } from "../stack/control_plane.ts";
import { throttle } from "../stack/control_plane_throttle.ts";
import { until } from "../wait.ts";
import { waitFor } from "../stack/control_plane_wait.ts";
import { container, Workloads } from "./support.ts";

async function isGone(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => false, () => true);
}

controlPlaneTest("the cluster of the tests does what a cluster does", async (test) => {
  const plane = await ControlPlane.start({
    nodes: [
      { name: "plain", labels: { zone: "a" } },
      {
        name: "gpu",
        capacity: { "nvidia.com/gpu": "1" },
        taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }],
      },
    ],
    images: {
      "example.org/greeter:1": {
        command: ["sh", "-c", "echo $GREETING"],
        env: { GREETING: "hello" },
      },
    },
  });
  let pid = 0;
  try {
    const work = new Workloads(plane, await plane.namespace());
    await test.step("a job runs its pod, and is taken away with it when its time has come", async () => {
      const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "owned" } };
      const job = await work.job("short", container("echo out; echo err >&2; exit 0"), {
        ttlSecondsAfterFinished: 1,
      });
      const { name, uid } = job.metadata!;
      const owner = { apiVersion: "batch/v1", kind: "Job", name: name!, uid: uid! };
      const secrets = `/api/v1/namespaces/${work.namespace}/secrets`;
      await plane.create<Secret>(secrets, {
        ...secret,
        metadata: { name: "owned", ownerReferences: [owner] },
      } as Secret);
      const done = await waitFor<Job>(
        plane,
        work.jobs,
        "short",
        (job) => job === undefined || hasEnded(job),
      );
      assert(done !== undefined && done.status?.succeeded === 1);
      await waitFor(plane, work.jobs, "short", (job) => job === undefined);
      await waitFor(plane, secrets, "owned", (secret) => secret === undefined);
    });

    await test.step("pods fail in all the ways in which pods fail", async () => {
      const image = (image: string) => ({ image });
      const large = { resources: { requests: { cpu: "1000" } } };
      const small = { resources: { limits: { memory: "30Mi" } } };
      const missing = { valueFrom: { secretKeyRef: { name: "nobody", key: "token" } } };
      await Promise.all([
        work.pod("pull", container("true", image("test.invalid/pull-error:1"))),
        work.pod("name", container("true", image("UPPER:::x"))),
        work.pod("empty", container("true", image("test.invalid/nothing-there:1"))),
        work.pod("unknown", container("", { command: ["no-such-program"] })),
        work.pod("nothing", { name: "main", image: "example.org/nothing:1" }),
        work.pod("secret", container("true", { env: [{ name: "TOKEN", ...missing }] })),
        work.pod("large", container("true", large)),
        work.pod(
          "memory",
          container(`x=$(head -c 90000000 /dev/zero | tr "\\0" x); sleep 1000`, small),
        ),
        work.pod("fails", container("echo last words; exit 3")),
        work.pod("again", container("echo run; exit 1"), { restartPolicy: "Always" }),
        work.pod("deadline", container("sleep 1000"), { activeDeadlineSeconds: 1 }),
      ]);
      const reaches = async (name: string, ...reasons: string[]) => {
        for (const reason of reasons) await work.podIs(name, (pod) => work.reason(pod) === reason);
      };
      await reaches("pull", "ErrImagePull", "ImagePullBackOff");
      await reaches("name", "InvalidImageName");
      await reaches("empty", "StartError");
      await reaches("nothing", "CreateContainerError");
      await reaches("secret", "CreateContainerConfigError");
      await reaches("memory", "OOMKilled");
      await reaches("fails", "Error");
      await reaches("again", "CrashLoopBackOff");
      const unknown = await work.podHas("unknown", "Failed");
      const ended = unknown.status!.containerStatuses![0]!.state!.terminated!;
      assertEquals(ended.exitCode, 128);
      assertStringIncludes(ended.message ?? "", "executable file not found in $PATH");
      assertEquals((await work.podHas("deadline", "Failed")).status?.reason, "DeadlineExceeded");
      const isUnschedulable = (pod?: Pod) =>
        pod?.status?.conditions?.some(({ type, reason }) =>
          type === "PodScheduled" && reason === "Unschedulable"
        ) ?? false;
      await work.podIs("large", isUnschedulable);
      assertEquals(await work.log("again", "?previous=true"), "run\n");
      assertEquals(await work.log("fails"), "last words\n");
      const waiting = await plane.request<{ message: string }>("GET", `${work.pods}/pull/log`);
      assertEquals(waiting.status, 400);
      assertStringIncludes(waiting.body.message, "trying and failing to pull image");
      const events = await plane.request<{ items: { reason: string; message: string }[] }>(
        "GET",
        `/api/v1/namespaces/${work.namespace}/events?fieldSelector=involvedObject.name=pull`,
      );
      assert(events.body.items.some(({ reason }) => reason === "Failed"));
      const failed = await plane.request("DELETE", `${work.pods}/again`);
      assertEquals(failed.status, 200);
      await work.podIs("again", (pod) => pod === undefined);
    });

    await test.step("pods have what their manifest names", async () => {
      await plane.create(`/api/v1/namespaces/${work.namespace}/configmaps`, {
        metadata: { name: "settings" },
        data: { COLOUR: "blue" },
      });
      const script = [
        `echo "$COLOUR $POD in $NODE"`,
        `cat "$TEST_KUBELET_ROOT/etc/settings/COLOUR"; echo`,
        `basename "$(pwd)"`,
        `wc -c <"$TEST_KUBELET_ROOT/var/run/secrets/kubernetes.io/serviceaccount/token"`,
        `printf end >"$TEST_KUBELET_ROOT/dev/termination-log"`,
      ].join("; ");
      const field = (fieldPath: string) => ({ valueFrom: { fieldRef: { fieldPath } } });
      await work.pod(
        "full",
        container(script, {
          workingDir: "/somewhere/else",
          envFrom: [{ configMapRef: { name: "settings" } }],
          env: [{ name: "POD", ...field("metadata.name") }, {
            name: "NODE",
            ...field("spec.nodeName"),
          }],
          volumeMounts: [{ name: "settings", mountPath: "/etc/settings" }],
          resources: { limits: { "nvidia.com/gpu": "1" } },
        }),
        {
          volumes: [{ name: "settings", configMap: { name: "settings" } }],
          tolerations: [{ key: "gpu", operator: "Exists" }],
          initContainers: [container("echo first", { name: "first" })],
        },
      );
      const full = await work.podHas("full", "Succeeded", "Failed");
      const lines = (await work.log("full", "?container=main")).split("\n");
      assertEquals(lines.slice(0, 3), ["blue full in gpu", "blue", "else"]);
      assert(Number(lines[3]) > 100, lines[3] ?? "");
      assertEquals(full.status?.containerStatuses?.[0]?.state?.terminated?.message, "end");
      assertEquals(await work.log("full", "?container=first"), "first\n");
      await work.pod("greeter", { name: "main", image: "example.org/greeter:1" });
      await work.podHas("greeter", "Succeeded");
      assertEquals(await work.log("greeter"), "hello\n");
    });

    await test.step("logs can be followed, and asked for in part", async () => {
      await work.pod(
        "talks",
        container("for i in 1 2 3 4; do echo line $i; done; read go; echo $go", { stdin: true }),
      );
      await work.podHas("talks", "Succeeded");
      assertEquals(await work.log("talks", "?tailLines=3"), "line 3\nline 4\n\n");
      assertEquals(await work.log("talks", "?limitBytes=6"), "line 1");
      const stamped = (await work.log("talks", "?timestamps=true")).split("\n");
      assertMatch(stamped[1]!, /^\d{4}-\d\d-\d\dT[\d:.]+Z line 2$/);
      const since = encodeURIComponent(stamped[2]!.split(" ")[0]!.replace(/\.\d+/, ""));
      assertStringIncludes(await work.log("talks", `?sinceTime=${since}`), "line 3\n");
      const future = encodeURIComponent(new Date(Date.now() + 3_600_000).toISOString());
      assertEquals(await work.log("talks", `?sinceTime=${future}`), "");
    });

    await test.step("commands run in a pod, a log is followed to its end, and the pod ends as it is told", async () => {
      await work.pod(
        "stays",
        container(`trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done`),
      );
      await work.podHas("stays", "Running");
      const following = work.log("stays", "?follow=true");
      const file = join(plane.directory, "kubeconfig");
      const certificate = await plane.clientCertificate("somebody", ["system:masters"]);
      await Deno.writeTextFile(file, plane.kubeconfig({ certificate }));
      await using configuration = await loadConfiguration({ kubeconfig: file });
      using client = new KubernetesClient(configuration);
      using run = exec(client, work.namespace, "stays", {
        command: ["sh", "-c", "cat; echo problem >&2; exit 7"],
        stdin: "typed",
      });
      const [out, err, status] = await Promise.all([
        new Response(run.stdout).text(),
        new Response(run.stderr).text(),
        run.status,
      ]);
      assertEquals([out, err, status.exitCode], ["typed", "problem\n", 7]);
      await plane.request("DELETE", `${work.pods}/stays`);
      await work.podIs("stays", (pod) => pod === undefined);
      assertStringIncludes(await following, "bye\n");
    });

    await test.step("a service account may do what its roles say", async () => {
      const token = await plane.asServiceAccount(work.namespace, "reader");
      assertEquals((await plane.request("GET", work.pods, { token })).status, 403);
      const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${work.namespace}`;
      await plane.create(`${rbac}/roles`, {
        metadata: { name: "reader" },
        rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }],
      });
      await plane.create(`${rbac}/rolebindings`, {
        metadata: { name: "reader" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "reader" },
        subjects: [{ kind: "ServiceAccount", name: "reader", namespace: work.namespace }],
      });
      // Roles are known a moment later.
      await until(
        async () => (await plane.request("GET", work.pods, { token })).status === 200,
        "the role is known",
      );
      {
        await using _throttled = await throttle(plane, token);
        const refused = await plane.request("GET", work.pods, { token });
        assertEquals(refused.status, 429);
        assertEquals(refused.headers.get("retry-after"), "1");
        assertEquals((await plane.request("GET", work.pods)).status, 200);
      }
      assertEquals((await plane.request("GET", work.pods, { token })).status, 200);
    });

    await test.step("pods run on while the API server is away, and the past can be forgotten", async () => {
      // Two dollar signs are one in a manifest.
      await work.job("long", container("echo $$$$; exec sleep 1000"));
      const find = async () => {
        const pod = await work.podOf("long");
        return pod === undefined ? undefined : await work.podHas(pod.metadata!.name!, "Running");
      };
      await waitFor<Job>(plane, work.jobs, "long", (job) => (job?.status?.ready ?? 0) > 0);
      const before = (await find())!;
      const name = before.metadata!.name!;
      // A process runs before it has written.
      await until(async () => (pid = Number(await work.log(name))) > 0, "it has written");
      const list = await plane.request<{ metadata: { resourceVersion: string } }>("GET", work.pods);
      const version = list.body.metadata.resourceVersion;
      await plane.stopApiServer();
      assert(await fetch(plane.url, { client: plane.client }).then(() => false, () => true));
      assert(!await isGone(`/proc/${pid}`));
      await plane.compactEtcd();
      const after = await find();
      assertEquals(after?.metadata?.uid, before.metadata!.uid);
      assertEquals(Number(await work.log(name)), pid);
      const watch = await plane.request<string>(
        "GET",
        `${work.pods}?watch=1&resourceVersion=${version}`,
      );
      assertStringIncludes(JSON.stringify(watch.body), "410");
      assertEquals((await work.podIs("fails", () => true))?.status?.phase, "Failed");
    });
  } finally {
    await plane.stop();
  }
  await test.step("nothing is left of it", async () => {
    assert(pid > 0 && await isGone(`/proc/${pid}`));
    assert(await isGone(plane.directory));
  });
});

function hasEnded(job: Job): boolean {
  const conditions = job.status?.conditions ?? [];
  return conditions.some(({ type, status }) =>
    ["Complete", "Failed"].includes(type) && status === "True"
  );
}
