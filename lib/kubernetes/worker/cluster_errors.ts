/** Errors of Kubernetes as the worker's callers see them. */
import { messageOf, WorkerError } from "../../errors.ts";
import { KubernetesError } from "../api/errors.ts";

/** What the API says to those who lack a right; everything else it forbids is a rule about the object. */
const NO_RIGHT = /User "[^"]*" cannot (\w+) resource "([^"]+)"(?: in API group "([^"]*)")?/;

/**
 * The error for something the API refused or could not do. Anything that is no `KubernetesError` comes back as it is.
 *
 * @param action What was to be done, as in "Cannot start session"
 */
export function clusterError(error: unknown, action: string): Error {
  if (!(error instanceof KubernetesError)) {
    return error instanceof Error ? error : new Error(messageOf(error));
  }
  const why = error.message.replace(/^Cannot /, "the worker cannot ");
  const right = NO_RIGHT.exec(error.message);
  const options = { cause: error, context: { reason: error.reason } };
  if (right !== null) {
    const [, verb, resource] = right;
    return new WorkerError(
      "kubernetes_forbidden",
      `Cannot ${action}: the worker's service account may not ${verb} ${resource}`,
      options,
    );
  }
  if (error.reason === "Unauthorized") {
    return new WorkerError(
      "kubernetes_forbidden",
      `Cannot ${action}: the cluster does not accept the worker's credentials`,
      {
        ...options,
        suggestion: "Renew the token or certificate of the kubeconfig or service account.",
      },
    );
  }
  if (["Forbidden", "Invalid", "BadRequest"].includes(error.reason)) {
    return new WorkerError(
      "job_refused",
      `Cannot ${action}: the cluster refuses it: ${why}`,
      options,
    );
  }
  return new WorkerError("kubernetes_unavailable", `Cannot ${action}: ${why}`, options);
}
