/** The executions of one session: each has a name, one runs at a time, and so many may wait. */
import { WorkerError } from "../errors.ts";
import type { ExecutionResult } from "../interpreter/outputs.ts";
import type { ExecuteRequest, SessionResult } from "./execution.ts";
import { CallQueue } from "./queue.ts";

/** Executions that wait or run. */
export class Executions {
  readonly #session: string;
  readonly #queue: CallQueue;
  readonly #cancels = new Map<string, AbortController>();
  #draining = false;

  /** Executions of a session, of which at most `limit` wait. */
  constructor(session: string, limit: number) {
    this.#session = session;
    this.#queue = new CallQueue(limit);
  }

  /** How many wait or run. */
  get length(): number {
    return this.#queue.length;
  }

  /**
   * Runs an execution when its turn comes.
   *
   * @throws WorkerError `worker_stopping`, `invalid_argument` for a name that is in use, `queue_full`, or why it was
   * cancelled before it began
   */
  async run(
    request: ExecuteRequest,
    run: (request: ExecuteRequest) => Promise<ExecutionResult>,
  ): Promise<SessionResult> {
    if (this.#draining) {
      throw new WorkerError("worker_stopping", "Cannot execute: the worker is shutting down");
    }
    const id = request.executionId ?? crypto.randomUUID();
    if (this.#cancels.has(id)) {
      throw new WorkerError(
        "invalid_argument",
        `Cannot execute: there is an execution ${JSON.stringify(id)} already`,
        { context: { argument: "config.execution_id" } },
      );
    }
    const cancel = new AbortController();
    const signal = request.signal
      ? AbortSignal.any([request.signal, cancel.signal])
      : cancel.signal;
    this.#cancels.set(id, cancel);
    try {
      const result = await this.#queue.run(() => run({ ...request, signal }), signal);
      return { ...result, execution_id: id };
    } finally {
      this.#cancels.delete(id);
    }
  }

  /** Takes one out of the queue, or fires its signal when it runs. Whether there was one. */
  cancel(id: string): boolean {
    const execution = this.#cancels.get(id);
    execution?.abort(
      new WorkerError(
        "execution_cancelled",
        `Execution ${id} of session ${this.#session} was cancelled before it began`,
      ),
    );
    return execution !== undefined;
  }

  /** Refuses all that wait. */
  cancelAll(reason: unknown): void {
    this.#queue.cancelAll(reason);
  }

  /** Refuses new ones from now on; resolves when those that wait or run have ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#queue.idle();
  }
}
