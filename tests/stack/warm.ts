/**
 * Python programs that start as forks of a process that has imported what they need (`warm.py`): tests start hundreds
 * of Hypha servers and clients, and importing is most of what a start costs.
 *
 * `scripts/test.sh` starts those processes and names the directory of their sockets in `HYPHA_TEST_WARM`. Without it
 * programs start as usual.
 */
import { join } from "@std/path";

/** Which process is forked: one with Hypha's server and client, or one with the S3 service. */
export type WarmKind = "hypha" | "moto";

/** What is to be run, and where its output goes. */
export interface WarmRequest {
  /** Runs as `python -m`. */
  module?: string;
  /** Runs as `python -c`. */
  code?: string;
  args?: string[];
  /** All variables it gets. */
  env: Record<string, string>;
  cwd?: string;
  /** A text for its standard input. */
  stdin?: string;
  /** Files to which its output is appended. */
  stdout: string;
  stderr: string;
}

/** A running program. */
export class WarmProgram {
  readonly #connection: Deno.UnixConn;
  /** Resolves with its exit code when it has ended; negative for a signal. */
  readonly ended: Promise<number>;
  #stopped = false;

  private constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
    this.ended = this.#read();
  }

  /** Starts one; `undefined` where there is no process to fork. */
  static async start(kind: WarmKind, request: WarmRequest): Promise<WarmProgram | undefined> {
    const directory = Deno.env.get("HYPHA_TEST_WARM") ?? "";
    if (directory === "") return undefined;
    const path = join(directory, `${kind}.sock`);
    const connection = await Deno.connect({ transport: "unix", path });
    const line = new TextEncoder().encode(JSON.stringify(request) + "\n");
    for (let written = 0; written < line.length;) {
      written += await connection.write(line.subarray(written));
    }
    return new WarmProgram(connection);
  }

  async #read(): Promise<number> {
    let text = "";
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(256);
    try {
      for (let read; (read = await this.#connection.read(buffer)) !== null;) {
        text += decoder.decode(buffer.subarray(0, read));
      }
    } finally {
      this.#connection.close();
    }
    if (text === "") throw new Error("the process that starts programs has ended");
    return JSON.parse(text).code as number;
  }

  /** Kills it with its process group; resolves when it is gone. */
  async stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      // Half of it: what became of the program is still to come.
      await this.#connection.closeWrite().catch(() => {});
    }
    await this.ended.catch(() => {});
  }
}
