/** What is said when a manifest cannot be made into a job. */
import { WorkerError } from "../../errors.ts";

/** Where in a manifest a value is. */
export interface Place {
  /** For example `manifest.volumes[0].mount_path`. */
  readonly path: string;
  /** How the field may be written, for people. */
  readonly example: string;
}

/** A place below another; `part` is a name or a position. */
export function below(place: Place, part: string | number): Place {
  // Names come from outside: a long one would hide the message.
  const name = typeof part === "number" ? `[${part}]` : `.${shortened(part, 60)}`;
  return { path: `${place.path}${name}`, example: place.example };
}

/** A value as errors show it. */
export function shown(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "a mapping";
  if (typeof value === "string") return JSON.stringify(shortened(value, 80));
  return typeof value === "number" || typeof value === "boolean" ? String(value) : typeof value;
}

function shortened(text: string, length: number): string {
  const plain = text.replace(/[\p{Cc}\p{Cs}]/gu, "?");
  return plain.length > length ? `${plain.slice(0, length)}…` : plain;
}

/** A value is not what it must be; `received` is left out where it may be a secret. */
export function invalid(
  place: Place,
  rule: string,
  options: { received?: unknown; suggestion?: string } = {},
): WorkerError {
  const received = "received" in options ? `, received ${shown(options.received)}` : "";
  return new WorkerError(
    "invalid_argument",
    `Cannot start job: ${place.path} must be ${rule}${received}`,
    {
      context: { argument: place.path },
      suggestion: options.suggestion ?? `Correct ${place.path}, for example ${place.example}`,
    },
  );
}

/** A field that cannot be there, for a reason. */
export function misplaced(place: Place, reason: string, suggestion: string): WorkerError {
  return new WorkerError("invalid_argument", `Cannot start job: ${place.path} ${reason}`, {
    context: { argument: place.path },
    suggestion,
  });
}

/** A value that the operator has not allowed. */
export function refused(place: Place, what: string, suggestion: string): WorkerError {
  return new WorkerError("permission_denied", `Cannot start job: ${place.path}: ${what}`, {
    context: { argument: place.path },
    suggestion,
  });
}
