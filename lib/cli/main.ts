/** Chooses the command, and turns errors into one clear message and an exit code. */
import { messageOf, WorkerError } from "../errors.ts";
import { redact } from "../log.ts";
import { PROGRAM, VERSION } from "../version.ts";
import type { CommandContext } from "./command.ts";
import { doctor } from "./doctor.ts";
import { env } from "./env.ts";
import { ENV_COMMANDS, envHelp } from "./env_options.ts";
import { editDistance, optionsHelp, usage } from "./option.ts";
import { DOCTOR_OPTIONS, RUN_OPTIONS, START_OPTIONS } from "./options.ts";
import { run } from "./run.ts";
import { exitCodeOf, start } from "./start.ts";

interface Command {
  readonly summary: string;
  readonly usage: string;
  readonly options: string;
  readonly examples: string;
  /** Its help when it has commands of its own; gets what follows its name. @default from the above */
  readonly help?: (args: readonly string[]) => string;
  readonly run: (args: readonly string[], context: CommandContext) => Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  start: {
    summary: "Serve a Hypha server as a worker (the default)",
    usage: `${PROGRAM} [start] --server-url URL --workspace NAME --token TOKEN`,
    options: optionsHelp(START_OPTIONS),
    examples:
      `  ${PROGRAM} --server-url https://hypha.aicell.io --workspace my-workspace --token-file token.txt
  HYPHA_SERVER_URL=… HYPHA_WORKSPACE=… HYPHA_TOKEN=… ${PROGRAM} --verbose

Every option can be given by an environment variable: HYPHA_SERVER_URL, CONDA_CACHE_DIR, HYPHA_CONDA_CACHE_DIR, …`,
    run: start,
  },
  run: {
    summary: "Run an app on this machine, with no server",
    usage: `${PROGRAM} run <app folder or manifest> [script.py] [-- arguments of the script]`,
    options: optionsHelp(RUN_OPTIONS),
    examples: `  ${PROGRAM} run examples/plot
  ${PROGRAM} run manifest.yaml other.py -- --fast`,
    run,
  },
  env: {
    summary: "List, make, export and remove environments",
    usage: `${PROGRAM} env <${Object.keys(ENV_COMMANDS).join("|")}>`,
    options: "",
    examples: "",
    help: envHelp,
    run: env,
  },
  doctor: {
    summary: "Check that a worker can work here, and say what to do where it cannot",
    usage: `${PROGRAM} doctor [options]`,
    options: optionsHelp(DOCTOR_OPTIONS),
    examples: `  ${PROGRAM} doctor
  ${PROGRAM} doctor --server-url https://hypha.aicell.io --workspace my-workspace --token-file token.txt
  ${PROGRAM} doctor --channel conda-forge,bioconda --json

It leaves nothing behind. The exit code is 1 when something fails; warnings do not count.`,
    run: doctor,
  },
};

/** Runs the program. Returns the exit code: 0, 1 for failures, 2 for wrong usage. */
export async function main(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    const [first, ...rest] = args;
    if (first === "--version" || first === "version") {
      context.print(`${PROGRAM} ${VERSION}`);
      return 0;
    }
    const named = first !== undefined && !first.startsWith("-");
    if (first === "help" || (!named && ownHelp(args))) {
      const [about, ...more] = rest;
      context.print(
        named && about !== undefined ? commandHelp(command(about), more) : help(),
      );
      return 0;
    }
    const chosen = named ? command(first) : COMMANDS.start!;
    const own = named ? rest : args;
    if (ownHelp(own)) {
      context.print(commandHelp(chosen, own));
      return 0;
    }
    return await chosen.run(own, context);
  } catch (error) {
    const suggestion = error instanceof WorkerError && error.code !== "usage"
      ? `\n${error.suggestion}`
      : "";
    const message = error instanceof WorkerError || Deno.env.get("HYPHA_DEBUG") === undefined
      ? messageOf(error)
      : (error as Error).stack ?? messageOf(error);
    context.write("stderr", redact(`Error: ${message}${suggestion}\n`));
    return exitCodeOf(error);
  }
}

/** Whether help is asked of the program itself, not of a script behind `--`. */
function ownHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  return own.includes("--help") || own.includes("-h");
}

function command(name: string): Command {
  const found = COMMANDS[name];
  if (found !== undefined) return found;
  const near = Object.keys(COMMANDS).find((known) => editDistance(name, known) <= 2);
  throw usage(`Unknown command ${name}${near === undefined ? "" : `; did you mean ${near}?`}`);
}

function help(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const rows = Object.entries(COMMANDS).map(([name, one]) =>
    `  ${name.padEnd(width)}  ${one.summary}`
  );
  return `${PROGRAM} ${VERSION}: Python in conda environments, for Hypha

Usage:
  ${COMMANDS.start!.usage}
  ${COMMANDS.run!.usage}
  ${COMMANDS.env!.usage}
  ${COMMANDS.doctor!.usage}

Commands:
${rows.join("\n")}

Options of start:
${COMMANDS.start!.options}

${PROGRAM} help <command> says more.`;
}

function commandHelp(one: Command, args: readonly string[]): string {
  if (one.help !== undefined) return one.help(args);
  return `${one.summary}

Usage:
  ${one.usage}

Options:
${one.options}

Examples:
${one.examples}`;
}
