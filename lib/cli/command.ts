/** What commands get from the outside, so that tests can stand in for it. */

/** The outside of a command. */
export interface CommandContext {
  /** An environment variable. */
  environment: (name: string) => string | undefined;
  /** Writes a line to standard output. */
  print: (line: string) => void;
  /** Where text that is no line goes: the output of code. */
  write: (stream: "stdout" | "stderr", text: string) => void;
  /** Whether progress may be drawn over itself. */
  terminal: boolean;
  /** Calls back when the program is asked to stop; a second request ends it at once. */
  onStop: (stop: (signal: string) => void) => Disposable;
}

/** Under `deno task`, one Ctrl-C arrives twice: from the terminal and from the task runner (milliseconds). */
const SAME_REQUEST_MS = 500;

const encoder = new TextEncoder();

function writeSync(stream: "stdout" | "stderr", text: string): void {
  const target = stream === "stdout" ? Deno.stdout : Deno.stderr;
  const bytes = encoder.encode(text);
  for (let sent = 0; sent < bytes.length;) sent += target.writeSync(bytes.subarray(sent));
}

/** The real outside. */
export function processContext(): CommandContext {
  return {
    environment: (name) => Deno.env.get(name),
    print: (line) => writeSync("stdout", line + "\n"),
    write: writeSync,
    terminal: Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb",
    onStop: (stop) => {
      let asked: number | undefined;
      const listeners = (["SIGINT", "SIGTERM"] as const).map((signal) => {
        const listener = () => {
          const now = performance.now();
          if (asked === undefined) {
            asked = now;
            stop(signal);
          } else if (now - asked > SAME_REQUEST_MS) {
            Deno.exit(signal === "SIGINT" ? 130 : 143);
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
    interrupted = signal === "SIGINT" ? 130 : 143;
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
