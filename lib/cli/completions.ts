/** `completions`: prints a script that lets a shell complete the commands, from the one table of them. */
import type { CommandContext } from "./command.ts";
import { SHELLS } from "./commands.ts";
import { bashCompletions } from "./completions_bash.ts";
import { fishCompletions } from "./completions_fish.ts";
import { zshCompletions } from "./completions_zsh.ts";
import { EXIT } from "./exit_codes.ts";
import { nearest } from "../nearest.ts";
import { readOptions, usage } from "./option.ts";

const SCRIPTS: Readonly<Record<typeof SHELLS[number], () => string>> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
};

/** Runs the command. Returns the exit code. */
export function completions(args: readonly string[], context: CommandContext): Promise<number> {
  const { rest, passed } = readOptions([], args, context.environment);
  const [name, unexpected] = [...rest, ...passed];
  if (name === undefined) {
    throw usage(`completions needs the name of a shell: ${SHELLS.join(", ")}`);
  }
  const shell = SHELLS.find((known) => known === name);
  if (shell === undefined) {
    const near = nearest(name, SHELLS);
    throw usage(
      `There are no completions for ${name}${
        near === undefined
          ? `; there are those for ${SHELLS.join(", ")}`
          : `; did you mean ${near}?`
      }`,
    );
  }
  if (unexpected !== undefined) throw usage(`Unexpected argument ${unexpected}`);
  context.write("stdout", SCRIPTS[shell]());
  return Promise.resolve(EXIT.ok);
}
