/** What manager and pip print during a build, kept beside the environment in `<key>.log`. */
import { writeDurably } from "./files.ts";

/** Characters kept of the beginning, which says what was asked for, and of the end, which says what came of it. */
const HEAD = 256 * 1024;
const TAIL = 768 * 1024;

/** Collects lines. */
export class BuildLog {
  readonly #head: string[] = [];
  readonly #tail: string[] = [];
  #headSize = 0;
  #tailSize = 0;
  #dropped = 0;

  /** Adds a line. */
  add(line: string): void {
    const text = line.length > 4096 ? `${line.slice(0, 4096)}…` : line;
    if (this.#headSize < HEAD) {
      this.#headSize += text.length + 1;
      this.#head.push(text);
      return;
    }
    this.#tailSize += text.length + 1;
    this.#tail.push(text);
    if (this.#tailSize < 2 * TAIL) return;
    // Half of it at a time, so that not every line moves all others.
    let count = 0;
    for (; this.#tailSize > TAIL; count++) this.#tailSize -= this.#tail[count]!.length + 1;
    this.#tail.splice(0, count);
    this.#dropped += count;
  }

  /** The text so far. */
  get text(): string {
    const gap = this.#dropped > 0 ? [`[… ${this.#dropped} lines …]`] : [];
    return [...this.#head, ...gap, ...this.#tail].join("\n") + "\n";
  }

  /** Writes the text. */
  async write(path: string): Promise<void> {
    await writeDurably(path, this.text);
  }
}
