/** Whether a connection still serves: the socket, the server behind it, and the worker's service there. */
import { within } from "../delay.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { HyphaServer } from "./hypha_rpc.ts";

/** A connection to watch. */
export interface Watched {
  readonly server: HyphaServer;
  /** Resolves with the reason when the socket closes. */
  readonly gate: { readonly closed: Promise<string> };
  readonly registration: { readonly id: string };
}

/** How it is watched; times in milliseconds. */
export interface Checks {
  readonly checkInterval: number;
  readonly checkTimeout: number;
  /** Checks in a row that must have failed. */
  readonly checkFailures: number;
  readonly log: Logger;
}

/**
 * What a server says that answers, but no longer for this client. It drops the services of one whose id a second one
 * has tried to take, although it refuses that one and leaves the first one's socket open; and of one that has not
 * answered its ping within three seconds, every five minutes, such as while the server itself was busy (Hypha 0.21).
 */
const DISOWNED = /Service not found|Connection has already been closed/;

/** Watches a connection; resolves with what ended it. `onContact` is called whenever the server has answered. */
export async function untilLost(
  { server, gate, registration }: Watched,
  { checkInterval, checkTimeout, checkFailures, log }: Checks,
  signal: AbortSignal,
  onContact: () => void,
): Promise<string> {
  const answered = async (answer: Promise<unknown>): Promise<string | undefined> => {
    try {
      await within(answer, checkTimeout, signal);
    } catch (error) {
      const reason = messageOf(error);
      if (DISOWNED.test(reason)) return "the server has lost the service of this worker";
      // Any other refusal is an answer as well.
      if (!reason.includes("RemoteError")) return `the server does not answer: ${reason}`;
    }
    onContact();
    return undefined;
  };
  let failures = 0;
  while (true) {
    const closed = await within(gate.closed, checkInterval, signal).catch(() => undefined);
    if (closed !== undefined) return closed;
    if (signal.aborted) return "closed by the worker";
    const failure = await answered(server.echo("alive")) ??
      await answered(server.getServiceInfo(registration.id));
    if (failure === undefined) {
      failures = 0;
      continue;
    }
    failures++;
    log.debug("a check of the connection failed", { reason: failure, failures });
    if (failures >= checkFailures) return failure;
  }
}
