/** A command that somebody runs through the fake API server; the test says what it does. */
import type { Status } from "../../lib/kubernetes/api/types.ts";

const encoder = new TextEncoder();

/** One `exec`. */
export class FakeExec {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string | null;
  readonly command: string[];
  /** What was agreed on. */
  readonly protocol: string;
  /** What the caller sends; ends only when the caller can say so. */
  readonly stdin: ReadableStream<Uint8Array>;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;

  /** On a socket that opens. */
  constructor(socket: WebSocket, namespace: string, pod: string, url: URL, protocol: string) {
    this.#socket = socket;
    this.namespace = namespace;
    this.pod = pod;
    this.container = url.searchParams.get("container");
    this.command = url.searchParams.getAll("command");
    this.protocol = protocol;
    socket.binaryType = "arraybuffer";
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.stdin = new ReadableStream({
      start(controller) {
        let over = false;
        const end = () => {
          if (!over) controller.close();
          over = true;
        };
        socket.addEventListener("message", ({ data }) => {
          const bytes = new Uint8Array(data as ArrayBuffer);
          if (bytes[0] === 0 && !over) controller.enqueue(bytes.subarray(1));
          if (bytes[0] === 255 && bytes[1] === 0) end();
        });
        socket.addEventListener("close", () => {
          end();
          resolve();
        });
      },
    });
  }

  stdout(content: string | Uint8Array): void {
    this.channel(1, content);
  }

  stderr(content: string | Uint8Array): void {
    this.channel(2, content);
  }

  /** Ends the command. */
  exit(code: number): void {
    this.end(
      code === 0 ? { metadata: {}, status: "Success" } : {
        metadata: {},
        status: "Failure",
        message: `command terminated with exit code ${code}: Error`,
        reason: "NonZeroExitCode",
        details: { causes: [{ reason: "ExitCode", message: String(code) }] },
      },
    );
  }

  /** Tells how the command ended, and closes. */
  end(status: Status): void {
    this.channel(3, JSON.stringify(status));
    this.#socket.close(1000);
  }

  /** Sends a message on a channel. */
  channel(number: number, content: string | Uint8Array): void {
    const bytes = typeof content === "string" ? encoder.encode(content) : content;
    const message = new Uint8Array(1 + bytes.length);
    message[0] = number;
    message.set(bytes, 1);
    this.#socket.send(message);
  }

  /** Closes without a word of how the command ended. */
  close(): void {
    this.#socket.close(1001);
  }
}
