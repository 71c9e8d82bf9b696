/** Reads a Dockerfile, as far as the tests look into it. */

/** One instruction. */
export interface Instruction {
  /** In capitals, for example `COPY`. */
  readonly name: string;
  /** What follows it, with continued lines joined and comments removed. */
  readonly text: string;
  /** Flags such as `--from=build`, by name. */
  readonly flags: Readonly<Record<string, string>>;
  /** Words behind the flags, or the elements of a JSON list. */
  readonly words: readonly string[];
}

/** From one FROM to the next. */
export interface Stage {
  readonly name: string | undefined;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

/** A Dockerfile. */
export interface Dockerfile {
  /** Arguments before the first stage, with their defaults. */
  readonly args: Readonly<Record<string, string>>;
  readonly stages: readonly Stage[];
}

/** Reads the text of a Dockerfile. */
export function readDockerfile(text: string): Dockerfile {
  const lines = text.split("\n").filter((line) => !line.trimStart().startsWith("#"));
  const joined = lines.join("\n").replace(/\\\n\s*/g, " ").split("\n");
  const all = joined.filter((line) => line.trim() !== "").map(readInstruction);
  const args: Record<string, string> = {};
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const instruction of all) {
    if (instruction.name === "FROM") {
      const [base = "", , name] = instruction.words;
      stages.push({ base, name, instructions: [] });
    } else if (stages.length > 0) {
      stages.at(-1)!.instructions.push(instruction);
    } else if (instruction.name === "ARG") {
      const [, name = "", value = ""] = /^(\w+)=?(.*)$/.exec(instruction.text) ?? [];
      args[name] = value;
    }
  }
  return { args, stages };
}

function readInstruction(line: string): Instruction {
  const [, name = "", text = ""] = /^\s*(\w+)\s+(.*)$/.exec(line) ?? [];
  const flags: Record<string, string> = {};
  let rest = text.trim();
  for (;;) {
    const flag = /^--([\w-]+)=(\S+)\s+/.exec(rest);
    if (flag === null) break;
    flags[flag[1]!] = flag[2]!;
    rest = rest.slice(flag[0].length);
  }
  const words = rest.startsWith("[") ? JSON.parse(rest) as string[] : rest.split(/\s+/);
  return { name: name.toUpperCase(), text: rest, flags, words };
}

/** Variables that a stage sets with ENV or LABEL: `name=value` pairs, quoted or not. */
export function pairs(stage: Stage, instruction: "ENV" | "LABEL"): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, text } of stage.instructions) {
    if (name !== instruction) continue;
    for (const [, key, quoted, plain] of text.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S*))/g)) {
      found[key!] = quoted ?? plain!;
    }
  }
  return found;
}

/** The only instruction of a name. */
export function one(stage: Stage, name: string): Instruction {
  const found = stage.instructions.filter((instruction) => instruction.name === name);
  if (found.length !== 1) throw new Error(`${found.length} instructions are ${name}`);
  return found[0]!;
}

/** Whether a path goes to the builder, by the lines of a .dockerignore: the last that matches decides. */
export function reachesBuilder(ignore: string, path: string): boolean {
  let kept = true;
  for (const line of ignore.split("\n").map((one) => one.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    const pattern = line.replace(/^!/, "");
    const expression = pattern.split("/").map((part) =>
      part === "**" ? "(?:.*)" : part.replace(/[.+^$()|[\]{}]/g, "\\$&").replaceAll("*", "[^/]*")
    ).join("/").replace("(?:.*)/", "(?:.*/)?");
    if (new RegExp(`^${expression}(?:/.*)?$`).test(path)) kept = line.startsWith("!");
  }
  return kept;
}
