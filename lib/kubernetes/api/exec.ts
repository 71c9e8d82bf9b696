/** Commands in running containers. */
import type { KubernetesClient } from "./client.ts";
import { ExecChannels } from "./exec_channels.ts";
import { pods } from "./resource_path.ts";

/** Options of {@linkcode exec}. */
export interface ExecOptions {
  /** Needed when the pod has several. */
  readonly container?: string;
  /** The program and its arguments; no shell. */
  readonly command: readonly string[];
  /** What the command reads. An API older than 1.30 cannot tell it that this is the end. @default nothing */
  readonly stdin?: ReadableStream<Uint8Array> | Uint8Array | string;
  /** Closes the connection; whether the command ends by that is up to it. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the command must have begun. @default 30000 */
  readonly startTimeout?: number;
}

/** How a command ended. */
export interface ExecStatus {
  /** What the command gave back; `undefined` when it could not be run. */
  readonly exitCode: number | undefined;
  /** Why it could not be run, in the container runtime's words. */
  readonly message?: string;
}

/** A command in a container. */
export interface Execution extends Disposable {
  /** What it writes; bytes that need not be UTF-8. Both streams must be read or cancelled. */
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /**
   * Resolves when the command is over; output may then still wait to be read. Rejects with KubernetesError when it
   * cannot begin (`NotFound`, `Forbidden`, `BadRequest`, …) or the connection breaks (`Unreachable`), and with the
   * signal's reason; the streams fail then too.
   */
  readonly status: Promise<ExecStatus>;
}

/**
 * Runs a command in a container of a running pod. A command that is not there gives a status without an exit code
 * or with 126 or 127, as the container runtime has it. Disposing closes the connection.
 *
 * A reader who is slow slows the command down. As the API sends all streams over one connection, one that is
 * not read at all stops the other too.
 */
export function exec(
  client: KubernetesClient,
  namespace: string,
  pod: string,
  options: ExecOptions,
): Execution {
  const { container, command, stdin, signal, startTimeout = 30_000 } = options;
  const stop = new AbortController();
  const opening = client.connect({ ...pods(namespace, pod), subresource: "exec" }, {
    query: { command, container, stdin: stdin !== undefined, stdout: true, stderr: true },
    protocols: ["v5.channel.k8s.io", "v4.channel.k8s.io"],
    signal: stop.signal,
    timeout: startTimeout,
  });
  return new ExecChannels(opening, stdin, signal, stop);
}
