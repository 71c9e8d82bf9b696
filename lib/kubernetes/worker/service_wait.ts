/** Waiting for the service that the program of a session registers with Hypha. */
import { messageOf, WorkerError } from "../../errors.ts";
import type { ProgressSink } from "../../progress.ts";
import type { KubernetesSession } from "./session.ts";

/** Finds a service: its full id, or `undefined` when there is none. Throws what the server says otherwise. */
export type FindService = (id: string) => Promise<string | undefined>;

/** What is waited for. */
export interface ServiceWait {
  readonly session: KubernetesSession;
  /** `workspace/name` or `workspace/client:name`. */
  readonly service: string;
  /** Its full id before the job was created: a service of another session, which does not count. */
  readonly before: string | undefined;
  /** Milliseconds. */
  readonly timeout: number;
  readonly find: FindService;
  readonly onProgress: ProgressSink;
  readonly signal: AbortSignal;
}

const FIRST_PAUSE = 300;
const LONGEST_PAUSE = 3000;
const DENIED = /permission denied|not authori[sz]ed|unauthori[sz]ed|access denied/i;

/** Client ids end with the name of the service, in `workspace/client:name`. */
function ownId(service: string, clientId: string): string {
  const slash = service.indexOf("/");
  return service.includes(":")
    ? service
    : `${service.slice(0, slash)}/${clientId}:${service.slice(slash + 1)}`;
}

/** The service as it was before a session is started. Never throws. */
export async function serviceBefore(
  service: string | undefined,
  find: FindService,
): Promise<string | undefined> {
  if (service === undefined) return undefined;
  return await find(service).catch(() => undefined);
}

/**
 * Resolves when the service is there, or when the worker may not look.
 *
 * @throws WorkerError `service_missing` when the time is up, `job_failed` when the program has ended; or the signal's
 * reason
 */
export async function waitForService(wait: ServiceWait): Promise<void> {
  const { session, service, before, timeout, find, onProgress, signal } = wait;
  const own = ownId(service, session.facts.clientId);
  const until = performance.now() + timeout;
  onProgress({ type: "info", message: `Waiting for service ${service}`, phase: "service" });
  let problem: string | undefined;
  let pause = FIRST_PAUSE;
  for (;;) {
    signal.throwIfAborted();
    const { revision } = session;
    try {
      const found = await find(own) ?? (service === own ? undefined : await find(service));
      if (found !== undefined && (found !== before || found === own)) {
        onProgress({
          type: "success",
          message: `Service ${found} is registered`,
          phase: "service",
        });
        return;
      }
      problem = undefined;
    } catch (error) {
      problem = messageOf(error);
      if (DENIED.test(problem)) {
        onProgress({
          type: "warning",
          message:
            `The worker may not look for service ${service}; the session goes on without waiting`,
        });
        return;
      }
    }
    const { phase, message, hopeless } = session.situation;
    // Memory that was too little stays so, however often the cluster tries again.
    const failed = phase === "failed" || (hopeless === "now" && !session.gone);
    if (session.gone || failed || phase === "succeeded") {
      const why = failed
        ? message
        : phase === "succeeded"
        ? "the program has ended"
        : "its job was deleted";
      throw new WorkerError("job_failed", `service ${service} was not registered: ${why}`);
    }
    const left = until - performance.now();
    if (left <= 0) {
      const state = problem === undefined ? `the session is ${phase}: ${message}` : problem;
      throw new WorkerError(
        "service_missing",
        `service ${service} was not registered within ${timeout / 1000} s; ${state}`,
      );
    }
    await session.changedWithin(Math.min(pause, left), revision, signal);
    pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  }
}
