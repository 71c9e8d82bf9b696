/** From what a manager printed to an error with a code, the readable reason, and what may help. */
import { type ErrorCode, WorkerError, type WorkerErrorOptions } from "../errors.ts";
import { redact } from "../log.ts";
import { type Failure, managerFailure, pipFailure, type Remedy } from "./failures.ts";
import type { Execution } from "./manager.ts";

/** Advice and chatter that managers print around the reason. */
const NOISE = [
  /^(?:warning|info)\s+libmamba\b/,
  /^Could not (?:set lock|open lockfile)|^Cannot lock '|^Waiting for other mamba process/,
  /^If you (?:run into this error|still are having|see this message|continue to meet)/,
  /^Please try running `|^in which case running `|^on {2}mamba's issue tracker/,
  /^https:\/\/(?:github\.com|anaconda\.org)\/?\S*$/,
  /^(?:To search for alternate channels|looking for, navigate to|and use the search bar)/,
  /^(?:You will need to adjust|Use `conda config|and use `conda config)/,
  /^As of conda 4\.3|^`?noarch\/repodata\.json|^empty\. Use `conda index/,
  /^what\(\): {2}|^Backtrace Start|^\(\)$|^Killed$/,
  /^ERROR conda\.cli\.main_run/,
];

/** Where conda's report of an unexpected error begins, and the part that tells about the machine. */
const REPORT = /^# >+ ERROR REPORT <+/;
const REPORT_FACTS = /^`\$ /;

/** Lines of reason a message may have; a solver's tree can be endless. */
const REASON_LINES = 24;
/** Lines of output an error carries for whoever has to find out more. */
const TAIL_LINES = 40;

/** An error of a manager or of pip, with what may help. */
export class ManagerError extends WorkerError {
  /** What may help; without one the same would fail the same way. */
  readonly remedy: Remedy | undefined;

  /** Makes an error of a registered kind. */
  constructor(
    failure: Failure,
    message: string,
    options: Omit<WorkerErrorOptions, "suggestion"> = {},
  ) {
    const { code, remedy, suggestion } = failure;
    super(code, message, { ...options, ...(suggestion === undefined ? {} : { suggestion }) });
    this.remedy = remedy;
  }
}

/** What may help against anything that was thrown. */
export function remedyOf(error: unknown): Remedy | undefined {
  return error instanceof ManagerError ? error.remedy : undefined;
}

/** Removes passwords and tokens from the URLs of a text, and registered secrets. */
export function redactOutput(text: string): string {
  return redact(
    text
      .replace(/(\w:\/\/)[^/\s@]+@/g, "$1***@")
      .replace(/\/t\/[\w-]+\//g, "/t/***/"),
  );
}

/** The end of conda's report of an unexpected error is the last line of the traceback, and no reason else. */
function withoutReport(lines: readonly string[]): readonly string[] {
  const start = lines.findIndex((line) => REPORT.test(line));
  if (start < 0) return lines;
  const facts = lines.findIndex((line, index) => index > start && REPORT_FACTS.test(line));
  const traceback = lines.slice(start + 1, facts < 0 ? undefined : facts).map((line) => line.trim())
    .filter((line) => line !== "");
  return [...lines.slice(0, start), ...traceback.slice(-1)];
}

/** The lines that say why, without prefixes, repetitions and advice. */
export function reasonOf(execution: Execution): string {
  if (execution.stalled) return "it made no progress any more and was killed";
  const reasons = (lines: readonly string[]): string[] => {
    const kept: string[] = [];
    for (const line of withoutReport(lines)) {
      // Indentation draws the solver's tree; the margin around it is the same for all lines.
      const text = line.replace(/^(?:error|critical)\s+libmamba\s+/, "").replace(/^ {4}/, "")
        .trimEnd();
      if (NOISE.some((pattern) => pattern.test(text.trim()))) continue;
      if (text !== "" && !kept.includes(text)) kept.push(text);
    }
    return kept;
  };
  const errors = reasons(execution.stderr);
  if (errors.length === 0 && execution.code > 128) {
    return `it was ended by signal ${execution.code - 128}`;
  }
  const lines = errors.length > 0 ? errors : stdoutReasons(reasons(execution.stdout));
  if (lines.length === 0) return `it ended with exit code ${execution.code}`;
  const shown = lines.slice(0, REASON_LINES);
  if (shown.length < lines.length) shown.push(`… ${lines.length - shown.length} more lines`);
  return shown.join("\n");
}

/** mamba 1 explains on standard output why there is no solution; else the last lines tell most. */
function stdoutReasons(lines: readonly string[]): readonly string[] {
  const explained = lines.findIndex((line) => /^Could not solve for environment specs/.test(line));
  return explained < 0 ? lines.slice(-5) : lines.slice(explained);
}

function pipReasonOf(execution: Execution): string {
  const errors = execution.stderr.filter((line) => /^\s*(?:ERROR|error): /.test(line))
    .map((line) => line.replace(/^\s*(?:ERROR|error): /, "").trimEnd());
  return errors.length > 0 ? errors.slice(0, REASON_LINES).join("\n") : reasonOf(execution);
}

function contextOf(command: string, execution: Execution): Record<string, unknown> {
  return {
    manager: command,
    exitCode: execution.code,
    tail: execution.tail.slice(-TAIL_LINES).map(redactOutput),
  };
}

/** The error of work on an environment that its caller cancelled. */
export function cancelledError(): WorkerError {
  return new WorkerError(
    "environment_cancelled",
    "Cannot create the environment: the request was cancelled",
  );
}

/** The error of a manager that cannot be started. `command` is its name. */
export function startError(command: string, reason: string): ManagerError {
  return new ManagerError(
    { code: "manager_failed", remedy: "other" },
    `Cannot start ${command}: ${redactOutput(reason)}`,
    { context: { manager: command } },
  );
}

/** The error of a failed create. `command` is the manager's name. */
export function createError(command: string, execution: Execution): WorkerError {
  if (execution.cancelled) return cancelledError();
  const failure = managerFailure(execution);
  // What a manager says on the way to a success that is none explains nothing, unless it is a known failure.
  const message = execution.code === 0 && failure.code === "environment_failed"
    ? `Cannot use the environment: ${command} reported success, but there is no environment`
    : `Cannot create the environment with ${command}: ${reasonOf(execution)}`;
  return new ManagerError(failure, redactOutput(message), {
    context: contextOf(command, execution),
  });
}

/** The error of a failed pip step. */
export function pipError(command: string, execution: Execution): WorkerError {
  if (execution.cancelled) return cancelledError();
  return new ManagerError(
    pipFailure(execution),
    redactOutput(`Cannot install the pip requirements: ${pipReasonOf(execution)}`),
    { context: contextOf(command, execution) },
  );
}

/** The error of a package whose archive is not what the lock file says. */
export function checksumError(command: string, reason: string): ManagerError {
  const failure: { code: ErrorCode; remedy: Remedy } = { code: "package_cache", remedy: "clean" };
  return new ManagerError(failure, `Cannot create the environment with ${command}: ${reason}`, {
    context: { manager: command, tail: [reason] },
  });
}
