/**
 * What a job and its pods are doing, in words: Kubernetes tells it in conditions, phases and container states that are
 * spread over several objects.
 */
import type { ContainerStateTerminated, ContainerStatus, Job, Pod } from "../api/types.ts";

/** What a session is doing. */
export type Phase = "starting" | "running" | "succeeded" | "failed";

/** What a job and its pods are doing. */
export interface Situation {
  readonly phase: Phase;
  /** For people, without a full stop. */
  readonly message: string;
  /** Kubernetes' own word, where there is one: `ImagePullBackOff`, `OOMKilled`, `Unschedulable`, … */
  readonly reason: string | undefined;
  /**
   * Whether waiting longer is of no use: `now`, or `soon` for what sometimes passes by itself. @default "no"
   */
  readonly hopeless: "no" | "soon" | "now";
  /** The pod this is about. */
  readonly pod: Pod | undefined;
  /** How the container ended the last time. */
  readonly terminated: ContainerStateTerminated | undefined;
}

/** Longest message of Kubernetes that is repeated (characters). */
const MAX_MESSAGE = 600;
const MAX_LINE = 200;

/** What waiting containers wait for, by Kubernetes' reason. */
const WAITING: Readonly<Record<string, { words: string; hopeless: Situation["hopeless"] }>> = {
  ContainerCreating: { words: "the container is being created", hopeless: "no" },
  PodInitializing: { words: "the pod is being prepared", hopeless: "no" },
  ErrImagePull: { words: "the image cannot be pulled", hopeless: "soon" },
  ImagePullBackOff: { words: "the image cannot be pulled", hopeless: "soon" },
  RegistryUnavailable: { words: "the registry of the image does not answer", hopeless: "soon" },
  InvalidImageName: { words: "the image's name is not valid", hopeless: "now" },
  ErrImageNeverPull: {
    words: "the image is not on the node, and the pull policy forbids to pull it",
    hopeless: "now",
  },
  CreateContainerConfigError: {
    words: "something the container refers to is missing",
    hopeless: "now",
  },
  CreateContainerError: { words: "the container cannot be created", hopeless: "soon" },
  RunContainerError: { words: "the container cannot be started", hopeless: "soon" },
  CrashLoopBackOff: { words: "the container ends again and again", hopeless: "no" },
};

/**
 * Pods of a job, the oldest first: each but the last has failed and was replaced. Kubernetes knows whole seconds only;
 * pods of the same second stay in their order.
 */
export function inOrder(pods: Iterable<Pod>): Pod[] {
  const age = ({ metadata }: Pod) => metadata?.creationTimestamp ?? "";
  return [...pods].sort((a, b) => age(a) < age(b) ? -1 : age(a) > age(b) ? 1 : 0);
}

/** The status of a pod's container by name; that of its only one when it has none of that name. */
export function containerOf(pod: Pod, name: string): ContainerStatus | undefined {
  const statuses = pod.status?.containerStatuses ?? [];
  return statuses.find((one) => one.name === name) ??
    (statuses.length === 1 ? statuses[0] : undefined);
}

function cut(text: string | undefined): string {
  const line = (text ?? "").replace(/\s+/g, " ").trim();
  return line.length > MAX_MESSAGE ? `${line.slice(0, MAX_MESSAGE)}…` : line;
}

function withMessage(words: string, message: string | undefined): string {
  const more = cut(message);
  return more === "" ? words : `${words}: ${more}`;
}

/** How a container ended, in words. */
export function endInWords(end: ContainerStateTerminated, limit?: string): string {
  const { exitCode, reason, signal } = end;
  if (reason === "OOMKilled") {
    const most = limit === undefined ? "its limit" : `its limit of ${limit}`;
    return `the container used more memory than ${most} and was killed (OOMKilled)`;
  }
  if (reason === "ContainerCannotRun" || reason === "StartError") {
    return withMessage("the container's command cannot be started", end.message);
  }
  if (exitCode === 0) return "the container ended with exit code 0";
  const killed = signal ?? (exitCode > 128 && exitCode < 160 ? exitCode - 128 : undefined);
  const how = killed === 9
    ? `exit code ${exitCode} (killed)`
    : killed === 15
    ? `exit code ${exitCode} (told to end)`
    : `exit code ${exitCode}`;
  return withMessage(`the container ended with ${how}`, lastLine(end.message));
}

/** The last line says most: of a program that leaves no message of its own Kubernetes takes the end of its output. */
function lastLine(text: string | undefined): string | undefined {
  return text?.trimEnd().split("\n").at(-1)?.slice(0, MAX_LINE);
}

/** How the container of a pod ended the last time. */
export function lastEnd(pod: Pod, container: string): ContainerStateTerminated | undefined {
  const status = containerOf(pod, container);
  return status?.state?.terminated ?? status?.lastState?.terminated;
}

function memoryLimit(pod: Pod, container: string): string | undefined {
  return pod.spec?.containers.find((one) => one.name === container)?.resources?.limits?.memory;
}

/** A pod's own end, in words; `undefined` when it has not failed. */
function failureOf(pod: Pod, container: string): { reason: string; words: string } | undefined {
  const { phase, reason, message } = pod.status ?? {};
  const end = lastEnd(pod, container);
  const failed = end !== undefined && (end.exitCode !== 0 || end.reason === "OOMKilled");
  if (phase === "Failed" && reason !== undefined && reason !== "") {
    return { reason, words: withMessage(podReason(reason), message) };
  }
  if (failed) {
    return { reason: end.reason ?? "Error", words: endInWords(end, memoryLimit(pod, container)) };
  }
  return phase === "Failed" ? { reason: "Error", words: "the pod has failed" } : undefined;
}

function podReason(reason: string): string {
  switch (reason) {
    case "Evicted":
      return "the node was short of resources and evicted the pod (Evicted)";
    case "DeadlineExceeded":
      return "it ran longer than it may (DeadlineExceeded)";
    case "NodeLost":
    case "NodeShutdown":
    case "Terminated":
      return `the node went away (${reason})`;
    default:
      return `the pod has failed (${reason})`;
  }
}

function condition(object: Job | Pod, type: string, status = "True") {
  return object.status?.conditions?.find((one) => one.type === type && one.status === status);
}

function jobFailure(job: Job, pods: readonly Pod[], container: string): Situation | undefined {
  const failed = condition(job, "Failed") ?? condition(job, "FailureTarget");
  if (failed === undefined) return undefined;
  const pod = pods.at(-1);
  const own = pod && failureOf(pod, container);
  const { activeDeadlineSeconds: deadline } = job.spec ?? {};
  // The job's own count comes later than its failure.
  const tries = Math.max(
    job.status?.failed ?? 0,
    pods.filter((one) => one.status?.phase === "Failed").length,
  );
  let message: string;
  if (failed.reason === "DeadlineExceeded") {
    message = `it ran longer than it may${
      deadline === undefined ? "" : `, ${deadline} s`
    } (DeadlineExceeded)`;
  } else if (own !== undefined) {
    message = tries > 1 ? `${own.words}; it was tried ${tries} times` : own.words;
  } else {
    message = withMessage(`the job has failed (${failed.reason ?? "Failed"})`, failed.message);
  }
  // What the container died of says more than that it was tried often enough.
  const reason = failed.reason === "BackoffLimitExceeded" && own !== undefined &&
      own.reason !== "Error"
    ? own.reason
    : failed.reason;
  return {
    phase: "failed",
    message,
    reason,
    hopeless: "now",
    pod,
    terminated: pod && lastEnd(pod, container),
  };
}

function starting(
  pod: Pod | undefined,
  message: string,
  reason?: string,
  hopeless: Situation["hopeless"] = "no",
  terminated?: ContainerStateTerminated,
): Situation {
  return { phase: "starting", message, reason, hopeless, pod, terminated };
}

function succeeded(pod: Pod | undefined, container: string): Situation {
  return {
    phase: "succeeded",
    message: "completed",
    reason: "Completed",
    hopeless: "no",
    pod,
    terminated: pod && lastEnd(pod, container),
  };
}

function podSituation(pod: Pod, container: string): Situation {
  const { status } = pod;
  const terminated = lastEnd(pod, container);
  const current = containerOf(pod, container);
  const failure = failureOf(pod, container);
  if (status?.phase === "Succeeded") return succeeded(pod, container);
  if (status?.phase === "Failed" && failure !== undefined) {
    // More memory does not come by trying again.
    const hopeless = failure.reason === "OOMKilled" ? "now" : "no";
    return starting(pod, failure.words, failure.reason, hopeless, terminated);
  }
  const waiting = [...status?.initContainerStatuses ?? [], ...current ? [current] : []]
    .map((one) => one.state?.waiting).find((one) =>
      one?.reason !== undefined && one.reason !== "PodInitializing"
    ) ??
    current?.state?.waiting;
  if (current?.state?.running !== undefined) {
    const restarts = current.restartCount ?? 0;
    const again = restarts === 0
      ? ""
      : `, started again ${restarts === 1 ? "once" : `${restarts} times`}`;
    return {
      phase: "running",
      message: `running${again}`,
      reason: undefined,
      hopeless: "no",
      pod,
      terminated,
    };
  }
  if (failure?.reason === "OOMKilled") {
    return starting(pod, failure.words, failure.reason, "now", terminated);
  }
  if (waiting?.reason !== undefined) {
    const known = WAITING[waiting.reason];
    const words = `${known?.words ?? "the container waits"} (${waiting.reason})`;
    const why = failure !== undefined && waiting.reason === "CrashLoopBackOff"
      ? `${words}: ${failure.words}`
      : withMessage(words, known?.hopeless === "no" ? undefined : waiting.message);
    return starting(pod, why, waiting.reason, known?.hopeless ?? "no", terminated);
  }
  if (failure !== undefined) return starting(pod, failure.words, failure.reason, "no", terminated);
  const unscheduled = condition(pod, "PodScheduled", "False");
  if (unscheduled !== undefined) {
    return starting(
      pod,
      withMessage("no node can take the pod now", unscheduled.message),
      unscheduled.reason ?? "Unschedulable",
    );
  }
  return starting(
    pod,
    pod.spec?.nodeName === undefined
      ? "the pod waits for a node"
      : "the container is being created",
  );
}

/** What a job and its pods are doing. `container` is the name of the one that counts. */
export function situationOf(job: Job, pods: Iterable<Pod>, container: string): Situation {
  const ordered = inOrder(pods);
  const pod = ordered.at(-1);
  const failure = jobFailure(job, ordered, container);
  if (failure !== undefined) return failure;
  if (condition(job, "Complete") !== undefined) return succeeded(pod, container);
  if (pod === undefined) return starting(undefined, "the job waits for its pod");
  return podSituation(pod, container);
}
