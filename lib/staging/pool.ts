/** Work on many items, a few at a time. */

/**
 * Calls `work` for every item, at most `concurrency` at a time.
 *
 * When one fails the signal that the others were given fires, nothing new is begun, and all are waited for: nothing
 * goes on in the background.
 *
 * @param signal Stops everything; its reason is thrown.
 * @throws The first failure.
 */
export async function forEachLimited<T>(
  items: Iterable<T>,
  concurrency: number,
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const inner = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const list = [...items];
  let next = 0;
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    try {
      while (next < list.length) {
        inner.throwIfAborted();
        await work(list[next++] as T, inner);
      }
    } catch (error) {
      failure ??= { error };
      failed.abort(error);
    }
  };
  const workers = Math.max(1, Math.min(concurrency, list.length));
  await Promise.all(Array.from({ length: workers }, worker));
  if (failure !== undefined) throw failure.error;
}
