/** The one table of options: flags, environment variables and help come from it. */
import { ISOLATION_MODES, type IsolationMode } from "../interpreter/options.ts";
import { CONFIG, type Option, usage } from "./option.ts";

/** Where environments are kept. */
export const CACHE_DIR: Option = {
  name: "cache-dir",
  group: "Environment",
  type: "text",
  value: "DIR",
  help: "Where environments are kept",
  default: "~/.hypha_conda_cache",
};
/** What is kept of them. */
export const CACHE_LIMITS: readonly Option[] = [
  {
    name: "max-environments",
    group: "Environment",
    type: "text",
    value: "N",
    help: "Environments kept; the least recently used ones go first, never those in use",
    default: "10",
  },
  {
    name: "max-cache-size",
    group: "Environment",
    type: "text",
    value: "SIZE",
    help: "Disk space for environments and packages, for example 50GB",
    default: "none",
  },
  {
    name: "max-environment-age",
    group: "Environment",
    type: "text",
    value: "DAYS",
    help: "Days an environment is kept after its last use",
    default: "30",
  },
];
const PACKAGE_MANAGER: Option = {
  name: "package-manager",
  group: "Environment",
  type: "text",
  value: "A,B",
  help: "Package managers, in order of preference",
  default: "mamba,micromamba,conda",
};
/** Which package manager is used, and how. */
export const MANAGER_OPTIONS: readonly Option[] = [
  PACKAGE_MANAGER,
  {
    name: "use-rc",
    group: "Environment",
    type: "flag",
    help: "Let package managers and pip use the configuration of user and machine",
  },
  {
    name: "stall-timeout",
    group: "Environment",
    type: "text",
    value: "SECONDS",
    help: "Give up a build that neither works nor prints anything for this long; 0 is never",
    default: "600",
  },
];
/** All about environments that commands have in common. */
export const CACHE_OPTIONS: readonly Option[] = [CACHE_DIR, ...CACHE_LIMITS, ...MANAGER_OPTIONS];
export const ISOLATION: Option = {
  name: "isolation",
  group: "Session",
  type: "text",
  value: "auto|required|off",
  help: "Keep sessions from each other's files and processes, and from the worker's",
  default: "auto",
};
/** More is logged. */
export const VERBOSE: Option = { name: "verbose", type: "flag", short: "v", help: "Log details" };

/** The result is printed for programs. */
export const JSON_OUTPUT: Option = {
  name: "json",
  type: "flag",
  help: "Print JSON",
  environment: false,
  file: false,
};
/** Which server, and the right to join it. */
const SERVER_OPTIONS: readonly Option[] = [
  {
    name: "server-url",
    group: "Server",
    type: "text",
    value: "URL",
    help: "Hypha server, for example https://hypha.aicell.io",
  },
  {
    name: "workspace",
    group: "Server",
    type: "text",
    value: "NAME",
    help: "Workspace the worker serves",
  },
  {
    name: "token",
    group: "Server",
    type: "text",
    value: "TOKEN",
    help: "Token for the workspace; prefer --token-file or HYPHA_TOKEN",
    instead: "token-file",
  },
  {
    name: "token-file",
    group: "Server",
    type: "text",
    value: "FILE",
    help: "File that holds the token",
    instead: "token",
  },
];

/** Options of `start`. */
export const START_OPTIONS: readonly Option[] = [
  ...SERVER_OPTIONS,
  {
    name: "service-id",
    group: "Server",
    type: "text",
    value: "ID",
    help: "Service id of the worker",
    default: "generated",
  },
  {
    name: "client-id",
    group: "Server",
    type: "text",
    value: "ID",
    help: "Client id of the worker",
    default: "generated",
  },
  {
    name: "visibility",
    group: "Server",
    type: "text",
    value: "public|protected",
    help: "Who may find the worker",
    default: "protected",
  },
  ...CACHE_OPTIONS,
  {
    name: "working-dir",
    group: "Session",
    type: "text",
    value: "DIR",
    help: "Where sessions get their directories",
    default: "/var/tmp/hypha_sessions_<id>",
  },
  {
    name: "authorized-workspaces",
    group: "Server",
    type: "text",
    value: "A,B",
    help: "Workspaces served besides the worker's own",
  },
  {
    name: "allow-environment",
    group: "Environment",
    type: "text",
    value: "A,B",
    help: "Existing environments apps may use, by name or absolute path",
    default: "none",
  },
  {
    name: "allow-file-channels",
    group: "Environment",
    type: "text",
    value: "DIRS",
    help: "Directories apps may use channels of, as file:///… URLs",
    default: "none",
  },
  {
    name: "use-local-url",
    group: "Server",
    type: "text",
    value: "true|false|URL",
    help: "Give sessions the server's local address, or this one",
    default: "false",
  },
  {
    name: "max-sessions",
    group: "Session",
    type: "text",
    value: "N",
    help: "Sessions at once",
    default: "200",
  },
  {
    name: "max-workspace-sessions",
    group: "Session",
    type: "text",
    value: "N",
    help: "Sessions at once of one workspace",
    default: "no limit but --max-sessions",
  },
  {
    name: "max-builds",
    group: "Environment",
    type: "text",
    value: "N",
    help: "Environments in the making at once",
    default: "32",
  },
  {
    name: "max-workspace-builds",
    group: "Environment",
    type: "text",
    value: "N",
    help: "Environments in the making at once for one workspace",
    default: "no limit but --max-builds",
  },
  {
    name: "max-stage-size",
    group: "Session",
    type: "text",
    value: "SIZE",
    help: "Most bytes of the files staged for one session",
    default: "50GiB",
  },
  {
    name: "idle-timeout",
    group: "Session",
    type: "text",
    value: "SECONDS",
    help: "End sessions in which nothing was executed for this long",
    default: "never",
  },
  {
    name: "max-lifetime",
    group: "Session",
    type: "text",
    value: "SECONDS",
    help: "End sessions of this age",
    default: "never",
  },
  {
    name: "memory-limit",
    group: "Session",
    type: "text",
    value: "SIZE",
    help: "Memory of each process of a session, for example 4GiB",
    default: "none",
  },
  {
    name: "cpu-limit",
    group: "Session",
    type: "text",
    value: "SECONDS",
    help: "Processor time of each process of a session",
    default: "none",
  },
  {
    name: "heartbeat",
    group: "Server",
    type: "text",
    value: "SECONDS",
    help: "Time between questions whether the server is still there",
    default: "30",
  },
  {
    name: "reconnect-timeout",
    group: "Server",
    type: "text",
    value: "SECONDS",
    help: "Exit with code 3 when the server was away for this long",
    default: "never",
  },
  {
    name: "drain-timeout",
    group: "Server",
    type: "text",
    value: "SECONDS",
    help: "Time running cells get to end when the worker is told to stop",
    default: "10",
  },
  {
    name: "orphan-timeout",
    group: "Server",
    type: "text",
    value: "SECONDS",
    help: "Time unused sessions are kept that the server has forgotten with the connection",
    default: "600",
  },
  {
    name: "metrics-port",
    group: "Monitoring",
    type: "text",
    value: "PORT",
    help: "Serve /health, /ready and /metrics (Prometheus) on this port",
    default: "off",
  },
  {
    name: "metrics-host",
    group: "Monitoring",
    type: "text",
    value: "ADDRESS",
    help: "Address to serve them on; 0.0.0.0 for all",
    default: "127.0.0.1",
  },
  {
    name: "dashboard-port",
    group: "Monitoring",
    type: "text",
    value: "PORT",
    help: "Serve the dashboard on this port; 0 takes a free one",
    default: "off",
  },
  {
    name: "dashboard-host",
    group: "Monitoring",
    type: "text",
    value: "ADDRESS",
    help: "Address to serve it on; 0.0.0.0 for all",
    default: "127.0.0.1",
  },
  {
    name: "dashboard-token",
    group: "Monitoring",
    type: "text",
    value: "TOKEN",
    help: "What opens it; prefer HYPHA_DASHBOARD_TOKEN",
    default: "a random one, printed as a link",
  },
  {
    name: "log-format",
    group: "Monitoring",
    type: "text",
    value: "text|json",
    help: "Log lines for people, or one JSON object per line",
    default: "text",
  },
  ISOLATION,
  {
    name: "disable-ssl",
    group: "Server",
    type: "flag",
    help: "Tell sessions not to verify certificates",
  },
  CONFIG,
  VERBOSE,
];

/** Options of `doctor`. */
export const DOCTOR_OPTIONS: readonly Option[] = [
  ...SERVER_OPTIONS,
  CACHE_DIR,
  PACKAGE_MANAGER,
  {
    name: "channel",
    type: "text",
    value: "A,B",
    help: "Channels that must be reached",
    default: "conda-forge",
    environment: false,
  },
  ISOLATION,
  CONFIG,
  JSON_OUTPUT,
];

/** Options of `health`: the two that tell where the worker serves its status, and how to ask. */
export const HEALTH_OPTIONS: readonly Option[] = [
  {
    name: "metrics-port",
    group: "Monitoring",
    type: "text",
    value: "PORT",
    help: "Port the worker serves /health and /ready on",
  },
  {
    name: "metrics-host",
    group: "Monitoring",
    type: "text",
    value: "ADDRESS",
    help: "Address it serves them on",
    default: "127.0.0.1",
  },
  {
    name: "ready",
    type: "flag",
    help: "Ask whether calls can arrive, not only whether the worker works",
    environment: false,
  },
  {
    name: "timeout",
    type: "text",
    value: "SECONDS",
    help: "Time the worker may take to answer",
    default: "5",
    environment: false,
  },
  CONFIG,
];

/** Options of `version`. */
export const VERSION_OPTIONS: readonly Option[] = [JSON_OUTPUT];

/** The value of `--isolation`. Throws `usage`. */
export function isolationOption(value: string | undefined): IsolationMode {
  const mode = ISOLATION_MODES.find((one) => one === (value ?? "auto"));
  if (mode === undefined) {
    throw usage(`--isolation must be ${ISOLATION_MODES.join(", ")}, received ${value}`);
  }
  return mode;
}
