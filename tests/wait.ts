/** Waiting that comes to an end: with an error that says what was waited for. Machines may be slow. */

/** How often something is looked at that cannot be waited for (milliseconds). */
const POLL_MS = 10;

/** How long something may take to become so (milliseconds). */
const UNTIL_MS = 120_000;

/** Looks again and again until it is so. Throws when it never is. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what = "what the test waits for",
  ms = UNTIL_MS,
): Promise<void> {
  const end = performance.now() + ms;
  while (!await isSo()) {
    if (performance.now() > end) throw new Error(`It has not become so in ${ms / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Does something that takes a signal, and gives it up with an error that says what it was when it takes too long. */
export async function limited<T>(
  what: string,
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const error = new Error(`Nothing has come of it in ${milliseconds / 1000} s: ${what}`);
  const timer = setTimeout(() => late.abort(error), milliseconds);
  try {
    return await work(late.signal);
  } finally {
    clearTimeout(timer);
  }
}
