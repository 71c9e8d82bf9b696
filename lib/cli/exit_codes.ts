/** The one table of exit codes: the program, its help and the documents read it. */
import { WorkerError } from "../errors.ts";

/** The exit codes that the program gives by itself. */
export const EXIT = {
  /** All went well. */
  ok: 0,
  /** Something failed. */
  failure: 1,
  /** The command line, a variable or the configuration file is wrong. */
  usage: 2,
  /** The server was away for too long. */
  serverAway: 3,
  /** Nobody reads the output any more. */
  closed: 141,
  /** Interrupted by SIGINT. */
  interrupted: 130,
  /** Told to end by SIGTERM. */
  terminated: 143,
} as const;

/** A row of the table. */
export interface ExitCode {
  /** Code, or codes, as they are shown. */
  readonly code: string;
  /** One line. */
  readonly meaning: string;
}

/** The table, in the order in which it is shown. */
export const EXIT_CODES: readonly ExitCode[] = [
  {
    code: `${EXIT.ok}`,
    meaning: "Success; start: stopped as asked; doctor: nothing fails, warnings do not count",
  },
  { code: `${EXIT.failure}`, meaning: "Something failed, which is told on standard error" },
  {
    code: `${EXIT.usage}`,
    meaning: "Wrong usage: an option, an argument, a variable or the configuration file",
  },
  {
    code: `${EXIT.serverAway}`,
    meaning: "start: the server was away for longer than --reconnect-timeout",
  },
  {
    code: `${EXIT.interrupted}, ${EXIT.terminated}`,
    meaning: "Ended by SIGINT (Ctrl-C) or SIGTERM; start: by a second one",
  },
  {
    code: `${EXIT.closed}`,
    meaning: "Nobody reads the output any more, as behind a pipe into head",
  },
  { code: "other", meaning: "run: the exit code of the script" },
];

/** Exit status of Python's `exit(value)`, whose value is given as text: a number, nothing, or a message, which is written. */
export function exitStatus(
  value: string,
  context: { write(stream: "stderr", text: string): void },
): number {
  if (value === "" || value === "None" || value === "False") return EXIT.ok;
  if (value === "True") return EXIT.failure;
  if (/^-?\d+$/.test(value)) return Number(BigInt.asUintN(8, BigInt(value)));
  context.write("stderr", value + "\n");
  return EXIT.failure;
}

/** Standard output or standard error is a pipe that nobody reads any more. There is nobody to tell. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Exit code of an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof OutputClosed) return EXIT.closed;
  return error instanceof WorkerError && error.code === "usage" ? EXIT.usage : EXIT.failure;
}
