/** `start`: joins a Hypha server and serves until it is told to stop. */
import { messageOf, WorkerError } from "../errors.ts";
import { addSecret, createLogger, redact } from "../log.ts";
import { connectWorker, defaultClientId } from "../service/connection.ts";
import { registerWorker, type ServiceInfo } from "../service/register.ts";
import type { AccessRules } from "../worker/access.ts";
import { workerMethods } from "../worker/methods.ts";
import { parsePositive, parseSize, type SessionLimits } from "../worker/session_limits.ts";
import { SUPPORTED_TYPES } from "../worker/start_request.ts";
import { VERSION } from "../version.ts";
import { assemble, defaultCacheDir, directoryOption, passedVariables } from "./assemble.ts";
import type { CommandContext } from "./command.ts";
import { readOptions, START_OPTIONS, usage } from "./options.ts";

/** Settings of the worker, checked. */
export interface StartSettings {
  serverUrl: string;
  workspace: string;
  token: string;
  serviceId: string;
  clientId: string;
  visibility: "public" | "protected";
  cacheDir: string;
  workingDir: string | undefined;
  authorizedWorkspaces: readonly string[] | undefined;
  useLocalUrl: boolean | string;
  disableSsl: boolean;
  verbose: boolean;
  maxSessions: number | undefined;
  limits: SessionLimits;
}

const ID = /^[\w][\w.-]*$/;

/** Reads and checks the settings. Throws `usage` naming the option. */
export async function readSettings(
  args: readonly string[],
  environment: (name: string) => string | undefined,
): Promise<StartSettings> {
  const { values, rest } = readOptions(START_OPTIONS, args, environment);
  if (rest[0] !== undefined) throw usage(`Unexpected argument ${rest[0]}`);
  const text = (name: string) => values[name] as string | undefined;
  const serverUrl = text("server-url") ?? required("server-url");
  if (!URL.canParse(serverUrl) || !/^https?:\/\//.test(serverUrl)) {
    throw usage(`--server-url must be an http or https address, received ${serverUrl}`);
  }
  const workspace = text("workspace") ?? required("workspace");
  const token = await readToken(text("token"), text("token-file"));
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
    workingDir: workingDir ? directoryOption(workingDir, environment) : undefined,
    authorizedWorkspaces: text("authorized-workspaces")?.split(",").map((name) => name.trim())
      .filter((name) => name !== ""),
    useLocalUrl: local === "true" ? true : local === "false" ? false : local,
    disableSsl: values["disable-ssl"] === true,
    verbose: values.verbose === true,
    maxSessions: positive("max-sessions", text("max-sessions")),
    limits: readLimits(text),
  };
}

function positive(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = parsePositive(value);
  if (number === undefined) throw usage(`--${name} must be a positive number, received ${value}`);
  return number;
}

function readLimits(text: (name: string) => string | undefined): SessionLimits {
  const size = text("memory-limit");
  const memory = size === undefined ? undefined : parseSize(size);
  if (size !== undefined && memory === undefined) {
    throw usage(`--memory-limit must be a size such as 4GiB, received ${size}`);
  }
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

async function readToken(token: string | undefined, file: string | undefined): Promise<string> {
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

/** Runs the command. Returns the exit code. */
export async function start(args: readonly string[], context: CommandContext): Promise<number> {
  const settings = await readSettings(args, context.environment);
  const print = (line: string) => context.print(redact(line));
  const log = createLogger({ level: settings.verbose ? "debug" : "info" });
  const stopping = Promise.withResolvers<string>();
  using _signals = context.onStop((signal) => stopping.resolve(signal));
  await using assembly = await assemble({
    cacheDir: settings.cacheDir,
    workingDir: settings.workingDir,
    maxSessions: settings.maxSessions,
    passedVariables: passedVariables(context.environment),
    log,
  });
  const { manager, worker } = assembly;
  print(banner(settings, manager.kind));
  const rules: AccessRules = {
    workspace: settings.workspace,
    public: settings.visibility === "public",
    authorizedWorkspaces: settings.authorizedWorkspaces,
  };
  const methods = workerMethods({
    worker,
    rules,
    serverUrl: settings.serverUrl,
    token: settings.token,
    disableSsl: settings.disableSsl,
    limits: settings.limits,
    onShutdown: () => stopping.resolve("shutdown"),
  });
  const info: ServiceInfo = {
    id: settings.serviceId,
    name: `Conda Worker (${manager.kind})`,
    description:
      `Runs Python in conda environments made on demand with ${manager.kind} ${manager.version} ` +
      `(hypha-conda-worker ${VERSION})`,
    visibility: settings.visibility,
    ...(settings.authorizedWorkspaces
      ? { authorizedWorkspaces: settings.authorizedWorkspaces }
      : {}),
    supportedTypes: SUPPORTED_TYPES,
    useLocalUrl: settings.useLocalUrl,
  };
  const connecting = new AbortController();
  stopping.promise.then((reason) => connecting.abort(new Error(reason)));
  let connection;
  try {
    connection = await connectWorker({
      serverUrl: settings.serverUrl,
      workspace: settings.workspace,
      token: settings.token,
      clientId: settings.clientId,
      log,
      signal: connecting.signal,
      register: (server) => registerWorker(server, { methods, info, log }),
    });
  } catch (error) {
    if (connecting.signal.aborted) return 0;
    throw error;
  }
  print(registered(settings, manager.kind, connection.serviceId));
  const reason = await stopping.promise;
  log.info("Stopping", { reason, sessions: worker.sessions.length });
  // Sessions end first, so that callers of running cells still get an answer.
  await worker[Symbol.asyncDispose]();
  await connection.close();
  print("Worker stopped.");
  return 0;
}

function banner(settings: StartSettings, manager: string): string {
  return `Starting Hypha Conda Environment Worker...
  Package Manager: ${manager}
  Server URL: ${settings.serverUrl}
  Workspace: ${settings.workspace}
  Service ID: ${settings.serviceId}
  Visibility: ${settings.visibility}
  Cache Dir: ${settings.cacheDir}
`;
}

function registered(settings: StartSettings, manager: string, id: string): string {
  const types = SUPPORTED_TYPES.map((type) => `'${type}'`).join(", ");
  return `✅ Conda Environment Worker (using ${manager}) registered successfully!
   Service ID: ${id}
   Supported types: [${types}]
   Visibility: ${settings.visibility}

Worker is ready to process conda environment requests...
Press Ctrl+C to stop the worker.`;
}

/** Exit code of an error: 2 for wrong usage, 1 otherwise. */
export function exitCodeOf(error: unknown): number {
  return error instanceof WorkerError && error.code === "usage" ? 2 : 1;
}
