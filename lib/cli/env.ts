/** `env`: looks after the environments of a cache, with no server, also while workers use it. */
import { EnvironmentAdmin, type EnvironmentEntry } from "../environments/admin.ts";
import { EXPORT_FORMATS } from "../environments/export.ts";
import type { PruneResult } from "../environments/janitor.ts";
import type { CacheLimits } from "../environments/limits.ts";
import type { EnvironmentSpec } from "../environments/spec.ts";
import { EnvironmentStore } from "../environments/store.ts";
import { type CacheUsage, measureDirectory } from "../environments/usage.ts";
import { messageOf, WorkerError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { detectManager } from "../managers/detect.ts";
import { environmentDetails, environmentInfo, pruneInfo } from "../worker/environment_results.ts";
import { unlessAborted } from "../worker/kernels.ts";
import { parsePositive, parseSize } from "../worker/session_limits.ts";
import { defaultCacheDir, directoryOption } from "./assemble.ts";
import { readCacheLimits } from "./cache_limits.ts";
import { type CommandContext, interruptible } from "./command.ts";
import { ENV_COMMANDS, envCommand, type EnvCommandName } from "./env_options.ts";
import { readSource } from "./env_source.ts";
import { readManagerSettings } from "./manager_settings.ts";
import { type ParsedOptions, readOptions, usage } from "./option.ts";
import { CACHE_LIMITS } from "./options.ts";
import { makeRuntimeDirectory } from "./runtime_directory.ts";
import { ago, shorten, size, table, UNKNOWN } from "./tables.ts";
import { ProgressLine } from "./terminal.ts";

const DAY_MS = 86_400_000;
/** Most characters of what was asked for in a table. */
const SPEC_WIDTH = 48;

/** A command's arguments, read. */
interface EnvCall {
  readonly options: ParsedOptions;
  readonly context: CommandContext;
  /** Absolute path of the cache. */
  readonly directory: string;
  readonly json: boolean;
}

const HANDLERS: Readonly<Record<EnvCommandName, (call: EnvCall) => Promise<number>>> = {
  list,
  create,
  show,
  export: exportOne,
  remove,
  prune,
};

/** Runs the command. Returns the exit code: 1 when something was refused, 130 or 143 when it was interrupted. */
export async function env(args: readonly string[], context: CommandContext): Promise<number> {
  const [word, ...rest] = args;
  const name = envCommand(word);
  const options = readOptions(ENV_COMMANDS[name].options, rest, context.environment);
  const { "cache-dir": cacheDir, json } = options.values;
  const { operands } = ENV_COMMANDS[name];
  const most = operands === "" ? 0 : operands === "<key>" ? 1 : Infinity;
  const given = [...options.rest, ...options.passed];
  if (given.length > most) throw usage(`Unexpected argument ${given[most]}`);
  if (operands.startsWith("<key>") && given.length === 0) {
    throw usage(`env ${name} needs the key of an environment; env list shows them`);
  }
  return await HANDLERS[name]({
    options: { ...options, rest: given },
    context,
    directory: typeof cacheDir === "string"
      ? directoryOption(cacheDir, context.environment)
      : defaultCacheDir(context.environment),
    json: json === true,
  });
}

/** Does something with the cache, and waits until what it removed is deleted. */
async function withAdmin<T>(
  { directory, options }: EnvCall,
  action: (admin: EnvironmentAdmin) => Promise<T>,
): Promise<T> {
  const level = options.values.verbose === true ? "debug" : "warning";
  const admin = new EnvironmentAdmin({ directory, log: createLogger({ level }) });
  try {
    return await action(admin);
  } finally {
    await admin.close();
  }
}

/** An entry with its size, which is measured when nobody has done it yet. */
async function measured<Entry extends EnvironmentEntry>(entry: Entry): Promise<Entry> {
  if (entry.bytes !== undefined || entry.state === "building") return entry;
  const bytes = await measureDirectory(entry.prefix).catch(() => undefined);
  return bytes === undefined ? entry : { ...entry, bytes };
}

function printJson(context: CommandContext, value: unknown): void {
  context.print(JSON.stringify(value, null, 2));
}

async function list(call: EnvCall): Promise<number> {
  const { context, directory, json } = call;
  const { entries, usage } = await withAdmin(call, async (admin) => ({
    entries: await Promise.all((await admin.list()).map(measured)),
    usage: call.options.values.usage === true ? await admin.usage() : undefined,
  }));
  if (json) {
    printJson(context, {
      directory,
      environments: entries.map(environmentInfo),
      usage: usage ?? null,
    });
    return 0;
  }
  if (entries.length > 0) {
    const now = Date.now();
    const rows = entries.map((entry) => [
      entry.key,
      entry.state,
      size(entry.bytes?.own),
      size(entry.bytes?.shared),
      ago(entry.lastUsed, now),
      users(entry),
      entry.python ?? UNKNOWN,
      shorten(asked(entry.spec), SPEC_WIDTH),
    ]);
    const head = ["KEY", "STATE", "SIZE", "SHARED", "USED", "BY", "PYTHON", "ASKED FOR"];
    for (const line of table([head, ...rows], [2, 3])) context.print(line);
    context.print("");
  }
  const count = entries.length;
  context.print(
    `${count === 0 ? "No" : count} environment${count === 1 ? "" : "s"} in ${directory}`,
  );
  if (usage !== undefined) context.print(usageLine(usage));
  return 0;
}

function usageLine({ total, environments, packages, pip }: CacheUsage): string {
  return `${size(total)} on disk: environments ${size(environments)}, other packages ` +
    `${size(packages)}, pip's cache ${size(pip)}`;
}

/** Who uses an environment: processes of this machine, or somebody. */
function users({ inUse, pids }: EnvironmentEntry): string {
  if (!inUse) return UNKNOWN;
  return pids.length === 0 ? "somebody" : pids.map((pid) => `pid ${pid}`).join(", ");
}

/** What was asked for, in one line. */
function asked(spec: EnvironmentSpec | undefined): string {
  if (spec === undefined) return UNKNOWN;
  const locked = spec.explicit?.length ?? 0;
  const parts = locked > 0 ? [`lock file with ${locked} packages`] : [...spec.packages];
  if (spec.pip.length > 0) parts.push(`pip: ${spec.pip.join(" ")}`);
  return parts.join(" ");
}

async function show(call: EnvCall): Promise<number> {
  const { context, json, options } = call;
  const details = await withAdmin(
    call,
    async (admin) => await measured(await admin.get(options.rest[0]!)),
  );
  const { log } = details;
  if (json) {
    printJson(context, { ...environmentDetails(details), log: log ?? null });
    return 0;
  }
  const { spec, manager, buildMs, bytes, packages, pip } = details;
  const now = Date.now();
  const when = (time: string | undefined) =>
    time === undefined ? UNKNOWN : `${time} (${ago(time, now)})`;
  const facts: [string, string | undefined][] = [
    ["Key", details.key],
    ["State", details.reason === undefined ? details.state : `${details.state}: ${details.reason}`],
    ["Directory", details.prefix],
    ["Used by", users(details)],
    ["Asked for", asked(spec)],
    ["Channels", spec?.channels.join(", ") || undefined],
    ["Python", details.python],
    ["Built by", manager && `${manager.kind} ${manager.version}`],
    ["Built in", buildMs === undefined ? undefined : `${(buildMs / 1000).toFixed(1)} s`],
    ["Created", when(details.created)],
    ["Last used", when(details.lastUsed)],
    ["Size", bytes && `${size(bytes.own)}, and ${size(bytes.shared)} shared with others`],
    ["Log", log],
  ];
  const known = facts.filter((fact): fact is [string, string] => fact[1] !== undefined);
  for (const line of table(known.map(([name, value]) => [`${name}:`, value]))) context.print(line);
  if (packages.length > 0) {
    context.print("\nPackages:");
    const rows = packages.map(({ name, version, build }) => ["", name, version, build]);
    for (const line of table(rows)) context.print(line);
  }
  if (pip.length > 0) {
    context.print(`\nInstalled by pip:\n${pip.map((one) => `  ${one}`).join("\n")}`);
  }
  return 0;
}

async function exportOne(call: EnvCall): Promise<number> {
  const { values, rest } = call.options;
  const wanted = values.format ?? "yaml";
  const format = EXPORT_FORMATS.find((known) => known === wanted);
  if (format === undefined) {
    throw usage(`--format must be ${EXPORT_FORMATS.join(", ")}, received ${wanted}`);
  }
  const text = await withAdmin(call, (admin) => admin.export(rest[0]!, format));
  call.context.write("stdout", text);
  return 0;
}

async function remove(call: EnvCall): Promise<number> {
  const { context, json, options } = call;
  const removed: string[] = [];
  const failures: WorkerError[] = [];
  await withAdmin(call, async (admin) => {
    for (const key of options.rest) {
      try {
        const entry = await admin.get(key);
        await admin.remove(entry.key);
        removed.push(entry.key);
        if (!json) context.print(`Removed ${entry.key}`);
      } catch (error) {
        // The others go all the same.
        if (!(error instanceof WorkerError)) throw error;
        failures.push(error);
      }
    }
  });
  if (json) {
    const failed = failures.map(({ code, message, context }) => ({ code, message, ...context }));
    printJson(context, { removed, failed });
  }
  const [only, ...more] = failures;
  if (only === undefined) return 0;
  if (more.length === 0) throw only;
  for (const failure of failures) context.write("stderr", `Error: ${messageOf(failure)}\n`);
  return 1;
}

async function prune(call: EnvCall): Promise<number> {
  const { context, json, options: { values } } = call;
  const all = values.all === true;
  const dryRun = values["dry-run"] === true;
  const limits = pruneLimits(call);
  const result = await withAdmin(call, (admin) => admin.prune({ ...limits, all, dryRun }));
  if (json) printJson(context, pruneInfo(result, dryRun));
  else printPruned(context, result, dryRun);
  return 0;
}

/** The limits that are given; those of workers when none is. */
function pruneLimits({ options: { values }, context }: EnvCall): CacheLimits {
  const read = (name: string, expected: string, parse: (value: string) => number | undefined) => {
    const value = values[name] as string | undefined;
    if (value === undefined) return undefined;
    const number = value === "0" ? 0 : parse(value);
    if (number === undefined) throw usage(`--${name} must be ${expected}, received ${value}`);
    return number;
  };
  const count = read(
    "max-count",
    "a whole number",
    (value) => /^\d{1,9}$/.test(value) ? Number(value) : undefined,
  );
  const bytes = read("max-size", "a size such as 50GB", parseSize);
  const age = read("max-age", "a number of days", parsePositive);
  if (values.all === true) {
    if ([count, bytes, age].some((limit) => limit !== undefined)) {
      throw usage("--all and limits exclude each other");
    }
    return {};
  }
  if (count === undefined && bytes === undefined && age === undefined) {
    const worker = readOptions(CACHE_LIMITS, [], context.environment).values;
    return readCacheLimits((name) => worker[name] as string | undefined);
  }
  return {
    ...(count === undefined ? {} : { maxEnvironments: count }),
    ...(bytes === undefined ? {} : { maxBytes: bytes }),
    ...(age === undefined ? {} : { maxAge: age * DAY_MS }),
  };
}

const REASONS: Readonly<Record<PruneResult["removed"][number]["reason"], string>> = {
  broken: "broken",
  age: "not used for long",
  count: "too many",
  size: "too much",
  asked: "not in use",
};

function printPruned(context: CommandContext, result: PruneResult, dryRun: boolean): void {
  const { removed, packageBytes, inUse } = result;
  for (const { key, reason, bytes } of removed) {
    context.print(
      `${dryRun ? "Would remove" : "Removed"} ${key} (${REASONS[reason]}, ${size(bytes)})`,
    );
  }
  for (const { key, pids } of inUse) {
    context.print(`Kept ${key}: in use by ${pids.length > 0 ? pids.join(", ") : "somebody"}`);
  }
  const bytes = removed.reduce((sum, one) => sum + one.bytes, packageBytes);
  const verb = dryRun ? "would be" : "were";
  context.print(
    removed.length === 0 && packageBytes === 0
      ? "Nothing to remove."
      : `${removed.length} environment${removed.length === 1 ? "" : "s"} and ${
        size(packageBytes)
      } ` +
        `of packages ${verb} removed: ${size(bytes)}`,
  );
}

async function create(call: EnvCall): Promise<number> {
  const { context, options } = call;
  const channel = options.values.channel as string | undefined;
  const manager = readManagerSettings(options.values);
  return await interruptible(context, async (signal) => {
    const spec = await readSource(options.rest, {
      ...(channel === undefined ? {} : { channels: channel.split(",").map((name) => name.trim()) }),
      asInstalled: options.values["as-installed"] === true,
      signal,
    });
    await build(call, spec, manager, signal);
    return 0;
  });
}

async function build(
  { context, directory, json, options }: EnvCall,
  spec: EnvironmentSpec,
  settings: ReturnType<typeof readManagerSettings>,
  signal: AbortSignal,
): Promise<void> {
  const log = createLogger({ level: options.values.verbose === true ? "debug" : "warning" });
  await using stack = new AsyncDisposableStack();
  const runtimeDirectory = await makeRuntimeDirectory(directory, context.environment, (path) => {
    stack.defer(() => Deno.remove(path, { recursive: true }).catch(() => {}));
    return path;
  });
  const manager = stack.use(
    await detectManager({ runtimeDirectory, log, launcher: true, ...settings }),
  );
  // What is too much is for the workers of this cache to say, and for `env prune`.
  const store = new EnvironmentStore({ directory, manager, limits: {}, log });
  stack.defer(() => store.close());
  const started = performance.now();
  const line = new ProgressLine(context);
  let lease;
  try {
    await store.recover();
    lease = await store.acquire(spec, { signal, onProgress: (progress) => line.show(progress) });
    stack.use(lease);
    // A session that comes later finds everything done.
    if (!lease.cached) line.show({ type: "info", message: "Compiling modules" });
    await unlessAborted(store.settled(), signal);
  } finally {
    line.clear();
  }
  const details = await measured(await store.admin.get(lease.key));
  if (json) {
    printJson(context, { ...environmentDetails(details), cached: lease.cached });
    return;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const how = lease.cached ? "was there already" : `built in ${seconds} s`;
  context.print(`${lease.key}  ${how}`);
  context.print(lease.prefix);
}
