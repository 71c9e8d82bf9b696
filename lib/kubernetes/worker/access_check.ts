/** Whether the worker may do in the cluster what it has to. */
import { WorkerError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { KubernetesClient } from "../api/client.ts";
import { accessReviews } from "../api/resource_path.ts";
import type { SelfSubjectAccessReview } from "../api/types.ts";
import { clusterError } from "./cluster_errors.ts";

/** A right the worker uses. */
export interface Right {
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verb: string;
  /** What does not work without it; a worker that lacks a right without this cannot work at all. */
  readonly without?: string;
}

const job = (verb: string): Right => ({ group: "batch", resource: "jobs", verb });
const pod = (verb: string): Right => ({ group: "", resource: "pods", verb });
const exec = (verb: string): Right => ({
  group: "",
  resource: "pods",
  subresource: "exec",
  verb,
  without: "execute",
});

const event = (verb: string): Right => ({
  group: "",
  resource: "events",
  verb,
  without: "telling why a job gets no pod, such as a quota that is used up",
});

/** The rights of the worker, which the Role of the Helm chart gives. */
export function neededRights(sessionTokens: boolean): Right[] {
  return [
    ...["create", "get", "list", "watch", "delete"].map(job),
    ...["list", "watch"].map(pod),
    { group: "", resource: "pods", subresource: "log", verb: "get", without: "get_logs" },
    // Commands come over a WebSocket, which is a GET; newer clusters ask for the right to create as well.
    exec("get"),
    exec("create"),
    ...["list", "watch"].map(event),
    ...(sessionTokens ? [{ group: "", resource: "secrets", verb: "create" }] : []),
  ];
}

/** A right in words: `create jobs.batch`, `get pods/log`. */
export function rightInWords({ verb, resource, subresource, group }: Right): string {
  const kind = `${resource}${group === "" ? "" : `.${group}`}`;
  return `${verb} ${kind}${subresource === undefined ? "" : `/${subresource}`}`;
}

/**
 * Asks the cluster about every right.
 *
 * @throws WorkerError `kubernetes_forbidden` that names what is missing, `kubernetes_unavailable` when the API cannot
 * be reached
 */
export async function checkAccess(
  client: KubernetesClient,
  namespace: string,
  rights: readonly Right[],
  log: Logger,
  signal?: AbortSignal,
): Promise<void> {
  const missing: Right[] = [];
  await Promise.all(rights.map(async (right) => {
    const { group, resource, subresource, verb } = right;
    const review = await client.create<SelfSubjectAccessReview>(accessReviews, {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: {
        resourceAttributes: {
          namespace,
          group,
          resource,
          verb,
          ...(subresource === undefined ? {} : { subresource }),
        },
      },
    }, { signal, timeout: 20_000 }).catch((error) => {
      signal?.throwIfAborted();
      throw clusterError(error, `use Kubernetes at ${client.configuration.server}`);
    });
    if (review.status?.allowed !== true) missing.push(right);
  }));
  const fatal = missing.filter((right) => right.without === undefined);
  for (const right of missing) {
    if (right.without === undefined) continue;
    log.warning(`The worker's account may not ${rightInWords(right)}: no ${right.without}`, {
      namespace,
    });
  }
  if (fatal.length === 0) return;
  throw new WorkerError(
    "kubernetes_forbidden",
    `Cannot start jobs in namespace ${namespace}: the worker's account may not ${
      fatal.map(rightInWords).join(", ")
    }`,
    { context: { missing: fatal.map(rightInWords) } },
  );
}
