/** Settings of `start`, from flags and environment variables, checked. */
import { resolve } from "@std/path";
import type { CacheLimits } from "../environments/limits.ts";
import { parsePolicy, type SpecPolicy } from "../environments/policy.ts";
import { messageOf } from "../errors.ts";
import type { IsolationMode } from "../interpreter/options.ts";
import { addSecret, type LogFormat } from "../log.ts";
import { defaultClientId } from "../service/connection.ts";
import { parsePositive, parseSize, type SessionLimits } from "../worker/session_limits.ts";
import { defaultCacheDir, directoryOption } from "./assemble.ts";
import { readCacheLimits } from "./cache_limits.ts";
import { type ManagerSettings, readManagerSettings } from "./manager_settings.ts";
import { type Environment, readOptions, usage } from "./option.ts";
import { isolationOption, START_OPTIONS } from "./options.ts";
import { type DashboardSettings, readDashboardSettings } from "./start_dashboard.ts";

/** Settings of the worker, checked. */
export interface StartSettings {
  serverUrl: string;
  workspace: string;
  token: string;
  serviceId: string;
  clientId: string;
  visibility: "public" | "protected";
  cacheDir: string;
  cacheLimits: CacheLimits;
  manager: ManagerSettings;
  workingDir: string | undefined;
  authorizedWorkspaces: readonly string[] | undefined;
  useLocalUrl: boolean | string;
  disableSsl: boolean;
  verbose: boolean;
  maxSessions: number | undefined;
  /** Bytes. */
  maxStageSize: number | undefined;
  maxWorkspaceSessions: number | undefined;
  maxBuilds: number | undefined;
  maxWorkspaceBuilds: number | undefined;
  limits: SessionLimits;
  isolation: IsolationMode;
  /** What manifests may use of this machine. */
  policy: SpecPolicy;
  /** Absolute path of the configuration file that was read. */
  configuration: string | undefined;
  /** Files that sessions must not read. */
  secretFiles: readonly string[];
  /** Time between questions whether the server is there (milliseconds). */
  heartbeat: number | undefined;
  /** Time without a server after which the worker exits (milliseconds). */
  reconnectTimeout: number | undefined;
  /** Time running cells get at the end (milliseconds). */
  drainTimeout: number;
  /** Time unused sessions are kept that the server has forgotten (milliseconds). */
  orphanTimeout: number;
  logFormat: LogFormat;
  /** Where to serve status and figures. */
  metrics: { port: number; hostname: string } | undefined;
  /** Where to serve the dashboard, and what opens it. */
  dashboard: DashboardSettings | undefined;
}

const ID = /^[\w][\w.-]*$/;

/** Reads and checks the settings. Throws `usage` naming the option. */
export async function readSettings(
  args: readonly string[],
  environment: Environment,
): Promise<StartSettings> {
  const { values, rest, passed, file } = readOptions(START_OPTIONS, args, environment);
  const [unexpected] = [...rest, ...passed];
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
  const text = (name: string) => values[name] as string | undefined;
  const serverUrl = text("server-url") ?? required("server-url");
  if (!URL.canParse(serverUrl) || !/^https?:\/\//.test(serverUrl)) {
    throw usage(`--server-url must be an http or https address, received ${serverUrl}`);
  }
  const workspace = text("workspace") ?? required("workspace");
  const tokenFile = text("token-file");
  const token = await readToken(text("token"), tokenFile);
  addSecret(token);
  const visibility = text("visibility") ?? "protected";
  if (visibility !== "public" && visibility !== "protected") {
    throw usage(`--visibility must be public or protected, received ${visibility}`);
  }
  const serviceId = text("service-id") ?? `conda-worker-${crypto.randomUUID().slice(0, 8)}`;
  const clientId = text("client-id") ?? defaultClientId();
  for (const [name, id] of [["service-id", serviceId], ["client-id", clientId]] as const) {
    if (!ID.test(id)) throw usage(`--${name} may have letters, digits and "_.-", received ${id}`);
  }
  const cacheDir = text("cache-dir");
  const workingDir = text("working-dir");
  const local = text("use-local-url") ?? "false";
  return {
    serverUrl: serverUrl.replace(/\/+$/, ""),
    workspace,
    token,
    serviceId,
    clientId,
    visibility,
    cacheDir: cacheDir ? directoryOption(cacheDir, environment) : defaultCacheDir(environment),
    cacheLimits: readCacheLimits(text),
    manager: readManagerSettings(values),
    workingDir: workingDir ? directoryOption(workingDir, environment) : undefined,
    authorizedWorkspaces: text("authorized-workspaces")?.split(",").map((name) => name.trim())
      .filter((name) => name !== ""),
    policy: parsePolicy(text("allow-file-channels"), text("allow-environment")),
    useLocalUrl: local === "true" ? true : local === "false" ? false : local,
    disableSsl: values["disable-ssl"] === true,
    verbose: values.verbose === true,
    maxSessions: positive("max-sessions", text("max-sessions")),
    maxStageSize: sizeOption("max-stage-size", text("max-stage-size")),
    maxWorkspaceSessions: positive("max-workspace-sessions", text("max-workspace-sessions")),
    maxBuilds: positive("max-builds", text("max-builds")),
    maxWorkspaceBuilds: positive("max-workspace-builds", text("max-workspace-builds")),
    limits: readLimits(text),
    isolation: isolationOption(text("isolation")),
    secretFiles: [
      ...(tokenFile === undefined ? [] : [resolve(tokenFile)]),
      // It may hold a token.
      ...(file === undefined ? [] : [file]),
    ],
    configuration: file,
    heartbeat: milliseconds("heartbeat", text("heartbeat")),
    reconnectTimeout: milliseconds("reconnect-timeout", text("reconnect-timeout")),
    drainTimeout: seconds("drain-timeout", text("drain-timeout")) ?? 10_000,
    orphanTimeout: milliseconds("orphan-timeout", text("orphan-timeout")) ?? 600_000,
    logFormat: readLogFormat(text("log-format")),
    metrics: readMetrics(text),
    dashboard: readDashboardSettings(text),
  };
}

function readLogFormat(format: string | undefined): LogFormat {
  if (format === undefined || format === "text" || format === "json") return format ?? "text";
  throw usage(`--log-format must be text or json, received ${format}`);
}

function readMetrics(text: (name: string) => string | undefined): StartSettings["metrics"] {
  const port = text("metrics-port");
  if (port === undefined) return undefined;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) {
    throw usage(`--metrics-port must be a port number, received ${port}`);
  }
  return { port: Number(port), hostname: text("metrics-host") ?? "127.0.0.1" };
}

function positive(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = parsePositive(value);
  if (number === undefined) throw usage(`--${name} must be a positive number, received ${value}`);
  return number;
}

function sizeOption(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const size = parseSize(value);
  if (size === undefined) throw usage(`--${name} must be a size such as 4GiB, received ${value}`);
  return size;
}

/** Seconds as milliseconds; 0 is allowed. */
function seconds(name: string, value: string | undefined): number | undefined {
  return value === "0" ? 0 : milliseconds(name, value);
}

function milliseconds(name: string, value: string | undefined): number | undefined {
  const seconds = positive(name, value);
  return seconds === undefined ? undefined : seconds * 1000;
}

function readLimits(text: (name: string) => string | undefined): SessionLimits {
  const memory = sizeOption("memory-limit", text("memory-limit"));
  const cpu = positive("cpu-limit", text("cpu-limit"));
  const idle = positive("idle-timeout", text("idle-timeout"));
  const life = positive("max-lifetime", text("max-lifetime"));
  return {
    resources: {
      ...(memory === undefined ? {} : { memory }),
      ...(cpu === undefined ? {} : { cpu_time: Math.ceil(cpu) }),
    },
    ...(idle === undefined ? {} : { idleTimeout: idle * 1000 }),
    ...(life === undefined ? {} : { maxLifetime: life * 1000 }),
  };
}

function required(name: string): never {
  throw usage(`--${name} is required (or set HYPHA_${name.toUpperCase().replaceAll("-", "_")})`);
}

/** The token, as it is given or from its file. Throws `usage`. */
export async function readToken(
  token: string | undefined,
  file: string | undefined,
): Promise<string> {
  if (token !== undefined) return token;
  if (file === undefined) required("token");
  try {
    const text = (await Deno.readTextFile(file)).trim();
    if (text === "") throw new Error("it is empty");
    return text;
  } catch (error) {
    throw usage(`Cannot read --token-file ${file}: ${messageOf(error)}`);
  }
}
