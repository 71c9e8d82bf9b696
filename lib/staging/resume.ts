/** A body that survives a lost connection: it goes on with a Range request where the last one ended. */
import type { Reply } from "./http.ts";

/** What {@linkcode resumingBody} needs to know. */
export interface ResumeOptions {
  /** Size of the whole file in bytes, when known. */
  size?: number | undefined;
  /** What identifies the content, when known: another value on resuming is an error. */
  etag?: string | undefined;
  /** How long the server may be silent within the body, in milliseconds. */
  idleTimeout: number;
  /** How often in a row it may fail without a single byte of progress. */
  attempts: number;
  /** Stops the reading. */
  signal?: AbortSignal | undefined;
  /** What is thrown for what went wrong. */
  describe(error: unknown): unknown;
  /** Requests the file again from a byte on; throws when the file can no longer be read. */
  reopen(offset: number): Promise<Reply>;
}

type Reader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

class ResumingReader {
  #reply: Reply;
  #reader: Reader | undefined;
  #received = 0;
  #skip = 0;
  #failures = 0;
  readonly #options: ResumeOptions;

  constructor(first: Reply, options: ResumeOptions) {
    this.#reply = first;
    this.#reader = first.response.body?.getReader();
    this.#options = options;
  }

  /** The next piece, or `undefined` at the end of the file. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { size, signal, attempts } = this.#options;
    while (true) {
      let reason: unknown;
      try {
        const chunk = await this.#read();
        if (chunk !== undefined) {
          this.#failures = 0;
          this.#received += chunk.byteLength;
          if (size !== undefined && this.#received > size) {
            throw new RangeError(`the server sent more than the ${size} bytes it announced`);
          }
          return chunk;
        }
        if (size === undefined || this.#received === size) return undefined;
        reason = new Error(`the body ended after ${this.#received} of ${size} bytes`);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof RangeError) throw error;
        reason = error;
      }
      if (++this.#failures >= attempts) throw reason;
      await this.#resume();
    }
  }

  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (true) {
      const timer = setTimeout(
        () => this.#reply.abort(new Error("the server stopped sending")),
        this.#options.idleTimeout,
      );
      let result;
      try {
        result = await this.#reader?.read();
      } finally {
        clearTimeout(timer);
      }
      if (result === undefined || result.done) return undefined;
      const chunk = result.value;
      if (this.#skip === 0) return chunk;
      const drop = Math.min(this.#skip, chunk.byteLength);
      this.#skip -= drop;
      if (drop < chunk.byteLength) return chunk.subarray(drop);
    }
  }

  async #resume(): Promise<void> {
    this.#reply.abort(new Error("replaced"));
    await this.#reader?.cancel().catch(() => {});
    const reply = await this.#options.reopen(this.#received);
    const { response } = reply;
    const etag = response.headers.get("etag") ?? undefined;
    if (this.#options.etag !== undefined && etag !== undefined && etag !== this.#options.etag) {
      await response.body?.cancel();
      throw new Error("the file changed while it was read");
    }
    const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
    if (response.status === 206 && start !== undefined && Number(start) !== this.#received) {
      await response.body?.cancel();
      throw new Error("the server answered another range than the one asked for");
    }
    // A server that ignores the range starts from the beginning: what is known already is skipped.
    this.#skip = response.status === 206 ? 0 : this.#received;
    this.#reply = reply;
    this.#reader = response.body?.getReader();
  }

  /** Drops the connection. */
  async close(reason: unknown): Promise<void> {
    this.#reply.abort(reason);
    await this.#reader?.cancel(reason).catch(() => {});
  }
}

/** The content of a file that starts with `first` and goes on over lost connections. */
export function resumingBody(
  first: Reply,
  options: ResumeOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = new ResumingReader(first, options);
  return new ReadableStream({
    async pull(controller) {
      try {
        const chunk = await reader.next();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      } catch (error) {
        await reader.close(error);
        options.signal?.throwIfAborted();
        throw options.describe(error);
      }
    },
    cancel: (reason) => reader.close(reason),
  }, { highWaterMark: 0 });
}
