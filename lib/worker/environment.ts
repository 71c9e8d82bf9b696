/** Environment variables that come from outside. */
import { WorkerError } from "../errors.ts";

/** Environment variables of a call, checked. Throws `invalid_argument` naming the variable. */
export function environmentOf(given: unknown, name: string): Record<string, string | null> {
  if (given === undefined || given === null) return {};
  const refuse = (what: string) =>
    new WorkerError("invalid_argument", `Cannot set environment variables: ${what}`, {
      context: { argument: name },
    });
  if (typeof given !== "object" || Array.isArray(given)) throw refuse(`${name} must be an object`);
  const result: Record<string, string | null> = {};
  for (const [key, value] of Object.entries(given)) {
    if (!/^[A-Za-z_]\w*$/.test(key) || key === "__proto__") {
      throw refuse(`${JSON.stringify(key)} is not a name`);
    }
    if (value !== null && typeof value !== "string" && typeof value !== "number") {
      throw refuse(`${name}.${key} must be text`);
    }
    const text = value === null ? null : String(value);
    if (text?.includes("\0")) throw refuse(`${name}.${key} has a NUL character`);
    result[key] = text;
  }
  return result;
}
