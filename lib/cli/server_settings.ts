/** Settings of every command that joins a Hypha server as a worker, from flags and environment variables, checked. */
import { messageOf } from "../errors.ts";
import { addSecret, type LogFormat } from "../log.ts";
import { milliseconds, portOption } from "./numbers.ts";
import { type ParsedOptions, usage } from "./option.ts";

/** How a worker joins a server, and what it tells. */
export interface ServerSettings {
  serverUrl: string;
  workspace: string;
  token: string;
  serviceId: string;
  clientId: string;
  visibility: "public" | "protected";
  authorizedWorkspaces: readonly string[] | undefined;
  useLocalUrl: boolean | string;
  disableSsl: boolean;
  verbose: boolean;
  /** Absolute path of the configuration file that was read. */
  configuration: string | undefined;
  /** Time between questions whether the server is there (milliseconds). */
  heartbeat: number | undefined;
  /** Time without a server after which the worker exits (milliseconds). */
  reconnectTimeout: number | undefined;
  logFormat: LogFormat;
  /** Where to serve status and figures. */
  metrics: { port: number; hostname: string } | undefined;
}

const ID = /^[\w][\w.-]*$/;

/** The parts of a value with commas. */
export function parts(value: string | undefined): readonly string[] | undefined {
  return value?.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

/**
 * Reads and checks them.
 *
 * @param generated makes the ids that are not given
 * @throws WorkerError `usage` naming the option
 */
export async function readServerSettings(
  { values, rest, passed, file }: ParsedOptions,
  generated: { serviceId: () => string; clientId: () => string },
): Promise<ServerSettings> {
  const [unexpected] = [...rest, ...passed];
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
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
  const serviceId = text("service-id") ?? generated.serviceId();
  const clientId = text("client-id") ?? generated.clientId();
  for (const [name, id] of [["service-id", serviceId], ["client-id", clientId]] as const) {
    if (!ID.test(id)) throw usage(`--${name} may have letters, digits and "_.-", received ${id}`);
  }
  const local = text("use-local-url") ?? "false";
  return {
    serverUrl: serverUrl.replace(/\/+$/, ""),
    workspace,
    token,
    serviceId,
    clientId,
    visibility,
    authorizedWorkspaces: parts(text("authorized-workspaces")),
    useLocalUrl: local === "true" ? true : local === "false" ? false : local,
    disableSsl: values["disable-ssl"] === true,
    verbose: values.verbose === true,
    configuration: file,
    heartbeat: milliseconds("heartbeat", text("heartbeat")),
    reconnectTimeout: milliseconds("reconnect-timeout", text("reconnect-timeout")),
    logFormat: readLogFormat(text("log-format")),
    metrics: readMetrics(text),
  };
}

function readLogFormat(format: string | undefined): LogFormat {
  if (format === undefined || format === "text" || format === "json") return format ?? "text";
  throw usage(`--log-format must be text or json, received ${format}`);
}

function readMetrics(text: (name: string) => string | undefined): ServerSettings["metrics"] {
  const port = text("metrics-port");
  if (port === undefined) return undefined;
  return { port: portOption("metrics-port", port), hostname: text("metrics-host") ?? "127.0.0.1" };
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
