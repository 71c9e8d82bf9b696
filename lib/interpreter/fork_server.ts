/**
 * The fork server of one environment: a program that the manager starts once, from which every session is forked in
 * milliseconds.
 *
 * It also sends signals, because the worker may spawn nothing but the managers and may signal nobody
 * (architecture decision 1). When the worker dies the control socket ends, and the fork server kills every
 * session with everything it started.
 */
import { settledWithin } from "../delay.ts";
import { messageOf, WorkerError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Manager, Program } from "../managers/manager.ts";
import { FrameDecoder, FrameWriter, type Header } from "./frames.ts";
import { close, type Connection, firstFrame, type Switchboard } from "./switchboard.ts";
import { LineTail } from "./line_tail.ts";
import type { Resources } from "./resources.ts";

/** How a process ended. */
export interface Exit {
  /** Exit code; `null` when a signal ended it. */
  readonly code: number | null;
  /** Name of the signal, such as `SIGKILL`; `null` for an ordinary end. */
  readonly signal: string | null;
  /** Why, when it was not the process's own doing: what happened to its fork server. */
  readonly cause?: string;
}

/** What a session and everything below it uses. */
export interface ProcessUsage {
  /** Processor time so far (seconds). */
  cpu_seconds: number;
  /** Memory, shared pages by their share (bytes). */
  memory_bytes: number;
  processes: number;
}

/** What the kernel offers to isolate processes. */
export interface Landlock {
  /** Version of its Landlock; 0 without. */
  readonly abi: number;
  /** Why there is none. */
  readonly reason: string;
}

/** Signals that can be sent to sessions. */
export type SessionSignal = "SIGINT" | "SIGTERM" | "SIGKILL";

/** What starts a fork server. */
export interface ForkServerOptions {
  /** Starts programs of the environment. */
  manager: Manager;
  /** The environment. */
  prefix: string;
  /** The Python program, from `installRuntime`. */
  program: string;
  /** Where Python reports. */
  switchboard: Switchboard;
  log: Logger;
  /** Gives up starting. */
  signal?: AbortSignal;
  /** Time until Python must have reported (milliseconds). @default 60000 */
  timeout?: number;
  /** Time until a fork or a signal must have been answered (milliseconds). @default 30000 */
  answerTimeout?: number;
}

/** A forked process. */
export interface ForkedProcess {
  readonly pid: number;
  /** Resolves when it has ended; everything it started has been killed by then. */
  readonly exited: Promise<Exit>;
}

interface Pending {
  forked: PromiseWithResolvers<number>;
  exited: PromiseWithResolvers<Exit>;
}

const START_TIMEOUT = 60_000;
const ANSWER_TIMEOUT = 30_000;
const CLOSE_TIMEOUT = 5_000;
/** Time the keeper has to end a fork server that does not react (milliseconds); longer than its own patience. */
const KEEPER_TIMEOUT = 10_000;
/** Time the end of a lost fork server is waited for, to tell how it ended (milliseconds). */
const CAUSE_TIMEOUT = 1_000;
/** Time the search for what a lost fork server left behind may take (milliseconds). */
const SWEEP_TIMEOUT = 30_000;

/** A running fork server. */
export class ForkServer implements AsyncDisposable {
  /** Python's version, such as `3.11.7`. */
  readonly version: string;
  /** What the kernel offers to isolate sessions. */
  readonly landlock: Landlock;
  /** Fires when the fork server is gone, and with it all its sessions. */
  readonly gone: AbortSignal;
  readonly #conn: Deno.Conn;
  readonly #writer: FrameWriter;
  readonly #child: Program;
  readonly #log: Logger;
  readonly #tail: LineTail;
  readonly #gone: AbortController;
  readonly #sweep: () => Promise<void>;
  readonly #answerTimeout: number;
  readonly #processes = new Map<string, Pending>();
  readonly #acks = new Map<number, (reply?: Header) => void>();
  readonly #reading: Promise<void>;
  #nextAck = 1;
  #closing = false;
  #swept = false;
  #givingUp: Promise<void> | undefined;

  private constructor(
    connection: Connection,
    decoder: FrameDecoder,
    ready: Header,
    child: Program,
    tail: LineTail,
    sweep: () => Promise<void>,
    { log, answerTimeout }: ForkServerOptions,
  ) {
    this.version = String(ready.version);
    this.landlock = ready.landlock as Landlock;
    this.#conn = connection.conn;
    this.#writer = new FrameWriter(connection.conn);
    this.#child = child;
    this.#tail = tail;
    this.#sweep = sweep;
    this.#answerTimeout = answerTimeout ?? ANSWER_TIMEOUT;
    this.#log = log;
    this.#gone = new AbortController();
    this.gone = this.#gone.signal;
    this.#reading = this.#read(decoder);
  }

  /** Starts Python in an environment. Throws `interpreter_failed` with what it printed. */
  static async start(options: ForkServerOptions): Promise<ForkServer> {
    const { manager, prefix, program, switchboard, log } = options;
    const token = crypto.randomUUID();
    const timeout = AbortSignal.timeout(options.timeout ?? START_TIMEOUT);
    const died = new AbortController();
    const signals = [timeout, died.signal, ...(options.signal ? [options.signal] : [])];
    const giveUp = AbortSignal.any(signals);
    const expected = switchboard.expect(token, "server", giveUp);
    expected.catch(() => {});
    // Everything below the fork server inherits it; the format is that of survivors.py.
    const mark = `${Deno.pid}-${crypto.randomUUID()}`;
    const child = await manager.run(prefix, ["python", "-I", program, switchboard.path], {
      env: { HYPHA_KERNEL_TOKEN: token, HYPHA_KERNEL_ID: mark },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const tail = new LineTail(child, log);
    child.status.then((status) => {
      died.abort(new Error(`it ended with ${status.signal ?? `exit code ${status.code}`}`));
    });
    let connection: Connection | undefined;
    try {
      connection = await expected;
      const decoder = new FrameDecoder();
      decoder.push(connection.rest);
      const ready = await firstFrame(connection.conn, decoder, { signal: giveUp });
      const end = () => sweep(options, mark);
      return new ForkServer(connection, decoder, ready, child, tail, end, options);
    } catch (error) {
      if (connection !== undefined) close(connection.conn);
      kill(child);
      await child.status;
      await tail.finished(1000);
      if (options.signal?.aborted) throw options.signal.reason;
      const reason = timeout.aborted ? "it did not report in time" : messageOf(error);
      const output = tail.text();
      throw new WorkerError(
        "interpreter_failed",
        `Cannot start Python in ${prefix}: ${reason}${output ? `\n${output}` : ""}`,
        { cause: error },
      );
    }
  }

  /** Forks a session. The request goes to Python as it is; `id` must be new. */
  async fork(id: string, request: Header): Promise<ForkedProcess> {
    const pending: Pending = {
      forked: Promise.withResolvers<number>(),
      exited: Promise.withResolvers<Exit>(),
    };
    if (this.gone.aborted) throw goneError();
    this.#processes.set(id, pending);
    using _answer = this.#awaitAnswer();
    try {
      await this.#writer.send({ ...request, op: "fork", id }).catch(async (error) => {
        // Writing may fail before the end has been read; who asks then must find it gone.
        const { promise, resolve } = Promise.withResolvers<void>();
        this.gone.addEventListener("abort", () => resolve(), { once: true });
        if (!this.gone.aborted) await settledWithin(promise, CLOSE_TIMEOUT);
        throw goneError(error);
      });
      const pid = await pending.forked.promise;
      return { pid, exited: pending.exited.promise };
    } catch (error) {
      this.#processes.delete(id);
      throw error;
    }
  }

  /**
   * Signals a session and its process group; `SIGKILL` reaches everything below it. Resolves when the system has
   * taken the signal, so that one meant for a cell cannot reach the next.
   */
  async signal(id: string, signal: SessionSignal): Promise<void> {
    if (this.gone.aborted) return;
    using _answer = this.#awaitAnswer();
    await this.#request({ op: "signal", id, signal });
  }

  /** What a session and everything below it uses now; `undefined` when it has ended or nothing can be read. */
  async usage(id: string): Promise<ProcessUsage | undefined> {
    if (this.gone.aborted) return undefined;
    const reply = await this.#request({ op: "usage", id });
    return reply?.usage as ProcessUsage | undefined ?? undefined;
  }

  /** What a session may use of the machine; `undefined` when it has ended. */
  async resources(id: string): Promise<Resources | undefined> {
    if (this.gone.aborted) return undefined;
    const reply = await this.#request({ op: "resources", id });
    return reply?.resources as Resources | undefined ?? undefined;
  }

  /** Sends a request and waits for its reply; there is none when the fork server, and all sessions, are gone. */
  async #request(header: Header): Promise<Header | undefined> {
    const ack = this.#nextAck++;
    const { promise, resolve } = Promise.withResolvers<Header | undefined>();
    this.#acks.set(ack, resolve);
    try {
      await this.#writer.send({ ...header, ack });
      return await promise;
    } catch {
      return undefined;
    } finally {
      this.#acks.delete(ack);
    }
  }

  async #read(decoder: FrameDecoder): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (;;) {
        for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
          this.#handle(frame.header);
        }
        const count = await this.#conn.read(buffer);
        if (count === null) break;
        decoder.push(buffer.subarray(0, count));
      }
    } catch {
      // Broken by the end of the process: how it ended is found out below.
    }
    this.#gone.abort();
    if (this.#closing) return this.#lost();
    const cause = await this.#cause();
    this.#log.error("Lost the fork server of an environment and its sessions", { cause });
    this.#lost(cause);
    this.#swept = true;
    await this.#sweep();
  }

  /** How the fork server ended, with what it printed last. */
  async #cause(): Promise<string> {
    const status = await settledWithin(this.#child.status, CAUSE_TIMEOUT);
    if (status !== undefined) await this.#tail.finished(100);
    // The keeper says by which signal; without its word only the manager's own exit code is known.
    const output = this.#tail.text();
    const told = /^The fork server was ended by (\S+)$/m.exec(output)?.[1];
    const how = told !== undefined
      ? `signal ${told}`
      : status === undefined
      ? "no trace"
      : status.signal !== null
      ? `signal ${status.signal}`
      : `exit code ${status.code}`;
    const last = output.replace(/^The fork server was ended by .*$/m, "").trimEnd().slice(-2000);
    return `the fork server of its environment ended with ${how}${last === "" ? "" : `\n${last}`}`;
  }

  #handle(header: Header): void {
    if (header.ack !== undefined) {
      this.#acks.get(header.ack as number)?.(header);
      return;
    }
    const id = String(header.id);
    const pending = this.#processes.get(id);
    if (pending === undefined) return;
    if (header.op === "forked") {
      pending.forked.resolve(header.pid as number);
    } else if (header.op === "fork_failed") {
      pending.forked.reject(
        new WorkerError(
          "interpreter_failed",
          `Cannot start a Python session: the system refused a new process: ${header.reason}`,
          { suggestion: "Stop other sessions, or raise the limits on processes and memory." },
        ),
      );
    } else if (header.op === "exited") {
      this.#processes.delete(id);
      pending.exited.resolve({
        code: header.code as number | null,
        signal: header.signal as string | null,
      });
    }
  }

  #lost(cause?: string): void {
    for (const pending of this.#processes.values()) {
      pending.forked.promise.catch(() => {});
      pending.forked.reject(goneError());
      pending.exited.resolve({
        code: null,
        signal: "SIGKILL",
        ...(cause === undefined ? {} : { cause }),
      });
    }
    this.#processes.clear();
    for (const ack of this.#acks.values()) ack();
    this.#acks.clear();
  }

  /**
   * Ends a fork server that does not react, such as one that a session has stopped by a signal: nothing could be
   * done with its sessions any more, and whoever waits for an answer would wait for ever.
   */
  #giveUp(): Promise<void> {
    return this.#givingUp ??= (async () => {
      this.#log.error("A fork server does not react and is ended with its sessions");
      // Its keeper kills it; when that does not react either, both are killed from outside.
      kill(this.#child, "SIGTERM");
      if (await settledWithin(this.#child.status, KEEPER_TIMEOUT) !== undefined) return;
      kill(this.#child);
      await this.#sweep();
    })();
  }

  /** Gives the fork server up when there is no answer until the result is disposed. */
  #awaitAnswer(): Disposable {
    const timer = setTimeout(() => this.#giveUp(), this.#answerTimeout);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }

  /** Ends the fork server and all its sessions, and waits until they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    await this.#writer.send({ op: "shutdown" }).catch(() => {});
    const timer = setTimeout(() => this.#giveUp(), CLOSE_TIMEOUT);
    const status = await this.#child.status;
    clearTimeout(timer);
    await this.#givingUp;
    close(this.#conn);
    await this.#reading;
    // It was killed while it was being ended.
    if (!status.success && !this.#swept) await this.#sweep();
    await this.#tail.finished(1000);
  }
}

/**
 * Ends what a lost fork server left behind. Its keeper does so too; this is for the case that both were killed, when
 * only daemons are left, which can be found by their mark alone.
 */
async function sweep({ manager, prefix, program, log }: ForkServerOptions, mark: string) {
  try {
    const child = await manager.run(prefix, ["python", "-I", program, "--sweep", mark], {
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const tail = new LineTail(child, log);
    const timer = setTimeout(() => kill(child), SWEEP_TIMEOUT);
    const status = await child.status;
    clearTimeout(timer);
    await tail.finished(1000);
    if (!status.success) throw new Error(tail.text() || `exit code ${status.code}`);
  } catch (error) {
    log.error("Cannot look for what a fork server left behind", { reason: messageOf(error) });
  }
}

function goneError(cause?: unknown): WorkerError {
  return new WorkerError(
    "interpreter_failed",
    "Cannot start a Python session: the environment's Python process has ended",
    { cause },
  );
}

function kill(child: Program, signal: Deno.Signal = "SIGKILL"): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It has ended by itself.
    if (!(error instanceof TypeError)) throw error;
  }
}
