/** What a session may use, and how long it may live: the operator's limits, and lower ones of the app. */
import { WorkerError } from "../errors.ts";

/** Resource limits of a session's processes: bytes, seconds and counts, set by `setrlimit`. */
export interface ResourceLimits {
  /** Address space of one process (bytes). */
  memory?: number;
  /** Processor time of one process (seconds). */
  cpu_time?: number;
  /**
   * Processes and threads of the worker's user, all sessions and the worker together: the system counts them by user.
   * It does not bind root. A share for each session would need a control group, which an ordinary user cannot make.
   */
  processes?: number;
  /** Open files of one process. */
  open_files?: number;
  /** Size of one file (bytes). */
  file_size?: number;
}

/** Limits of a session. */
export interface SessionLimits {
  readonly resources: Readonly<ResourceLimits>;
  /** Time without executions after which the session ends (milliseconds). */
  readonly idleTimeout?: number;
  /** Time after which it ends (milliseconds). */
  readonly maxLifetime?: number;
}

/** No limits. */
export const NO_LIMITS: SessionLimits = { resources: {} };

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};
const RESOURCES = ["memory", "cpu_time", "processes", "open_files", "file_size"] as const;
const SIZES: readonly string[] = ["memory", "file_size"];

/** A size in bytes: a number, or text such as `512MiB`, `2GB`, `1Gi`. `undefined` when it is none. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === "number") return value > 0 ? Math.floor(value) : undefined;
  const match = typeof value === "string" &&
    /^(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?$/i.exec(value.trim());
  if (!match) return undefined;
  const bytes = Math.floor(Number(match[1]) * UNITS[(match[2] ?? "").toLowerCase()]!);
  return bytes > 0 ? bytes : undefined;
}

/** A positive number, also as text. `undefined` when it is none. */
export function parsePositive(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && number > 0 && Number.isFinite(number) ? number : undefined;
}

function refuse(name: string, value: unknown, expected: string): WorkerError {
  return new WorkerError(
    "invalid_argument",
    `Cannot read limits: ${name} must be ${expected}, received ${JSON.stringify(value)}`,
    { context: { argument: name } },
  );
}

/**
 * Limits of an app's manifest (`limits`, `idle_timeout`, `max_lifetime` in seconds) under those of the operator:
 * an app may ask for less, never for more. Throws `invalid_argument` naming the entry.
 */
export function limitsOf(
  manifest: Readonly<Record<string, unknown>>,
  operator: SessionLimits,
): SessionLimits {
  const resources: ResourceLimits = { ...operator.resources };
  const given = manifest.limits ?? {};
  if (typeof given !== "object" || Array.isArray(given)) throw refuse("limits", given, "an object");
  for (const [name, value] of Object.entries(given as Record<string, unknown>)) {
    const known = RESOURCES.find((one) => one === name);
    if (known === undefined) {
      throw refuse(`limits.${name}`, value, `one of ${RESOURCES.join(", ")}`);
    }
    if (value === null) continue;
    const parsed = SIZES.includes(known) ? parseSize(value) : parsePositive(value);
    if (parsed === undefined) {
      const expected = SIZES.includes(known) ? "a size such as 2GiB" : "a positive number";
      throw refuse(`limits.${name}`, value, expected);
    }
    resources[known] = Math.min(Math.ceil(parsed), operator.resources[known] ?? Infinity);
  }
  const idleTimeout = lower(manifest, "idle_timeout", operator.idleTimeout);
  const maxLifetime = lower(manifest, "max_lifetime", operator.maxLifetime);
  return {
    resources,
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    ...(maxLifetime === undefined ? {} : { maxLifetime }),
  };
}

function lower(
  manifest: Readonly<Record<string, unknown>>,
  name: string,
  operator: number | undefined,
): number | undefined {
  const value = manifest[name];
  if (value === undefined || value === null) return operator;
  const seconds = parsePositive(value);
  if (seconds === undefined) throw refuse(name, value, "a number of seconds");
  return Math.min(seconds * 1000, operator ?? Infinity);
}
