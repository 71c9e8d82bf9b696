/**
 * What orchestrators and monitoring ask by HTTP: `/health` (the process works), `/ready` (calls can arrive) and
 * `/metrics` (Prometheus).
 *
 * A lost server makes the worker not ready but not unhealthy: killing it would end sessions and bring nothing back.
 */
import { listen, type Listening } from "../listen.ts";
import type { Logger } from "../log.ts";
import { VERSION } from "../version.ts";
import type { Metrics } from "./metrics.ts";
import { CONTENT_TYPE } from "./prometheus.ts";

/** What {@linkcode startStatusServer} needs. */
export interface StatusServerOptions {
  /** Port; 0 takes a free one. */
  readonly port: number;
  /** Address to listen on. @default "127.0.0.1" */
  readonly hostname?: string;
  readonly metrics: Metrics;
  /** Why no calls can arrive now; `undefined` when they can. */
  notReady(): string | undefined;
  readonly log: Logger;
}

/**
 * Starts to answer.
 *
 * @throws WorkerError `usage` when it cannot listen there
 */
export function startStatusServer(options: StatusServerOptions): Listening {
  const { metrics, hostname = "127.0.0.1", log } = options;
  const answer = (path: string): Response => {
    switch (path) {
      case "/health":
        return Response.json({ status: "ok", version: VERSION });
      case "/ready": {
        const reason = options.notReady();
        return reason === undefined
          ? Response.json({ status: "ok" })
          : Response.json({ status: "not ready", reason }, { status: 503 });
      }
      case "/metrics":
        return new Response(metrics.text(), {
          headers: { "content-type": CONTENT_TYPE },
        });
      default:
        return Response.json({ error: "There are /health, /ready and /metrics" }, { status: 404 });
    }
  };
  const server = listen({
    port: options.port,
    hostname,
    option: "--metrics-port",
    failure: () => Response.json({ error: "internal" }, { status: 500 }),
    log,
    handler: (request) => {
      if (request.method !== "GET" && request.method !== "HEAD") {
        return Response.json({ error: "Only GET is answered" }, {
          status: 405,
          headers: { allow: "GET, HEAD" },
        });
      }
      return answer(new URL(request.url).pathname);
    },
  });
  log.info("Status server listens", { address: `http://${hostname}:${server.port}` });
  return server;
}
