/** Enough of the shell's grammar to find the commands of a script and their words. */

/** A command: its words, quotes removed. Redirections are not among them. */
export type Command = readonly string[];

/** What separates commands. */
const SEPARATORS = /^(?:&&|\|\||;;|[;|&()\n])/;
const REDIRECTION = /^\d*(?:<<-?|>>|>&|<&|<|>)/;

/** The commands of a script; those in `$(…)` and here-documents are left out. Throws for a quote that is not closed. */
export function shellCommands(script: string): Command[] {
  const commands: string[][] = [];
  let words: string[] = [];
  let word: string | undefined;
  let redirected = false;
  const bodies: string[] = [];
  const endWord = () => {
    if (word !== undefined) {
      if (!redirected) words.push(word);
      redirected = false;
    }
    word = undefined;
  };
  const endCommand = () => {
    endWord();
    if (words.length > 0) commands.push(words);
    words = [];
  };
  let rest = script.replaceAll("\\\n", " ");
  const skip = (length: number) => rest = rest.slice(length);
  while (rest !== "") {
    let match;
    if (word === undefined && (match = /^#[^\n]*/.exec(rest))) skip(match[0].length);
    else if ((match = /^[ \t]+/.exec(rest))) {
      endWord();
      skip(match[0].length);
    } else if ((match = REDIRECTION.exec(rest)) && (word === undefined || !/^\d/.test(match[0]))) {
      endWord();
      skip(match[0].length);
      if (match[0].includes("<<")) {
        const end = /^\s*(['"]?)([\w-]+)\1/.exec(rest);
        if (end !== null) bodies.push(end[2]!);
      }
      redirected = true;
    } else if ((match = SEPARATORS.exec(rest))) {
      endCommand();
      redirected = false;
      skip(match[0].length);
      if (match[0] === "\n") {
        for (const end of bodies.splice(0)) {
          const body = new RegExp(`^[\\s\\S]*?^\\s*${end}[ \\t]*$`, "m").exec(rest);
          skip(body === null ? rest.length : body[0].length);
        }
      }
    } else if (rest[0] === "'") {
      const end = rest.indexOf("'", 1);
      if (end < 0) throw new Error("a single quote is not closed");
      word = (word ?? "") + rest.slice(1, end);
      skip(end + 1);
    } else if (rest[0] === '"') {
      match = /^"((?:[^"\\]|\\[\s\S])*)"/.exec(rest);
      if (match === null) throw new Error("a double quote is not closed");
      word = (word ?? "") + match[1]!.replace(/\\(["\\$`])/g, "$1");
      skip(match[0].length);
    } else if ((match = /^\$\([^()]*(?:\([^()]*\)[^()]*)*\)/.exec(rest))) {
      word = (word ?? "") + match[0];
      skip(match[0].length);
    } else {
      const escaped = rest[0] === "\\" && rest.length > 1;
      word = (word ?? "") + (escaped ? rest[1]! : rest[0]!);
      skip(escaped ? 2 : 1);
    }
  }
  endCommand();
  return commands;
}

const PROGRAM = "hypha-conda-worker";
/** Commands that run another one, and their options. */
const BEFORE = /^(?:sudo|exec|env|nohup|time|command|-\w|\w+=.*)$/s;

/** The arguments of every call of our program in a script, also as the image of a container. */
export function ownCalls(script: string): Command[] {
  const found: Command[] = [];
  for (const command of shellCommands(script)) {
    const words = [...command];
    while (words[0] !== undefined && BEFORE.test(words[0])) words.shift();
    const [first = "", second, third] = words;
    const image = words.findIndex((word) =>
      new RegExp(`^(?:[\\w./-]*/)?${PROGRAM}(?::[\\w.-]+)?$`).test(word)
    );
    if (first.split("/").at(-1) === PROGRAM) found.push(words.slice(1));
    else if (first === "deno" && second === "task" && third === "start") found.push(words.slice(3));
    else if (/^(?:docker|podman)$/.test(first) && second === "run" && image > 0) {
      found.push(words.slice(image + 1));
    }
  }
  return found;
}
