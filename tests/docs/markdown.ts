/**
 * The code blocks of a document, as tests run them.
 *
 * What a reader does not see says how a block is treated. Behind the language of a fence:
 *
 * | word | meaning |
 * |---|---|
 * | `no-run "reason"` | not run here; still checked: syntax, and our own program's options |
 * | `exit=N` | ends with this exit code instead of 0 |
 * | `background "text"` | runs until it prints the text, and goes on until the end of the document |
 * | `file=PATH` | written to this file, for the blocks that follow |
 * | `as=KIND` | what a yaml, toml or json block is, where that cannot be seen from it; `as=fragment` is only parsed |
 * | `session` | Python that belongs into a session (magics and all), not into a client |
 *
 * And code in a comment, which is run in its place as if it were a block:
 *
 *     <!-- run sh
 *     export REPLACE_my_key=3f0c
 *     -->
 */

/** A block of code of a document. */
export interface Block {
  /** The document, relative to the checkout. */
  readonly document: string;
  /** Line of the first line of its text, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Whether readers do not see it. */
  readonly hidden: boolean;
  /** Why it is not run. */
  readonly noRun?: string;
  readonly exit: number;
  readonly background?: string;
  readonly file?: string;
  readonly kind?: string;
  readonly session: boolean;
}

/** Languages by the names documents may use. */
const LANGUAGES: Readonly<Record<string, string>> = {
  bash: "sh",
  shell: "sh",
  py: "python",
  yml: "yaml",
  jsonc: "json",
};

type Marks = Pick<Block, "noRun" | "exit" | "background" | "file" | "kind" | "session">;

/** Reads the words behind a fence's language. Throws naming a word that means nothing. */
export function parseMarks(words: string, where: string): Marks {
  const marks: { -readonly [Name in keyof Marks]: Marks[Name] } = { exit: 0, session: false };
  let rest = words.trim();
  const take = (pattern: RegExp) => {
    const match = pattern.exec(rest);
    if (match !== null) rest = rest.slice(match[0].length).trimStart();
    return match;
  };
  while (rest !== "") {
    let match;
    if ((match = take(/^no-run\s+"([^"]+)"/))) marks.noRun = match[1]!;
    else if ((match = take(/^background\s+"([^"]+)"/))) marks.background = match[1]!;
    else if ((match = take(/^exit=(\d+)(?!\S)/))) marks.exit = Number(match[1]);
    else if ((match = take(/^file=(\S+)/))) marks.file = match[1]!;
    else if ((match = take(/^as=(\S+)/))) marks.kind = match[1]!;
    else if (take(/^session(?!\S)/)) marks.session = true;
    else throw new Error(`${where}: ${JSON.stringify(rest)} behind a fence means nothing here`);
  }
  return marks;
}

/** The blocks of a document, in order. Throws naming the line of a fence that is not closed. */
export function readBlocks(document: string, text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*([\w+-]*)(.*)$/.exec(lines[at]!);
    const comment = /^<!--\s*run\s+(\w+)(.*)$/.exec(lines[at]!);
    if (fence === null && comment === null) continue;
    const start = at + 1;
    const where = `${document}:${start}`;
    const [indent, closing] = fence === null ? ["", "-->"] : [fence[1]!, fence[2]!];
    const ends = (line: string | undefined) =>
      fence === null
        ? line?.trim() === closing
        : line !== undefined && line.trim().startsWith(closing) && /^\W+$/.test(line.trim());
    while (!ends(lines[++at])) {
      if (at >= lines.length) throw new Error(`${where}: the block is not closed`);
    }
    const given = fence === null ? comment![1]! : fence[3]!;
    blocks.push({
      document,
      line: start + 1,
      language: LANGUAGES[given] ?? given,
      text: lines.slice(start, at).map((line) =>
        line.startsWith(indent) ? line.slice(indent.length) : line
      ).join("\n") + "\n",
      hidden: fence === null,
      ...parseMarks(fence === null ? comment![2]! : fence[4]!, where),
    });
  }
  return blocks;
}

/** Commands of our program that the text of a document names in backquotes, with their lines. */
export function inlineCommands(text: string): { line: number; text: string }[] {
  const outside = text.replace(
    /^(\s*)(`{3,}|~{3,})[\s\S]*?^\1\2\s*$/gm,
    (block) => "\n".repeat(block.split("\n").length - 1),
  );
  return [...outside.matchAll(/`([^`]*?)`/g)]
    .map((match) => ({
      line: outside.slice(0, match.index).split("\n").length,
      text: match[1]!.replace(/\s+/g, " "),
    }))
    .filter((one) => one.text.startsWith("hypha-conda-worker "));
}
