/** A small method table and its registration, for the tests against a real server. */
import { WorkerError } from "../../lib/errors.ts";
import { type Logger, silentLogger } from "../../lib/log.ts";
import {
  type ConnectOptions,
  connectWorker,
  type WorkerConnection,
} from "../../lib/service/connection.ts";
import { registerWorker, type ServiceInfo } from "../../lib/service/register.ts";
import type { Arguments, Call, Method, Notify } from "../../lib/worker/method.ts";
import type { HyphaServer } from "../stack/hypha.ts";

/** What the handlers saw. */
export interface Seen {
  /** Calls in order. */
  readonly calls: { method: string; args: Arguments; call: Call }[];
}

/** Arguments with every function replaced by a word. */
function visible(value: unknown): unknown {
  if (typeof value === "function") return "callback";
  if (Array.isArray(value)) return value.map(visible);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visible(item)]));
}

async function execute(args: Arguments, call: Call): Promise<unknown> {
  const progress = args.progress_callback as Notify | undefined;
  const output = args.output_callback as Notify | undefined;
  progress?.({ type: "info", message: "Executing" });
  switch (args.script) {
    case "fail":
      throw new WorkerError("session_not_found", "Cannot execute: session S not found");
    case "bug":
      throw new TypeError("undefined is not a function");
    case "flood":
      for (let i = 0; i < 5000; i++) {
        output?.({ type: "stream", name: i % 7 === 0 ? "stderr" : "stdout", text: `<${i}>` });
        if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      break;
    case "wait": {
      const { promise, reject } = Promise.withResolvers<void>();
      call.signal.addEventListener("abort", () => reject(call.signal.reason));
      await promise;
    }
  }
  output?.({ type: "stream", name: "stdout", text: "the end" });
  return { args: visible(args), caller: call.caller };
}

/** The table. */
export function methodsOfTest(seen: Seen): Method[] {
  const method = (
    name: string,
    parameters: Method["parameters"],
    handler: Method["handler"],
  ): Method => ({
    name,
    description: `Does ${name}.`,
    parameters,
    handler(args, call) {
      seen.calls.push({ method: name, args, call });
      return handler(args, call);
    },
  });
  const session = { name: "session_id", schema: { type: "string" }, required: true } as const;
  return [
    method("start", [{ name: "config", schema: { type: "object" }, required: true }], (args) => {
      const config = args.config as Record<string, unknown>;
      (config.progress_callback as Notify | undefined)?.({ type: "info", message: "Starting" });
      return Promise.resolve(config.id);
    }),
    method("stop", [session], () => Promise.resolve()),
    method("get_logs", [
      session,
      { name: "type", schema: { type: "string" } },
      { name: "offset", schema: { type: "integer" } },
      { name: "limit", schema: { type: "integer" } },
    ], ({ session_id: _, ...rest }) => Promise.resolve({ items: [], total: 0, ...rest })),
    method("execute", [
      session,
      { name: "script", schema: { type: "string" }, required: true },
      { name: "config", schema: { type: "object", properties: { timeout: { type: "number" } } } },
      { name: "progress_callback", schema: { description: "Gets progress." }, callback: true },
      { name: "output_callback", schema: { description: "Gets output." }, callback: true },
    ], execute),
    method("get_load", [], () => Promise.resolve(0.5)),
  ];
}

/** Connects a worker with the table to a server, as client `conda-worker-test` of `user-1`. */
export async function connectTestWorker(
  hypha: HyphaServer,
  seen: Seen,
  more: Partial<ConnectOptions> & { info?: Partial<ServiceInfo>; log?: Logger } = {},
): Promise<WorkerConnection> {
  const { info, log = silentLogger, ...rest } = more;
  return await connectWorker({
    serverUrl: hypha.url,
    workspace: hypha.workspaceOf("user-1"),
    token: await hypha.userToken({ user: "user-1" }),
    clientId: "conda-worker-test",
    log,
    register: (server) =>
      registerWorker(server, {
        methods: methodsOfTest(seen),
        log,
        // What a busy machine takes longer for must not be dropped: the tests look at all of it.
        flushTimeout: 60_000,
        info: {
          id: "conda",
          name: "Conda worker",
          description: "x".repeat(2000),
          supportedTypes: ["conda-jupyter-kernel"],
          ...info,
        },
      }),
    ...rest,
  });
}
