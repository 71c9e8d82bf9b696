/** Chooses the command, and turns errors into one clear message and an exit code. */
import { hasCode, messageOf, WorkerError } from "../errors.ts";
import { redact } from "../log.ts";
import { paint } from "./colour.ts";
import type { CommandContext } from "./command.ts";
import { type CommandName, commandName } from "./commands.ts";
import { mayHaveConfiguration } from "./config_places.ts";
import { EXIT, exitCodeOf, OutputClosed } from "./exit_codes.ts";
import { versionLine } from "./version.ts";

type Run = (args: readonly string[], context: CommandContext) => Promise<number>;

/** The commands. Each is loaded when it is called: help and completions do not wait for what a worker needs. */
const RUN: Readonly<Record<CommandName, () => Promise<Run>>> = {
  start: async () => (await import("./start.ts")).start,
  k8s: async () => (await import("./k8s.ts")).k8s,
  run: async () => (await import("./run.ts")).run,
  env: async () => (await import("./env.ts")).env,
  doctor: async () => (await import("./doctor.ts")).doctor,
  health: async () => (await import("./health.ts")).health,
  setup: async () => (await import("./setup.ts")).setup,
  completions: async () => (await import("./completions.ts")).completions,
  version: async () => (await import("./version.ts")).version,
};

/** Longest lines of help on a terminal (characters). */
const MOST_COLUMNS = 120;

/** Runs the program. Returns the exit code: `exit_codes.ts` has the table. */
export async function main(args: readonly string[], context: CommandContext): Promise<number> {
  let configured = context;
  try {
    const [first, ...rest] = args;
    if (first === "--version" || first === "-V") {
      context.print(versionLine());
      return EXIT.ok;
    }
    if (first === "help") return await help(rest, context);
    const named = first !== undefined && !first.startsWith("-");
    const name = named ? commandName(first) : "start";
    const own = named ? rest : args;
    if (asksForHelp(await ownArguments(name, own))) return await help(named ? args : [], context);
    const run = await RUN[name]();
    configured = await withConfiguration(name, own, context);
    return await run(own, configured);
  } catch (error) {
    try {
      if (!(error instanceof OutputClosed)) {
        context.write("stderr", await report(error, configured));
      }
    } catch {
      // Nobody listens.
    }
    return exitCodeOf(error);
  }
}

/** Arguments of a command that are not those of the code it runs. */
async function ownArguments(
  name: CommandName,
  args: readonly string[],
): Promise<readonly string[]> {
  if (name !== "run" || !asksForHelp(args)) return args;
  const { splitArguments } = await import("./run_arguments.ts");
  const { RUN_OPTIONS } = await import("./run_options.ts");
  return (await splitArguments(RUN_OPTIONS, args)).options;
}

/** Whether help is asked of the program itself, not of a script behind `--`. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  return own.includes("--help") || own.includes("-h");
}

async function help(words: readonly string[], context: CommandContext): Promise<number> {
  const { helpText } = await import("./help.ts");
  const columns = context.columns.stdout;
  context.print(helpText(words, {
    paint: paint(context.colour.stdout),
    ...(columns === undefined ? {} : { width: Math.min(columns, MOST_COLUMNS) }),
  }));
  return EXIT.ok;
}

/** Puts the configuration file below the environment variables, if there can be one. */
async function withConfiguration(
  name: CommandName,
  args: readonly string[],
  context: CommandContext,
): Promise<CommandContext> {
  if (!await mayHaveConfiguration(args, context.environment)) return context;
  const { configuredEnvironment } = await import("./config_file.ts");
  const path = name === "env" ? [name, args[0] ?? ""] : [name];
  const warn = (text: string) => {
    const { warning } = paint(context.colour.stderr);
    context.write("stderr", redact(`${warning("Warning:")} ${text}\n`));
  };
  return { ...context, environment: configuredEnvironment(context.environment, path, warn) };
}

/** What is said of an error: what failed and why, and what to do. */
async function report(error: unknown, { colour, environment }: CommandContext): Promise<string> {
  const { bad } = paint(colour.stderr);
  const known = error instanceof WorkerError;
  const message = known || Deno.env.get("HYPHA_DEBUG") === undefined
    ? messageOf(error)
    : (error as Error).stack ?? messageOf(error);
  const lines = [`${bad("Error:")} ${message}`];
  if (known && error.code !== "usage") lines.push(error.suggestion);
  if (hasCode(error, "manager_not_found")) {
    const { managerAdvice } = await import("./setup_place.ts");
    lines.push(await managerAdvice(environment));
  }
  const origin = hasCode(error, "usage")
    ? environment.configuration?.origin(error.message)
    : undefined;
  return redact(lines.join("\n") + (origin === undefined ? "" : ` (${origin})`) + "\n");
}
