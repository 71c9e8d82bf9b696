/**
 * A WebSocket class for exactly one socket.
 *
 * The RPC client reopens its socket by itself, and gives up silently when the server refuses (Hypha contract). Here
 * a connection lives as long as its one socket: when that closes, the client is told so for good, and the watchdog
 * makes a whole new connection. That also keeps the client from its fallback that sends the token within the address.
 */

/** One socket and its end. */
export interface SocketGate {
  /** The class to give to the RPC client. */
  readonly WebSocket: typeof WebSocket;
  /** Resolves with the reason when the socket has closed. */
  readonly closed: Promise<string>;
  /** What went wrong while it opened, if anything is known: the server's own words before those of the network. */
  readonly failure: string | undefined;
  /** Closes the socket and refuses another. Does not wait: a silent peer would make that endless. */
  close(): void;
}

/** Makes a gate for one connection. */
export function createSocketGate(): SocketGate {
  let socket: WebSocket | undefined;
  let refused = false;
  let failure: string | undefined;
  let refusal: string | undefined;
  const { promise: closed, resolve } = Promise.withResolvers<string>();

  class OneSocket extends WebSocket {
    constructor(url: string | URL) {
      // This prefix makes the client stop trying.
      if (refused || socket !== undefined) {
        throw new Error("ConnectionAbortedError: the connection is replaced");
      }
      super(url);
      socket = this;
      // The client hears it too, but may be asked for its reason when the socket's end is known already.
      this.addEventListener("message", ({ data }) => refusal = refusalIn(data), { once: true });
      this.addEventListener("error", (event) => {
        const { message } = event as ErrorEvent;
        if (message) failure = message;
      });
      this.addEventListener("close", (event) => {
        refused = true;
        const reason = event.reason === "" ? failure ?? "no reason given" : event.reason;
        resolve(`closed with code ${event.code}: ${reason}`);
      });
    }
  }

  return {
    WebSocket: OneSocket,
    closed,
    get failure() {
      return refusal ?? failure;
    },
    close() {
      refused = true;
      resolve("closed by the worker");
      if (socket !== undefined && socket.readyState < WebSocket.CLOSING) {
        try {
          socket.close(1000);
        } catch {
          // It was closing already.
        }
      }
    },
  };
}

/** Why a server that refuses a connection does so; `undefined` when it does not. */
function refusalIn(message: unknown): string | undefined {
  if (typeof message !== "string" || !message.includes('"error"')) return undefined;
  try {
    const { type, message: reason } = JSON.parse(message) as Record<string, unknown>;
    return type === "error" && typeof reason === "string" ? reason : undefined;
  } catch {
    return undefined;
  }
}
