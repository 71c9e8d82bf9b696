/** Waiting that comes to an end: with an error that says what was waited for. */

/** How often something is asked for that cannot be waited for (milliseconds). */
const POLL_MS = 50;

/** How long something may take to become so (milliseconds): machines may be slow. */
const UNTIL_MS = 120_000;

/** Asks again and again until it is so; for what the API server does not announce. Throws when it never is. */
export async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + UNTIL_MS;
  while (!await isSo()) {
    if (Date.now() > end) throw new Error(`It has not become so in ${UNTIL_MS / 1000} s: ${what}`);
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
