/** How a cell that must not go on is ended, and what is said of it. */
import type { Exit } from "./fork_server.ts";
import type { ExecutionError } from "./outputs.ts";

/** What can be interrupted and killed. */
export interface Stoppable {
  interrupt(): Promise<void>;
  kill(): Promise<void>;
}

/** When a cell is to be stopped. */
export interface StopOptions {
  /** After this time (milliseconds). */
  timeout?: number | undefined;
  /** When it fires. */
  signal?: AbortSignal | undefined;
}

/** Time an interrupted cell gets before the interrupt is repeated, and before its process is killed. */
const REPEAT_INTERRUPT = 1000;
const KILL_AFTER = 5000;

/** Ends a cell that must not go on: interrupt, interrupt again, kill. */
export class Escalation {
  /** Why the cell was stopped. */
  reason: "timeout" | "cancelled" | undefined;
  readonly #target: Stoppable;
  readonly #timeout: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  readonly #onAbort = () => this.#stop("cancelled");
  #ended = false;

  constructor(target: Stoppable, options: StopOptions) {
    this.#target = target;
    this.#timeout = options.timeout;
    this.#signal = options.signal;
    if (options.timeout !== undefined) this.#later(options.timeout, () => this.#stop("timeout"));
    if (options.signal?.aborted) this.#stop("cancelled");
    else options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  #stop(reason: "timeout" | "cancelled"): void {
    if (this.#ended || this.reason !== undefined) return;
    this.reason = reason;
    this.#target.interrupt();
    this.#later(REPEAT_INTERRUPT, () => this.#target.interrupt());
    this.#later(KILL_AFTER, () => this.#target.kill());
  }

  #later(milliseconds: number, action: () => void): void {
    this.#timers.push(setTimeout(() => this.#ended || action(), milliseconds));
  }

  /** The cell is over. */
  end(): void {
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  /** The error of the cell, seen in the light of why it was stopped. A cell that ended well stays so. */
  explain(error: ExecutionError | null): ExecutionError | undefined {
    if (error === null) return undefined;
    if (this.reason !== "timeout" || error.ename !== "KeyboardInterrupt") return error;
    const evalue = timeoutMessage(this.#timeout!) + "; its variables are kept";
    return {
      ename: "TimeoutError",
      evalue,
      traceback: [...error.traceback.slice(0, -1), `TimeoutError: ${evalue}`],
    };
  }
}

function timeoutMessage(milliseconds: number): string {
  return `The cell was interrupted after ${milliseconds / 1000} seconds`;
}

const HINTS: Readonly<Record<string, string>> = {
  SIGKILL: "out of memory, or killed from outside",
  SIGXCPU: "its limit of processor time is used up",
};

/** How a process ended, in words. */
export function describeExit(exit: Exit): string {
  if (exit.signal === null) return `exit code ${exit.code}`;
  if (exit.cause !== undefined) return `signal ${exit.signal}, because ${exit.cause}`;
  const hint = HINTS[exit.signal];
  return `signal ${exit.signal}${hint === undefined ? "" : ` (${hint})`}`;
}

/** The error of a cell whose process ended. */
export function deathError(
  exit: Exit,
  lastError: string,
  reason: "timeout" | "cancelled" | undefined,
  killed: boolean,
): ExecutionError {
  if (reason !== undefined && exit.signal === "SIGKILL") {
    const evalue = `The cell did not react to the ${
      reason === "timeout" ? "interrupt at its timeout" : "interrupt"
    }, so its Python process was killed; all variables are lost`;
    const ename = reason === "timeout" ? "TimeoutError" : "KeyboardInterrupt";
    return { ename, evalue, traceback: [`${ename}: ${evalue}`] };
  }
  if (killed) {
    const evalue = "The session was restarted or stopped while the cell was running";
    return { ename: "DeadKernelError", evalue, traceback: [`DeadKernelError: ${evalue}`] };
  }
  const evalue = `While the cell was running the Python process ended with ${describeExit(exit)}`;
  const tail = lastError.trimEnd();
  return {
    ename: "DeadKernelError",
    evalue,
    traceback: [...(tail === "" ? [] : tail.split("\n").slice(-20)), `DeadKernelError: ${evalue}`],
  };
}
