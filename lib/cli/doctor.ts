/** `doctor`: looks at everything a worker needs, and says what to do about what is wrong. It leaves nothing behind. */
import { join } from "@std/path";
import { settledWithin } from "../delay.ts";
import { redact, silentLogger } from "../log.ts";
import { examineManagers } from "../managers/detect.ts";
import { defaultCacheDir, directoryOption } from "./assemble.ts";
import { type Paint, paint } from "./colour.ts";
import { type CommandContext, interruptible } from "./command.ts";
import { type Check, type CheckResult, ok, startCheck } from "./doctor_check.ts";
import { machineChecks } from "./doctor_machine.ts";
import { networkChecks } from "./doctor_network.ts";
import { readManagerSettings } from "./manager_settings.ts";
import { readOptions, usage } from "./option.ts";
import { DOCTOR_OPTIONS, isolationOption } from "./options.ts";
import { makeSubstituteDirectory } from "./places.ts";
import { readToken } from "./server_settings.ts";

/** How long checks that were given up may take to clear up (milliseconds). */
const CLEAR_MS = 5000;

/** Runs the command. Returns the exit code: 1 when something fails, 130 or 143 when it was interrupted. */
export async function doctor(args: readonly string[], context: CommandContext): Promise<number> {
  const { values, rest, passed, file } = readOptions(DOCTOR_OPTIONS, args, context.environment);
  const [unexpected] = [...rest, ...passed];
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
  const text = (name: string) => values[name] as string | undefined;
  const json = values.json === true;
  const manager = readManagerSettings(values);
  const isolation = isolationOption(text("isolation"));
  await using stack = new AsyncDisposableStack();
  const runtimeDirectory = await temporaryDirectory(context, stack);
  const managers = examineManagers({ runtimeDirectory, log: silentLogger, ...manager });
  managers.catch(() => {});
  const cacheDirectory = () => {
    const given = text("cache-dir");
    return given === undefined
      ? defaultCacheDir(context.environment)
      : directoryOption(given, context.environment);
  };
  const token = async () =>
    text("token") === undefined && text("token-file") === undefined
      ? undefined
      : await readToken(text("token"), text("token-file"));
  const checks: Check[] = [
    configurationCheck(file),
    ...machineChecks({
      managers,
      preference: manager.preference,
      cacheDirectory,
      runtimeDirectory,
      isolation,
      environment: context.environment,
    }),
    ...networkChecks({
      channels: (text("channel") ?? "conda-forge").split(",").map((name) => name.trim()),
      serverUrl: text("server-url"),
      workspace: text("workspace"),
      token,
    }),
  ];
  return await interruptible(context, async (signal) => {
    const running = checks.map((check) => startCheck(check, signal));
    // Those that were given up clear up before their directory goes.
    const over = Promise.all(running.map((one) => one.over));
    stack.defer(() => settledWithin(over, CLEAR_MS).then(() => {}));
    return await report(running.map((one) => one.result), context, json);
  });
}

/** Says which configuration file was read. One that is wrong ends the command, as it would end the worker. */
function configurationCheck(file: string | undefined): Check {
  const message = file ?? "no file: arguments and variables only";
  return { name: "configuration", timeout: 1000, run: () => Promise.resolve(ok(message)) };
}

/** A directory for managers and programs; where there can be none, a name, and the check of that place says why. */
async function temporaryDirectory(
  { environment }: CommandContext,
  stack: AsyncDisposableStack,
): Promise<string> {
  try {
    const directory = await makeSubstituteDirectory(environment);
    stack.defer(() => Deno.remove(directory, { recursive: true }).catch(() => {}));
    return directory;
  } catch {
    return join(Deno.cwd(), `hypha_runtime_${crypto.randomUUID()}`);
  }
}

/** Prints what is found, in the order of the checks. Returns the exit code. */
async function report(
  running: readonly Promise<CheckResult>[],
  context: CommandContext,
  json: boolean,
): Promise<number> {
  const all = Promise.all(running);
  // Whoever waits for one of them is told first.
  all.catch(() => {});
  if (!json) {
    const colours = paint(context.colour.stdout);
    for (const result of running) {
      for (const line of linesOf(await result, colours)) context.print(redact(line));
    }
  }
  const results = await all;
  const failures = results.filter((one) => one.status === "failure").length;
  const warnings = results.filter((one) => one.status === "warning").length;
  context.print(
    json
      ? redact(JSON.stringify(results, null, 2))
      : `\n${summary(count(failures, "failure"), count(warnings, "warning"))}`,
  );
  return failures === 0 ? 0 : 1;
}

const NAME_WIDTH = 14;
const STATUS_WIDTH = 9;

function linesOf({ name, status, message, fix }: CheckResult, colours: Paint): string[] {
  const colour = { ok: colours.good, warning: colours.warning, failure: colours.bad }[status];
  const gap = " ".repeat(STATUS_WIDTH - status.length);
  const line = `${colour(status)}${gap}${name.padEnd(NAME_WIDTH)}${message}`;
  return fix === undefined ? [line] : [line, `${" ".repeat(STATUS_WIDTH + NAME_WIDTH)}Fix: ${fix}`];
}

function count(number: number, what: string): string | undefined {
  if (number === 0) return undefined;
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function summary(...counts: (string | undefined)[]): string {
  const found = counts.filter((one) => one !== undefined);
  return found.length === 0 ? "No problems found." : `${found.join(", ")}.`;
}
