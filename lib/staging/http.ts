/** One request with redirects, time limits, bounded retries and back-off. */
import { delay } from "../delay.ts";

/** What a request may be told. */
export interface RequestOptions {
  /** Does the request. */
  fetch: typeof fetch;
  /** @default "GET" */
  method?: "GET" | "PUT" | "POST";
  /** What is sent; held in memory, so that it can be sent again. */
  body?: string | Uint8Array<ArrayBuffer>;
  /** Headers of the first hop; redirects, of a GET only, are followed without `authorization`. */
  headers: Record<string, string>;
  /** Stops the request and the reading of its body. */
  signal?: AbortSignal | undefined;
  /** How often it is tried at most. */
  attempts: number;
  /** Wait before the second try in milliseconds; doubles each time. */
  backOff: number;
  /** How long the server may be silent before the headers, in milliseconds. */
  timeout: number;
}

/** A response and the means to drop it. */
export interface Reply {
  /** The last response; its status may be an error. */
  readonly response: Response;
  /** Closes the connection although the body has not been read. */
  abort(reason: unknown): void;
}

const MAX_REDIRECTS = 4;
const MAX_WAIT = 30_000;
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

/** How long a `retry-after` header asks to wait, in milliseconds; `undefined` when it says nothing usable. */
export function retryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), MAX_WAIT) : undefined;
}

async function once(url: URL, options: RequestOptions): Promise<Reply> {
  const { method = "GET" } = options;
  const controller = new AbortController();
  const signal = options.signal
    ? AbortSignal.any([options.signal, controller.signal])
    : controller.signal;
  const timer = setTimeout(
    () => controller.abort(new Error(`no answer within ${options.timeout / 1000} s`)),
    options.timeout,
  );
  try {
    let target = url;
    let headers = options.headers;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await options.fetch(target, {
        method,
        headers,
        signal,
        redirect: "manual",
        ...(options.body === undefined ? {} : { body: options.body }),
      });
      const location = response.headers.get("location");
      const { status } = response;
      if (status < 300 || status >= 400 || location === null || method !== "GET") {
        return { response, abort: (reason) => controller.abort(reason) };
      }
      await response.body?.cancel();
      target = new URL(location, target);
      // Deno's fetch also reads file: and data: addresses, which a server has no business to name.
      if (target.protocol !== "http:" && target.protocol !== "https:") {
        throw new Error(`the server redirects to a ${target.protocol} address`);
      }
      // Pre-signed storage addresses carry their own authority and refuse a second one.
      const { authorization: _, ...rest } = headers;
      headers = rest;
    }
    throw new Error("the server redirects too often");
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Requests a resource. Connection errors, 429 (its `retry-after` is respected, up to 30 s) and 5xx are tried again.
 *
 * @returns The last response, whatever its status.
 * @throws What the last try threw, or the signal's reason.
 */
export async function request(url: URL, options: RequestOptions): Promise<Reply> {
  for (let attempt = 1;; attempt++) {
    let wait = options.backOff * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
    try {
      const reply = await once(url, options);
      if (!RETRIED.has(reply.response.status) || attempt >= options.attempts) return reply;
      wait = retryAfter(reply.response.headers.get("retry-after")) ?? wait;
      await reply.response.body?.cancel();
    } catch (error) {
      options.signal?.throwIfAborted();
      if (attempt >= options.attempts) throw error;
    }
    await delay(Math.min(wait, MAX_WAIT), options.signal);
  }
}
