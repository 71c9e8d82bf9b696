/** Runs programs on a terminal, as people do: waits for texts and types others. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { startCommand } from "../e2e/worker_process.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";

/** A text to wait for, behind those that came before, or to type. */
export type Step = { readonly expect: string } | { readonly type: string };

/** What was on the terminal, and how the program ended. */
export interface OnTerminal {
  readonly code: number;
  readonly output: string;
}

/** Runs a program to its end. Fails when a text does not come. */
export async function onTerminal(
  argv: readonly string[],
  steps: readonly Step[],
  env: Record<string, string> = {},
): Promise<OnTerminal> {
  const script = join(stackPaths.root, "tests", "cli", "terminal.py");
  const { code, stdout, stderr } = await new Deno.Command(stackPaths.hyphaPython, {
    args: [script, JSON.stringify(steps), ...argv],
    cwd: stackPaths.root,
    env: { TERM: "xterm", NO_COLOR: "", ...env },
    stdin: "null",
  }).output();
  const output = new TextDecoder().decode(stdout);
  assertEquals(new TextDecoder().decode(stderr), "", output);
  return { code, output };
}

/** Runs the program itself on a terminal, under its own permissions. */
export async function programOnTerminal(
  args: readonly string[],
  steps: readonly Step[],
  env: Record<string, string> = {},
  managers: string = managerPath(),
): Promise<OnTerminal> {
  return await onTerminal([stackPaths.deno, ...await startCommand(), ...args], steps, {
    HYPHA_CONFIG_FILE: "none",
    PATH: `${managers}:${Deno.env.get("PATH")}`,
    ...env,
  });
}
