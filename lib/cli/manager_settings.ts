/** Which package manager is used, and how, from the options of a command. */
import { MANAGER_PREFERENCE } from "../managers/detect.ts";
import type { ManagerKind } from "../managers/manager.ts";
import { parsePositive } from "../worker/session_limits.ts";
import { environmentNames, type ParsedOptions, usage } from "./option.ts";
import { START_OPTIONS } from "./options.ts";

/** Which package manager is used, and how. */
export interface ManagerSettings {
  /** Names, the first that works is used and the others stand in for it. @default all there are */
  readonly preference?: readonly ManagerKind[];
  /** Whether the configuration of user and machine counts. */
  readonly useConfiguration: boolean;
  /** Variables that look like conda's configuration and are this program's options. */
  readonly withheld: readonly string[];
  /** After how many milliseconds without output and work a build is given up; `Infinity` is never. @default 10 minutes */
  readonly stallMs?: number;
}

/** Reads the options. Throws `usage` naming the option. */
export function readManagerSettings(values: ParsedOptions["values"]): ManagerSettings {
  const names = values["package-manager"] as string | undefined;
  const stall = values["stall-timeout"] as string | undefined;
  return {
    ...(names === undefined ? {} : { preference: names.split(",").map(readKind) }),
    useConfiguration: values["use-rc"] === true,
    withheld: START_OPTIONS.flatMap(environmentNames),
    ...(stall === undefined ? {} : { stallMs: readStall(stall) }),
  };
}

function readKind(name: string): ManagerKind {
  const kind = MANAGER_PREFERENCE.find((known) => known === name.trim());
  if (kind !== undefined) return kind;
  const names = MANAGER_PREFERENCE.join(", ");
  throw usage(
    name.includes("/")
      ? `--package-manager takes the names ${names}, received the path ${name}; put its directory first on PATH`
      : `--package-manager takes the names ${names}, received ${name}`,
  );
}

function readStall(value: string): number {
  if (value === "0") return Infinity;
  const seconds = parsePositive(value);
  if (seconds === undefined) {
    throw usage(`--stall-timeout must be a number of seconds, or 0 for never, received ${value}`);
  }
  return seconds * 1000;
}
