/** What can be completed where: the table of commands, as the scripts for shells need it. */
import { type Command, COMMANDS, type Operands } from "./commands.ts";
import { choicesOf, type Option } from "./option.ts";

/** What follows an option, or stands for an argument: words of a list, or paths. */
export type Values =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" | "directories" | "keys" | "anything" | "nothing" };

/** A command line up to the word to be completed. */
export interface Place {
  /** Names of the command and its own command; empty for the start of the line. */
  readonly path: readonly string[];
  readonly summary: string;
  /** Commands that may come next, with what they do. */
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly Option[];
  readonly operands: Values;
}

const HELP: Option = { name: "help", short: "h", type: "flag", help: "Say more" };
const VERSION: Option = { name: "version", short: "V", type: "flag", help: "Print the version" };

/** What follows an option. */
export function valuesOf(option: Option): Values {
  if (option.type === "flag") return { kind: "nothing" };
  const words = choicesOf(option);
  if (words.length > 0) return { kind: "words", words };
  if (option.value === "DIR" || option.value === "DIRS") return { kind: "directories" };
  return { kind: option.value === "FILE" ? "files" : "anything" };
}

function operandValues(operands: Operands = "none"): Values {
  if (operands === "none") return { kind: "nothing" };
  return operands === "files" || operands === "keys"
    ? { kind: operands }
    : { kind: "words", words: operands };
}

function commandsOf(commands: Readonly<Record<string, Command>>) {
  return Object.entries(commands).map(([name, { summary }]) => ({ name, summary }));
}

function placesOf(path: readonly string[], command: Command): Place[] {
  const below = Object.entries(command.commands ?? {});
  return [
    {
      path,
      summary: command.summary,
      commands: commandsOf(command.commands ?? {}),
      options: [...command.options, HELP],
      operands: operandValues(command.operands),
    },
    ...below.flatMap(([name, one]) => placesOf([...path, name], one)),
  ];
}

/** All places, the start of the line first. There, options are those of `start`. */
export function places(): Place[] {
  const all = Object.entries(COMMANDS).flatMap(([name, one]) => placesOf([name], one));
  const commands = commandsOf(COMMANDS);
  const parents = all.filter((place) => place.path.length === 1 && place.commands.length > 0);
  const help = (path: readonly string[], below: Place["commands"]): Place => ({
    path,
    summary: "Say more of a command",
    commands: below,
    options: [],
    operands: { kind: "nothing" },
  });
  return [
    {
      path: [],
      summary: "",
      commands: [...commands, { name: "help", summary: "Say more of a command" }],
      options: [...COMMANDS.start.options, HELP, VERSION],
      operands: { kind: "nothing" },
    },
    ...all,
    help(["help"], commands),
    ...parents.map((place) => help(["help", ...place.path], place.commands)),
  ];
}
