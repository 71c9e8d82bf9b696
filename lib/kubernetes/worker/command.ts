/**
 * Commands in a session's container.
 *
 * Kubernetes cannot end a command that it has begun: closing the connection leaves it running. So a script is told to
 * a shell that first says its process id, and when its time is up a second command ends that process and its group.
 */
import { messageOf, WorkerError } from "../../errors.ts";
import type { KubernetesClient } from "../api/client.ts";
import { hasReason } from "../api/errors.ts";
import { exec, type ExecStatus, type Execution } from "../api/exec.ts";
import { settledWithin } from "../../delay.ts";
import { clusterError } from "./cluster_errors.ts";

/** One piece of output, in the shape of the Hypha contract. */
export interface StreamOutput {
  readonly type: "stream";
  readonly name: "stdout" | "stderr";
  text: string;
}

/** Where a command runs, and how. */
export interface CommandOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** A script for `/bin/sh`, or a program with its arguments. */
  readonly command: string | readonly string[];
  /** Milliseconds; without a limit when `undefined`. */
  readonly timeout: number | undefined;
  /** Receives output as it comes; the command is slowed down while a promise waits. */
  readonly onOutput?: ((output: StreamOutput) => void | Promise<void>) | undefined;
  /** Ends the command. */
  readonly signal: AbortSignal;
  /** Characters of output that the result keeps. @default 1 million */
  readonly maxOutput?: number;
}

/** How a command ended. */
export interface CommandResult {
  readonly status: "ok" | "error";
  readonly outputs: StreamOutput[];
  readonly error: { ename: string; evalue: string; traceback: string[] } | null;
  readonly stdout: string;
  readonly stderr: string;
  /** `null` when it was ended, or could not be started. */
  readonly exit_code: number | null;
  /** Whether there was more output than the result has. */
  readonly truncated: boolean;
  /** Seconds. */
  readonly duration: number;
}

const MAX_OUTPUT = 1_000_000;
/** How long a command may take to end after it was told to (milliseconds). */
const END_TIME = 2000;

/** What a command has written, as far as the result keeps it. */
class Collected {
  readonly outputs: StreamOutput[] = [];
  truncated = false;
  #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  add(name: StreamOutput["name"], text: string): void {
    const kept = text.slice(0, this.#room);
    if (kept.length < text.length) this.truncated = true;
    this.#room -= kept.length;
    if (kept === "") return;
    const last = this.outputs.at(-1);
    if (last?.name === name) last.text += kept;
    else this.outputs.push({ type: "stream", name, text: kept });
  }

  text(name: StreamOutput["name"]): string {
    return this.outputs.map((one) => one.name === name ? one.text : "").join("");
  }
}

/** Takes the line with the process id out of the beginning of the standard errors. */
class ProcessId {
  readonly mark = `pid-${crypto.randomUUID()}`;
  /** Empty until it is known, and where there is none. */
  value = "";
  #beginning: string | undefined = "";

  /** What of a text is the command's own. */
  take(text: string): string {
    if (this.#beginning === undefined) return text;
    const all = this.#beginning + text;
    const end = all.indexOf("\n");
    const begun = all.slice(0, this.mark.length) === this.mark.slice(0, all.length);
    if (end < 0 && begun) {
      this.#beginning = all;
      return "";
    }
    this.#beginning = undefined;
    if (!begun) return all;
    this.value = /^ (\d+)$/.exec(all.slice(this.mark.length, end))?.[1] ?? "";
    return all.slice(end + 1);
  }

  /** What was held back of a command that has ended. */
  rest(): string {
    const held = this.#beginning ?? "";
    this.#beginning = undefined;
    return held.startsWith(this.mark) ? "" : held;
  }
}

const SCRIPT = 'echo "$0 $$" >&2; exec /bin/sh -c "$1"';
/**
 * First asks, then forces. A command has a group of its own, if the container runtime gives it one. There is no `--`
 * before the group: some shells take it for a process.
 */
const END_SCRIPT =
  'kill -TERM "-$0" 2>/dev/null && t="-$0" || { t="$0"; kill -TERM "$0" 2>/dev/null; }; ' +
  'for i in 1 2 3 4 5; do kill -0 "$t" 2>/dev/null || exit 0; sleep 0.2 2>/dev/null || sleep 1; done; ' +
  'kill -KILL "$t" 2>/dev/null';

/**
 * Runs a command. What it does wrong itself is a result.
 *
 * @throws WorkerError `session_not_ready`, `session_dead` or `kubernetes_…` when it could not be run
 */
export async function runCommand(options: CommandOptions): Promise<CommandResult> {
  const { client, namespace, pod, container, command, timeout, signal } = options;
  const started = performance.now();
  const collected = new Collected(options.maxOutput ?? MAX_OUTPUT);
  const script = typeof command === "string";
  const id = new ProcessId();
  const stop = new AbortController();
  let ended: "timeout" | "gone" | undefined;
  using running = exec(client, namespace, pod, {
    container,
    command: script ? ["/bin/sh", "-c", SCRIPT, id.mark, command] : command,
    signal: stop.signal,
  });
  const end = (why: "timeout" | "gone") => {
    ended ??= why;
    stop.abort(new Error(why));
  };
  const timer = timeout === undefined ? undefined : setTimeout(() => end("timeout"), timeout);
  const onAbort = () => end("gone");
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const note = async (name: StreamOutput["name"], text: string) => {
    if (text === "") return;
    collected.add(name, text);
    await options.onOutput?.({ type: "stream", name, text });
  };
  let status: ExecStatus;
  try {
    const results = await Promise.allSettled([
      running.status,
      pump(running.stdout, (text) => note("stdout", text)),
      pump(running.stderr, (text) => note("stderr", script ? id.take(text) : text)),
    ]);
    await note("stderr", id.rest());
    const failed = results.find((one) => one.status === "rejected");
    if (failed !== undefined && ended === undefined) throw execError(failed.reason, pod);
    status = results[0].status === "fulfilled" ? results[0].value : { exitCode: undefined };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    if (ended !== undefined && id.value !== "") await endProcess(options, id.value);
  }
  if (ended === "gone") signal.throwIfAborted();
  return resultOf(collected, status, ended === "timeout" ? timeout : undefined, started);
}

async function pump(
  stream: ReadableStream<Uint8Array>,
  note: (text: string) => Promise<void>,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of stream) await note(decoder.decode(bytes, { stream: true }));
  await note(decoder.decode());
}

function execError(error: unknown, pod: string): Error {
  if (hasReason(error, "NotFound", "BadRequest", "Conflict")) {
    return new WorkerError(
      "session_not_ready",
      `Cannot execute: the container of pod ${pod} does not run: ${messageOf(error)}`,
    );
  }
  return clusterError(error, "execute");
}

/** Ends a process of the container; never throws. */
async function endProcess({ client, namespace, pod, container }: CommandOptions, id: string) {
  let ending: Execution | undefined;
  try {
    ending = exec(client, namespace, pod, {
      container,
      command: ["/bin/sh", "-c", END_SCRIPT, id],
      startTimeout: END_TIME,
    });
    const drained = [ending.stdout, ending.stderr].map((stream) => stream.cancel().catch(() => {}));
    await settledWithin(Promise.allSettled([ending.status, ...drained]), END_TIME);
  } catch {
    // It has ended, or its pod has.
  } finally {
    ending?.[Symbol.dispose]();
  }
}

function resultOf(
  collected: Collected,
  { exitCode, message }: ExecStatus,
  timeout: number | undefined,
  started: number,
): CommandResult {
  const stderr = collected.text("stderr");
  const problem = timeout !== undefined
    ? { ename: "TimeoutError", evalue: `The command was ended after ${timeout / 1000} s` }
    : exitCode === undefined
    ? {
      ename: "CommandError",
      evalue: `The command could not be run: ${message ?? "no reason given"}`,
    }
    : exitCode !== 0
    ? { ename: "CommandError", evalue: `The command ended with exit code ${exitCode}` }
    : undefined;
  const traceback = stderr.trimEnd().split("\n").slice(-20).filter((line) => line !== "");
  return {
    status: problem === undefined ? "ok" : "error",
    outputs: collected.outputs,
    error: problem === undefined ? null : { ...problem, traceback },
    stdout: collected.text("stdout"),
    stderr,
    exit_code: timeout === undefined ? exitCode ?? null : null,
    truncated: collected.truncated,
    duration: Math.round(performance.now() - started) / 1000,
  };
}
