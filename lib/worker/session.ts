/**
 * One session from its start to its end.
 *
 * States: `starting` -> `running` -> `stopped`; a start that fails goes to `failed`, a Python process that ends by
 * itself to `dead`. Whatever the way, the process, its directory and its lease are given back exactly once.
 */
import { join } from "@std/path";
import { ensureDir } from "@std/fs";
import { copyFontCache } from "../environments/font_cache.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { describeExit } from "../interpreter/escalation.ts";
import { FileProcess } from "../interpreter/file_process.ts";
import type { Exit, ProcessUsage } from "../interpreter/fork_server.ts";
import { Interpreter } from "../interpreter/interpreter.ts";
import type {
  InterpreterOptions,
  IsolationOptions,
  IsolationState,
} from "../interpreter/options.ts";
import type { ExecutionResult } from "../interpreter/outputs.ts";
import type { Resources } from "../interpreter/resources.ts";
import type { Progress, ProgressSink } from "../progress.ts";
import { checkDevices } from "./devices.ts";
import { displayText } from "./display_text.ts";
import { deadError, type Death, type ExecuteRequest, type SessionResult } from "./execution.ts";
import { Executions } from "./executions.ts";
import type { KernelUse } from "./kernels.ts";
import { removeTree } from "../remove_tree.ts";
import { saveFiles } from "./save_files.ts";
import { SessionFiles } from "./session_files.ts";
import { SessionLog } from "./session_log.ts";
import type { SessionOptions, SessionState } from "./session_options.ts";
import { Services } from "./services.ts";
import { hyphaConfig, sessionVariables } from "./session_variables.ts";
import type { StartRequest } from "./start_request.ts";

/** Time Python has to answer a question about the session (milliseconds). */
const ASK_TIMEOUT = 10_000;
/** Time another fork server may take to start when files are saved at the end (milliseconds). */
const SAVE_START = 30_000;

/** A session of this worker. */
export class Session {
  /** What was asked for; the worker completes it with what files of the app say. */
  request: StartRequest;
  readonly log: SessionLog;
  /** Hypha services its code has registered. */
  readonly services: Services = new Services();
  /** Whether its entry script goes on while it is used. */
  serving = false;
  /** When it was asked for. */
  readonly createdAt: Date;
  /** Its directory; `work` below it is the working directory of the code. */
  readonly directory: string;
  /** The files in its working directory. */
  readonly files: SessionFiles;
  readonly #options: SessionOptions;
  readonly #abort = new AbortController();
  readonly #executions: Executions;
  #state: SessionState = "starting";
  #kernel: KernelUse | undefined;
  #interpreter: Interpreter | undefined;
  #ending: Promise<void> | undefined;
  #released: Promise<void> | undefined;
  #started: Promise<void> | undefined;
  #lastActive: Date;
  #replacing: Promise<void> | undefined;
  /** Why a process that was killed from here has no successor. */
  #notReplaced: string | undefined;

  /** A session that has not been started. */
  constructor(options: SessionOptions) {
    this.#options = options;
    this.request = options.request;
    this.directory = options.directory;
    this.files = new SessionFiles({ session: this.id, start: () => this.#startFileProcess() });
    this.createdAt = options.now();
    this.#lastActive = this.createdAt;
    this.log = new SessionLog({ now: options.now });
    this.#executions = new Executions(this.id, options.queueLimit);
  }

  get id(): string {
    return this.request.id;
  }

  /** Workspace it belongs to. */
  get workspace(): string {
    return this.request.workspace;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Fires when the session is being ended. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Working directory of the code. */
  get workingDirectory(): string {
    return join(this.directory, "work");
  }

  /** When something was last executed. */
  get lastActive(): Date {
    return this.#lastActive;
  }

  /** Executions that wait or run. */
  get pendingExecutions(): number {
    return this.#executions.length;
  }

  /** Refuses executions from now on; resolves when those that wait or run have ended. */
  async drain(): Promise<void> {
    await this.#executions.drain();
  }

  /** Id of the Python process, while it lives. */
  get pid(): number | undefined {
    return this.#interpreter?.exit === undefined ? this.#interpreter?.pid : undefined;
  }

  /** How its Python ended; `undefined` unless the session is dead. */
  get death(): Death | undefined {
    const exit = this.#interpreter?.exit;
    if (this.#state !== "dead" || exit === undefined) return undefined;
    return {
      code: exit.code,
      signal: exit.signal,
      reason: this.#notReplaced ?? `its Python process ended with ${describeExit(exit)}`,
      stderr: this.#interpreter!.lastError.trimEnd(),
    };
  }

  /** What it may use of the machine; `undefined` when it has no process. */
  async resources(): Promise<Resources | undefined> {
    return await this.#interpreter?.resources();
  }

  /** What its processes use now; `undefined` when it has none. */
  async usage(): Promise<ProcessUsage | undefined> {
    return await this.#interpreter?.usage();
  }

  /** How its process is isolated, once it has one. */
  get isolation(): IsolationState | undefined {
    return this.#interpreter?.isolation;
  }

  /** Python's version, once it runs. */
  get pythonVersion(): string | undefined {
    return this.#kernel?.server.version;
  }

  /** Progress that is also written to the log. */
  reporter(sink: ProgressSink): ProgressSink {
    return (progress: Progress) => {
      this.log.add(progress.type === "error" ? "error" : "progress", progress.message);
      sink(progress);
    };
  }

  /** Runs the start; `end` waits for it. When it throws, the session has failed and nothing is left of it. */
  async start(steps: (session: Session) => Promise<void>): Promise<void> {
    const run = async () => {
      this.#abort.signal.throwIfAborted();
      await removeTree(this.directory);
      for (const name of ["work", "home", "tmp"]) await ensureDir(join(this.directory, name));
      await steps(this);
      this.#abort.signal.throwIfAborted();
      this.#state = "running";
      // It may have died since its entry script ended.
      const exit = this.#interpreter?.exit;
      if (exit !== undefined) this.#died(this.#interpreter!, exit);
    };
    const started = run();
    this.#started = started.catch(() => {});
    try {
      await started;
    } catch (error) {
      const stopped = this.#abort.signal.aborted;
      if (!stopped) this.#state = "failed";
      await this.#release();
      throw stopped
        ? new WorkerError("start_cancelled", `Cannot start session ${this.id}: it was stopped`)
        : error;
    }
  }

  /** Starts Python in a leased environment. */
  async launch(kernel: KernelUse, prefix: string): Promise<void> {
    this.#kernel = kernel;
    await copyFontCache(prefix, join(this.directory, "home"));
    await this.#newInterpreter();
  }

  async #startFileProcess(): Promise<FileProcess> {
    const kernel = this.#kernel;
    if (kernel === undefined) throw this.#notReady("reach the files of");
    // While a session ends its files are still saved, in a new fork server when its own has died.
    const { signal } = this.#abort;
    const server = await kernel.living(signal.aborted ? AbortSignal.timeout(SAVE_START) : signal);
    return await FileProcess.start(server, this.#options.switchboard, {
      directory: this.directory,
      folder: "work",
      confined: this.#options.isolation.mode !== "off",
    });
  }

  #isolation(): IsolationOptions {
    const { isolation } = this.#options;
    return { ...isolation, writable: [this.directory, ...isolation.writable] };
  }

  /** Starts a process for the session, in another fork server when the first one has died. */
  async #newInterpreter(): Promise<void> {
    const options: InterpreterOptions = {
      cwd: this.workingDirectory,
      overlay: join(this.directory, "overlay"),
      env: sessionVariables(this.request, this.directory, this.#options.passedVariables),
      limits: { ...this.request.limits.resources },
      isolation: this.#isolation(),
      argv: this.request.argv,
      variables: { hypha_config: hyphaConfig(this.request) },
      onBackground: (name, text, cell) => this.log.write(name, text, cell),
      onService: (id) => this.services.add(id),
      onLateDisplay: (display, cell) => this.log.add("stdout", displayText(display), cell),
    };
    const interpreter = await this.#startInterpreter(options);
    this.#interpreter = interpreter;
    this.#notReplaced = undefined;
    if (this.#state === "dead") this.#state = "running";
    interpreter.exited.then((exit) => this.#died(interpreter, exit));
  }

  async #startInterpreter(options: InterpreterOptions): Promise<Interpreter> {
    const { signal } = this.#abort;
    const server = await this.#kernel!.living(signal);
    try {
      return await Interpreter.start(server, this.#options.switchboard, options);
    } catch (error) {
      if (!server.gone.aborted) throw error;
      // It has died under the start, perhaps before it was missed.
      const next = await this.#kernel!.living(signal);
      return await Interpreter.start(next, this.#options.switchboard, options);
    }
  }

  /** The process has ended by itself; one that was killed from here is replaced at once. */
  #died(interpreter: Interpreter, exit: Exit): void {
    if (this.#interpreter !== interpreter || this.#state !== "running") return;
    if (interpreter.killed) return;
    this.#state = "dead";
    const reason = `The Python process ended with ${describeExit(exit)}`;
    this.log.add("error", reason);
    this.#options.log.warning("Session died", { session: this.id, reason });
    this.#executions.cancelAll(this.#deadError());
  }

  /** Queues an execution and runs it when its turn comes. Errors of the code are results. */
  async execute(request: ExecuteRequest): Promise<SessionResult> {
    if (this.#state === "dead") throw this.#deadError();
    if (this.#interpreter === undefined || this.#state === "stopped" || this.#state === "failed") {
      throw this.#notReady("execute in");
    }
    checkDevices(request.env ?? {}, this.#options.passedVariables, "config.env");
    return await this.#executions.run(request, (queued) => this.#run(queued));
  }

  /** Takes an execution out of the queue, or interrupts it when it runs. Whether there was one. */
  cancel(executionId: string): boolean {
    return this.#executions.cancel(executionId);
  }

  /**
   * Interrupts what runs now, as Ctrl-C does: once, since code may catch it to tidy up. Code that has caught one is
   * reached by the next. Whether something ran.
   */
  async interrupt(): Promise<boolean> {
    const interpreter = this.#interpreter;
    if (interpreter === undefined || !interpreter.busy) return false;
    await interpreter.interrupt();
    return true;
  }

  /** Replaces Python by a fresh process: same id, files and environment, no variables. Queued calls are refused. */
  async restart(): Promise<void> {
    if (this.#kernel === undefined || (this.#state !== "running" && this.#state !== "dead")) {
      throw this.#notReady("restart");
    }
    this.#executions.cancelAll(
      new WorkerError("execution_cancelled", `Session ${this.id} was restarted`),
    );
    await this.#replaceOnce();
    this.log.add("info", "Session restarted");
  }

  /** Replaces the process; whoever asks meanwhile waits for the same replacement. */
  #replaceOnce(): Promise<void> {
    return this.#replacing ??= this.#replace().finally(() => this.#replacing = undefined);
  }

  async #replace(): Promise<void> {
    await this.#interpreter?.kill();
    // Ended meanwhile: nobody wants another process.
    if (this.#abort.signal.aborted) throw this.#notReady("restart");
    try {
      await this.#newInterpreter();
    } catch (error) {
      if (this.#abort.signal.aborted) throw this.#notReady("restart");
      this.#state = "dead";
      this.#notReplaced = `Python cannot be started again: ${messageOf(error)}`;
      this.log.add("error", this.#notReplaced);
      throw error;
    }
    if (this.#abort.signal.aborted) throw this.#notReady("restart");
  }

  /** Asks Python: `complete`, `inspect` or `variables`. */
  async ask(what: string, params: Record<string, unknown>): Promise<unknown> {
    if (this.#state === "dead") throw this.#deadError();
    if (this.#interpreter === undefined) {
      throw this.#notReady("ask");
    }
    return await this.#interpreter.ask(what, params, ASK_TIMEOUT);
  }

  async #run(request: ExecuteRequest): Promise<ExecutionResult> {
    await this.#replacing?.catch(() => {});
    if (this.#abort.signal.aborted) throw this.#notReady("execute in");
    const interpreter = this.#interpreter!;
    if (interpreter.exit !== undefined) throw this.#deadError();
    this.#lastActive = this.#options.now();
    const { code, executionId: _id, ...options } = request;
    const result = await interpreter.execute(code, {
      ...options,
      onOutput: (output) => {
        if (output.type === "stream") this.log.write(output.name, output.text);
        return request.onOutput?.(output);
      },
    });
    this.#lastActive = this.#options.now();
    if (result.error !== undefined) this.log.add("error", result.error.traceback.join("\n"));
    if (interpreter.killed && this.#interpreter === interpreter && this.#state === "running") {
      // It did not react to its interrupt: the session goes on with a fresh process.
      // When that fails the session is dead, and the result of the cell is still one.
      await this.#replaceOnce().then(
        () => this.log.add("info", "The Python process was replaced; all variables are lost"),
        () => {},
      );
    }
    return result;
  }

  #notReady(action: string): WorkerError {
    const message = `Cannot ${action} session ${this.id}: it is ${this.#state}`;
    return new WorkerError("session_not_ready", message);
  }

  #deadError(): WorkerError {
    return deadError(this.id, this.death);
  }

  /**
   * Ends the session, also one that is starting. May be called again; resolves when nothing is left.
   *
   * @param saveTime How long saving its files may take (milliseconds). @default 600000
   */
  end(saveTime?: number): Promise<void> {
    return this.#ending ??= this.#end(saveTime);
  }

  async #end(saveTime?: number): Promise<void> {
    const used = this.#state === "running" || this.#state === "dead";
    this.#state = "stopped";
    const reason = new WorkerError("start_cancelled", `Session ${this.id} was stopped`);
    this.#abort.abort(reason);
    this.#executions.cancelAll(reason);
    await this.#interpreter?.kill();
    await this.#replacing?.catch(() => {});
    await this.#started;
    // Nothing changes them any more.
    if (used) await saveFiles(this, saveTime);
    await this.#release();
    this.log.add("info", "Session stopped");
  }

  /** Gives back everything, once: a session with the same id, and so the same directory, may start right after. */
  #release(): Promise<void> {
    return this.#released ??= this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    await this.#interpreter?.kill();
    await this.files[Symbol.asyncDispose]();
    await this.#kernel?.release();
    try {
      await removeTree(this.directory);
    } catch (error) {
      const reason = messageOf(error);
      this.#options.log.error("Cannot remove a session's directory", { session: this.id, reason });
    }
  }
}
