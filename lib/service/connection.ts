/**
 * The worker's connection to a Hypha server, kept up until it is told to close.
 *
 * States: `connected` -> (socket closes, or the server does not answer) -> `reconnecting` -> `connected` -> … ->
 * `closed`. Who has waited long enough for a server that is away may have it given up. Every (re)connection uses the original token and the same client id, and registers the service again.
 */
import { delay, within } from "../delay.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { addSecret, type Logger } from "../log.ts";
import {
  type ConnectToServer,
  connectToServer,
  type HyphaServer,
  type RpcLogger,
} from "./hypha_rpc.ts";
import { untilLost } from "./liveness.ts";
import type { Registration } from "./register.ts";
import { guardRejections, type RejectionGuard } from "./rejections.ts";
import { createSocketGate, type SocketGate } from "./socket.ts";

/** What happens to a connection. */
export type ConnectionEvent =
  | { type: "lost"; reason: string }
  | { type: "reconnected"; attempts: number }
  | { type: "gave_up"; reason: string }
  | { type: "closed" };

/** Options of {@linkcode connectWorker}. Times are in milliseconds. */
export interface ConnectOptions {
  /** Address of the server, `http` or `https`. */
  serverUrl: string;
  /** Workspace to join. @default the token's own */
  workspace?: string | undefined;
  /** Token for that workspace. @default none: anonymous */
  token?: string | undefined;
  /** Client id; fixed, since the server keeps it with each session. @default {@linkcode defaultClientId} */
  clientId?: string | undefined;
  /** Registers the service; called after every (re)connection. */
  register: (server: HyphaServer) => Promise<Registration>;
  /** Where events are logged. */
  log: Logger;
  /** Receives events. Must not throw. */
  onEvent?: (event: ConnectionEvent) => void;
  /** Stops connecting, the first time. */
  signal?: AbortSignal | undefined;
  /** How long connecting and registering may take. @default 60000 */
  connectTimeout?: number;
  /** How often the server is asked whether it is there. @default 30000 */
  checkInterval?: number;
  /** How long it may take to answer. @default 10000 */
  checkTimeout?: number;
  /** Failed checks in a row after which the connection is replaced. @default 2 */
  checkFailures?: number;
  /** Wait before the second try to reconnect; doubles each time. @default 1000 */
  backOff?: number;
  /** Longest wait between tries to reconnect. @default 10000 */
  maxBackOff?: number;
  /** How long the server may be away before the connection is given up for good. @default for ever */
  giveUpAfter?: number | undefined;
  /** Makes a connection. @default the real client */
  connect?: ConnectToServer;
}

/** A kept connection. */
export interface WorkerConnection extends AsyncDisposable {
  /** Workspace it joined. */
  readonly workspace: string;
  /** Client id within the workspace. */
  readonly clientId: string;
  /** Full id of the service. */
  readonly serviceId: string;
  /** The server's own public address, or the one that was used. */
  readonly publicUrl: string;
  /** The server; another object after each reconnection. */
  readonly server: HyphaServer;
  /** What it does now. */
  readonly state: "connected" | "reconnecting" | "closed";
  /** When the server answered last, in milliseconds since 1970. */
  readonly lastContact: number;
  /** How often it was replaced. */
  readonly reconnects: number;
  /** Ends it, after calls that are ending have been answered. Takes a few seconds at most, whatever the server does. */
  close(): Promise<void>;
}

/** A client id that no other contains: the server matches sessions by substring (Hypha contract). */
export function defaultClientId(): string {
  return `conda-worker-${crypto.randomUUID().replaceAll("-", "")}`;
}

const CLOSE_TIMEOUT = 2000;
/** How long the client's own message may come behind the end of a socket that is being opened (milliseconds). */
const LAST_WORDS = 3000;

type Settings =
  & Required<
    Omit<
      ConnectOptions,
      "workspace" | "token" | "clientId" | "signal" | "onEvent" | "giveUpAfter"
    >
  >
  & Pick<ConnectOptions, "workspace" | "token" | "onEvent" | "giveUpAfter">
  & { clientId: string };

/** The client's own words, for the debug log. */
export function rpcLogger(log: Logger): RpcLogger {
  const write = (...parts: unknown[]) => {
    const words = parts.map((part) => {
      if (typeof part === "string") return part;
      if (part instanceof Error) return part.message;
      if (part instanceof Event) return (part as ErrorEvent).message ?? part.type;
      try {
        return JSON.stringify(part) ?? "";
      } catch {
        return String(part);
      }
    });
    log.debug(`hypha-rpc: ${words.join(" ").replace(/\s+/g, " ").slice(0, 1000)}`);
  };
  return { debug: write, info: write, log: write, warn: write, error: write };
}

interface Link {
  readonly server: HyphaServer;
  readonly gate: SocketGate;
  readonly registration: Registration;
}

async function drop(server: HyphaServer, gate: SocketGate): Promise<void> {
  gate.close();
  await within(server.rpc.disconnect(), CLOSE_TIMEOUT).catch(() => {});
}

async function openLink(
  settings: Settings,
  signal?: AbortSignal,
): Promise<Link> {
  const { serverUrl, workspace, token, clientId, log } = settings;
  const gate = createSocketGate();
  let late = false;
  const connecting = settings.connect({
    server_url: serverUrl,
    client_id: clientId,
    ...(workspace === undefined ? {} : { workspace }),
    ...(token === undefined ? {} : { token }),
    name: "hypha-conda-worker",
    method_timeout: 30,
    logger: rpcLogger(log),
    WebSocketClass: gate.WebSocket,
  });
  // A connection that is made after all must not stay.
  connecting.then((server) => late ? drop(server, gate) : undefined).catch(() => {});
  // The client's own message comes a moment after the socket's end, and says more.
  let opening = true;
  let patience: ReturnType<typeof setTimeout> | undefined;
  const lost = new Promise<never>((_, reject) => {
    gate.closed.then((reason) => {
      const fail = () => reject(new Error(`the connection was ${reason}`));
      if (opening) patience = setTimeout(fail, LAST_WORDS);
    });
  });
  const work = async () => {
    const server = await connecting;
    server.rpc.off("error");
    server.rpc.on("error", (event) => log.warning("the server reports an error", { event }));
    try {
      return { server, gate, registration: await settings.register(server) };
    } catch (error) {
      await drop(server, gate);
      throw error;
    }
  };
  const working = work();
  working.catch(() => {});
  try {
    signal?.throwIfAborted();
    return await within(Promise.race([working, lost]), settings.connectTimeout, signal);
  } catch (error) {
    late = true;
    gate.close();
    signal?.throwIfAborted();
    const reason = gate.failure ??
      messageOf(error).replace(/^(Error: )?ConnectionAbortedError: /, "");
    throw new WorkerError("connection_failed", `Cannot connect to ${serverUrl}: ${reason}`, {
      context: { serverUrl, workspace, clientId },
      cause: error,
    });
  } finally {
    opening = false;
    clearTimeout(patience);
  }
}

/** What the server says to one of several clients that come to a new workspace at the same moment. */
const WORKSPACE_RACE = /workspace already exists/i;
const RACE_TRIES = 3;

/** The first connection: its failure is final, but for one that is nobody's fault. */
async function openFirst(settings: Settings, signal?: AbortSignal): Promise<Link> {
  for (let attempt = 1;; attempt++) {
    try {
      return await openLink(settings, signal);
    } catch (error) {
      if (attempt === RACE_TRIES || !WORKSPACE_RACE.test(messageOf(error))) throw error;
      settings.log.info("the workspace has just been made for another client; trying again");
      await delay(settings.backOff * (0.2 + Math.random() / 2), signal);
    }
  }
}

class KeptConnection implements WorkerConnection {
  readonly #settings: Settings;
  readonly #guard: RejectionGuard;
  readonly #stop = new AbortController();
  #link: Link;
  #watching: Promise<void>;
  state: WorkerConnection["state"] = "connected";
  lastContact = Date.now();
  reconnects = 0;

  constructor(link: Link, settings: Settings, guard: RejectionGuard) {
    this.#link = link;
    this.#settings = settings;
    this.#guard = guard;
    this.#watching = this.#watch();
  }

  get server(): HyphaServer {
    return this.#link.server;
  }

  get workspace(): string {
    return this.#link.server.config.workspace;
  }

  get clientId(): string {
    return this.#settings.clientId;
  }

  get serviceId(): string {
    return this.#link.registration.id;
  }

  get publicUrl(): string {
    return this.#link.server.config.public_base_url ?? this.#settings.serverUrl;
  }

  async close(): Promise<void> {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#stop.abort(new Error("closed"));
    const { server, gate, registration } = this.#link;
    // Callers of calls that have just ended get their answers: what was sent before an echo has left by its reply.
    await within(registration.settled(), CLOSE_TIMEOUT).then(() =>
      within(server.echo("bye"), CLOSE_TIMEOUT)
    )
      .catch(() => {});
    await Promise.all([
      drop(server, gate),
      within(this.#watching, CLOSE_TIMEOUT).catch(() => {}),
    ]);
    // The client's own rejections come a moment after its end.
    await delay(50);
    this.#guard[Symbol.dispose]();
    this.#tell({ type: "closed" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #tell(event: ConnectionEvent): void {
    this.#settings.onEvent?.(event);
  }

  /** Waits; answers whether the connection is still wanted. */
  async #wait(milliseconds: number): Promise<boolean> {
    const never = new Promise<never>(() => {});
    await within(never, milliseconds, this.#stop.signal).catch(() => {});
    return !this.#stop.signal.aborted;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const reason = await untilLost(
        this.#link,
        this.#settings,
        signal,
        () => this.lastContact = Date.now(),
      );
      if (signal.aborted) return;
      this.state = "reconnecting";
      this.#settings.log.warning("lost the connection to the server", { reason });
      this.#tell({ type: "lost", reason });
      await drop(this.#link.server, this.#link.gate);
      if (!await this.#reconnect()) return;
    }
  }

  /** Whether there is a connection again; there is none when it was closed or given up. */
  async #reconnect(): Promise<boolean> {
    const { log, backOff, maxBackOff, giveUpAfter = Infinity } = this.#settings;
    const lost = performance.now();
    for (let attempt = 1;; attempt++) {
      // The first wait is short but never the same: many workers lose one server at the same moment.
      const wait = attempt === 1
        ? Math.random() * Math.min(backOff, 1000)
        : Math.min(backOff * 2 ** (attempt - 2), maxBackOff) * (0.9 + Math.random() / 5);
      if (!await this.#wait(wait)) return false;
      try {
        this.#link = await openLink(this.#settings, this.#stop.signal);
      } catch (error) {
        if (this.#stop.signal.aborted) return false;
        const reason = messageOf(error);
        log.warning("cannot reconnect yet", { attempt, reason });
        if (performance.now() - lost < giveUpAfter) continue;
        log.error("gave up the connection to the server", { attempts: attempt, reason });
        this.#tell({ type: "gave_up", reason });
        return false;
      }
      this.state = "connected";
      this.lastContact = Date.now();
      this.reconnects++;
      log.info("reconnected to the server", { attempts: attempt, service: this.serviceId });
      this.#tell({ type: "reconnected", attempts: attempt });
      return true;
    }
  }
}

/**
 * Connects to a Hypha server, registers the service, and keeps both up.
 *
 * @throws {WorkerError} `connection_failed` when the first connection or registration fails; later failures are
 * retried until {@linkcode WorkerConnection.close}.
 */
export async function connectWorker(options: ConnectOptions): Promise<WorkerConnection> {
  addSecret(options.token);
  const { signal, workspace, token, ...rest } = options;
  const settings: Settings = {
    connectTimeout: 60_000,
    checkInterval: 30_000,
    checkTimeout: 10_000,
    checkFailures: 2,
    backOff: 1000,
    maxBackOff: 10_000,
    connect: connectToServer,
    ...rest,
    clientId: options.clientId ?? defaultClientId(),
    workspace,
    token,
  };
  const guard = guardRejections(settings.log);
  try {
    const link = await openFirst(settings, signal);
    return new KeptConnection(link, settings, guard);
  } catch (error) {
    guard[Symbol.dispose]();
    throw error;
  }
}
