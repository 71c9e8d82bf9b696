/** What can go wrong with Kubernetes' API; the room above maps it to the worker's errors. */
import { redact } from "../../log.ts";
import type { Status, StatusDetails } from "./types.ts";

/** Options of {@linkcode KubernetesError}. */
export interface KubernetesErrorOptions {
  readonly details?: StatusDetails | undefined;
  /** @default false */
  readonly maybeDone?: boolean;
}

/**
 * An answer of the API that is an error, or none at all. Its texts never hold tokens.
 *
 * Reasons are the API's own (`NotFound`, `AlreadyExists`, `Forbidden`, `Conflict`, `Invalid`, `Expired`,
 * `TooManyRequests`, …), and with status 0: `Unreachable` (no connection, or a broken one), `Timeout` (no answer in
 * time), `Closed` (the client was disposed of).
 */
export class KubernetesError extends Error {
  override readonly name = "KubernetesError";
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** In one word. */
  readonly reason: string;
  /** The API's own facts, such as which field is wrong. */
  readonly details: StatusDetails | undefined;
  /** Whether the call, or an earlier try of it, may have been done although its answer was lost. */
  readonly maybeDone: boolean;

  /** The message says what failed and why; secrets within it are removed. */
  constructor(
    message: string,
    status: number,
    reason: string,
    options: KubernetesErrorOptions = {},
  ) {
    // No cause is kept: errors of the network may hold more than their redacted text.
    super(redact(message));
    this.status = status;
    this.reason = reason;
    this.details = options.details;
    this.maybeDone = options.maybeDone ?? false;
  }
}

/** Whether something thrown is a {@linkcode KubernetesError} of one of the reasons. */
export function hasReason(error: unknown, ...reasons: string[]): error is KubernetesError {
  return error instanceof KubernetesError && reasons.includes(error.reason);
}

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  409: "Conflict",
  410: "Expired",
  413: "RequestEntityTooLarge",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** Longest part of an answer that is no {@linkcode Status} which is told. */
const MAX_EXCERPT = 300;

/** The error of an answer, whose body may be anything: proxies answer too. */
export function errorOf(
  what: string,
  status: number,
  body: string,
  maybeDone = false,
): KubernetesError {
  const told = statusIn(body);
  const reason = told?.reason || REASONS[status] || "Unknown";
  const excerpt = body.replace(/\s+/g, " ").trim().slice(0, MAX_EXCERPT);
  const message = told?.message || (excerpt === "" ? `HTTP status ${status}` : excerpt);
  return new KubernetesError(`Cannot ${what}: ${message}`, status, reason, {
    details: told?.details,
    maybeDone,
  });
}

/** The error that a watch has told. */
export function errorOfStatus(what: string, status: Status): KubernetesError {
  const code = status.code ?? 500;
  return new KubernetesError(
    `Cannot ${what}: ${status.message ?? "no reason given"}`,
    code,
    status.reason || REASONS[code] || "Unknown",
    { details: status.details },
  );
}

function statusIn(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && "kind" in value &&
        value.kind === "Status"
      ? value as Status
      : undefined;
  } catch {
    return undefined;
  }
}
