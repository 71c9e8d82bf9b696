/**
 * From what a manager printed to an error with a code and the readable reason.
 *
 * Managers have no stable exit codes (1 is everything), so the text decides. The patterns are those of real
 * transcripts; the first that matches wins, so the more telling causes come first: a full disk also breaks
 * downloads and checksums.
 */
import { type ErrorCode, WorkerError } from "../errors.ts";
import { redact } from "../log.ts";
import type { Execution } from "./manager.ts";

const MANAGER_PATTERNS: readonly (readonly [ErrorCode, RegExp])[] = [
  [
    "disk_full",
    /No space left on device|NoSpaceLeftError|cannot copy: Input\/output error|Download error \(23\)/,
  ],
  ["invalid_spec", /InvalidMatchSpec|InvalidSpec\b|[Ee]rror parsing (?:version|MatchSpec|spec)/],
  [
    "package_not_found",
    /does not exist \(perhaps|nothing provides requested|PackagesNotFound\w*Error|ResolvePackageNotFound/,
  ],
  ["solver_conflict", /Could not solve for environment specs|Unsatisfiable\w*Error/],
  [
    "channel_unavailable",
    /Download error \(37\)|status: 404 \[[^\]]*repodata|UnavailableInvalidChannel/,
  ],
  [
    "cache_not_writable",
    /NoWritePkgsDirError|NotWritableError|Permission denied|Could not find any writable cache/,
  ],
  [
    "network",
    /Download error \(\d+\)|Subdir .* not loaded|status: \d{3} \[|CondaHTTPError|CondaSSLError|ProxyError|ConnectionFailed/,
  ],
  [
    "package_cache",
    /File not valid: |Found incorrect download|Package cache error|Cannot find a valid extracted directory|Error when extracting package|InvalidArchiveError|ChecksumMismatchError|SafetyError/,
  ],
];

const PIP_PATTERNS: readonly (readonly [ErrorCode, RegExp])[] = [
  ["disk_full", /No space left on device/],
];

/** Advice and chatter that managers print around the reason. */
const NOISE = [
  /^warning\s+libmamba\b/,
  /^Could not set lock|^Cannot lock '|^Waiting for other mamba process/,
  /^If you (?:run into this error|still are having)|^Please try running `/,
  /^https:\/\/(?:github\.com|anaconda\.org)\/?\S*$/,
  /^(?:To search for alternate channels|looking for, navigate to|and use the search bar)/,
  /^(?:You will need to adjust|Use `conda config|and use `conda config)/,
  /^As of conda 4\.3|^`?noarch\/repodata\.json|^empty\. Use `conda index/,
  /^terminate called|^what\(\): {2}|^Backtrace Start|^\(\)$|^Killed$/,
  /^ERROR conda\.cli\.main_run/,
];

/** Lines of reason a message may have; a solver's tree can be endless. */
const REASON_LINES = 24;
/** Lines of output an error carries for whoever has to find out more. */
const TAIL_LINES = 40;

/** Removes passwords and tokens from the URLs of a text, and registered secrets. */
export function redactOutput(text: string): string {
  return redact(
    text
      .replace(/(\w:\/\/)[^/\s@]+@/g, "$1***@")
      .replace(/\/t\/[\w-]+\//g, "/t/***/"),
  );
}

function classify(
  patterns: readonly (readonly [ErrorCode, RegExp])[],
  text: string,
  otherwise: ErrorCode,
): ErrorCode {
  return patterns.find(([, pattern]) => pattern.test(text))?.[0] ?? otherwise;
}

/** The lines that say why, without prefixes, repetitions and advice. */
function reasonOf(execution: Execution): string {
  const reasons = (lines: readonly string[]): string[] => {
    const kept: string[] = [];
    for (const line of lines) {
      if (NOISE.some((pattern) => pattern.test(line.trim()))) continue;
      // Indentation draws the solver's tree; the margin around it is the same for all lines.
      const text = line.replace(/^(?:error|critical)\s+libmamba\s+/, "").replace(/^ {4}/, "")
        .trimEnd();
      if (text !== "" && !kept.includes(text)) kept.push(text);
    }
    return kept;
  };
  const errors = reasons(execution.stderr);
  const lines = errors.length > 0 ? errors : reasons(execution.stdout).slice(-5);
  if (lines.length === 0) return `it ended with exit code ${execution.code}`;
  const shown = lines.slice(0, REASON_LINES);
  if (shown.length < lines.length) shown.push(`… ${lines.length - shown.length} more lines`);
  return shown.join("\n");
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

/** The error of a failed create. `command` is the manager's name. */
export function createError(command: string, execution: Execution): WorkerError {
  if (execution.cancelled) return cancelledError();
  const text = [...execution.stderr, ...execution.stdout].join("\n");
  return new WorkerError(
    classify(MANAGER_PATTERNS, text, "environment_failed"),
    redactOutput(`Cannot create the environment with ${command}: ${reasonOf(execution)}`),
    { context: contextOf(command, execution) },
  );
}

/** The error of a failed pip step. */
export function pipError(command: string, execution: Execution): WorkerError {
  if (execution.cancelled) return cancelledError();
  const text = [...execution.stderr, ...execution.stdout].join("\n");
  return new WorkerError(
    classify(PIP_PATTERNS, text, "pip_failed"),
    redactOutput(`Cannot install the pip requirements: ${pipReasonOf(execution)}`),
    { context: contextOf(command, execution) },
  );
}
