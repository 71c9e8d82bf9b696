/**
 * The process that reaches the files of one session: the worker's side of `python/hypha_kernel/file_access.py`, which
 * says why there is one.
 */
import { settledWithin } from "../delay.ts";
import { WorkerError } from "../errors.ts";
import type { ForkedProcess, ForkServer } from "./fork_server.ts";
import { type Frame, FrameDecoder, FrameWriter, type Header } from "./frames.ts";
import { close, type Connection, type Switchboard } from "./switchboard.ts";

/** Where the files are, and how the process is kept to them. */
export interface FileProcessOptions {
  /** Directory of the session; the process reaches nothing outside of it where the kernel can see to that. */
  directory: string;
  /** Name of the working directory below it, to which paths are relative. */
  folder: string;
  /** Whether the kernel is to confine the process, as far as it can. */
  confined: boolean;
  /** Gives up starting. */
  signal?: AbortSignal | undefined;
}

/** Most bytes of one read or write; `file_access.py` refuses to read more. */
export const MAX_PIECE = 1024 * 1024;

/** Why a request was refused; the kinds are those of `file_access.py`. */
export class FileRefusal extends Error {
  override readonly name = "FileRefusal";
  readonly kind: "missing" | "refused" | "full" | "failed";

  /** Takes over what the process answered. */
  constructor(kind: FileRefusal["kind"], reason: string) {
    super(reason);
    this.kind = kind;
  }
}

const START_TIMEOUT = 30_000;
/** Time a request may take, on a slow file system too (milliseconds); then the process is killed. */
const REQUEST_TIMEOUT = 120_000;
/** Time a process has to end when its connection has been closed (milliseconds). */
const END_TIMEOUT = 2_000;

/** A running process. */
export class FileProcess implements AsyncDisposable {
  readonly #server: ForkServer;
  readonly #id: string;
  readonly #process: ForkedProcess;
  readonly #conn: Deno.Conn;
  readonly #writer: FrameWriter;
  readonly #answers = new Map<number, PromiseWithResolvers<Frame>>();
  readonly #reading: Promise<void>;
  #next = 1;
  #ended = false;

  private constructor(
    server: ForkServer,
    id: string,
    process: ForkedProcess,
    { conn, rest }: Connection,
  ) {
    this.#server = server;
    this.#id = id;
    this.#process = process;
    this.#conn = conn;
    this.#writer = new FrameWriter(conn);
    const decoder = new FrameDecoder();
    decoder.push(rest);
    this.#reading = this.#read(decoder);
  }

  /** Forks a process. @throws {WorkerError} `interpreter_failed` */
  static async start(
    server: ForkServer,
    switchboard: Switchboard,
    { directory, folder, confined, signal }: FileProcessOptions,
  ): Promise<FileProcess> {
    const token = crypto.randomUUID();
    const id = `files-${token}`;
    const signals = [AbortSignal.timeout(START_TIMEOUT), server.gone, ...(signal ? [signal] : [])];
    const giveUp = AbortSignal.any(signals);
    const expected = switchboard.expect(token, "files", giveUp);
    expected.catch(() => {});
    const request = { kind: "files", env: {}, token, directory, folder, confined };
    const process = await server.fork(id, request);
    try {
      return new FileProcess(server, id, process, await expected);
    } catch (error) {
      await server.signal(id, "SIGKILL");
      await process.exited;
      signal?.throwIfAborted();
      throw new WorkerError(
        "interpreter_failed",
        "Cannot reach a session's files: the process for them did not report",
        { cause: error },
      );
    }
  }

  /** Whether it can be asked nothing any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Asks, and waits for the answer. @throws {FileRefusal} the reason; {WorkerError} `interpreter_failed` */
  async request(header: Header, blob?: Uint8Array): Promise<Frame> {
    if (this.#ended) throw endedError();
    const ack = this.#next++;
    const answer = Promise.withResolvers<Frame>();
    answer.promise.catch(() => {});
    this.#answers.set(ack, answer);
    try {
      await this.#writer.send({ ...header, ack }, blob);
    } catch (error) {
      this.#answers.delete(ack);
      throw endedError(error);
    }
    const timer = setTimeout(() => this.#kill(), REQUEST_TIMEOUT);
    const frame = await answer.promise.finally(() => clearTimeout(timer));
    const error = frame.header.error as { kind: FileRefusal["kind"]; reason: string } | undefined;
    if (error !== undefined) throw new FileRefusal(error.kind, error.reason);
    return frame;
  }

  #kill(): void {
    this.#server.signal(this.#id, "SIGKILL");
    // One that a file system holds does not end yet, but nobody waits for it any more.
    close(this.#conn);
  }

  async #read(decoder: FrameDecoder): Promise<void> {
    const buffer = new Uint8Array(256 * 1024);
    try {
      for (;;) {
        for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
          const ack = frame.header.ack as number;
          this.#answers.get(ack)?.resolve(frame);
          this.#answers.delete(ack);
        }
        const count = await this.#conn.read(buffer);
        if (count === null) break;
        decoder.push(buffer.subarray(0, count));
      }
    } catch {
      // Broken by the end of the process, or closed from here.
    }
    this.#ended = true;
    for (const answer of this.#answers.values()) answer.reject(endedError());
    this.#answers.clear();
  }

  /** Ends the process and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    close(this.#conn);
    await this.#reading;
    // One that a file system holds does not see that nobody asks any more.
    if (await settledWithin(this.#process.exited, END_TIMEOUT) !== undefined) return;
    await this.#server.signal(this.#id, "SIGKILL");
    await settledWithin(this.#process.exited, END_TIMEOUT);
  }
}

function endedError(cause?: unknown): WorkerError {
  return new WorkerError(
    "interpreter_failed",
    "Cannot reach a session's files: the process for them has ended",
    { cause, suggestion: "Call again." },
  );
}
