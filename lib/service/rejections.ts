/**
 * Promises of the RPC client that nobody waits for.
 *
 * The client leaves promises behind that reject when a peer or the connection goes. They must neither end the worker
 * nor fill its log; a rejection of the worker's own is a fault, and is logged as one.
 */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";

/** Counts what was caught. */
export interface RejectionGuard extends Disposable {
  /** Rejections of the RPC client. */
  readonly ignored: number;
  /** Rejections that are faults of the worker. */
  readonly faults: number;
}

const NOISE =
  /method not found|session not found|method expired|connection (is|was) closed|connection lost|client disconnected|rpc connection closed|not connected|method call timed out|failed to send the request|connectionabortederror|websocket/i;

/** Catches unhandled rejections from now on, until it is disposed of. */
export function guardRejections(log: Logger): RejectionGuard {
  let ignored = 0;
  let faults = 0;
  const handler = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const reason = messageOf(event.reason);
    if (NOISE.test(reason)) {
      ignored++;
      log.debug("ignored a rejection of the connection", { reason });
    } else {
      faults++;
      log.error("a promise was rejected and nobody noticed", {
        reason,
        stack: event.reason instanceof Error ? event.reason.stack : undefined,
      });
    }
  };
  globalThis.addEventListener("unhandledrejection", handler);
  return {
    get ignored() {
      return ignored;
    },
    get faults() {
      return faults;
    },
    [Symbol.dispose]: () => globalThis.removeEventListener("unhandledrejection", handler),
  };
}
