/** A configuration that stands in files, which others may write anew at any time. */
import { messageOf, WorkerError } from "../../errors.ts";
import { addSecret } from "../../log.ts";
import type { Configuration, Credentials, TlsKeys } from "./credentials.ts";

/** What files say. */
export interface Settings {
  /** Address of the API. */
  readonly server: string;
  readonly tls: TlsKeys;
  readonly token?: string;
  /** Name and password, in the days of old. */
  readonly login?: { readonly username: string; readonly password: string };
}

/** How long files are believed, in milliseconds. A pod's token is written anew some minutes before it ends. */
const FRESH_MS = 60_000;

/** Options for connections, the same for all. */
const CONNECTIONS = {
  // Over HTTP/2 all calls share one connection, and when that is cut without a word, tries after it fail as well.
  http2: false,
  poolIdleTimeout: 30_000,
  poolMaxIdlePerHost: 2,
};

/** Reads files again when they may have changed. */
export class FileConfiguration implements Configuration {
  readonly source: string;
  readonly namespace: string;
  readonly #read: () => Promise<Settings>;
  readonly #clients: Deno.HttpClient[] = [];
  #current: Credentials | undefined;
  #readAt = 0;
  #reading: Promise<Credentials> | undefined;

  private constructor(source: string, namespace: string, read: () => Promise<Settings>) {
    this.source = source;
    this.namespace = namespace;
    this.#read = read;
  }

  /** Reads the files for the first time. Throws WorkerError `connection_failed` when they cannot be used. */
  static async open(
    source: string,
    namespace: string,
    read: () => Promise<Settings>,
  ): Promise<FileConfiguration> {
    const configuration = new FileConfiguration(source, namespace, read);
    await configuration.credentials();
    return configuration;
  }

  get server(): string {
    return this.#current?.server ?? "";
  }

  async credentials(options: { renew?: boolean } = {}): Promise<Credentials> {
    const fresh = performance.now() - this.#readAt < FRESH_MS;
    if (this.#current !== undefined && fresh && !options.renew) return this.#current;
    this.#reading ??= this.#renew().finally(() => this.#reading = undefined);
    try {
      return await this.#reading;
    } catch (error) {
      // Files that are being replaced may be gone for a moment; what they said may still be good.
      if (this.#current !== undefined) return this.#current;
      throw error instanceof WorkerError
        ? error
        : new WorkerError("connection_failed", `Cannot use ${this.source}: ${messageOf(error)}`, {
          suggestion: "Check that the files it names can be read, and hold what they should.",
        });
    }
  }

  async #renew(): Promise<Credentials> {
    const { server, tls, token, login } = await this.#read();
    const authorization = authorizationOf(token, login);
    const before = this.#current;
    this.#current = {
      server,
      tls,
      client: before !== undefined && JSON.stringify(before.tls) === JSON.stringify(tls)
        ? before.client
        : this.#connections(tls),
      authorization,
    };
    this.#readAt = performance.now();
    return this.#current;
  }

  #connections(tls: TlsKeys): Deno.HttpClient {
    const { caCerts, cert, key } = tls;
    const client = Deno.createHttpClient({
      ...CONNECTIONS,
      ...(caCerts === undefined ? {} : { caCerts }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    });
    // Those before it may still have streams.
    this.#clients.push(client);
    return client;
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    return Promise.resolve();
  }
}

function authorizationOf(
  token: string | undefined,
  login: Settings["login"],
): string | undefined {
  if (token !== undefined) {
    // The runtime's own complaint would show it.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new Error("its token has characters that tokens have not");
    }
    addSecret(token);
    return `Bearer ${token}`;
  }
  if (login === undefined) return undefined;
  addSecret(login.password);
  const bytes = new TextEncoder().encode(`${login.username}:${login.password}`);
  const encoded = btoa(String.fromCharCode(...bytes));
  addSecret(encoded);
  return `Basic ${encoded}`;
}
