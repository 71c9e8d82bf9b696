/** Limits of a cache. */

/** What is kept in a cache. What is not given is not limited. Environments in use stay whatever the limits. */
export interface CacheLimits {
  /** Number of environments. */
  readonly maxEnvironments?: number;
  /** Bytes on disk of environments, packages and pip's cache together. */
  readonly maxBytes?: number;
  /** Time since the last use, in milliseconds. */
  readonly maxAge?: number;
}

/** The limits when nothing is said: 10 environments, each for 30 days after its last use. */
export const DEFAULT_LIMITS: CacheLimits = { maxEnvironments: 10, maxAge: 30 * 86_400_000 };
