/** HTTP servers of the worker itself: for orchestrators, for monitoring, for the operator's eyes. */
import { messageOf, WorkerError } from "./errors.ts";
import type { Logger } from "./log.ts";

/** What {@linkcode listen} needs. */
export interface ListenOptions {
  /** Port; 0 takes a free one. */
  readonly port: number;
  /** Address to listen on. */
  readonly hostname: string;
  /** The command line's option for the port, for messages. */
  readonly option: string;
  /** Answers a request. */
  readonly handler: (
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ) => Response | Promise<Response>;
  /** What is answered when the handler fails. */
  readonly failure: () => Response;
  readonly log: Logger;
}

/** A server that listens. */
export interface Listening extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts to answer requests. Disposing of it cuts connections: neither a request that somebody sends half nor an answer
 * that nobody reads may keep the worker from ending, as they would with `shutdown()`.
 *
 * @throws WorkerError `usage` when it cannot listen there
 */
export function listen(options: ListenOptions): Listening {
  const { port, hostname, option, handler, failure, log } = options;
  const abort = new AbortController();
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({
      port,
      hostname,
      signal: abort.signal,
      onListen: () => {},
      onError: (error) => {
        log.error("Cannot answer an HTTP request", { option, reason: messageOf(error) });
        return failure();
      },
    }, handler);
  } catch (error) {
    throw new WorkerError("usage", `Cannot listen on ${hostname}:${port}: ${messageOf(error)}`, {
      suggestion: `Choose another port with ${option}.`,
      cause: error,
    });
  }
  return {
    port: server.addr.port,
    [Symbol.asyncDispose]: async () => {
      abort.abort();
      await server.finished;
    },
  };
}
