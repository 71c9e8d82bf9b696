/**
 * What `conda run` does to the variables of a program, for programs that are started without it.
 *
 * It is not known beforehand but learnt: from what conda has made of known variables for one environment follows
 * what it would make of others for another one. That holds for environments with nothing of their own to run or to
 * set; the others are left to conda.
 */
import { basename, dirname, join } from "@std/path";
import { exists } from "@std/fs";
import type { Variables } from "./environment_variables.ts";

/** What shells set for themselves. */
const SHELL_VARIABLES = ["_", "PWD", "OLDPWD", "SHLVL"];

/** What conda was seen to do. */
export interface SeenActivation {
  /** Absolute path of the environment. */
  readonly prefix: string;
  /** The variables conda was given. */
  readonly given: Variables;
  /** The variables the program had. */
  readonly active: Variables;
}

/** Activates environments as conda has activated another one. */
export class Activation {
  readonly #seen: SeenActivation;
  /** What goes before `PATH`. */
  readonly #path: string;
  /** What conda has set, but for `PATH`. */
  readonly #set: readonly (readonly [string, string])[];

  /** Learns. Throws when it is not understood. */
  constructor(seen: SeenActivation) {
    const { prefix, given, active } = seen;
    const before = given.PATH ?? "";
    const path = active.PATH ?? "";
    if (before === "" || !path.startsWith(`${prefix}/bin:`) || !path.endsWith(`:${before}`)) {
      throw new Error(`conda has made ${path} of PATH`);
    }
    if (active.CONDA_PREFIX !== prefix) {
      throw new Error(`conda has activated ${active.CONDA_PREFIX ?? "nothing"}`);
    }
    this.#seen = seen;
    this.#path = path.slice(0, -before.length);
    this.#set = Object.entries(active).filter(([name, value]) =>
      name !== "PATH" && given[name] !== value && !SHELL_VARIABLES.includes(name)
    );
  }

  /** The variables of a program in an environment, made of those it would be given. */
  variables(prefix: string, given: Variables): Record<string, string> {
    const stands = (value: string) => value.replaceAll(this.#seen.prefix, () => prefix);
    const made: Record<string, string> = { ...given };
    for (const [name, value] of this.#set) made[name] = stands(value);
    const { CONDA_DEFAULT_ENV: seenName, CONDA_PROMPT_MODIFIER: prompt } = this.#seen.active;
    if (seenName !== undefined) {
      // Where the path is shown the name is the path; conda shortens those of its own directories.
      const name = this.#nameOf(prefix);
      made.CONDA_DEFAULT_ENV = name;
      if (prompt !== undefined) {
        made.CONDA_PROMPT_MODIFIER = prompt.replaceAll(seenName, () => name);
      }
    }
    made.PATH = stands(this.#path) + (given.PATH ?? "");
    return made;
  }

  /** conda's own rule. */
  #nameOf(prefix: string): string {
    const program = this.#seen.active.CONDA_EXE;
    if (program !== undefined && prefix === dirname(dirname(program))) return "base";
    return basename(dirname(prefix)) === "envs" ? basename(prefix) : prefix;
  }
}

/** Whether an environment has nothing of its own that is run or set when it is activated. */
export async function isPlain(prefix: string): Promise<boolean> {
  // What is no environment is for conda to refuse.
  const [known, stated, ...empty] = await Promise.all([
    exists(join(prefix, "conda-meta/history")),
    exists(join(prefix, "conda-meta/state")),
    isEmpty(join(prefix, "etc/conda/activate.d")),
    isEmpty(join(prefix, "etc/conda/env_vars.d")),
  ]);
  return known && !stated && empty.every((one) => one);
}

async function isEmpty(directory: string): Promise<boolean> {
  try {
    for await (const _ of Deno.readDir(directory)) return false;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return false;
  }
  return true;
}
