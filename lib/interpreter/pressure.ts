/**
 * What makes a cell wait for a slow receiver of its output: while the receiver has too much, the session's sockets
 * are not read, so whatever writes to them waits as it would at a slow terminal.
 */

/** The pressure of one cell. */
export class Pressure {
  readonly #lifted = Promise.withResolvers<void>();
  #waiting: Promise<void> | undefined;
  #ended = false;

  /** Takes what a receiver answered to some output: a promise that resolves when it wants more, or nothing. */
  add(answer: void | Promise<void>): void {
    // Receivers may return anything where nothing is expected.
    if (!(answer instanceof Promise) || this.#ended || answer === this.#waiting) return;
    this.#waiting = answer;
    const over = () => {
      if (this.#waiting === answer) this.#waiting = undefined;
    };
    answer.then(over, over);
  }

  /** What has to be awaited before more is read; nothing when the receiver has room. */
  get relief(): Promise<void> | undefined {
    if (this.#ended || this.#waiting === undefined) return undefined;
    return Promise.race([this.#waiting.catch(() => {}), this.#lifted.promise]);
  }

  /** The receiver is not waited for any more: the cell is to end, or nothing more is sent to it. */
  lift(): void {
    this.#ended = true;
    this.#waiting = undefined;
    this.#lifted.resolve();
  }
}
