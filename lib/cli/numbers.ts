/** Numbers on the command line. */
import { parsePositive, parseSize } from "../worker/session_limits.ts";
import { usage } from "./option.ts";

/** A positive number. Throws `usage`. */
export function positive(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = parsePositive(value);
  if (number === undefined) throw usage(`--${name} must be a positive number, received ${value}`);
  return number;
}

/** The number of a TCP port; 0 stands for any that is free. Throws `usage`. */
export function portOption(name: string, value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65535) return Number(value);
  throw usage(`--${name} must be a port number, received ${value}`);
}

/** A size in bytes. Throws `usage`. */
export function sizeOption(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const size = parseSize(value);
  if (size === undefined) throw usage(`--${name} must be a size such as 4GiB, received ${value}`);
  return size;
}

/** Seconds as milliseconds; 0 is allowed. Throws `usage`. */
export function seconds(name: string, value: string | undefined): number | undefined {
  return value === "0" ? 0 : milliseconds(name, value);
}

/** Seconds as milliseconds. Throws `usage`. */
export function milliseconds(name: string, value: string | undefined): number | undefined {
  const seconds = positive(name, value);
  return seconds === undefined ? undefined : seconds * 1000;
}
