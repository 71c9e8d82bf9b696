/** One session's Python process: runs one cell at a time, interrupts it, and reports its end. */
import { messageOf } from "../errors.ts";
import { withinLimit } from "./bundle_limit.ts";
import { Collector } from "./collector.ts";
import { deathError, Escalation } from "./escalation.ts";
import type { Exit, ForkedProcess, ForkServer, ProcessUsage } from "./fork_server.ts";
import { FrameDecoder, FrameWriter, type Header } from "./frames.ts";
import { Merge, type StreamName } from "./merge.ts";
import { launch, type Launched } from "./launch.ts";
import type { ExecuteOptions, InterpreterOptions, IsolationState } from "./options.ts";
import type { Bundle, ExecutionError, ExecutionResult } from "./outputs.ts";
import { Pressure } from "./pressure.ts";
import { Questions } from "./questions.ts";
import { RawText } from "./raw_text.ts";
import { Reader } from "./reader.ts";
import type { Resources } from "./resources.ts";
import { close, type Connection, type Switchboard } from "./switchboard.ts";
import { Utf8Stream } from "./utf8.ts";

/** After the process has ended its last output is awaited this long (milliseconds). */
const DRAIN_TIME = 1000;
/** Characters of what a task displays after its cell. */
const LATE_LIMIT = 1024 * 1024;
/** Characters of standard error that tell why a process died. */
const LAST_ERROR = 2000;
const REMEMBERED_CELLS = 1000;

interface Running {
  readonly cell: string;
  readonly collector: Collector;
  readonly pressure: Pressure;
  readonly onInput: ExecuteOptions["onInput"];
  readonly done: PromiseWithResolvers<Header | undefined>;
}

/** A Python process that keeps its state between cells. */
export class Interpreter {
  /** Id of the process. */
  readonly pid: number;
  /** How it is isolated. */
  readonly isolation: IsolationState;
  /** Resolves when the process has ended and its last output has been read. */
  readonly exited: Promise<Exit>;
  readonly #server: ForkServer;
  readonly #id: string;
  readonly #control: Deno.Conn;
  readonly #writer: FrameWriter;
  readonly #merge: Merge;
  readonly #onBackground: NonNullable<InterpreterOptions["onBackground"]>;
  readonly #onService: NonNullable<InterpreterOptions["onService"]>;
  readonly #onLateDisplay: NonNullable<InterpreterOptions["onLateDisplay"]>;
  /** Numbers of the last cells that are over; tasks that they made may still put something out. */
  readonly #counts = new Map<string, number>();
  readonly #decoders: Record<StreamName, Utf8Stream> = {
    stdout: new Utf8Stream(),
    stderr: new Utf8Stream(),
  };
  readonly #conns: Deno.Conn[];
  readonly #readers: Promise<void>[];
  #running: Running | undefined;
  #exit: Exit | undefined;
  #lastError = new RawText(LAST_ERROR);
  #cells = 0;
  /** Interrupts on their way; a cell is over only when none can hit the next one. */
  #interrupts: Promise<void>[] = [];
  readonly #questions: Questions;
  #killed = false;
  /** Whether nothing that could print was left behind by the last cell. */
  #quiet = false;

  private constructor(server: ForkServer, launched: Launched, options: InterpreterOptions) {
    const { id, nonce, process, control, stdout, stderr, decoder, isolation } = launched;
    this.#server = server;
    this.#id = id;
    this.pid = process.pid;
    this.isolation = isolation;
    this.#control = control.conn;
    this.#writer = new FrameWriter(control.conn);
    this.#questions = new Questions((frame) =>
      this.#exit === undefined
        ? this.#writer.send(frame)
        : Promise.reject(new Error("the process has ended"))
    );
    this.#conns = [control.conn, stdout.conn, stderr.conn];
    this.#onBackground = options.onBackground ?? (() => {});
    this.#onService = options.onService ?? (() => {});
    this.#onLateDisplay = options.onLateDisplay ?? (() => {});
    this.#merge = new Merge(nonce, {
      bytes: (name, owner, bytes) => this.#takeBytes(name, owner, bytes),
      control: (frame) => this.#takeControl(frame),
    });
    this.#readers = [
      this.#readControl(decoder),
      this.#readStream("stdout", stdout),
      this.#readStream("stderr", stderr),
    ];
    this.exited = this.#awaitExit(process);
  }

  /** Forks a session and waits until it is ready. Throws `interpreter_failed` or `isolation_unavailable`. */
  static async start(
    server: ForkServer,
    switchboard: Switchboard,
    options: InterpreterOptions,
  ): Promise<Interpreter> {
    return new Interpreter(server, await launch(server, switchboard, options), options);
  }

  /** What the process and everything below it uses now; `undefined` when it has ended. */
  async usage(): Promise<ProcessUsage | undefined> {
    return this.#exit === undefined ? await this.#server.usage(this.#id) : undefined;
  }

  /** What of the machine the process may use; `undefined` when it has ended. */
  async resources(): Promise<Resources | undefined> {
    return this.#exit === undefined ? await this.#server.resources(this.#id) : undefined;
  }

  /** What was last written to the error stream: since the last cell began, at most 2000 characters. */
  get lastError(): string {
    return this.#lastError.toString().slice(-LAST_ERROR);
  }

  /** How the process ended, when it has. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Whether a cell runs. */
  get busy(): boolean {
    return this.#running !== undefined;
  }

  /**
   * Runs a cell to its end. Never rejects for what the cell does: errors, timeouts and the death of the process
   * are results. Callers wait for one cell before they run the next.
   */
  async execute(code: string, options: ExecuteOptions = {}): Promise<ExecutionResult> {
    if (this.#running !== undefined) throw new Error("Cannot run cell: another one is running");
    const started = performance.now();
    const cell = String(++this.#cells);
    const pressure = new Pressure();
    const { onOutput } = options;
    const running: Running = {
      cell,
      pressure,
      collector: new Collector({
        onOutput: onOutput && ((output) => pressure.add(onOutput(output))),
        onLiveEnd: () => pressure.lift(),
        ...(options.outputLimit === undefined ? {} : { limit: options.outputLimit }),
      }),
      onInput: options.onInput,
      done: Promise.withResolvers<Header | undefined>(),
    };
    this.#running = running;
    this.#lastError = new RawText(LAST_ERROR);
    const stop = new Escalation(this, options);
    try {
      if (this.#exit !== undefined) running.done.resolve(undefined);
      else {
        if (this.#quiet) this.#merge.begin(cell);
        this.#writer.send({
          op: "execute",
          cell,
          code,
          counted: this.#quiet,
          ...(options.filename === undefined ? {} : { filename: options.filename }),
          silent: options.silent ?? false,
          store_history: options.storeHistory ?? true,
          env: options.env ?? {},
          input: options.onInput !== undefined,
        }).catch(() => {
          // The process is gone; its exit ends the cell.
        });
      }
      const frame = await running.done.promise;
      stop.end();
      await Promise.all(this.#interrupts);
      const outputs = running.collector.finish();
      const error = frame === undefined
        ? deathError(this.#exit!, this.lastError, stop.reason, this.#killed)
        : stop.explain(frame.error as ExecutionError | null);
      return {
        status: error === undefined ? "ok" : "error",
        outputs,
        ...(error === undefined ? {} : { error }),
        execution_count: (frame?.execution_count as number | undefined) ?? 0,
        duration: (performance.now() - started) / 1000,
        ...(running.collector.truncated ? { truncated: true as const } : {}),
        ...(frame === undefined ? { state_lost: true as const } : {}),
      };
    } finally {
      stop.end();
      pressure.lift();
      this.#running = undefined;
      this.#interrupts = [];
    }
  }

  /** Interrupts the running cell and everything it started (SIGINT); without a running cell nothing happens. */
  async interrupt(): Promise<void> {
    if (this.#running === undefined) return;
    // A cell that waits for the receiver of its output could not even be interrupted.
    this.#running.pressure.lift();
    const { cell } = this.#running;
    // The signal reaches running code; the frame a cell that had not begun when the signal came. It follows the signal,
    // so that Python knows whether that one has been enough: one interrupt must not come twice.
    const sent = this.#server.signal(this.#id, "SIGINT").then(() =>
      this.#writer.send({ op: "interrupt", cell }).catch(() => {})
    );
    this.#interrupts.push(sent);
    await sent;
  }

  /**
   * Asks about the session: `complete`, `inspect` or `variables`. Waits while a cell keeps Python busy.
   *
   * Throws `session_busy` when there is no answer in time, `session_dead` when the process ends.
   */
  async ask(what: string, params: Header, timeout: number): Promise<unknown> {
    return await this.#questions.ask(what, params, timeout);
  }

  /** Whether the process was killed from here. */
  get killed(): boolean {
    return this.#killed;
  }

  /** Kills the process and everything it started, and waits for its end. */
  async kill(): Promise<void> {
    this.#killed ||= this.#exit === undefined;
    await this.#server.signal(this.#id, "SIGKILL");
    await this.exited;
  }

  async #awaitExit(process: ForkedProcess): Promise<Exit> {
    const exit = await process.exited;
    this.#running?.pressure.lift();
    // Everything that could write has been killed, so the streams end by themselves; a descriptor that was
    // passed to a process outside must not hold the session up.
    const timer = setTimeout(() => {
      this.#conns.forEach(close);
      // A reader may wait behind a mark that will never be complete.
      this.#merge.end("stdout");
      this.#merge.end("stderr");
    }, DRAIN_TIME);
    await Promise.all(this.#readers);
    clearTimeout(timer);
    this.#conns.forEach(close);
    this.#exit = exit;
    this.#questions.end();
    this.#running?.done.resolve(undefined);
    return exit;
  }

  async #readControl(decoder: FrameDecoder): Promise<void> {
    const reader = new Reader(this.#control);
    try {
      for (;;) {
        for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
          if (frame.blob.length > 0) {
            frame.header.result = JSON.parse(new TextDecoder().decode(frame.blob));
          }
          this.#merge.control(frame.header);
        }
        const relief = this.#running?.pressure.relief;
        if (relief !== undefined) await relief;
        const bytes = await reader.read();
        if (bytes === null) break;
        decoder.push(bytes);
      }
    } catch {
      // Closed on this side, or broken by the process's death: its exit is reported by the fork server.
    }
    this.#merge.endControl();
    // Nobody can talk to a process that lives on without this channel.
    await this.#server.signal(this.#id, "SIGKILL");
  }

  async #readStream(name: StreamName, { conn, rest }: Connection): Promise<void> {
    const reader = new Reader(conn);
    try {
      if (rest.length > 0) await this.#merge.push(name, rest);
      for (;;) {
        const bytes = await reader.read();
        if (bytes === null) break;
        const wait = this.#merge.push(name, bytes);
        if (wait !== undefined) await wait;
        const relief = this.#running?.pressure.relief;
        if (relief !== undefined) await relief;
      }
    } catch {
      // As above.
    }
    this.#merge.end(name);
  }

  #takeBytes(name: StreamName, owner: string, bytes: Uint8Array): void {
    if (name === "stderr") this.#lastError.append(bytes);
    const running = this.#running;
    if (running !== undefined && owner === running.cell) running.collector.bytes(name, bytes);
    else {
      const text = this.#decoders[name].push(bytes);
      if (text !== "") this.#onBackground(name, text, this.#counts.get(owner));
    }
  }

  #takeControl(frame: Header): void {
    if (frame.op === "answer") {
      this.#questions.answer(frame);
      return;
    }
    if (frame.op === "service") {
      this.#onService(String(frame.id));
      return;
    }
    const running = this.#running;
    if (running === undefined || frame.cell !== running.cell) {
      this.#takeLate(frame);
      return;
    }
    if (frame.op === "done") {
      if (frame.after === null) this.#merge.finish();
      if (frame.result !== undefined) running.collector.control(frame.result as Header);
      this.#quiet = frame.quiet === true;
      this.#remember(running.cell, frame.execution_count);
      running.done.resolve(frame);
    } else if (frame.op === "input") this.#askClient(running, frame);
    else running.collector.control(frame);
  }

  /** What a task shows after its cell; updates change nothing, since results are not changed any more. */
  #takeLate(frame: Header): void {
    if (frame.op !== "display" || frame.update === true) return;
    const { data } = withinLimit(frame.data as Bundle, LATE_LIMIT);
    const metadata = (frame.metadata ?? {}) as Bundle;
    const cell = this.#counts.get(String(frame.cell));
    this.#onLateDisplay({ type: "display_data", data, metadata }, cell);
  }

  #remember(cell: string, count: unknown): void {
    this.#counts.set(cell, Number(count));
    for (const [oldest] of this.#counts) {
      if (this.#counts.size <= REMEMBERED_CELLS) break;
      this.#counts.delete(oldest);
    }
  }

  /** Passes a question of `input()` to the client of the cell, and its answer back. */
  #askClient({ cell, onInput }: Running, frame: Header): void {
    const answered = onInput?.(String(frame.prompt ?? ""), frame.password === true) ??
      Promise.reject(new Error("nobody is asked"));
    answered.then(
      (value) => ({ value: String(value) }),
      (error) => ({ value: null, reason: messageOf(error) }),
    ).then((reply) => this.#writer.send({ op: "input_reply", cell, ...reply })).catch(() => {
      // The process is gone.
    });
  }
}
