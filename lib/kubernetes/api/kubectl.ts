/**
 * A configuration that only `kubectl` can use, such as one with an exec plugin: `kubectl proxy` speaks with the API,
 * and listens on a socket in a folder that only this user can enter. It reads the kubeconfig itself: no token is in
 * its arguments, and none comes to this process.
 *
 * Should this process be killed the hard way, the program stays, as it has no way to notice; only the same user can
 * reach it, and only while the folder is there.
 */
import { join } from "@std/path";
import { settledWithin } from "../../delay.ts";
import { messageOf, WorkerError } from "../../errors.ts";
import { redact } from "../../log.ts";
import type { Configuration, Credentials } from "./credentials.ts";
import type { Kubeconfig } from "./kubeconfig.ts";

/** Milliseconds until it must listen; plugins may ask somebody far away. */
const START_MS = 60_000;

/** What is kept of its complaints. */
const MAX_SAID = 2_000;

/** Which kubeconfig, in its own terms. */
export interface KubectlOptions {
  /** Files as in `KUBECONFIG`. */
  readonly files: string;
  readonly context: string | undefined;
}

interface Running {
  readonly credentials: Credentials;
  readonly child: Deno.ChildProcess;
  readonly folder: string;
  over: boolean;
  /** Resolves when it has ended and is cleaned up after. */
  readonly done: Promise<void>;
}

/** Starts `kubectl proxy`, and starts it again when it has ended. */
export class KubectlConfiguration implements Configuration {
  readonly source: string;
  readonly namespace: string;
  readonly server: string;
  readonly #options: KubectlOptions;
  readonly #why: string;
  #running: Running | undefined;
  #starting: Promise<Running> | undefined;
  #disposed = false;

  private constructor(found: Kubeconfig, options: KubectlOptions) {
    this.source = `${found.source}, through kubectl`;
    this.namespace = found.namespace;
    this.server = found.settings.server;
    this.#options = options;
    this.#why = found.needsKubectl ?? "it";
  }

  /** Throws WorkerError `connection_failed` when `kubectl` is not there or does not start. */
  static async start(found: Kubeconfig, options: KubectlOptions): Promise<KubectlConfiguration> {
    const configuration = new KubectlConfiguration(found, options);
    await configuration.credentials();
    return configuration;
  }

  async credentials(): Promise<Credentials> {
    if (this.#running !== undefined && !this.#running.over) return this.#running.credentials;
    this.#starting ??= this.#start().finally(() => this.#starting = undefined);
    this.#running = await this.#starting;
    // It may have been closed while it started.
    if (this.#disposed) await this.#end(this.#running);
    return this.#running.credentials;
  }

  async #start(): Promise<Running> {
    await this.#running?.done;
    const folder = await Deno.makeTempDir({ prefix: "hypha-kubectl-" });
    let running: Running | undefined;
    try {
      await Deno.chmod(folder, 0o700);
      const path = join(folder, "socket");
      const child = this.#spawn(path);
      const said = { text: "" };
      const complaints = collect(child.stderr, said);
      const { promise: listening, resolve } = Promise.withResolvers<boolean>();
      const output = collect(child.stdout, { text: "" }, (text) => {
        if (text.includes("Starting to serve")) resolve(true);
      }).finally(() => resolve(false));
      const client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
      const ended = child.status.then(async () => {
        own.over = true;
        // What it has started may hold its outputs open.
        await settledWithin(Promise.allSettled([complaints, output]), 1000);
        client.close();
        await Deno.remove(folder, { recursive: true }).catch(() => {});
      });
      const own: Running = running = {
        child,
        folder,
        over: false,
        done: ended,
        credentials: {
          // The name is the one that kubectl listens to; nobody looks it up.
          server: "http://localhost",
          client,
          tls: {},
          socketPath: path,
          authorization: undefined,
        },
      };
      if (await settledWithin(listening, START_MS)) return own;
      await this.#end(own);
      throw new Error(redact(said.text.trim()) || "kubectl proxy does not listen");
    } catch (error) {
      if (running !== undefined) await this.#end(running);
      else await Deno.remove(folder, { recursive: true });
      throw error instanceof WorkerError ? error : new WorkerError(
        "connection_failed",
        `Cannot use ${this.source}: ${messageOf(error)}`,
        { suggestion: "Check that kubectl works with this kubeconfig." },
      );
    }
  }

  #spawn(path: string): Deno.ChildProcess {
    const { files, context } = this.#options;
    try {
      return new Deno.Command("kubectl", {
        args: [
          "proxy",
          `--unix-socket=${path}`,
          // Without it exec is refused.
          "--reject-paths=^$",
          ...(context === undefined ? [] : [`--context=${context}`]),
        ],
        env: { KUBECONFIG: files },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable)) {
        throw error;
      }
      throw new WorkerError(
        "connection_failed",
        `Cannot use ${this.source}: ${this.#why} needs kubectl, which is not there`,
        {
          suggestion:
            "Install kubectl and make it available in PATH, or use a kubeconfig with a token or a client certificate.",
        },
      );
    }
  }

  async #end(running: Running): Promise<void> {
    if (!running.over) {
      try {
        running.child.kill("SIGTERM");
      } catch {
        // It has just ended.
      }
      if (await settledWithin(running.done.then(() => true), 5_000) === undefined) {
        try {
          running.child.kill("SIGKILL");
        } catch {
          // It has just ended.
        }
      }
    }
    await running.done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const starting = await this.#starting?.catch(() => undefined);
    const running = starting ?? this.#running;
    if (running !== undefined) await this.#end(running);
  }
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  said: { text: string },
  tell: (text: string) => void = () => {},
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    said.text = (said.text + text).slice(-MAX_SAID);
    tell(said.text);
  }
}
