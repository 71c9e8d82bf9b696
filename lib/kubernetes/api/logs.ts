/** What a container has written. */
import type { ApiStream } from "./api_stream.ts";
import type { KubernetesClient } from "./client.ts";
import { pods } from "./resource_path.ts";

/** Options of {@linkcode podLog}. */
export interface PodLogOptions {
  /** Needed when the pod has several. */
  readonly container?: string;
  /** Goes on until the container ends. @default false */
  readonly follow?: boolean;
  /** Of the container's run before the present one. @default false */
  readonly previous?: boolean;
  /** Only so many lines at the end. */
  readonly tailLines?: number;
  /** Only lines since then: RFC 3339; the API knows whole seconds only. */
  readonly sinceTime?: string;
  /** Not more bytes, counted from the beginning; the last line may be cut. */
  readonly limitBytes?: number;
  /** Begins every line with its time: RFC 3339 with nanoseconds, and a space. @default false */
  readonly timestamps?: boolean;
  /**
   * Milliseconds without a byte after which the stream fails with `Timeout`, since connections may be cut without a
   * word. A quiet container looks the same: go on with `sinceTime`. @default Infinity
   */
  readonly idleTimeout?: number;
  /** Ends the stream with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Reads the log of a pod's container, also of one that has ended. The bytes are the container's own, and need not be
 * UTF-8. The request is made when the stream is first read; nothing is read ahead.
 *
 * The stream fails with KubernetesError: `BadRequest` while the container is only starting, `NotFound` when there is
 * no such pod, `Unreachable` when the connection broke.
 */
export function podLog(
  client: KubernetesClient,
  namespace: string,
  pod: string,
  options: PodLogOptions = {},
): ReadableStream<Uint8Array> {
  const { signal, idleTimeout = Infinity, ...query } = options;
  const cancelled = new AbortController();
  const stop = () => cancelled.abort(signal?.reason);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  let stream: ApiStream | undefined;
  const end = () => {
    signal?.removeEventListener("abort", stop);
    stream?.[Symbol.dispose]();
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        stream ??= await client.open({ ...pods(namespace, pod), subresource: "log" }, {
          query,
          signal: cancelled.signal,
        });
        const bytes = await stream.read(idleTimeout);
        if (bytes !== undefined) return controller.enqueue(bytes);
        end();
        controller.close();
      } catch (error) {
        end();
        throw error;
      }
    },
    cancel() {
      cancelled.abort();
      end();
    },
  }, { highWaterMark: 0 });
}
