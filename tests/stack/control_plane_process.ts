/** The process of a control plane: lines of JSON to it, lines of JSON from it. */
import { limited } from "../wait.ts";

/** How long it may take to start, also to start the API server again (milliseconds): machines may be slow. */
const START_MS = 180_000;

/** How long it may take to end; then it is killed, which ends what it has started, too (milliseconds). */
const STOP_MS = 60_000;

/** How much of what it complains about is kept (characters). */
const SAID = 20_000;

/** A running process; {@linkcode ControlPlaneProcess.stop} has to be awaited. */
export class ControlPlaneProcess {
  /** What it says when it is ready. Fails when it ends before. */
  readonly ready: Promise<unknown>;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<unknown>;
  readonly #isReady = Promise.withResolvers<unknown>();
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;
  #said = "";

  constructor(program: string, options: unknown) {
    this.#child = new Deno.Command(program, {
      args: ["cluster", JSON.stringify(options)],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.ready = this.#within("the control plane starts", this.#isReady.promise);
    // Whoever does not wait for it gets to know by what is asked next.
    this.ready.catch(() => {});
    this.#reading = Promise.all([this.#readAnswers(), this.#readComplaints()]).then(() => {
      const error = new Error(
        `The control plane has ended: ${this.#said.trim() || "it says nothing"}`,
      );
      this.#isReady.reject(error);
      for (const { reject } of this.#asked.values()) reject(error);
      this.#asked.clear();
    });
  }

  /** Asks for something, and resolves with the result. */
  async ask(request: Record<string, unknown>): Promise<unknown> {
    const id = ++this.#last;
    const answer = Promise.withResolvers<unknown>();
    this.#asked.set(id, answer);
    const line = new TextEncoder().encode(`${JSON.stringify({ ...request, id })}\n`);
    // A process that has ended is told of by its output.
    this.#input.write(line).catch(() => {});
    return await this.#within(`the control plane does ${request.do}`, answer.promise);
  }

  /** Ends it, and with it everything it has started. */
  async stop(): Promise<void> {
    await this.#input.close().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await this.#child.status;
    clearTimeout(timer);
    await this.#reading;
  }

  /** Does not wait for ever; an error has what the process has complained about. */
  async #within<T>(what: string, work: Promise<T>): Promise<T> {
    return await limited(what, START_MS, (signal) => {
      const late = Promise.withResolvers<T>();
      signal.addEventListener("abort", () => {
        late.reject(new Error(`${signal.reason.message}; it says: ${this.#said.trim()}`));
      });
      return Promise.race([work, late.promise]);
    });
  }

  async #readAnswers(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line) as Message);
    }
  }

  #take(message: Message): void {
    if (message.event === "ready") return this.#isReady.resolve(message);
    const answer = this.#asked.get(message.id ?? 0);
    this.#asked.delete(message.id ?? 0);
    if (message.error === undefined) answer?.resolve(message.result);
    else answer?.reject(new Error(`The control plane cannot do it: ${message.error}`));
  }

  async #readComplaints(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#said = (this.#said + text).slice(-SAID);
    }
  }
}

interface Message {
  readonly event?: string;
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: string;
}
