/** A program that the launcher has started, with the face of one that the worker has started itself. */
import type { Program } from "./manager.ts";

/** Bytes of a stream that may wait for whoever reads it, before everything waits. */
const HIGH_WATER = 1 << 20;

/** Sends a request to the launcher; one that has died takes none. */
export type SendRequest = (request: Readonly<Record<string, unknown>>) => void;

/** The kinds of frames the launcher sends; see `launcher.py`. */
export const FRAME = { ready: 0, stdout: 1, stderr: 2, exit: 3 } as const;

/** One stream of a program. */
class Outlet {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #room: (() => void) | undefined;

  constructor(onCancel: () => void) {
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#room?.(),
      cancel: () => {
        this.#controller = undefined;
        this.#room?.();
        onCancel();
      },
    }, new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER }));
  }

  /** Passes bytes on; resolves when there is room for more. */
  async push(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#controller?.enqueue(bytes);
    if ((this.#controller?.desiredSize ?? 1) > 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#room = resolve;
    await promise;
  }

  end(): void {
    this.#controller?.close();
    this.#controller = undefined;
  }
}

/** A program that the launcher has started. */
export class LaunchedProgram implements Program {
  readonly stdin: WritableStream<Uint8Array<ArrayBufferLike>>;
  readonly status: Promise<Deno.CommandStatus>;
  readonly #streams: { readonly [FRAME.stdout]: Outlet; readonly [FRAME.stderr]: Outlet };
  readonly #ended = Promise.withResolvers<Deno.CommandStatus>();
  readonly #send: SendRequest;
  readonly #id: number;
  #open = 2;
  #alive = true;
  readonly #onDone: () => void;

  /** `onDone` is called when nothing more will be heard of it. */
  constructor(id: number, send: SendRequest, onDone: () => void) {
    this.#id = id;
    this.#send = send;
    this.#onDone = onDone;
    this.status = this.#ended.promise;
    const outlet = (kind: number) => new Outlet(() => send({ op: "close", id, kind }));
    this.#streams = { [FRAME.stdout]: outlet(FRAME.stdout), [FRAME.stderr]: outlet(FRAME.stderr) };
    const decoder = new TextDecoder();
    this.stdin = new WritableStream({
      write: (chunk) => send({ op: "input", id, data: decoder.decode(chunk, { stream: true }) }),
      close: () => send({ op: "end", id }),
      abort: () => send({ op: "end", id }),
    });
  }

  get stdout(): Program["stdout"] {
    return this.#streams[FRAME.stdout].stream as Program["stdout"];
  }

  get stderr(): Program["stderr"] {
    return this.#streams[FRAME.stderr].stream as Program["stderr"];
  }

  kill(signal: Deno.Signal = "SIGTERM"): void {
    if (!this.#alive) throw new TypeError("Child process has already terminated");
    this.#send({ op: "kill", id: this.#id, signal });
  }

  /** Takes a frame of the launcher; resolves when there is room for more. */
  async take(kind: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    if (kind === FRAME.exit) {
      const [code, signal] = JSON.parse(new TextDecoder().decode(data));
      this.#end({ success: code === 0, code, signal });
    } else if (kind === FRAME.stdout || kind === FRAME.stderr) {
      if (data.length > 0) return await this.#streams[kind].push(data);
      this.#streams[kind].end();
      this.#open--;
    }
    if (!this.#alive && this.#open === 0) this.#onDone();
  }

  /** Ends it as killed, since its launcher is gone and it with it. */
  lose(): void {
    this.#streams[FRAME.stdout].end();
    this.#streams[FRAME.stderr].end();
    this.#end({ success: false, code: 137, signal: "SIGKILL" });
  }

  #end(status: Deno.CommandStatus): void {
    this.#alive = false;
    this.#ended.resolve(status);
  }
}
