/**
 * The one registry of errors a user or operator can meet: code, wire name, and what to do about it.
 *
 * Messages follow "Cannot <verb> <thing>: <reason>". The code is stable and may be matched by programs; the
 * wire name is the class name that Hypha clients see (`WorkerError`, `SessionNotFoundError`, …).
 */

interface ErrorKind {
  /** Class name on the wire; clients of the reference worker match on it. */
  readonly name: string;
  /** The default advice; a throw site may give a better one. */
  readonly suggestion: string;
}

const KINDS = {
  // Calls
  invalid_argument: {
    name: "InvalidArgumentError",
    suggestion: "Correct the named argument and call again.",
  },
  permission_denied: {
    name: "PermissionDeniedError",
    suggestion:
      "Call from the workspace that owns the session, or ask the operator to authorise yours.",
  },
  session_not_found: {
    name: "SessionNotFoundError",
    suggestion: "List the sessions of your workspace with list_sessions, or start a new one.",
  },
  session_exists: {
    name: "WorkerError",
    suggestion: "Stop the running session first, or start with another id.",
  },
  session_not_ready: {
    name: "WorkerError",
    suggestion: "Wait until the session is running; get_session_info shows its state.",
  },
  session_dead: {
    name: "WorkerError",
    suggestion:
      "Call restart for a fresh process (the variables are lost), or start the session again. get_logs shows the last output.",
  },
  too_many_sessions: {
    name: "WorkerError",
    suggestion: "Stop sessions that are not needed, or use another worker.",
  },
  too_many_builds: {
    name: "WorkerError",
    suggestion:
      "Wait until some environments are ready, then call again. Those that are ready can be used meanwhile.",
  },
  session_busy: {
    name: "WorkerError",
    suggestion: "Wait until the running cell ends, or interrupt it.",
  },
  execution_cancelled: {
    name: "WorkerError",
    suggestion: "The execution was cancelled before it began; run it again if you need it.",
  },
  queue_full: {
    name: "WorkerError",
    suggestion: "Wait for earlier executions of this session to end, then call again.",
  },
  worker_stopping: {
    name: "WorkerError",
    suggestion: "The worker is shutting down; call again when it is back, or use another worker.",
  },
  start_cancelled: {
    name: "WorkerError",
    suggestion: "The session was stopped while it was starting; start it again if you need it.",
  },
  init_script_failed: {
    name: "WorkerError",
    suggestion: "Read the traceback, correct the entry script, and start again.",
  },
  // Specs and environments
  invalid_spec: {
    name: "InvalidSpecError",
    suggestion: "Correct the named entry of the manifest's dependencies or channels.",
  },
  manager_not_found: {
    name: "WorkerError",
    suggestion: "Install micromamba, mamba or conda and make it available in PATH.",
  },
  package_not_found: {
    name: "EnvironmentError",
    suggestion: "Check the package's name and version, and that one of the channels provides it.",
  },
  solver_conflict: {
    name: "EnvironmentError",
    suggestion:
      "Loosen the versions of the packages named, so that they can be installed together.",
  },
  channel_unavailable: {
    name: "EnvironmentError",
    suggestion: "Check the spelling of the channel and that this machine can reach it.",
  },
  package_unavailable: {
    name: "EnvironmentError",
    suggestion:
      "A package is in the channel's index but cannot be fetched. Try again later, or choose another version.",
  },
  network: {
    name: "EnvironmentError",
    suggestion: "Check this machine's network and proxy settings, then try again.",
  },
  package_cache: {
    name: "EnvironmentError",
    suggestion: "Try again; if it stays, remove the package cache below the cache directory.",
  },
  disk_full: {
    name: "EnvironmentError",
    suggestion: "Free space on the disk of the cache directory, or move it with --cache-dir.",
  },
  cache_not_writable: {
    name: "EnvironmentError",
    suggestion:
      "Make the cache directory writable for the user the worker runs as, or move it with --cache-dir.",
  },
  cache_locks: {
    name: "EnvironmentError",
    suggestion:
      "Choose a cache directory on a local disk, or on a volume with file locks, with --cache-dir.",
  },
  environment_not_found: {
    name: "EnvironmentNotFoundError",
    suggestion: "List the environments with list_environments, or hypha-conda-worker env list.",
  },
  environment_in_use: {
    name: "EnvironmentInUseError",
    suggestion: "Stop the sessions that use the environment, then try again.",
  },
  pip_failed: {
    name: "EnvironmentError",
    suggestion: "Read pip's own message and correct the pip requirements.",
  },
  manager_failed: {
    name: "EnvironmentError",
    suggestion:
      "Repair or reinstall the package manager, or choose another one with --package-manager.",
  },
  environment_stalled: {
    name: "EnvironmentError",
    suggestion: "Check the network and the disk of the cache directory, then try again.",
  },
  environment_failed: {
    name: "EnvironmentError",
    suggestion: "Read the manager's output below, and try the same packages with it by hand.",
  },
  environment_cancelled: {
    name: "EnvironmentError",
    suggestion: "The build was cancelled; start again if you still need the environment.",
  },
  // Interpreter
  interpreter_failed: {
    name: "WorkerError",
    suggestion:
      "Check that the environment contains Python 3.8 or newer; get_logs shows its output.",
  },
  isolation_unavailable: {
    name: "WorkerError",
    suggestion:
      "Run the worker on Linux 5.13 or newer with Landlock switched on, or give it --isolation auto.",
  },
  // Staging
  staging_failed: {
    name: "StagingError",
    suggestion: "Check files_to_stage against the files of the app's artifact.",
  },
  upload_failed: {
    name: "UploadError",
    suggestion: "Check that the token may write to the artifact, then upload again.",
  },
  // Files of a session
  file_not_found: {
    name: "FileNotFoundError",
    suggestion: "list_files shows the files of the session.",
  },
  file_refused: {
    name: "FileAccessError",
    suggestion:
      "list_files shows what is there; only files and folders of the session can be used.",
  },
  // Kubernetes
  kubernetes_unavailable: {
    name: "KubernetesError",
    suggestion:
      "Check that the API server of the cluster answers, and the kubeconfig or service account of the worker.",
  },
  kubernetes_forbidden: {
    name: "KubernetesError",
    suggestion:
      "Give the worker's service account the right that is named; the Role of the Helm chart has all it needs.",
  },
  job_refused: {
    name: "JobError",
    suggestion:
      "A quota, a policy or an admission rule of the cluster is in the way: change the manifest, or ask its operator.",
  },
  job_failed: {
    name: "JobError",
    suggestion: "Read the reason and the last output, correct the manifest and start again.",
  },
  start_timeout: {
    name: "JobError",
    suggestion:
      "Try again later or ask for less; a manifest can say how long it waits with start_timeout.",
  },
  service_missing: {
    name: "JobError",
    suggestion:
      "Check that the program registers the service under this name in this workspace, or set wait_for_service to false.",
  },
  // Worker and command line
  usage: {
    name: "UsageError",
    suggestion: "Run hypha-conda-worker --help for the options.",
  },
  setup_failed: {
    name: "SetupError",
    suggestion:
      "Check --url and this machine's network and proxy settings, then call setup again; nothing was left behind.",
  },
  connection_failed: {
    name: "ConnectionError",
    suggestion: "Check --server-url, --workspace and that the token is valid for that workspace.",
  },
} as const satisfies Record<string, ErrorKind>;

/** Stable identifier of an error a user can meet. */
export type ErrorCode = keyof typeof KINDS;

/** Options of {@linkcode WorkerError}. */
export interface WorkerErrorOptions {
  /** Facts for programs: names and values, never secrets. */
  context?: Record<string, unknown>;
  /** Advice that fits better than the registry's. */
  suggestion?: string;
  /** What led to it. */
  cause?: unknown;
}

/** An error with a stable code, facts, and a suggestion that names the fix. */
export class WorkerError extends Error {
  override readonly name: string;
  /** Stable identifier. */
  readonly code: ErrorCode;
  /** Facts for programs. */
  readonly context: Readonly<Record<string, unknown>>;
  /** What to do about it. */
  readonly suggestion: string;

  /** Makes an error of a registered kind; the message says what failed and why. */
  constructor(code: ErrorCode, message: string, options: WorkerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const kind: ErrorKind = KINDS[code];
    this.name = kind.name;
    this.code = code;
    this.context = options.context ?? {};
    this.suggestion = options.suggestion ?? kind.suggestion;
  }
}

/** All codes with their wire names and default suggestions, for documents and tests. */
export function errorKinds(): Readonly<Record<ErrorCode, ErrorKind>> {
  return KINDS;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether something thrown is a {@linkcode WorkerError} of one of the codes. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is WorkerError {
  return error instanceof WorkerError && codes.includes(error.code);
}
