/**
 * The wire to a browser: Chrome's DevTools protocol over a pair of pipes.
 *
 * Pipes rather than a port: nobody else can speak to the browser, and it ends by itself when the process at
 * the other end does, however that ends.
 */
import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";

/** Parameters and results of the protocol. */
// deno-lint-ignore no-explicit-any -- the protocol has hundreds of shapes, written down elsewhere
export type Message = Record<string, any>;

interface Waiting {
  readonly method: string;
  readonly resolve: (result: Message) => void;
  readonly reject: (error: Error) => void;
}

const STDERR_LIMIT = 20_000;

/** A running browser and the wire to it. */
export class BrowserConnection implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #closed: Promise<unknown>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: Message) => void>();
  #last = 0;
  #stderr = "";
  #over: string | undefined;

  /** Starts an executable. */
  constructor(executable: string, args: string[], env: Record<string, string>) {
    this.#child = spawn(executable, ["--remote-debugging-pipe", ...args], {
      env,
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    });
    const closed = Promise.withResolvers<void>();
    this.#child.once("error", (error) => {
      this.#end(String(error));
      closed.resolve();
    });
    this.#child.once("close", (code, signal) => {
      this.#end(`it ended with ${signal ?? `exit code ${code}`}`);
      closed.resolve();
    });
    this.#closed = closed.promise;
    this.#child.stderr!.on("data", (bytes: Uint8Array) => {
      this.#stderr = (this.#stderr + new TextDecoder().decode(bytes)).slice(-STDERR_LIMIT);
    });
    this.#read(this.#child.stdio[4] as Readable);
    // A browser that has ended is reported by its end.
    (this.#child.stdio[3] as Writable).on("error", () => {});
  }

  #read(stream: Readable): void {
    const decoder = new TextDecoder();
    // A message may come in hundreds of pieces.
    let parts: string[] = [];
    stream.on("error", () => {});
    stream.on("data", (bytes: Uint8Array) => {
      const [first, ...more] = decoder.decode(bytes, { stream: true }).split("\0");
      parts.push(first!);
      for (const next of more) {
        this.#take(JSON.parse(parts.join("")));
        parts = [next];
      }
    });
  }

  #take(message: Message): void {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.result);
    else waiting?.reject(new Error(`Cannot ${waiting.method}: ${JSON.stringify(message.error)}`));
  }

  #end(reason: string): void {
    this.#over ??= reason;
    for (const { method, reject } of this.#waiting.values()) reject(this.#gone(method));
    this.#waiting.clear();
  }

  #gone(method: string): Error {
    return new Error(`Cannot ${method} in the browser: ${this.#over}\n${this.#stderr}`);
  }

  /** Sends a command, to a session of the browser when one is named, and gives its result. */
  send(method: string, params: Message = {}, sessionId?: string): Promise<Message> {
    if (this.#over !== undefined) return Promise.reject(this.#gone(method));
    const id = ++this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    this.#waiting.set(id, { method, resolve, reject });
    const text = JSON.stringify({ id, method, params, ...(sessionId ? { sessionId } : {}) });
    (this.#child.stdio[3] as Writable).write(`${text}\0`);
    return promise;
  }

  /** Calls back for every event (`{method, params, sessionId}`). */
  listen(listener: (event: Message) => void): void {
    this.#listeners.add(listener);
  }

  /** Ends the browser and waits until all of its processes are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await this.send("Browser.close").catch(() => {});
    // A browser that does not end when told so is of no use to anybody.
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await this.#closed;
    clearTimeout(timer);
  }
}
