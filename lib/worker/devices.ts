/**
 * Which graphics processors an app may choose. The operator decides by the worker's own `CUDA_VISIBLE_DEVICES` and the
 * like; an app may take fewer of them, by the same names. This keeps apps from taking each other's devices by mistake.
 * It is no wall: code can set the variable itself, and only access to the device files decides then.
 */
import { WorkerError } from "../errors.ts";
import { DEVICE_VARIABLES } from "./session_variables.ts";

/** Values that mean no device at all. */
const NONE = ["", "-1", "none", "void", "NoDevFiles"];
const ALL = "all";

function entries(value: string): string[] {
  return value.split(",").map((entry) => entry.trim());
}

/**
 * Checks variables that an app or a call sets against the worker's own.
 *
 * @throws WorkerError `invalid_argument` naming the variable when it would make more devices visible
 */
export function checkDevices(
  wanted: Readonly<Record<string, string | null>>,
  given: Readonly<Record<string, string>>,
  argument: string,
): void {
  for (const name of DEVICE_VARIABLES) {
    const value = wanted[name];
    const allowed = given[name]?.trim();
    if (value === undefined || allowed === undefined || allowed === ALL) continue;
    const names = NONE.includes(allowed) ? [] : entries(allowed);
    if (value !== null && NONE.includes(value.trim())) continue;
    if (value !== null && entries(value).every((entry) => names.includes(entry))) continue;
    const asked = value === null ? "all devices" : JSON.stringify(value);
    throw new WorkerError(
      "invalid_argument",
      `Cannot set ${name} to ${asked}: the worker's devices are ${JSON.stringify(allowed)}`,
      {
        context: { argument: `${argument}.${name}` },
        suggestion: `Leave ${name} out, or name some of the worker's devices.`,
      },
    );
  }
}
