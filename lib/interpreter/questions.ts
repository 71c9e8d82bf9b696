/** Questions to a session that are not cells: completion, inspection, variables. */
import { WorkerError } from "../errors.ts";
import type { Header } from "./frames.ts";

/** Sends questions and matches the answers. */
export class Questions {
  readonly #send: (frame: Header) => Promise<void>;
  readonly #open = new Map<
    string,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();

  /** `send` rejects when the process is gone. */
  constructor(send: (frame: Header) => Promise<void>) {
    this.#send = send;
  }

  /**
   * Asks, and waits while a cell keeps Python busy.
   *
   * @param timeout Longest wait (milliseconds).
   * @throws {WorkerError} `session_busy` without an answer in time, `session_dead` when the process ends.
   */
  async ask(what: string, params: Header, timeout: number): Promise<unknown> {
    const id = crypto.randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(
      () =>
        reject(
          new WorkerError("session_busy", "Cannot ask the session: Python is busy with a cell"),
        ),
      timeout,
    );
    this.#open.set(id, { resolve, reject });
    this.#send({ ...params, op: "ask", what, id }).catch(() => reject(dead()));
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#open.delete(id);
    }
  }

  /** Takes an `answer` frame. */
  answer(frame: Header): void {
    const question = this.#open.get(String(frame.id));
    if (frame.failure === undefined) question?.resolve(frame.value);
    else question?.reject(new Error(String(frame.failure)));
  }

  /** The process has ended: nothing is answered any more. */
  end(): void {
    for (const { reject } of this.#open.values()) reject(dead());
  }
}

function dead(): WorkerError {
  return new WorkerError("session_dead", "Cannot ask the session: its Python process has ended");
}
