/** The help of the program and of its commands, from the one table of them. */
import { PROGRAM, VERSION } from "../version.ts";
import { paint } from "./colour.ts";
import { type Command, commandName, COMMANDS } from "./commands.ts";
import { envCommand } from "./env_options.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { type HelpStyle, type Option, optionsHelp, rows, wrap } from "./option.ts";

/** So many options need no groups. */
const FEW_OPTIONS = 15;

/** Longest lines of sentences (characters). */
const TEXT_COLUMNS = 100;

/** The help that words ask for: that of the program, of a command, or of a command's command. Throws `usage`. */
export function helpText(words: readonly string[], style: HelpStyle = {}): string {
  const [first, second] = words.filter((word) => !word.startsWith("-"));
  if (first === undefined) return programHelp(style);
  const command = COMMANDS[commandName(first)];
  if (command.commands === undefined || second === undefined) return commandHelp(command, style);
  return commandHelp(command.commands[envCommand(second)]!, style);
}

function line(example: string): string {
  return example.includes(PROGRAM) && !example.includes(`> `)
    ? `  ${example}`
    : `  ${PROGRAM} ${example}`;
}

function section(
  title: string,
  body: string,
  { paint: colours = paint(false) }: HelpStyle,
): string {
  return `${colours.heading(`${title}:`)}\n${body}`;
}

function paragraphs(notes: readonly string[], { width = Infinity }: HelpStyle): string[] {
  return notes.map((note) => wrap(note, Math.min(width, TEXT_COLUMNS)).join("\n"));
}

/** Options under one heading, or under those of their groups when they are many. */
function optionSections(options: readonly Option[], of: string, style: HelpStyle): string[] {
  const groups = new Map<string, Option[]>();
  for (const option of options) {
    const group = option.group === undefined || options.length <= FEW_OPTIONS
      ? "Options"
      : `${option.group} options`;
    groups.set(group, [...groups.get(group) ?? [], option]);
  }
  return [...groups].map(([title, own]) =>
    section(`${title}${of}`, optionsHelp(own, style), style)
  );
}

function programHelp(style: HelpStyle): string {
  const all = Object.entries(COMMANDS);
  const listed = all.map(([name, { summary }]) => ({ left: name, right: summary }));
  return [
    `${PROGRAM} ${VERSION}: Python in conda environments, for Hypha`,
    section("Usage", all.flatMap(([, one]) => one.usage.map(line)).join("\n"), style),
    section(
      "Commands",
      rows([...listed, { left: "help", right: "Say more of a command" }], style),
      style,
    ),
    ...optionSections(COMMANDS.start.options, " of start", style),
    section(
      "Exit codes",
      rows(EXIT_CODES.map(({ code, meaning }) => ({ left: code, right: meaning })), style),
      style,
    ),
    `${PROGRAM} help <command> says more.`,
  ].join("\n\n");
}

function commandHelp(command: Command, style: HelpStyle): string {
  const { summary, usage, options, examples, notes = [], commands } = command;
  const parts = [summary, section("Usage", usage.map(line).join("\n"), style)];
  if (commands !== undefined) {
    const listed = Object.entries(commands).map(([left, one]) => ({ left, right: one.summary }));
    parts.push(section("Commands", rows(listed, style), style));
  }
  parts.push(...optionSections(options, "", style));
  parts.push(section("Examples", examples.map(line).join("\n"), style));
  parts.push(...paragraphs(notes, style));
  if (commands !== undefined) {
    const [word] = usage[0]!.split(" ");
    parts.push(`${PROGRAM} help ${word} <command> says more.`);
  }
  return parts.join("\n\n");
}
