/** `version`: what this program is, and what it runs on. */
import { PROGRAM, VERSION } from "../version.ts";
import type { CommandContext } from "./command.ts";
import { readOptions, usage } from "./option.ts";
import { VERSION_OPTIONS } from "./options.ts";

/** What is told, as it is printed with `--json`. */
export interface VersionInfo {
  readonly name: string;
  readonly version: string;
  /** Version of Deno. */
  readonly deno: string;
  readonly v8: string;
  readonly typescript: string;
  /** Operating system, machine and C library, as compilers name them. */
  readonly platform: string;
  /** Whether this is one executable, rather than sources that Deno runs. */
  readonly compiled: boolean;
}

/** The short form: name and version. */
export function versionLine(): string {
  return `${PROGRAM} ${VERSION}`;
}

function versionInfo(): VersionInfo {
  return {
    name: PROGRAM,
    version: VERSION,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    typescript: Deno.version.typescript,
    platform: Deno.build.target,
    compiled: Deno.build.standalone,
  };
}

/** Runs the command. Returns the exit code. */
export function version(args: readonly string[], context: CommandContext): Promise<number> {
  const { values, rest, passed } = readOptions(VERSION_OPTIONS, args, context.environment);
  const [unexpected] = [...rest, ...passed];
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
  const info = versionInfo();
  context.print(
    values.json === true ? JSON.stringify(info, null, 2) : `${versionLine()}
deno ${info.deno}, ${info.compiled ? "compiled into one executable" : "running the sources"}
${info.platform}`,
  );
  return Promise.resolve(0);
}
