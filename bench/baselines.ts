/**
 * What the machine itself takes for the least that a figure needs: without these nobody can tell a slow kernel from a
 * slow minute of the machine. Measured in turns with the figures.
 */
import { join } from "@std/path";

/** Sends back what comes, as many bytes as a short cell takes both ways; nothing else. */
const ECHO = `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
while True:
    data = s.recv(65536)
    if not data: break
    s.sendall(data)
`;
/** Forks for each byte; the child makes the three connections of a session, and says that it is there. */
const FORK = `
import asyncio, gc, os, socket, sys
def connect(word):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendall(word)
    return s
control = connect(b"server")
gc.collect(); gc.freeze()
while control.recv(1):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        kept = [connect(b"session") for _ in range(3)]
        kept[0].recv(1)
        os._exit(0)
    os.waitpid(pid, 0)
`;
const ROUND_TRIP = 200;

/** A connection to a Python program that does nothing but one thing. */
abstract class Program implements AsyncDisposable {
  protected constructor(
    protected readonly listener: Deno.Listener,
    protected readonly conn: Deno.Conn,
    private readonly child: Deno.ChildProcess,
  ) {}

  protected static async connect(python: string, directory: string, text: string) {
    const path = join(directory, `${crypto.randomUUID().slice(0, 8)}.sock`);
    const listener = Deno.listen({ transport: "unix", path });
    const child = new Deno.Command(python, {
      args: ["-I", "-c", text, path],
      stdin: "null",
      stdout: "null",
    }).spawn();
    return [listener, await listener.accept(), child] as const;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.conn.close();
    this.listener.close();
    await this.child.status;
  }
}

/** Echoes of {@linkcode ROUND_TRIP} bytes by a bare Python program over a unix socket. */
export class Echo extends Program {
  readonly #bytes = new Uint8Array(ROUND_TRIP);
  readonly #buffer = new Uint8Array(65536);

  static async start(python: string, directory: string): Promise<Echo> {
    return new Echo(...await Program.connect(python, directory, ECHO));
  }

  /** Duration of one echo (milliseconds). */
  async call(): Promise<number> {
    const started = performance.now();
    await this.conn.write(this.#bytes);
    for (let got = 0; got < ROUND_TRIP;) got += await this.conn.read(this.#buffer) ?? ROUND_TRIP;
    return performance.now() - started;
  }
}

/** Forks of a Python that has imported `asyncio`, each with three connections. */
export class Fork extends Program {
  readonly #buffer = new Uint8Array(64);

  static async start(python: string, directory: string): Promise<Fork> {
    const started = new Fork(...await Program.connect(python, directory, FORK));
    await started.conn.read(started.#buffer);
    return started;
  }

  /** Duration from the request until the last of the three connections (milliseconds). */
  async call(): Promise<number> {
    const started = performance.now();
    await this.conn.write(new Uint8Array(1));
    const conns = [];
    for (let i = 0; i < 3; i++) {
      const conn = await this.listener.accept();
      await conn.read(this.#buffer);
      conns.push(conn);
    }
    const taken = performance.now() - started;
    for (const conn of conns) conn.close();
    return taken;
  }
}

/** Duration of a Python that runs a text and ends (milliseconds). */
export async function runText(python: string, text: string): Promise<number> {
  const started = performance.now();
  await new Deno.Command(python, { args: ["-I", "-c", text], stdin: "null" }).output();
  return performance.now() - started;
}
