/** A TCP proxy on loopback that does to connections what networks do: cuts, holds back, half-closes, refuses. */

/** What the proxy does with bytes. */
export type ProxyMode =
  /** Passes them on. */
  | "pass"
  /** Takes them and passes nothing on, as a firewall that forgot a connection. */
  | "hold"
  /** Refuses new connections at once. */
  | "refuse";

/** A running proxy in front of one address. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #target: { hostname: string; port: number };
  readonly #open = new Set<Deno.TcpConn>();
  readonly #tasks = new Set<Promise<void>>();
  #mode: ProxyMode = "pass";
  #resume = Promise.withResolvers<void>();
  #closed = false;
  /** Time each piece waits before it is passed on (milliseconds). */
  delay = 0;
  /** Connections accepted so far. */
  accepted = 0;

  /** A proxy in front of a server's address, such as `http://127.0.0.1:9000`. */
  constructor(target: string) {
    const { hostname, port } = new URL(target);
    this.#target = { hostname, port: Number(port) };
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#run(this.#accept());
  }

  /** Address clients use. */
  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  get mode(): ProxyMode {
    return this.#mode;
  }

  set mode(mode: ProxyMode) {
    this.#mode = mode;
    this.#resume.resolve();
    this.#resume = Promise.withResolvers();
  }

  /** Closes all connections, both ways. */
  cut(): void {
    for (const conn of this.#open) shut(conn);
    this.#open.clear();
  }

  /** Ends the server's half of all connections: it can still be written to. */
  async halfClose(): Promise<void> {
    await Promise.all([...this.#open].map((conn) => conn.closeWrite().catch(() => {})));
  }

  async #accept(): Promise<void> {
    for (;;) {
      let client: Deno.TcpConn;
      try {
        client = await this.#listener.accept();
      } catch {
        return;
      }
      this.accepted++;
      if (this.#mode === "refuse") shut(client);
      else this.#run(this.#serve(client));
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    this.#open.add(client);
    const server = await Deno.connect(this.#target).catch(() => undefined);
    if (server === undefined) return shut(client);
    this.#open.add(server);
    await Promise.all([this.#pump(client, server), this.#pump(server, client)]);
    for (const conn of [client, server]) {
      this.#open.delete(conn);
      shut(conn);
    }
  }

  async #pump(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
        while (this.#mode === "hold" && !this.#closed) await this.#resume.promise;
        if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
        for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
      }
    } catch {
      // Cut, by one side or by the proxy.
    }
    await to.closeWrite().catch(() => {});
  }

  #run(task: Promise<void>): void {
    const running = task.finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.mode = "pass";
    this.#listener.close();
    this.cut();
    await Promise.all(this.#tasks);
  }
}

function shut(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
