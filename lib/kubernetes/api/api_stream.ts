/** An answer of the API that comes bit by bit: a watch, or a log. */
import { TimeIsUp, unreachable } from "./attempts.ts";
import { settledWithin } from "../../delay.ts";
import type { KubernetesError } from "./errors.ts";

/**
 * Bytes as they come. Nothing is read before it is asked for, so that a slow reader slows the API down instead of
 * filling memory. Disposing closes the connection.
 */
export class ApiStream implements Disposable {
  readonly #what: string;
  readonly #server: string;
  readonly #sources: readonly AbortSignal[];
  readonly #controller = new AbortController();
  readonly #stop = () => this[Symbol.dispose]();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  /** Ends when one of the signals fires. */
  constructor(what: string, server: string, signals: readonly (AbortSignal | undefined)[]) {
    this.#what = what;
    this.#server = server;
    this.#sources = signals.filter((signal) => signal !== undefined);
    for (const signal of this.#sources) signal.addEventListener("abort", this.#stop);
    if (this.#sources.some(({ aborted }) => aborted)) this.#stop();
  }

  /** For the request whose answer this becomes. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Takes the answer. */
  take(response: Response): void {
    this.#reader = response.body?.getReader();
  }

  /**
   * The next bytes; `undefined` at the end, whether the API made it or disposing.
   *
   * @param idle milliseconds without a byte after which the connection is given up
   * @throws KubernetesError `Unreachable` when the connection broke, `Timeout` when it was idle
   * @throws a signal's reason
   */
  async read(idle = Infinity): Promise<Uint8Array | undefined> {
    let failure: KubernetesError | undefined;
    try {
      const reading = this.#reader?.read();
      if (reading !== undefined) {
        const result = await settledWithin(reading, idle);
        if (result === undefined) {
          reading.catch(() => {});
          throw new TimeIsUp(idle);
        }
        if (!result.done) return result.value;
      }
    } catch (error) {
      failure = unreachable(this.#what, this.#server, error);
    }
    const stopped = this.#sources.find(({ aborted }) => aborted);
    const disposed = this.#controller.signal.aborted;
    this[Symbol.dispose]();
    if (stopped !== undefined) throw stopped.reason;
    if (failure !== undefined && !disposed) throw failure;
    return undefined;
  }

  [Symbol.dispose](): void {
    for (const signal of this.#sources) signal.removeEventListener("abort", this.#stop);
    this.#controller.abort();
    // The runtime forgets the signal when only the reader is held (Deno 2.9.6), and reading would go on.
    this.#reader?.cancel().catch(() => {});
  }
}
