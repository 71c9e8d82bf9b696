// deno-lint-ignore-file camelcase -- the names are those of the wire
/**
 * The small part of hypha-rpc that the worker uses, with its types.
 *
 * The package declares most of it as `any`; this is the only file that touches its own types. What is written here
 * was measured with npm hypha-rpc 0.21.40 against a running Hypha server.
 */
import { hyphaWebsocketClient } from "hypha-rpc";

/** A method call as it arrives. Values are still encoded; functions are objects with `_rtype`. */
export interface MethodMessage {
  /** Dotted path, `services.<service id>.<method>` for a service. */
  method?: unknown;
  /** Arguments; the last one holds the keyword arguments when `with_kwargs` is set. */
  args?: unknown[];
  /** Whether the last argument holds keyword arguments. */
  with_kwargs?: unknown;
  /** Present when the message is encrypted end to end: then `args` is absent. */
  _enc?: unknown;
}

/** Receives an event of the RPC object. */
// deno-lint-ignore no-explicit-any -- the RPC boundary: each event has another shape
export type RpcHandler = (event: any) => void;

/** The RPC object of a connection. */
export interface HyphaRpc {
  /** Adds a handler. Handlers run in reverse order of their registration. */
  on(event: string, handler: RpcHandler): void;
  /** Removes a handler, or all of the event. */
  off(event: string, handler?: RpcHandler): void;
  /** Closes the RPC object and its connection. */
  disconnect(): Promise<void>;
}

/** A connected server: the workspace manager's methods, and the RPC object. */
export interface HyphaServer {
  readonly rpc: HyphaRpc;
  readonly config: {
    readonly workspace: string;
    readonly client_id: string;
    readonly public_base_url?: string;
    readonly local_base_url?: string;
    readonly hypha_version?: string;
  };
  /** Registers a service of this client. */
  registerService(
    api: Record<string, unknown>,
    options?: { overwrite?: boolean },
  ): Promise<{ id: string }>;
  /** Removes a service of this client. */
  unregisterService(id: string): Promise<void>;
  /** What the server knows of a service. Rejects with "Service not found" when it knows nothing. */
  getServiceInfo(id: string): Promise<unknown>;
  /** Answers its argument. Needs the right to read and write. */
  echo(value: unknown): Promise<unknown>;
}

/** Where the client's own words go. */
export type RpcLogger = Record<
  "debug" | "info" | "log" | "warn" | "error",
  (...parts: unknown[]) => void
>;

/** What {@linkcode connectToServer} is told. */
export interface ConnectConfig {
  server_url: string;
  client_id: string;
  workspace?: string;
  token?: string;
  /** Seconds before a call without heartbeat is given up. */
  method_timeout?: number;
  name?: string;
  logger?: RpcLogger;
  WebSocketClass?: typeof WebSocket;
}

/** Connects to a Hypha server. */
export type ConnectToServer = (config: ConnectConfig) => Promise<HyphaServer>;

/** The real client. */
export const connectToServer = hyphaWebsocketClient
  .connectToServer as unknown as ConnectToServer;
