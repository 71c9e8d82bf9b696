/** What jobs and pods are doing, in words. */
import { assertEquals } from "@std/assert";
import type { Job, Pod, PodStatus } from "../../../lib/kubernetes/api/types.ts";
import { situationOf } from "../../../lib/kubernetes/worker/reasons.ts";
import { ended, runs, waits } from "./support.ts";

const JOB: Job = { spec: { template: {}, activeDeadlineSeconds: 60 } };

function pod(status: PodStatus, age = 0): Pod {
  return {
    metadata: { name: `pod-${age}`, creationTimestamp: `2024-01-01T00:00:0${age}Z` },
    spec: {
      containers: [{ name: "main", resources: { limits: { memory: "1Gi" } } }],
    },
    status,
  };
}

function failed(reason: string, count?: number): Job {
  return {
    ...JOB,
    status: {
      ...(count === undefined ? {} : { failed: count }),
      conditions: [{ type: "Failed", status: "True", reason, message: "told by the job" }],
    },
  };
}

/** Phase, reason and words. */
function told(job: Job, ...pods: Pod[]): [string, string | undefined, string, string] {
  const { phase, reason, message, hopeless } = situationOf(job, pods, "main");
  return [phase, reason, message, hopeless];
}

Deno.test("reasons: a pod on its way", () => {
  const scheduled = (message: string): PodStatus => ({
    phase: "Pending",
    conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message }],
  });
  assertEquals(told(JOB), ["starting", undefined, "the job waits for its pod", "no"]);
  assertEquals(told(JOB, pod({ phase: "Pending" })), [
    "starting",
    undefined,
    "the pod waits for a node",
    "no",
  ]);
  assertEquals(told(JOB, pod(scheduled("0/3 nodes are available."))), [
    "starting",
    "Unschedulable",
    "no node can take the pod now: 0/3 nodes are available.",
    "no",
  ]);
  assertEquals(told(JOB, pod(waits("ContainerCreating"))), [
    "starting",
    "ContainerCreating",
    "the container is being created (ContainerCreating)",
    "no",
  ]);
  assertEquals(told(JOB, pod(runs())), ["running", undefined, "running", "no"]);
  assertEquals(told(JOB, pod(runs(2)))[2], "running, started again 2 times");
});

Deno.test("reasons: what does not pass by itself is hopeless, what may pass is not yet", () => {
  const all: Record<string, string> = {
    ErrImagePull: "soon",
    ImagePullBackOff: "soon",
    CreateContainerError: "soon",
    InvalidImageName: "now",
    ErrImageNeverPull: "now",
    CreateContainerConfigError: "now",
    CrashLoopBackOff: "no",
    SomethingNew: "no",
  };
  for (const [reason, hopeless] of Object.entries(all)) {
    const found = told(JOB, pod(waits(reason, "a\n  message")));
    assertEquals([found[0], found[1], found[3]], ["starting", reason, hopeless]);
    assertEquals(found[2].includes(`(${reason})`), true, found[2]);
    assertEquals(found[2].includes("a message"), hopeless !== "no" || reason === "SomethingNew");
  }
});

Deno.test("reasons: ends of containers", () => {
  const end = (exitCode: number, reason = "Error", message?: string) => {
    const status = ended(exitCode, reason);
    Object.assign(status.containerStatuses![0]!.state!.terminated!, { message });
    return told(JOB, pod(status));
  };
  assertEquals(end(0, "Completed"), ["succeeded", "Completed", "completed", "no"]);
  assertEquals(end(2)[2], "the container ended with exit code 2");
  assertEquals(
    end(1, "Error", "Traceback\n  line\nValueError: x\n")[2],
    "the container ended with exit code 1: ValueError: x",
  );
  assertEquals(end(137)[2], "the container ended with exit code 137 (killed)");
  assertEquals(end(143)[2], "the container ended with exit code 143 (told to end)");
  assertEquals(end(137, "OOMKilled"), [
    "starting",
    "OOMKilled",
    "the container used more memory than its limit of 1Gi and was killed (OOMKilled)",
    "now",
  ]);
  assertEquals(
    end(128, "StartError", "exec: nothing: not found")[2],
    "the container's command cannot be started: exec: nothing: not found",
  );
  assertEquals(
    told(JOB, pod({ phase: "Failed", reason: "Evicted", message: "low on memory" }))[2],
    "the node was short of resources and evicted the pod (Evicted): low on memory",
  );
});

Deno.test("reasons: a job that has failed tells of its last pod", () => {
  assertEquals(told(failed("BackoffLimitExceeded", 3), pod(ended(1)), pod(ended(2), 1)), [
    "failed",
    "BackoffLimitExceeded",
    "the container ended with exit code 2; it was tried 3 times",
    "now",
  ]);
  assertEquals(told(failed("BackoffLimitExceeded"), pod(ended(137, "OOMKilled")))[1], "OOMKilled");
  assertEquals(
    told(failed("DeadlineExceeded"), pod(runs()))[2],
    "it ran longer than it may, 60 s (DeadlineExceeded)",
  );
  assertEquals(
    told(failed("PodFailurePolicy"))[2],
    "the job has failed (PodFailurePolicy): told by the job",
  );
  const complete: Job = { ...JOB, status: { conditions: [{ type: "Complete", status: "True" }] } };
  assertEquals(told(complete), ["succeeded", "Completed", "completed", "no"]);
});
