/**
 * A WebSocket client (RFC 6455) for the API's `exec`, over a connection of our own.
 *
 * The runtime's own class cannot say why the API refuses (status and reason are lost), buffers without limit what
 * nobody reads, sends no pings, and waits forever for a peer that is silent. Here nothing is read before it is
 * asked for, and a peer that answers no ping is given up.
 */
import { concat } from "@std/bytes";
import { ConnectFailed, type Outcome } from "./attempts.ts";
import type { Credentials } from "./credentials.ts";
import { ByteReader } from "./byte_reader.ts";

/** Milliseconds between pings. */
const PING_MS = 15_000;

/** How many pings may stay without any answer. */
const MISSED_PINGS = 3;

/** Longest message; the API sends 32 KiB at once. */
const MAX_MESSAGE = 32 * 2 ** 20;

/** Longest head of the answer, and longest body that is read of a refusal. */
const MAX_HEAD = 64 * 2 ** 10;

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An open WebSocket. Disposing closes it at once. */
export class WebSocketConnection implements Disposable {
  /** What was agreed on, of those offered. */
  readonly protocol: string;
  /** Resolves when the connection is closed. Never rejects. */
  readonly ended: Promise<void>;
  readonly #connection: Deno.Conn;
  readonly #reader: ByteReader;
  readonly #end: () => void;
  readonly #pings: ReturnType<typeof setInterval>;
  readonly #patience: number;
  #writing: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** After the handshake. */
  constructor(connection: Deno.Conn, reader: ByteReader, protocol: string, pingEvery = PING_MS) {
    this.#connection = connection;
    this.#reader = reader;
    this.protocol = protocol;
    this.#patience = pingEvery * MISSED_PINGS;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
    this.#pings = setInterval(() => {
      // A connection that cannot be written to cannot be read from either; the reader finds out.
      this.#write(PING, new Uint8Array()).catch(() => {});
    }, pingEvery);
  }

  /**
   * The next message; `undefined` when the peer has closed the WebSocket, or this side has.
   *
   * @throws an error when the connection breaks, when the peer is silent, or when it does not speak the protocol
   */
  async receive(): Promise<Uint8Array | undefined> {
    try {
      const parts: Uint8Array[] = [];
      let length = 0;
      for (;;) {
        const frame = await this.#frame(MAX_MESSAGE - length);
        if (frame.kind === PING) await this.#write(PONG, frame.data);
        else if (frame.kind === CLOSE) {
          await this.#write(CLOSE, frame.data.subarray(0, 2)).catch(() => {});
          this[Symbol.dispose]();
          return undefined;
        } else if ([CONTINUATION, TEXT, BINARY].includes(frame.kind)) {
          parts.push(frame.data);
          length += frame.data.length;
          if (frame.last) return parts.length === 1 ? frame.data : concat(parts);
        }
      }
    } catch (error) {
      const disposed = this.#closed;
      this[Symbol.dispose]();
      if (disposed) return undefined;
      throw error;
    }
  }

  /** Sends a message. Resolves when the network has taken it. */
  async send(data: Uint8Array): Promise<void> {
    await this.#write(BINARY, data);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pings);
    this.#connection.close();
    this.#end();
  }

  async #frame(limit: number): Promise<{ kind: number; last: boolean; data: Uint8Array }> {
    const [first, second] = await this.#take(2) as unknown as [number, number];
    let length = second & 0x7f;
    if (length >= 126) {
      const bytes = await this.#take(length === 126 ? 2 : 8);
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      length = bytes.length === 2 ? view.getUint16(0) : Number(view.getBigUint64(0));
    }
    if (second & 0x80 || first & 0x70) throw new Error("the peer does not speak WebSocket");
    if (length > limit) throw new Error(`the peer sends a message of ${length} bytes`);
    return { kind: first & 0x0f, last: (first & 0x80) !== 0, data: await this.#take(length) };
  }

  async #take(count: number): Promise<Uint8Array> {
    return await this.#reader.take(count, this.#patience);
  }

  #write(kind: number, data: Uint8Array): Promise<void> {
    const bytes = frameOf(kind, data);
    // Frames must not be mixed; one that fails fails the next ones too, as the connection is gone.
    const writing = this.#writing.then(() => writeAll(this.#connection, bytes));
    this.#writing = writing;
    writing.catch(() => {});
    return writing;
  }
}

/** Opens a WebSocket. */
export async function openSocket(
  credentials: Credentials,
  path: string,
  protocols: readonly string[],
  signal: AbortSignal,
  pingEvery?: number,
): Promise<Outcome<WebSocketConnection>> {
  const address = new URL(credentials.server + path);
  const connection = await dial(credentials, address, signal);
  const reader = new ByteReader(connection);
  let kept = false;
  const stop = () => closeQuietly(connection);
  signal.addEventListener("abort", stop);
  try {
    signal.throwIfAborted();
    const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
    const { authorization } = credentials;
    const lines = [
      `GET ${address.pathname}${address.search} HTTP/1.1`,
      `Host: ${address.host}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${key}`,
      `Sec-WebSocket-Protocol: ${protocols.join(", ")}`,
      "User-Agent: hypha-conda-worker",
      ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
    ];
    await writeAll(connection, encoder.encode(`${lines.join("\r\n")}\r\n\r\n`));
    const head = decoder.decode(await reader.until("\r\n\r\n", MAX_HEAD));
    const [statusLine = "", ...fields] = head.split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1]);
    const headers = new Map(fields.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
    }));
    if (status !== 101) {
      if (!(status >= 200)) throw new Error("the answer is not HTTP");
      const body = decoder.decode(await refusal(reader, headers));
      // An answer that is neither an error nor a WebSocket is one of something in between.
      return {
        status: status < 400 ? 502 : status,
        retryAfter: headers.get("retry-after") ?? null,
        body,
      };
    }
    const protocol = headers.get("sec-websocket-protocol") ?? "";
    if (headers.get("sec-websocket-accept") !== await acceptOf(key)) {
      throw new Error("the peer does not speak WebSocket");
    }
    if (!protocols.includes(protocol)) {
      throw new Error(`the peer speaks none of ${protocols.join(", ")}`);
    }
    kept = true;
    return { value: new WebSocketConnection(connection, reader, protocol, pingEvery) };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", stop);
    if (!kept) closeQuietly(connection);
  }
}

async function dial(
  credentials: Credentials,
  address: URL,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  const hostname = address.hostname.replace(/^\[|\]$/g, "");
  const secure = address.protocol === "https:";
  const port = Number(address.port) || (secure ? 443 : 80);
  const dialing = credentials.socketPath !== undefined
    ? Deno.connect({ transport: "unix", path: credentials.socketPath })
    : secure
    ? dialTls(hostname, port, credentials)
    : Deno.connect({ hostname, port });
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    return await Promise.race([dialing, stopped]);
  } catch (error) {
    dialing.then(closeQuietly, () => {});
    if (signal.aborted) throw signal.reason;
    throw new ConnectFailed(error instanceof Error ? error.message : String(error));
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function dialTls(
  hostname: string,
  port: number,
  credentials: Credentials,
): Promise<Deno.TlsConn> {
  const { caCerts, cert, key } = credentials.tls;
  const options = {
    hostname,
    alpnProtocols: ["http/1.1"],
    ...(caCerts === undefined ? {} : { caCerts }),
  };
  let connection: Deno.TlsConn;
  if (cert !== undefined && key !== undefined) {
    connection = await Deno.connectTls({ ...options, port, cert, key });
  } else {
    // The other way knows no certificates of ours, but spares 40 ms for every small message.
    const plain = await Deno.connect({ hostname, port });
    plain.setNoDelay(true);
    connection = await Deno.startTls(plain, options);
  }
  try {
    // Otherwise a certificate that is not trusted would only be met in the midst of the request.
    await connection.handshake();
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was closed already.
  }
}

/** The body of an answer that refuses, as far as it is of interest. */
async function refusal(reader: ByteReader, headers: Map<string, string>): Promise<Uint8Array> {
  const length = Number(headers.get("content-length") ?? NaN);
  if (length >= 0) return await reader.take(Math.min(length, MAX_HEAD));
  if (headers.get("transfer-encoding")?.toLowerCase() !== "chunked") {
    return await reader.rest(MAX_HEAD);
  }
  const parts: Uint8Array[] = [];
  let total = 0;
  while (total < MAX_HEAD) {
    const size = parseInt(decoder.decode(await reader.until("\r\n", 1024)), 16);
    if (!(size > 0)) break;
    const part = await reader.take(Math.min(size, MAX_HEAD));
    parts.push(part);
    total += part.length;
    if (part.length === size) await reader.take(2);
    else break;
  }
  return concat(parts);
}

async function acceptOf(key: string): Promise<string> {
  const text = encoder.encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-1", text))));
}

/** A whole message in one frame, masked as a client must. */
function frameOf(kind: number, data: Uint8Array): Uint8Array {
  const extra = data.length < 126 ? 0 : data.length < 65_536 ? 2 : 8;
  const bytes = new Uint8Array(2 + extra + 4 + data.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x80 | kind;
  bytes[1] = 0x80 | (extra === 0 ? data.length : extra === 2 ? 126 : 127);
  if (extra === 2) view.setUint16(2, data.length);
  if (extra === 8) view.setBigUint64(2, BigInt(data.length));
  const mask = crypto.getRandomValues(bytes.subarray(2 + extra, 6 + extra));
  const start = 6 + extra;
  for (let i = 0; i < data.length; i++) bytes[start + i] = data[i]! ^ mask[i & 3]!;
  return bytes;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
