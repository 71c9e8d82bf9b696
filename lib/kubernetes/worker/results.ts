/** Descriptions of sessions as they go out: plain JSON in the shapes of the Hypha contract. */
import { containerOf, lastEnd } from "./reasons.ts";
import type { KubernetesSession } from "./session.ts";

/** Description of a session: the worker API's session data, and what Kubernetes says of it. */
export function sessionInfo(session: KubernetesSession): Record<string, unknown> {
  const { facts, job, situation } = session;
  const pod = situation.pod ?? session.pods.at(-1);
  const status = pod && containerOf(pod, facts.container);
  const end = pod && lastEnd(pod, facts.container);
  const { state } = session;
  const message = state === situation.phase ? situation.message : state;
  return {
    session_id: session.id,
    id: session.id,
    app_id: facts.appId,
    workspace: facts.workspace,
    client_id: facts.clientId,
    status: state,
    message,
    reason: situation.reason ?? null,
    app_type: facts.type,
    created_at: facts.createdAt.toISOString(),
    started_at: status?.state?.running?.startedAt ?? end?.startedAt ?? job?.status?.startTime ??
      null,
    finished_at: session.finished ? end?.finishedAt ?? job?.status?.completionTime ?? null : null,
    last_active: session.lastActive.toISOString(),
    exit_code: end?.exitCode ?? null,
    restarts: status?.restartCount ?? 0,
    failures: job?.status?.failed ?? 0,
    pending_executions: session.pendingExecutions,
    job: session.jobName,
    pod: pod?.metadata?.name ?? null,
    node: pod?.spec?.nodeName ?? null,
    image: pod?.spec?.containers.find((one) => one.name === facts.container)?.image ??
      job?.spec?.template.spec?.containers.find((one) => one.name === facts.container)?.image ??
      null,
    limits: {
      active_deadline: job?.spec?.activeDeadlineSeconds ?? null,
      backoff_limit: job?.spec?.backoffLimit ?? null,
      ttl: job?.spec?.ttlSecondsAfterFinished ?? null,
    },
    metadata: {},
  };
}

/** Description of one session: also all its pods. */
export function sessionDetails(session: KubernetesSession): Record<string, unknown> {
  return {
    ...sessionInfo(session),
    pods: session.pods.map((pod) => {
      const status = containerOf(pod, session.facts.container);
      const end = lastEnd(pod, session.facts.container);
      return {
        name: pod.metadata?.name ?? null,
        phase: pod.status?.phase ?? null,
        node: pod.spec?.nodeName ?? null,
        created_at: pod.metadata?.creationTimestamp ?? null,
        ending: pod.metadata?.deletionTimestamp !== undefined,
        restarts: status?.restartCount ?? 0,
        exit_code: end?.exitCode ?? null,
        reason: status?.state?.waiting?.reason ?? end?.reason ?? pod.status?.reason ?? null,
      };
    }),
  };
}
