/** What commands get from the outside, so that tests can stand in for it. */
import { wantsColour } from "./colour.ts";
import { EXIT, OutputClosed } from "./exit_codes.ts";
import type { Environment } from "./option.ts";

/** The outside of a command. */
export interface CommandContext {
  /** Environment variables, and the configuration file below them. */
  environment: Environment;
  /** Writes a line to standard output. */
  print: (line: string) => void;
  /** Where text that is no line goes: the output of code. */
  write: (stream: "stdout" | "stderr", text: string) => void;
  /** Whether progress may be drawn over itself. */
  terminal: boolean;
  /** Whether what is written to a stream may have colours. */
  colour: Readonly<Record<"stdout" | "stderr", boolean>>;
  /** Columns of the terminal that a stream is; `undefined` when it is none. */
  columns: Readonly<Record<"stdout" | "stderr", number | undefined>>;
  /**
   * Asks somebody and waits for a line; `undefined` when there is nobody to ask, `null` when they end the input.
   * Throws the signal's reason when that fires.
   */
  ask: ((question: string, signal: AbortSignal) => Promise<string | null>) | undefined;
  /** Calls back when the program is asked to stop; a second request ends it at once. */
  onStop: (stop: (signal: string) => void) => Disposable;
}

/** Under `deno task`, one Ctrl-C arrives twice: from the terminal and from the task runner (milliseconds). */
const SAME_REQUEST_MS = 500;

const encoder = new TextEncoder();

function writeSync(stream: "stdout" | "stderr", text: string): void {
  const target = stream === "stdout" ? Deno.stdout : Deno.stderr;
  const bytes = encoder.encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) sent += target.writeSync(bytes.subarray(sent));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed(error.message);
    throw error;
  }
}

function columnsOf(stream: { isTerminal(): boolean }): number | undefined {
  try {
    // One that has not been told its size has none.
    return stream.isTerminal() ? Deno.consoleSize().columns || undefined : undefined;
  } catch {
    return undefined;
  }
}

/** Asks at the terminal. It stays as it is, so that Ctrl-C is a signal as at any other time. */
async function askTerminal(question: string, signal: AbortSignal): Promise<string | null> {
  writeSync("stderr", `${question} `);
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const buffer = new Uint8Array(1024);
  const decoder = new TextDecoder();
  try {
    for (let line = "";;) {
      const read = await Promise.race([stopped.promise, Deno.stdin.read(buffer)]);
      if (read === null) return line === "" ? null : line;
      line += decoder.decode(buffer.subarray(0, read), { stream: true });
      if (line.includes("\n")) return line.slice(0, line.indexOf("\n"));
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** The real outside. */
export function processContext(): CommandContext {
  const environment = (name: string) => Deno.env.get(name);
  const colour = (stream: { isTerminal(): boolean }) =>
    wantsColour({ terminal: stream.isTerminal(), environment });
  return {
    environment,
    print: (line) => writeSync("stdout", line + "\n"),
    write: writeSync,
    terminal: Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb",
    colour: { stdout: colour(Deno.stdout), stderr: colour(Deno.stderr) },
    columns: { stdout: columnsOf(Deno.stdout), stderr: columnsOf(Deno.stderr) },
    ask: Deno.stdin.isTerminal() && Deno.stderr.isTerminal() ? askTerminal : undefined,
    onStop: (stop) => {
      let asked: number | undefined;
      const listeners = (["SIGINT", "SIGTERM"] as const).map((signal) => {
        const listener = () => {
          const now = performance.now();
          if (asked === undefined) {
            asked = now;
            stop(signal);
          } else if (now - asked > SAME_REQUEST_MS) {
            Deno.exit(signal === "SIGINT" ? EXIT.interrupted : EXIT.terminated);
          }
        };
        Deno.addSignalListener(signal, listener);
        return { signal, listener };
      });
      return {
        [Symbol.dispose]: () => {
          for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
        },
      };
    },
  };
}

/**
 * Does what a first SIGINT or SIGTERM ends early. Returns the exit code: the work's own, or 130 or 143 when it failed
 * after a signal.
 *
 * @param work gets what fires at the signal, and what tells the exit code of an interruption, `undefined` without one
 */
export async function interruptible(
  context: CommandContext,
  work: (signal: AbortSignal, interrupted: () => number | undefined) => Promise<number>,
): Promise<number> {
  const stop = new AbortController();
  let interrupted: number | undefined;
  using _signals = context.onStop((signal) => {
    interrupted = signal === "SIGINT" ? EXIT.interrupted : EXIT.terminated;
    stop.abort();
  });
  try {
    return await work(stop.signal, () => interrupted);
  } catch (error) {
    if (interrupted === undefined) throw error;
    context.write("stderr", "Interrupted.\n");
    return interrupted;
  }
}
