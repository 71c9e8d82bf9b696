/**
 * The channels of `exec` within a WebSocket: the first byte of every message says which.
 *
 * 0 stdin, 1 stdout, 2 stderr, 3 how the command ended (a `Status` in JSON), 4 the terminal's size; since v5 also
 * 255 with the number of a channel that ends.
 */
import { unreachable } from "./attempts.ts";
import { errorOfStatus, KubernetesError } from "./errors.ts";
import type { ExecOptions, ExecStatus, Execution } from "./exec.ts";
import type { Status } from "./types.ts";
import type { WebSocketConnection } from "./websocket.ts";

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const CLOSE = 255;

/** Bytes that wait to be read before the connection is read no further. */
const BUFFER = 256 * 2 ** 10;

/** Largest piece of stdin within one message. */
const PIECE = 32 * 2 ** 10;

/** A command whose connection may still be opening. */
export class ExecChannels implements Execution {
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  readonly status: Promise<ExecStatus>;
  readonly #outputs: readonly [Output, Output];
  readonly #stop: AbortController;

  /** `stop` ends the opening. */
  constructor(
    opening: Promise<WebSocketConnection>,
    stdin: ExecOptions["stdin"],
    signal: AbortSignal | undefined,
    stop: AbortController,
  ) {
    this.#stop = stop;
    this.#outputs = [new Output(), new Output()];
    this.stdout = this.#outputs[0].stream;
    this.stderr = this.#outputs[1].stream;
    this.status = this.#run(opening, stdin, signal);
    // Who reads the streams meets the error there, and need not look at the status.
    this.status.catch(() => {});
  }

  [Symbol.dispose](): void {
    this.#stop.abort(
      new KubernetesError("Cannot go on with a command: it was closed", 0, "Closed"),
    );
  }

  async #run(
    opening: Promise<WebSocketConnection>,
    stdin: ExecOptions["stdin"],
    signal: AbortSignal | undefined,
  ): Promise<ExecStatus> {
    const stop = () => this.#stop.abort(signal?.reason);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    const feeding = new AbortController();
    try {
      using socket = await opening;
      const close = () => {
        socket[Symbol.dispose]();
        for (const output of this.#outputs) output.fail(this.#stop.signal.reason);
      };
      this.#stop.signal.addEventListener("abort", close);
      if (this.#stop.signal.aborted) close();
      const fed = feed(socket, stdin, feeding.signal);
      try {
        return await this.#receive(socket);
      } finally {
        feeding.abort();
        socket[Symbol.dispose]();
        await fed;
      }
    } catch (error) {
      const reason = this.#stop.signal.aborted ? this.#stop.signal.reason : error;
      for (const output of this.#outputs) output.fail(reason);
      throw reason;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  async #receive(socket: WebSocketConnection): Promise<ExecStatus> {
    let status: Status | undefined;
    for (;;) {
      let message: Uint8Array | undefined;
      try {
        message = await socket.receive();
      } catch (error) {
        // What ended the command has been told: that the connection then breaks takes nothing away.
        if (status !== undefined) break;
        throw unreachable("go on with a command", "the API", error);
      }
      if (message === undefined) break;
      const data = message.subarray(1);
      if (message[0] === ERROR && data.length > 0) status = parse(data);
      // An empty message opens a channel.
      const output = this.#outputs[(message[0] ?? 0) - STDOUT];
      if (output !== undefined && message[0]! <= STDERR && data.length > 0) {
        await output.write(data);
      }
    }
    this.#stop.signal.throwIfAborted();
    if (status === undefined) {
      throw unreachable("go on with a command", "the API", "closed before the command's end");
    }
    for (const output of this.#outputs) output.end();
    return outcome(status);
  }
}

/** One stream of output, with a bounded buffer. What waits in it is given before an error is. */
class Output {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #waiting: Uint8Array[] = [];
  #size = 0;
  #over = false;
  #error: { reason: unknown } | undefined;
  #changed = Promise.withResolvers<void>();

  constructor() {
    this.stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (this.#waiting.length === 0 && !this.#over) await this.#changed.promise;
        const data = this.#waiting.shift();
        if (data !== undefined) {
          this.#size -= data.length;
          controller.enqueue(data);
        } else if (this.#error !== undefined) throw this.#error.reason;
        else controller.close();
        this.#tell();
      },
      cancel: () => this.#finish(),
    }, { highWaterMark: 0 });
  }

  /** Resolves when there is room for more. */
  async write(data: Uint8Array): Promise<void> {
    if (this.#over) return;
    this.#waiting.push(data);
    this.#size += data.length;
    this.#tell();
    while (this.#size > BUFFER && !this.#over) await this.#changed.promise;
  }

  /** No more comes. */
  end(): void {
    this.#over = true;
    this.#tell();
  }

  /** No more comes, for this reason. */
  fail(reason: unknown): void {
    if (!this.#over) this.#error = { reason };
    this.end();
  }

  #finish(): void {
    this.#waiting.length = 0;
    this.#size = 0;
    this.end();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Sends what the command shall read. A command that does not read it to its end is no error. */
async function feed(
  socket: WebSocketConnection,
  stdin: ExecOptions["stdin"],
  over: AbortSignal,
): Promise<void> {
  if (stdin === undefined) return;
  const reader = streamOf(stdin).getReader();
  const stop = () => reader.cancel().catch(() => {});
  over.addEventListener("abort", stop);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || over.aborted) break;
      for (let at = 0; at < value.length; at += PIECE) {
        await socket.send(prefixed(STDIN, value.subarray(at, at + PIECE)));
      }
    }
    // Earlier protocols cannot say so: the command waits for more.
    if (socket.protocol.startsWith("v5.")) await socket.send(Uint8Array.of(CLOSE, STDIN));
  } catch {
    // The connection's end is met by who receives. An input that fails must not look like its end.
    if (!over.aborted) socket[Symbol.dispose]();
  } finally {
    over.removeEventListener("abort", stop);
    await reader.cancel().catch(() => {});
  }
}

function streamOf(stdin: NonNullable<ExecOptions["stdin"]>): ReadableStream<Uint8Array> {
  if (stdin instanceof ReadableStream) return stdin;
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  return ReadableStream.from([bytes]);
}

function prefixed(channel: number, data: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + data.length);
  message[0] = channel;
  message.set(data, 1);
  return message;
}

function parse(data: Uint8Array): Status {
  const text = new TextDecoder().decode(data);
  try {
    return JSON.parse(text) as Status;
  } catch {
    // Some container runtimes answer in plain words.
    return { status: "Failure", message: text };
  }
}

/** How the command ended. */
function outcome(status: Status): ExecStatus {
  if (status.status === "Success") return { exitCode: 0 };
  const cause = status.details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  const exitCode = cause === undefined ? NaN : Number(cause);
  if (status.reason === "NonZeroExitCode" && Number.isInteger(exitCode)) return { exitCode };
  return { exitCode: undefined, message: errorOfStatus("run the command", status).message };
}
