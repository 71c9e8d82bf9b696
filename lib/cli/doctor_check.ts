/** A check of `doctor`: what it finds, and how it is kept from waiting for ever or ending the others. */
import { messageOf, WorkerError } from "../errors.ts";

/** How something is: a warning is for what works and may not for long, or works less well than it could. */
export type CheckStatus = "ok" | "warning" | "failure";

/** What a check has found. */
export interface Finding {
  readonly status: CheckStatus;
  /** One line. */
  readonly message: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** What was found, and by which check: an item of the printed list. */
export interface CheckResult extends Finding {
  readonly name: string;
}

/** Something that is looked at, on its own. */
export interface Check {
  /** One word; programs may look for it. */
  readonly name: string;
  /** How long it may take (milliseconds). */
  readonly timeout: number;
  /** Looks. An error is a failure, with its suggestion as the fix. */
  readonly run: (signal: AbortSignal) => Promise<Finding>;
}

/** All is well. */
export function ok(message: string): Finding {
  return { status: "ok", message };
}

/** It works, but. */
export function warning(message: string, fix: string): Finding {
  return { status: "warning", message, fix };
}

/** It does not work. */
export function failure(message: string, fix: string): Finding {
  return { status: "failure", message, fix };
}

/** Makes one line of a text. */
function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, "; ");
}

function failureOf(error: unknown): Finding {
  const message = messageOf(error);
  return error instanceof WorkerError
    ? failure(message, error.suggestion)
    : { status: "failure", message };
}

/** A check that goes on. */
export interface RunningCheck {
  /** What it finds. Rejects only when the signal fires, with its reason. */
  readonly result: Promise<CheckResult>;
  /** Resolves when nothing of it goes on any more, also after it was given up. */
  readonly over: Promise<unknown>;
}

/** Starts a check. */
export function startCheck(check: Check, signal: AbortSignal): RunningCheck {
  const late = new AbortController();
  const run = async () => await check.run(AbortSignal.any([signal, late.signal]));
  const over = run().catch(failureOf);
  return { result: resultOf(check, over, late, signal), over };
}

async function resultOf(
  { name, timeout }: Check,
  finding: Promise<Finding>,
  late: AbortController,
  signal: AbortSignal,
): Promise<CheckResult> {
  const { promise: stopped, resolve, reject } = Promise.withResolvers<Finding>();
  const stop = () => reject(signal.reason);
  const timer = setTimeout(() => {
    // First, because what the check says of its end is not what is wrong.
    resolve(failure(
      `no result within ${timeout / 1000} s`,
      "Run doctor again when the machine is less busy; if that does not help, something hangs.",
    ));
    late.abort(new Error("it takes too long"));
  }, timeout);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const found = await Promise.race([stopped, finding]);
    return { name, ...found, message: oneLine(found.message) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
