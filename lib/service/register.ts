/** Registers the worker's methods as a service of type `server-app-worker` (Hypha contract). */
import type { Logger } from "../log.ts";
import type { JsonSchema, Method } from "../worker/method.ts";
import { installNormalizer } from "./arguments.ts";
import { Callbacks, SHARED_BURST, SHARED_RATE } from "./callbacks.ts";
import { callerFromContext, clientFromContext } from "./caller.ts";
import { toWireError } from "./errors.ts";
import type { HyphaRpc, HyphaServer } from "./hypha_rpc.ts";
import { RateLimiter } from "./rate_limiter.ts";
import { readArguments, toWire } from "./values.ts";

/** Who may find and call the service. */
export type Visibility = "public" | "protected" | "unlisted";

/** What the worker says about itself. */
export interface ServiceInfo {
  /** Service id; fixed, since the server keeps it with each session. */
  id: string;
  /** Name for people. */
  name: string;
  /** Description for people; cut to the 1024 characters the server accepts. */
  description: string;
  /** Who may find and call it. @default "protected" */
  visibility?: Visibility;
  /** Workspaces that may use it besides its own; only for `protected`. @default none */
  authorizedWorkspaces?: readonly string[];
  /** Types of apps it runs. */
  supportedTypes: readonly string[];
  /** Whether sessions get the server's local address, or the address to give them. @default false */
  useLocalUrl?: boolean | string;
}

/** Options of {@linkcode registerWorker}. */
export interface RegisterOptions {
  /** What the service can do. */
  methods: readonly Method[];
  /** What it says about itself. */
  info: ServiceInfo;
  /** Where faults of the worker are logged. */
  log: Logger;
  /** How long a method waits for its callbacks at its end, in milliseconds. @default 5000 */
  flushTimeout?: number;
}

/** A registered service. */
export interface Registration {
  /** Full id, `<workspace>/<client id>:<service id>`. */
  readonly id: string;
  /** Resolves when no call is running. */
  settled(): Promise<void>;
}

/**
 * The `config` of the service.
 *
 * The app controller calls from workspace `public`, so a protected worker that does not authorise it is found but can
 * never be used (Hypha contract). Who may really start sessions is decided by `start` itself.
 */
export function serviceConfig(info: ServiceInfo, workspace: string): Record<string, unknown> {
  const visibility = info.visibility ?? "protected";
  return {
    visibility,
    require_context: true,
    run_in_executor: true,
    // With another visibility the server refuses the key.
    ...(visibility === "protected"
      ? {
        authorized_workspaces: [
          ...new Set([workspace, ...(info.authorizedWorkspaces ?? []), "public"]),
        ],
      }
      : {}),
  };
}

/** The schema of a method as callers and language models see it. */
export function methodSchema(method: Method): Record<string, unknown> {
  const properties: Record<string, JsonSchema> = {};
  for (const { name, schema } of method.parameters) properties[name] = schema;
  return {
    name: method.name,
    description: method.description,
    parameters: {
      type: "object",
      properties,
      required: method.parameters.filter((parameter) => parameter.required)
        .map((parameter) => parameter.name),
    },
  };
}

/** Who has gone: calls are ended whose caller is no longer connected. */
class Callers {
  readonly #calls = new Map<string, Set<AbortController>>();

  constructor(rpc: HyphaRpc) {
    rpc.on(
      "remote_client_disconnected",
      (event: { client_id?: string }) => this.#gone(event?.client_id),
    );
    // The event above is about the worker's own workspace; this one, where a server sends it, about any caller.
    rpc.on("peer_not_found", (event: { peer_id?: string }) => this.#gone(event?.peer_id));
  }

  enter(client: string): { signal: AbortSignal; leave: () => void } {
    const controller = new AbortController();
    const calls = this.#calls.get(client) ?? new Set();
    this.#calls.set(client, calls.add(controller));
    const leave = () => {
      calls.delete(controller);
      if (calls.size === 0 && this.#calls.get(client) === calls) this.#calls.delete(client);
    };
    return { signal: controller.signal, leave };
  }

  #gone(client: string | undefined): void {
    for (const controller of this.#calls.get(client ?? "") ?? []) {
      controller.abort(new Error("the caller has disconnected"));
    }
  }
}

interface Shared {
  readonly callers: Callers;
  readonly limiter: RateLimiter;
  readonly running: Set<Promise<unknown>>;
  readonly log: Logger;
  readonly flushTimeout: number;
}

/** A service function: one positional argument per parameter, then the context. */
type ServiceFunction = (...args: unknown[]) => Promise<unknown>;

function makeFunction(method: Method, shared: Shared): ServiceFunction {
  const { log, flushTimeout } = shared;
  const call: ServiceFunction = async (...args) => {
    // The client appends the context whatever the number of arguments is.
    const context = args.at(-1);
    const { signal, leave } = shared.callers.enter(clientFromContext(context));
    const callbacks = new Callbacks({ log, shared: shared.limiter });
    signal.addEventListener("abort", () => callbacks.close());
    try {
      const named = readArguments(method, args.slice(0, -1), (remote) => callbacks.wrap(remote));
      const caller = callerFromContext(context);
      return toWire(await method.handler(named, { caller, signal }));
    } catch (error) {
      // Nobody is there to hear that the call ended because nobody is there.
      throw signal.aborted && error === signal.reason
        ? error
        : toWireError(error, method.name, log);
    } finally {
      await callbacks.flush(flushTimeout);
      leave();
    }
  };
  const fn: ServiceFunction = (...args) => {
    const result = call(...args);
    const ended = result.then(() => {}, () => {}).finally(() => shared.running.delete(ended));
    shared.running.add(ended);
    return result;
  };
  // The client reads names and number of parameters from the function.
  const names = [...method.parameters.map((parameter) => parameter.name), "context"];
  const source = `async function ${method.name}(${names.join(", ")}) {}`;
  return Object.defineProperties(fn, {
    name: { value: method.name },
    length: { value: names.length },
    toString: { value: () => source },
    __name__: { value: method.name },
    __doc__: { value: method.description },
    __schema__: { value: methodSchema(method) },
  });
}

/**
 * Registers the worker with a connected server; an older registration under the same id is replaced.
 *
 * @throws What the server says when it refuses.
 */
export async function registerWorker(
  server: HyphaServer,
  options: RegisterOptions,
): Promise<Registration> {
  const { methods, info, log } = options;
  const shared: Shared = {
    callers: new Callers(server.rpc),
    limiter: new RateLimiter({ rate: SHARED_RATE, burst: SHARED_BURST }),
    running: new Set(),
    log,
    flushTimeout: options.flushTimeout ?? 5000,
  };
  // Before the service exists, so that no call arrives unprepared.
  installNormalizer(server.rpc, info.id, methods);
  const functions = methods.map((method) => [method.name, makeFunction(method, shared)]);
  const { id } = await server.registerService({
    ...Object.fromEntries(functions),
    id: info.id,
    name: info.name,
    description: info.description.slice(0, 1024),
    type: "server-app-worker",
    config: serviceConfig(info, server.config.workspace),
    supported_types: [...info.supportedTypes],
    use_local_url: info.useLocalUrl ?? false,
  }, { overwrite: true });
  const settled = async () => {
    while (shared.running.size > 0) await Promise.all(shared.running);
  };
  return { id, settled };
}
