/**
 * The unix socket on which Python processes report: every connection starts with a frame `{token, role}`, and is
 * handed to whoever expects that token.
 */
import { join } from "@std/path";
import { delay } from "../delay.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log.ts";
import { FrameDecoder, type Header } from "./frames.ts";

/** An accepted connection and the bytes that came right behind its first frame. */
export interface Connection {
  readonly conn: Deno.Conn;
  readonly rest: Uint8Array;
}

/** Longest time between connecting and saying who one is (milliseconds). */
const HELLO_TIMEOUT = 10_000;
/**
 * Connections that may be silent at once. Whoever may run code may connect, so there has to be a bound; Python says
 * at once who it is, so the oldest silent one is the one to close.
 */
const MAX_SILENT = 512;
/** Longest first frame (bytes): it names a token and a role. */
const MAX_HELLO = 4096;

/** Shortest time between two lines of the log about refused connections (milliseconds). */
const REFUSAL_INTERVAL = 10_000;

/** Whether the path of a socket in a directory is short enough: the system allows 107 bytes. */
export function socketFits(directory: string): boolean {
  return new TextEncoder().encode(join(directory, "00000000.sock")).length <= 100;
}

/** Accepts connections and routes them by token and role. */
export class Switchboard implements AsyncDisposable {
  /** Path of the socket. */
  readonly path: string;
  readonly #listener: Deno.Listener;
  readonly #log: Logger;
  readonly #expected = new Map<string, (connection: Connection) => void>();
  readonly #greeting = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;
  #closed = false;
  /** Connections refused since the last line about them. */
  #refusals = 0;
  #refusalLogged = 0;

  private constructor(path: string, listener: Deno.Listener, log: Logger) {
    this.path = path;
    this.#listener = listener;
    this.#log = log;
    this.#accepting = this.#accept();
  }

  /** Opens a socket in a directory that only this user may enter. */
  static async open(directory: string, log: Logger): Promise<Switchboard> {
    const path = join(directory, `${crypto.randomUUID().slice(0, 8)}.sock`);
    if (!socketFits(directory)) {
      throw new RangeError(`Cannot open socket: the path is longer than 100 bytes: ${path}`);
    }
    const listener = Deno.listen({ transport: "unix", path });
    await Deno.chmod(path, 0o600);
    return new Switchboard(path, listener, log);
  }

  /** Expects one connection. Rejects when the signal fires first. */
  expect(token: string, role: string, signal: AbortSignal): Promise<Connection> {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const key = `${token}/${role}`;
    const stop = () => {
      this.#expected.delete(key);
      reject(signal.reason);
    };
    if (signal.aborted) {
      reject(signal.reason);
      return promise;
    }
    signal.addEventListener("abort", stop, { once: true });
    this.#expected.set(key, (connection) => {
      signal.removeEventListener("abort", stop);
      this.#expected.delete(key);
      resolve(connection);
    });
    return promise;
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (this.#closed) return;
        this.#log.error("Cannot accept a connection from Python", { reason: messageOf(error) });
        await delay(100);
        continue;
      }
      for (const oldest of this.#greeting) {
        if (this.#greeting.size < MAX_SILENT) break;
        this.#greeting.delete(oldest);
        close(oldest);
      }
      this.#greeting.add(conn);
      this.#greet(conn).catch((error) => {
        if (!this.#closed) this.#refused(messageOf(error));
        close(conn);
      }).finally(() => this.#greeting.delete(conn));
    }
  }

  /** Whoever may run code may connect without end, and must not fill the log. */
  #refused(reason: string): void {
    this.#refusals++;
    const now = Date.now();
    if (now - this.#refusalLogged < REFUSAL_INTERVAL) return;
    this.#log.warning("Refused connections on the kernel socket", {
      reason,
      connections: this.#refusals,
    });
    this.#refusals = 0;
    this.#refusalLogged = now;
  }

  async #greet(conn: Deno.Conn): Promise<void> {
    const timer = setTimeout(() => close(conn), HELLO_TIMEOUT);
    try {
      const decoder = new FrameDecoder();
      const header = await firstFrame(conn, decoder, { limit: MAX_HELLO });
      const taker = this.#expected.get(`${header.token}/${header.role}`);
      if (taker === undefined) throw new Error("nobody expects it");
      taker({ conn, rest: decoder.rest() });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes the socket; connections handed out stay open. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    for (const conn of this.#greeting) close(conn);
    await this.#accepting;
    await Deno.remove(this.path).catch(() => {});
  }
}

/** Closes a connection that may be closed already. */
export function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (
      !(error instanceof Deno.errors.BadResource) && !(error instanceof Deno.errors.Interrupted)
    ) {
      throw error;
    }
  }
}

/** What a process that has ended left unread on a connection; its end is what matters. */
export async function remainingText({ conn, rest }: Connection): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = decoder.decode(rest, { stream: true });
  try {
    for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
      text = (text + decoder.decode(buffer.subarray(0, count), { stream: true })).slice(-4000);
    }
  } catch {
    // Broken by the end of the process: what has arrived is all there is.
  }
  return text.trimEnd();
}

/** Options of {@linkcode firstFrame}. */
export interface FirstFrameOptions {
  /** Closes the connection. */
  signal?: AbortSignal;
  /** Bytes that may arrive before the frame is complete. @default no limit but that of frames */
  limit?: number;
}

/** Waits for the first frame on a connection; closes it when the signal fires. */
export async function firstFrame(
  conn: Deno.Conn,
  decoder: FrameDecoder,
  { signal, limit = Infinity }: FirstFrameOptions = {},
): Promise<Header> {
  const stop = () => close(conn);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const buffer = new Uint8Array(4096);
    let received = 0;
    for (;;) {
      const frame = decoder.next();
      if (frame !== undefined) return frame.header;
      if (received > limit) throw new Error("its first frame is too long");
      const count = await conn.read(buffer).catch((error) => {
        throw signal?.aborted ? signal.reason : error;
      });
      if (count === null) throw new Error("it closed the connection");
      decoder.push(buffer.subarray(0, count));
      received += count;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
