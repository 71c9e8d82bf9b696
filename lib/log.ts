/**
 * The operator's log: one line per event on standard error, secrets removed.
 *
 * Standard output belongs to the command's result, so nothing is logged there.
 */

/** How much a line matters. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** How lines look. */
export type LogFormat = "text" | "json";

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warning: 2, error: 3 };

/** Facts of an event, appended as `key=value`. */
export type LogFields = Record<string, unknown>;

/** Writes events; injected wherever something is logged. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Options of {@linkcode createLogger}. */
export interface LoggerOptions {
  /** The least level that is written. @default "info" */
  level?: LogLevel;
  /** Lines for people, or one JSON object per line for log collectors. @default "text" */
  format?: LogFormat;
  /** Where lines go. @default standard error */
  write?: (line: string) => void;
  /** The time of an event. @default the system's */
  now?: () => Date;
}

/** The program's own secrets. */
const secrets = new Set<string>();
/** Those of its tenants, the last of which are remembered: each line is searched for all of them. */
const tenantSecrets = new Set<string>();
const TENANT_SECRETS = 200;

/** The usual form of tokens, which is never shown, whether somebody has told of it or not. */
const WEB_TOKEN = /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/g;

function needsRegistration(secret: string | undefined): secret is string {
  // Very short values would erase ordinary text, and protect nothing.
  return secret !== undefined && secret.length >= 8 && secret.replace(WEB_TOKEN, "") !== "";
}

/** Registers a secret: from now on it appears as `***` in every log line and in {@linkcode redact}. */
export function addSecret(secret: string | undefined): void {
  if (needsRegistration(secret)) secrets.add(secret);
}

/** Registers a secret of which there is another one in each session: the last 200 are removed from texts. */
export function addTenantSecret(secret: string | undefined): void {
  if (!needsRegistration(secret)) return;
  tenantSecrets.delete(secret);
  tenantSecrets.add(secret);
  for (const oldest of tenantSecrets) {
    if (tenantSecrets.size <= TENANT_SECRETS) break;
    tenantSecrets.delete(oldest);
  }
}

/** Removes registered secrets, JSON web tokens, and credentials within addresses from a text. */
export function redact(text: string): string {
  let result = text;
  for (const secret of secrets) result = result.replaceAll(secret, "***");
  for (const secret of tenantSecrets) result = result.replaceAll(secret, "***");
  return result.replace(WEB_TOKEN, "***")
    .replace(/:\/\/[^/\s@"'<>]{1,500}@/g, "://***@");
}

const encoder = new TextEncoder();

function writeStandardError(line: string): void {
  Deno.stderr.writeSync(encoder.encode(line + "\n"));
}

function formatValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "string") {
    return /^[\w./:@=+-]+$/.test(value) ? value : JSON.stringify(value);
  }
  return JSON.stringify(value) ?? "undefined";
}

/** JSON of a field that is an error, which has no fields of its own to show. */
function plainErrors(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}

/** A logger that writes one line per event. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const least = RANK[options.level ?? "info"];
  const write = options.write ?? writeStandardError;
  const now = options.now ?? (() => new Date());
  const log = (level: LogLevel, message: string, fields: LogFields = {}) => {
    if (RANK[level] < least) return;
    const time = now().toISOString();
    if (options.format === "json") {
      write(redact(JSON.stringify({ ...fields, time, level, message }, plainErrors)));
      return;
    }
    const facts = Object.entries(fields).map(([key, value]) => ` ${key}=${formatValue(value)}`);
    write(redact(`${time} ${level.toUpperCase()} ${message}${facts.join("")}`));
  };
  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warning: (message, fields) => log("warning", message, fields),
    error: (message, fields) => log("error", message, fields),
  };
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warning: () => {},
  error: () => {},
};
