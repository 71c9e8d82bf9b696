/** Whether the program would take a command line, by its own tables of commands and options. */
import { join } from "@std/path";
import { type Command, commandName, COMMANDS } from "../../lib/cli/commands.ts";
import { configuredEnvironment } from "../../lib/cli/config_file.ts";
import { envCommand } from "../../lib/cli/env_options.ts";
import { readOptions } from "../../lib/cli/option.ts";

/** Reads a file of settings as the program does. Throws what it would say. */
export async function checkSettings(text: string, ending: "toml" | "yaml"): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, `settings.${ending}`);
    await Deno.writeTextFile(path, text, { mode: 0o600 });
    const environment = configuredEnvironment(() => undefined, ["start"], () => {});
    environment.configuration!.read(path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Throws when the program has no such command or option. Values are not looked at. */
export function checkArguments(args: readonly string[]): void {
  const [first, ...rest] = args;
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  if (first === undefined || /^(?:--version|-V|help)$/.test(first)) return;
  if (own.includes("--help") || own.includes("-h")) return;
  const named = !first.startsWith("-");
  const name = named ? commandName(first) : "start";
  const words = named ? rest : args;
  if (name === "env") {
    // The command as such, in a sentence.
    if (words.length === 0) return;
    const part = envCommand(words[0]);
    return read(COMMANDS.env.commands?.[part], words.slice(1));
  }
  read(COMMANDS[name], words);
}

function read(command: Command | undefined, args: readonly string[]): void {
  readOptions(command?.options ?? [], args, () => undefined);
}
