/** Limits of the cache, from flags and environment variables. */
import { type CacheLimits, DEFAULT_LIMITS } from "../environments/limits.ts";
import { parsePositive, parseSize } from "../worker/session_limits.ts";
import { usage } from "./option.ts";

const DAY_MS = 86_400_000;

/** Reads `--max-environments`, `--max-cache-size` and `--max-environment-age`. Throws `usage` naming the option. */
export function readCacheLimits(text: (name: string) => string | undefined): CacheLimits {
  const read = (
    name: string,
    parse: (value: string) => number | undefined,
    expected: string,
    otherwise: number | undefined,
  ): number | undefined => {
    const value = text(name);
    if (value === undefined) return otherwise;
    if (value === "none") return undefined;
    const number = parse(value);
    if (number === undefined) {
      throw usage(`--${name} must be ${expected} or none, received ${value}`);
    }
    return number;
  };
  const count = (value: string) => /^[1-9]\d*$/.test(value) ? Number(value) : undefined;
  const days = (value: string) => {
    const number = parsePositive(value);
    return number === undefined ? undefined : number * DAY_MS;
  };
  const maxEnvironments = read(
    "max-environments",
    count,
    "a positive whole number",
    DEFAULT_LIMITS.maxEnvironments,
  );
  const maxBytes = read(
    "max-cache-size",
    parseSize,
    "a size such as 50GB",
    DEFAULT_LIMITS.maxBytes,
  );
  const maxAge = read(
    "max-environment-age",
    days,
    "a positive number of days",
    DEFAULT_LIMITS.maxAge,
  );
  return {
    ...(maxEnvironments === undefined ? {} : { maxEnvironments }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(maxAge === undefined ? {} : { maxAge }),
  };
}
