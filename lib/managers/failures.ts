/**
 * What managers and pip print when they fail, and what it means.
 *
 * Managers have no stable exit codes (1 is everything), so the text decides. The patterns are those of real
 * transcripts and of the programs' sources. The first that matches wins, so the more telling causes come first:
 * a full disk also breaks downloads and checksums.
 */
import type { ErrorCode } from "../errors.ts";
import type { Execution } from "./manager.ts";

/**
 * What may help without anybody's doing:
 * - `again`: a pause, the cause may pass by itself;
 * - `restart`: the same once more, at once;
 * - `clean`: the same after damaged packages have left the package cache;
 * - `refresh`: the same with a new index of the channels;
 * - `other`: another manager, because the cause is in this one.
 */
export type Remedy = "again" | "restart" | "clean" | "refresh" | "other";

/** What a failure is. */
export interface Failure {
  readonly code: ErrorCode;
  readonly remedy?: Remedy;
  /** Advice that fits better than that of the code. */
  readonly suggestion?: string;
}

interface Row extends Failure {
  readonly pattern: RegExp;
}

const CERTIFICATES = "Name the certificates of your network with SSL_CERT_FILE and " +
  "REQUESTS_CA_BUNDLE (for pip also PIP_CERT), then start the worker again.";
const CREDENTIALS =
  "The server wants a login. Choose a channel that is open, or let the operator set it up with --use-rc.";

const MANAGER_FAILURES: readonly Row[] = [
  {
    code: "disk_full",
    pattern:
      /No space left on device|NoSpaceLeftError|\[Errno (?:28|122)\]|Disk quota exceeded|cannot copy: Input\/output error|Download error \(23\)/,
  },
  // The program cannot be run as it is, or does not take our command line.
  {
    code: "manager_failed",
    remedy: "other",
    pattern:
      /bad interpreter|error while loading shared libraries|GLIBC\w*_[\d.]+' not found|[Ee]xec format error|cannot execute binary file|arguments? (?:was|were) not expected|\w: error: (?:unrecognized arguments|argument |invalid choice)|\d required \w+ missing|Error unknown MAMBA_EXE|non-default solver backend/,
  },
  {
    code: "invalid_spec",
    pattern:
      /InvalidMatchSpec|InvalidSpec\b|[Ee]rror parsing (?:version|MatchSpec|spec)|invalid package specification|Could not parse explicit URL|CouldntParseError/,
  },
  {
    code: "package_not_found",
    pattern:
      /does not exist \(perhaps|nothing provides requested|PackagesNotFound\w*Error|ResolvePackageNotFound/,
  },
  {
    code: "solver_conflict",
    pattern:
      /Could not solve for environment specs|Unsatisfiable\w*Error|Encountered problems while solving|The following packages are incompatible|SpecsConfigurationConflictError|DisallowedPackageError|CyclicalDependencyError/,
  },
  {
    code: "package_unavailable",
    remedy: "refresh",
    pattern:
      /Download error \(37\)[^\n]*\.(?:conda|tar\.bz2)\]|\.(?:conda|tar\.bz2) \(status 4(?:04|10)\)|status: 4(?:04|10) \[[^\]]*\.(?:conda|tar\.bz2)\]|HTTP 4(?:04|10)\b[^\n]*<[^>]*\.(?:conda|tar\.bz2)>/,
  },
  {
    code: "channel_unavailable",
    suggestion: CREDENTIALS,
    pattern: /status:? 40[13]\b|HTTP 40[13]\b|AuthenticationError/,
  },
  {
    code: "channel_unavailable",
    pattern:
      /Download error \(37\)|status: 4(?:04|10) \[|HTTP 4(?:04|10)\b|UnavailableInvalidChannel|ChannelNotAllowed|NoChannelsConfiguredError/,
  },
  {
    code: "cache_not_writable",
    pattern:
      /NoWrit\w+DirError|NotWritableError|Permission denied|Operation not permitted|Read-only file system|Could not find any writable cache|Non-writable cache error/,
  },
  {
    code: "package_cache",
    remedy: "again",
    suggestion: "Another program holds the package cache; try again when it has ended.",
    pattern: /LockFile acquisition failed|LockFile can't be set|\bLockError\b/,
  },
  {
    code: "network",
    suggestion: CERTIFICATES,
    pattern:
      /CondaSSLError|CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSL certificate problem|Download error \((?:51|58|60|77|83|91)\)/,
  },
  {
    code: "network",
    remedy: "again",
    pattern:
      /Download error \(\d+\)|Subdir .* not loaded|[Ss]tatus:? \d{3}\b|CondaHTTPError|ProxyError|ConnectionFailed|ConnectionError|Connection (?:refused|reset|timed out|broken)|Read timed out|Could not resolve host|Temporary failure in name resolution|Name or service not known|Network is unreachable|IncompleteRead|Download didn't finish/,
  },
  {
    code: "package_cache",
    remedy: "clean",
    pattern:
      /File not valid: |Found incorrect download|Package cache error|Cannot find a valid extracted directory|Error when extracting package|Invalid package cache|Error opening for reading|InvalidArchiveError|ChecksumMismatchError|SafetyError|CondaVerificationError|package cache records|FileNotFoundError: [^\n]*\/(?:info\/|pkgs\/)/,
  },
  {
    code: "environment_failed",
    remedy: "restart",
    pattern: /Non-conda folder exists at prefix/,
  },
  {
    code: "environment_failed",
    suggestion: "Something interrupted the package manager from outside; try again.",
    pattern: /CondaSignalInterrupt|KeyboardInterrupt|Interrupted by user/,
  },
  // conda prints these around everything it has not thought of, so they come last.
  {
    code: "manager_failed",
    remedy: "other",
    pattern:
      /An unexpected error has occurred|application error has occurred|Traceback \(most recent call last\)|ModuleNotFoundError|ImportError|PluginError|CondaSystemExit|terminate called|Segmentation fault|Backtrace Start|json\.exception|std::bad_alloc|CondaMemoryError/,
  },
];

const PIP_FAILURES: readonly Row[] = [
  { code: "disk_full", pattern: /No space left on device|\[Errno (?:28|122)\]/ },
  {
    code: "network",
    suggestion: CERTIFICATES,
    pattern: /CERTIFICATE_VERIFY_FAILED|certificate verify failed/,
  },
  // Before it gives up pip tries again by itself, and says so; what counts is how the last try ended.
  {
    code: "network",
    remedy: "again",
    pattern:
      /Retry\(total=0,|Max retries exceeded with url|ReadTimeoutError|Read timed out|IncompleteRead|ProtocolError|Connection(?: was|) (?:broken|aborted|reset)|HTTP error 5\d\d|5\d\d Server Error|Temporary failure in name resolution/,
  },
];

/** Signals with which a program ends that has a fault of its own: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS. */
const CRASHES = [4, 5, 6, 7, 8, 11, 31];
const SIGKILL = 9;

/** Lines a manager prints for information, with what belongs to them. */
function withoutWarnings(lines: readonly string[]): string {
  let skipping = false;
  return lines.filter((line) => {
    if (!/^\s/.test(line)) skipping = /^(?:warning|info|debug|trace)\s+libmamba\b/.test(line);
    return !skipping;
  }).join("\n");
}

function find(rows: readonly Row[], execution: Execution): Failure | undefined {
  const lines = [...execution.stderr, ...execution.stdout];
  // A warning is the reason only when there is no better one.
  for (const text of [withoutWarnings(lines), lines.join("\n")]) {
    const row = rows.find(({ pattern }) => pattern.test(text));
    if (row !== undefined) return row;
  }
  return undefined;
}

/** What was the matter with the program itself, whatever it was to do. */
function failureOfProgram(execution: Execution): Failure | undefined {
  if (execution.stalled) return { code: "environment_stalled", remedy: "restart" };
  if (execution.started !== false) return undefined;
  // A full disk stops every manager, before its first word too.
  const known = find(MANAGER_FAILURES, execution);
  return known?.code === "disk_full" ? known : { code: "manager_failed", remedy: "other" };
}

/** What the failure of a create is. */
export function managerFailure(execution: Execution): Failure {
  const known = failureOfProgram(execution) ?? find(MANAGER_FAILURES, execution);
  if (known !== undefined) return known;
  const { code } = execution;
  // Success was said, and nothing is there: another manager may do what it says.
  if (code === 0) return { code: "environment_failed", remedy: "other" };
  if (CRASHES.includes(code - 128)) return { code: "manager_failed", remedy: "other" };
  if (code === 128 + SIGKILL) {
    return {
      code: "environment_failed",
      remedy: "other",
      suggestion: "The package manager was killed, perhaps for want of memory; give it more.",
    };
  }
  return { code: "environment_failed" };
}

/** What the failure of a pip step is. */
export function pipFailure(execution: Execution): Failure {
  return failureOfProgram(execution) ?? find(PIP_FAILURES, execution) ?? { code: "pip_failed" };
}
