/**
 * One call of the API with its retries: bounded by time, and only as far as a call may be repeated.
 *
 * 429, and 503 with `retry-after`, say that nothing was done: every call is tried again. After other answers of the
 * 5xx kind, and after connections that broke, only calls that do the same when they are done twice. A connection that
 * could not be made has done nothing either.
 */
import { delay } from "../../delay.ts";
import type { Configuration, Credentials } from "./credentials.ts";
import { WorkerError } from "../../errors.ts";
import { errorOf, KubernetesError } from "./errors.ts";

/** A call and its bounds. */
export interface Call {
  /** In words, after "Cannot". */
  readonly what: string;
  /** Whether doing it twice does the same as doing it once. */
  readonly idempotent: boolean;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for everything. */
  readonly timeout: number;
  /** Milliseconds for one try of an idempotent call. */
  readonly tryTimeout: number;
  /** Milliseconds before the second try; doubles each time. */
  readonly backOff: number;
}

/** What a try has led to. */
export type Outcome<T> =
  | { readonly value: T }
  | { readonly status: number; readonly retryAfter: string | null; readonly body: string };

/** Does one try. The signal ends when the time is up; it has no meaning any more once the try has led to something. */
export type Send<T> = (credentials: Credentials, signal: AbortSignal) => Promise<Outcome<T>>;

/** A connection could not be made, so nothing was sent. */
export class ConnectFailed extends Error {
  override readonly name = "ConnectFailed";
}

/** How often an answer of the 5xx kind is met before it is believed. */
const MAX_ANSWERS = 5;

const MAX_BACK_OFF = 8_000;

/** Does a call. `closed` ends all calls of a client. */
export async function attempts<T>(
  call: Call,
  configuration: Configuration,
  closed: AbortSignal,
  send: Send<T>,
): Promise<T> {
  const end = performance.now() + call.timeout;
  let renew = false;
  let maybeDone = false;
  for (let count = 1;; count++) {
    call.signal?.throwIfAborted();
    if (closed.aborted) throw closedError(call.what);
    let wait = Math.min(call.backOff * 2 ** (count - 1), MAX_BACK_OFF) *
      (0.75 + Math.random() / 2);
    let error: KubernetesError;
    const outcome = await oneTry(call, configuration, closed, end, renew, send);
    if ("value" in outcome) return outcome.value;
    if ("status" in outcome) {
      const { status, retryAfter, body } = outcome;
      error = errorOf(call.what, status, body, maybeDone);
      const asked = seconds(retryAfter) ?? error.details?.retryAfterSeconds;
      if (status === 401 && !renew) {
        renew = true;
        continue;
      }
      const refused = status === 429 || (status === 503 && asked !== undefined);
      const failed = status >= 500 && call.idempotent && count < MAX_ANSWERS;
      if (!refused && !failed) throw error;
      if (asked !== undefined) wait = Math.max(asked * 1000, wait);
      maybeDone ||= !refused;
    } else {
      error = outcome.error;
      if (outcome.untrusted && !renew) {
        // The authority may have been replaced since its file was read.
        renew = true;
        continue;
      }
      if (outcome.untrusted || !(call.idempotent || outcome.unsent)) throw error;
      maybeDone ||= !outcome.unsent;
    }
    if (performance.now() + wait >= end) throw error;
    await pause(wait, call, closed);
  }
}

interface Broken {
  readonly error: KubernetesError;
  /** Nothing was sent. */
  readonly unsent: boolean;
  /** The other side is not whom we trust, or does not take our certificate. */
  readonly untrusted: boolean;
}

async function oneTry<T>(
  call: Call,
  configuration: Configuration,
  closed: AbortSignal,
  end: number,
  renew: boolean,
  send: Send<T>,
): Promise<Outcome<T> | Broken> {
  const credentials = await configuration.credentials({ renew });
  const left = end - performance.now();
  const limit = Math.max(1, call.idempotent ? Math.min(call.tryTimeout, left) : left);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new TimeIsUp(limit)), limit);
  const stop = () => controller.abort(new DOMException("stopped", "AbortError"));
  call.signal?.addEventListener("abort", stop);
  closed.addEventListener("abort", stop);
  try {
    if (call.signal?.aborted || closed.aborted) stop();
    return await send(credentials, controller.signal);
  } catch (error) {
    call.signal?.throwIfAborted();
    if (closed.aborted) throw closedError(call.what);
    if (error instanceof KubernetesError || error instanceof WorkerError) throw error;
    return broken(call.what, credentials.server, error);
  } finally {
    clearTimeout(timer);
    call.signal?.removeEventListener("abort", stop);
    closed.removeEventListener("abort", stop);
  }
}

/** Nothing came in time. */
export class TimeIsUp extends Error {
  /** After how many milliseconds. */
  constructor(milliseconds: number) {
    super(`no answer within ${Math.round(milliseconds / 100) / 10} s`);
  }
}

function broken(what: string, server: string, error: unknown): Broken {
  const { message } = unreachable(what, server, error);
  const unsent = error instanceof ConnectFailed || message.includes("client error (Connect)");
  return {
    error: unreachable(what, server, error, !unsent),
    unsent,
    untrusted: /certificate|received fatal alert/i.test(message),
  };
}

/** The error of a connection that could not be made, or broke. */
export function unreachable(
  what: string,
  server: string,
  error: unknown,
  maybeDone = false,
): KubernetesError {
  // The runtime has what happened in the cause, after the address.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const said = cause instanceof Error ? cause.message : String(cause);
  const reason = said.replace(/^error sending request (from \S+ )?for (url )?\S+( \(\S+\))?: /, "");
  return error instanceof TimeIsUp
    ? new KubernetesError(`Cannot ${what}: ${reason} from ${server}`, 0, "Timeout", { maybeDone })
    : new KubernetesError(
      `Cannot ${what}: the connection to ${server} failed: ${reason}`,
      0,
      "Unreachable",
      { maybeDone },
    );
}

function closedError(what: string): KubernetesError {
  return new KubernetesError(`Cannot ${what}: the client is closed`, 0, "Closed");
}

async function pause(wait: number, call: Call, closed: AbortSignal): Promise<void> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  call.signal?.addEventListener("abort", stop);
  closed.addEventListener("abort", stop);
  try {
    // Either may have fired since the try; the loop finds out which.
    if (!call.signal?.aborted && !closed.aborted) await delay(wait, controller.signal);
  } catch {
    // So does it now.
  } finally {
    call.signal?.removeEventListener("abort", stop);
    closed.removeEventListener("abort", stop);
  }
}

/** The seconds of a `retry-after` header, which the API gives as a number. */
function seconds(header: string | null): number | undefined {
  const value = header === null ? NaN : Number(header);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}
