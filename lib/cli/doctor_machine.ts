/** Checks of `doctor` that concern this machine: managers, permissions, directories, isolation. */
import { dirname } from "@std/path";
import { exists } from "@std/fs";
import { EnvironmentAdmin } from "../environments/admin.ts";
import { fileSystemOf } from "../environments/file_system.ts";
import { isReadOnly } from "../environments/files.ts";
import { CacheLayout } from "../environments/layout.ts";
import { FileLock } from "../environments/lock.ts";
import { probeLocks } from "../environments/probe.ts";
import { formatBytes, freeBytes } from "../environments/space.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { ForkServer, type Landlock } from "../interpreter/fork_server.ts";
import { checkIsolation } from "../interpreter/isolation.ts";
import type { IsolationMode } from "../interpreter/options.ts";
import { installRuntime } from "../interpreter/runtime.ts";
import { Switchboard } from "../interpreter/switchboard.ts";
import { silentLogger } from "../log.ts";
import { MANAGER_PREFERENCE, type ManagerFinding } from "../managers/detect.ts";
import type { Manager } from "../managers/manager.ts";
import { type Check, failure, type Finding, ok, warning } from "./doctor_check.ts";
import { makeSessionsDirectory, makeSocketsDirectory } from "./places.ts";
import { hiddenMicromamba, managerAdvice } from "./setup_place.ts";

/** An environment of usual size, and the archives of its packages, would fit. */
const ENOUGH_CACHE_BYTES = 5 * 1024 ** 3;
const ENOUGH_TEMPORARY_BYTES = 1024 ** 3;
/** The Landlock that keeps signals apart as well. */
const SIGNALS_ABI = 6;

/** A machine, and what a worker would be told to use of it. */
export interface Machine {
  readonly managers: Promise<readonly ManagerFinding[]>;
  /** Managers that were asked for. @default all there are */
  readonly preference: readonly string[] | undefined;
  /** Absolute path of the cache. Throws `usage` when none can be chosen. */
  readonly cacheDirectory: () => string;
  /** Absolute path of a directory for the managers' own files and for programs. */
  readonly runtimeDirectory: string;
  readonly isolation: IsolationMode;
  readonly environment: (name: string) => string | undefined;
}

/** The checks, in the order of the report. */
export function machineChecks(machine: Machine): Check[] {
  return [
    // A manager may take half a minute to say its version.
    { name: "manager", timeout: 35_000, run: () => checkManagers(machine) },
    { name: "permissions", timeout: 35_000, run: () => checkPermissions(machine) },
    { name: "cache", timeout: 20_000, run: () => checkCache(machine.cacheDirectory()) },
    { name: "temporary", timeout: 20_000, run: () => checkTemporary(machine) },
    { name: "isolation", timeout: 90_000, run: (signal) => checkSessions(machine, signal) },
  ];
}

async function checkManagers(machine: Machine): Promise<Finding> {
  const { managers, preference, environment } = machine;
  const findings = await managers;
  const words = findings.flatMap((one) => {
    if (one.state === "missing") return [];
    if (one.state === "forbidden") return [`${one.command} may not be run`];
    if (one.state === "broken") return [`${one.command} does not work: ${one.reason}`];
    const { family, version } = one.manager;
    // A program may be another than its name says.
    return [
      `${one.command} ${version} (${family === "conda" ? "conda" : "libmamba"}, ${one.path})`,
    ];
  });
  const message = words.join("; ");
  if (!findings.some((one) => one.state === "works")) {
    const names = (preference ?? MANAGER_PREFERENCE).join(", ");
    const hidden = await hiddenMicromamba(environment);
    return failure(
      message === "" ? `none found (looked for ${names} in PATH)` : message,
      hidden === undefined
        ? "Install micromamba, mamba or conda, and put the directory of the program on PATH. " +
          await managerAdvice(environment)
        : await managerAdvice(environment),
    );
  }
  const bad = findings.filter((one) => one.state === "broken" || one.state === "forbidden");
  if (bad.length === 0) return ok(message);
  const names = bad.map((one) => one.command).join(", ");
  return warning(message, `Repair ${names}, or leave it out with --package-manager.`);
}

/** What the worker asks the system for. */
const SYSTEM = [
  "hostname",
  "osRelease",
  "systemMemoryInfo",
  "statfs",
  "cpus",
  "uid",
  "gid",
  "homedir",
] as const;

async function checkPermissions({ managers }: Machine): Promise<Finding> {
  // That some of it is denied is usual: nobody may write to the programs that may be started.
  const granted = async (descriptor: Deno.PermissionDescriptor) =>
    (await Deno.permissions.query(descriptor)).state === "granted";
  const missing: string[] = [];
  for (const name of ["read", "write", "net", "env"] as const) {
    if (!await granted({ name })) missing.push(`--allow-${name}`);
  }
  const system: string[] = [];
  for (const kind of SYSTEM) {
    // Deno's types do not know all kinds.
    const descriptor = { name: "sys", kind } as Deno.SysPermissionDescriptor;
    if (!await granted(descriptor)) system.push(kind);
  }
  if (system.length > 0) missing.push(`--allow-sys=${system.join(",")}`);
  const forbidden = (await managers).filter((one) => one.state === "forbidden");
  if (forbidden.length > 0) {
    missing.push(`--allow-run=${forbidden.map((one) => one.command).join(",")}`);
  }
  if (missing.length > 0) {
    return failure(
      `missing: ${missing.join(" ")}`,
      "Use `deno task start` or the compiled program, which have the permissions a worker needs.",
    );
  }
  if (await granted({ name: "run" })) {
    return warning(
      "more than a worker needs: it may start any program",
      "Use `deno task start` or the compiled program, which may start package managers only.",
    );
  }
  return ok("read, write, net, env, sys, and run of package managers only");
}

async function checkCache(directory: string): Promise<Finding> {
  // Refuses paths that environments cannot live in.
  new CacheLayout(directory);
  const fix = "Choose a directory you may write to with --cache-dir.";
  let place = directory;
  let problem: string | undefined;
  try {
    // One that is missing is not made for this: whoever uses it at the same moment would lose it again.
    place = await nearest(directory);
    problem = await probeLocks(place);
  } catch (error) {
    if (isReadOnly(error) && await exists(`${directory}/envs`)) {
      return warning(
        `${directory} cannot be written to: its environments can be used, and no others be made`,
        fix,
      );
    }
    return failure(`${directory} cannot be used: ${messageOf(error)}`, fix);
  }
  if (problem !== undefined) {
    return failure(
      `file locks do not work in ${place}: ${problem}`,
      "Choose a directory on another file system with --cache-dir.",
    );
  }
  const kind = await fileSystemOf(place);
  const free = await freeBytes(place);
  const facts = [
    place === directory ? "writable" : "can be made",
    `locks work${kind?.shared ? " between processes of this machine" : ""}`,
    ...(free === undefined ? [] : [`${formatBytes(free)} free`]),
    ...(kind === undefined ? [] : [`on ${kind.name}`]),
  ];
  const message = `${directory}: ${facts.join(", ")}`;
  if (free !== undefined && free < ENOUGH_CACHE_BYTES) {
    return warning(
      message,
      "Make room (env prune removes environments), or choose a larger disk with --cache-dir.",
    );
  }
  return ok(message);
}

/** A directory, or the one it would be made in. */
async function nearest(directory: string): Promise<string> {
  const parent = dirname(directory);
  return parent === directory || await exists(directory) ? directory : await nearest(parent);
}

async function checkTemporary({ environment }: Machine): Promise<Finding> {
  await using stack = new AsyncDisposableStack();
  const temporary = (directory: string) => {
    stack.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    return directory;
  };
  const fix = "Set TMPDIR to a directory you may write to, with a short path.";
  let sessions: string;
  let sockets: string;
  try {
    sessions = temporary(await makeSessionsDirectory(environment));
    sockets = temporary(await makeSocketsDirectory(environment));
    stack.use(await Switchboard.open(sockets, silentLogger));
  } catch (error) {
    return failure(`sessions cannot get directories and sockets: ${messageOf(error)}`, fix);
  }
  const free = await freeBytes(sessions);
  const space = free === undefined ? "" : `, ${formatBytes(free)} free`;
  const message = `sessions in ${dirname(sessions)}${space}; sockets in ${dirname(sockets)}`;
  if (free !== undefined && free < ENOUGH_TEMPORARY_BYTES) {
    return warning(message, "Make room there, or choose another place with --working-dir.");
  }
  return ok(message);
}

/** Whether sessions can be isolated. */
async function checkSessions(machine: Machine, signal: AbortSignal): Promise<Finding> {
  const { isolation } = machine;
  if (isolation === "off") {
    return warning(
      "switched off: sessions reach each other's files, and the worker's",
      "Leave out --isolation, so that sessions are isolated where the system can do it.",
    );
  }
  const system = `${Deno.build.os === "linux" ? "Linux" : Deno.build.os} ${Deno.osRelease()}`;
  try {
    checkIsolation("required", Deno.build.os, Deno.osRelease());
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error;
    return lacking(String(error.context.reason), isolation);
  }
  const notAsked = (reason: string) =>
    ok(`${system} is new enough for Landlock; whether it is switched on was not asked: ${reason}`);
  const working = (await machine.managers).find((one) => one.state === "works");
  if (working === undefined) return notAsked("there is no package manager");
  let place: string | undefined;
  try {
    place = await readyPlace(machine.cacheDirectory());
  } catch {
    return notAsked("the cache cannot be used");
  }
  if (place === undefined) {
    return notAsked("the cache has no environment yet (env create makes one)");
  }
  try {
    const found = await askKernel(machine, working.manager, place, signal);
    if (found === undefined) return notAsked(`environment ${place} is being removed`);
    const { landlock: { abi, reason }, version } = found;
    if (abi === 0) return lacking(reason, isolation);
    const message = `Landlock ${abi}, as Python ${version} of environment ${place} says`;
    if (abi >= SIGNALS_ABI) return ok(message);
    return warning(
      `${message}: files are kept apart, signals are not`,
      "Use Linux 6.12 or newer, which has Landlock 6.",
    );
  } catch (error) {
    return warning(
      `${system} is new enough for Landlock, but Python could not ask: ${messageOf(error)}`,
      `Remove the environment if it does not work in sessions either: env remove ${place}`,
    );
  }
}

/** Has the Python of an environment ask the kernel what it offers; `undefined` when the environment goes. */
async function askKernel(
  { environment, runtimeDirectory, cacheDirectory }: Machine,
  manager: Manager,
  place: string,
  signal: AbortSignal,
): Promise<{ landlock: Landlock; version: string } | undefined> {
  const layout = new CacheLayout(cacheDirectory());
  await using stack = new AsyncDisposableStack();
  const lock = await FileLock.try(layout.lock(place), "shared");
  if (lock === undefined) return undefined;
  stack.defer(() => lock.release());
  const sockets = await makeSocketsDirectory(environment);
  stack.defer(() => Deno.remove(sockets, { recursive: true }).catch(() => {}));
  const program = await installRuntime(runtimeDirectory);
  const switchboard = stack.use(await Switchboard.open(sockets, silentLogger));
  const server = stack.use(
    await ForkServer.start({
      manager,
      prefix: layout.prefix(place),
      program,
      switchboard,
      log: silentLogger,
      signal,
    }),
  );
  return { landlock: server.landlock, version: server.version };
}

/** The environment of a cache that was used last, of those that are ready. */
async function readyPlace(directory: string): Promise<string | undefined> {
  const admin = new EnvironmentAdmin({ directory, log: silentLogger });
  try {
    return (await admin.list()).find((one) => one.state === "ready")?.key;
  } finally {
    await admin.close();
  }
}

function lacking(reason: string, mode: IsolationMode): Finding {
  const message = `sessions cannot be isolated: ${reason}`;
  return mode === "required"
    ? failure(message, "Use Linux 5.13 or newer with Landlock, or leave out --isolation required.")
    : warning(
      message,
      "Use Linux 5.13 or newer with Landlock, or give tenants who do not trust each other workers of their own.",
    );
}
