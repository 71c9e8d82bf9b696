/** Standard input of `run` for the code it runs: a stream through a socket, or questions at a terminal. */
import { join } from "@std/path";
import { occupy } from "./leftovers.ts";
import { makeSocketsDirectory } from "./places.ts";

const READ_SIZE = 64 * 1024;

/** Gives this program's standard input to the first who connects; nothing is read before. */
export class InputSocket implements AsyncDisposable {
  /** Path of the socket. */
  readonly path: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(path: string, stack: AsyncDisposableStack) {
    this.path = path;
    this.#stack = stack;
  }

  /** Opens a socket in a directory of its own, which only this user may enter. */
  static async open(environment: (name: string) => string | undefined): Promise<InputSocket> {
    await using stack = new AsyncDisposableStack();
    const directory = await makeSocketsDirectory(environment);
    stack.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    stack.use(await occupy(directory));
    const path = join(directory, "00000000.sock");
    const listener = stack.use(Deno.listen({ transport: "unix", path }));
    await Deno.chmod(path, 0o600);
    serve(listener);
    return new InputSocket(path, stack.move());
  }

  /** Closes and removes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function serve(listener: Deno.Listener): Promise<void> {
  try {
    using conn = await listener.accept();
    const buffer = new Uint8Array(READ_SIZE);
    for (;;) {
      const count = await Deno.stdin.read(buffer);
      if (count === null) break;
      for (let sent = 0; sent < count;) sent += await conn.write(buffer.subarray(sent, count));
    }
  } catch {
    // The run is over, the code reads no more, or there is no standard input: that is its end.
  }
}

/** Answers `input()` and `getpass()` at the terminal. */
export class TerminalInput implements Disposable {
  readonly #write: (text: string) => void;
  #rest = "";
  #raw = false;

  /** Questions go where the function writes. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Asks for a line. Rejects when the terminal's input has ended. */
  async ask(prompt: string, password: boolean): Promise<string> {
    if (!password) {
      this.#write(prompt);
      return await this.#line();
    }
    // Before the question: whoever is quick shall not be seen either.
    Deno.stdin.setRaw(true, { cbreak: true });
    this.#raw = true;
    try {
      this.#write(prompt);
      return await this.#hidden();
    } finally {
      this[Symbol.dispose]();
    }
  }

  /** Shows again what is typed: a question may be interrupted, and then it never gets its answer. */
  [Symbol.dispose](): void {
    if (!this.#raw) return;
    this.#raw = false;
    Deno.stdin.setRaw(false);
    this.#write("\n");
  }

  async #more(): Promise<string> {
    const buffer = new Uint8Array(READ_SIZE);
    const count = await Deno.stdin.read(buffer);
    if (count === null) throw new Error("EOF when reading a line");
    return new TextDecoder().decode(buffer.subarray(0, count));
  }

  async #line(): Promise<string> {
    while (!this.#rest.includes("\n")) this.#rest += await this.#more();
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  /** A line that is typed without being shown. The keys that change lines have to be understood here. */
  async #hidden(): Promise<string> {
    let text = "";
    for (;;) {
      const typed = this.#rest === "" ? await this.#more() : this.#rest;
      this.#rest = "";
      for (const [index, key] of [...typed].entries()) {
        if (key === "\n" || key === "\r") {
          this.#rest = [...typed].slice(index + 1).join("");
          return text;
        }
        if (key === "\x7f" || key === "\b") text = [...text].slice(0, -1).join("");
        else if (key === "\x15") text = "";
        else if (key === "\x04") {
          if (text === "") throw new Error("EOF when reading a line");
        } else text += key;
      }
    }
  }
}
