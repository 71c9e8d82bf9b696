/** The keyboard of a prompt: what is typed while code runs is kept for the next prompt, but for what stops the code. */
import { type Key, KeyDecoder } from "./repl_keys.ts";

/** Where bytes come from; `Deno.stdin` is one. */
export interface TerminalSource {
  read(buffer: Uint8Array): Promise<number | null>;
}

const READ_SIZE = 4096;
/** Keys that are kept while nobody wants them. */
const MAX_WAITING = 10_000;

/** Keys in the order in which they were typed. */
export class Keyboard {
  readonly #source: TerminalSource;
  readonly #decoder = new KeyDecoder();
  readonly #keys: Key[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  /** Called with keys instead of keeping them, while code runs; `true` when it was one for the code. */
  intercept: ((name: string) => boolean) | undefined;

  /** Reads from a source from now on. */
  constructor(source: TerminalSource) {
    this.#source = source;
    this.#read();
  }

  /** Whether another key is there already, as when text is pasted. */
  get more(): boolean {
    return this.#keys.length > 0;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (;;) {
        const count = await this.#source.read(buffer);
        if (count === null) break;
        for (const key of this.#decoder.push(buffer.subarray(0, count))) this.#take(key);
      }
    } catch {
      // The terminal is gone.
    }
    this.#ended = true;
    this.#wake?.();
  }

  #take(key: Key): void {
    if (key.type === "key" && this.intercept?.(key.name)) {
      // What was typed before was meant for the code that is stopped.
      this.#keys.length = 0;
      return;
    }
    if (this.#keys.length < MAX_WAITING) this.#keys.push(key);
    this.#wake?.();
  }

  /** The next key; `undefined` when there will be none, or when the signal fires. */
  async next(signal: AbortSignal): Promise<Key | undefined> {
    while (this.#keys.length === 0 && !this.#ended && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const stop = () => resolve();
      signal.addEventListener("abort", stop);
      await promise;
      signal.removeEventListener("abort", stop);
      this.#wake = undefined;
    }
    return signal.aborted ? undefined : this.#keys.shift();
  }
}
