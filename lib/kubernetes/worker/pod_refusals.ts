/**
 * Why a job gets no pod: a quota that is used up, a policy that refuses it. Nothing but the events of the job tells,
 * so they are watched while a session that starts has no pod.
 */
import type { KubernetesClient } from "../api/client.ts";
import { events } from "../api/resource_path.ts";
import type { Event } from "../api/types.ts";
import { Mirror } from "../api/watch.ts";
import type { KubernetesSession } from "./session.ts";

/** What refusals say that waiting does not change. */
const REFUSED_POD = /exceeded quota|forbidden|denied|violates|failed quota/i;

/**
 * Tells a session, which has a job, as soon as the cluster refuses its pod; until it is disposed of. Without the right
 * to watch events nothing is told.
 */
export function watchRefusals(
  client: KubernetesClient,
  namespace: string,
  session: KubernetesSession,
): AsyncDisposable {
  const mirror = new Mirror<Event>(client, events(namespace), {
    fieldSelector: `involvedObject.uid=${session.job!.metadata!.uid!}`,
  });
  mirror.changes(({ type, object: { reason, message = "" } }) => {
    if (type !== "deleted" && reason === "FailedCreate" && REFUSED_POD.test(message)) {
      session.setRefused(message);
    }
  });
  return mirror;
}
