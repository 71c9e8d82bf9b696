import { assertEquals, assertThrows } from "@std/assert";
import { inlineCommands, readBlocks } from "./markdown.ts";
import { ownCalls, shellCommands } from "./shell_words.ts";

Deno.test("blocks have their line, language, text and marks, hidden ones too", () => {
  const text = [
    "# Title",
    "",
    "```sh",
    "echo one",
    "```",
    "",
    "<!-- run sh",
    "export A=1",
    "-->",
    "",
    "1. item",
    "",
    '   ```yml no-run "why not" file=a/b.yaml as=manifest exit=3',
    "   a: 1",
    "     b: 2",
    "   ```",
    "````md",
    "```sh",
    "inner",
    "```",
    "````",
  ].join("\n");
  const found = readBlocks("x.md", text).map(({ line, language, text, hidden }) => ({
    line,
    language,
    text,
    hidden,
  }));
  assertEquals(found, [
    { line: 4, language: "sh", text: "echo one\n", hidden: false },
    { line: 8, language: "sh", text: "export A=1\n", hidden: true },
    { line: 14, language: "yaml", text: "a: 1\n  b: 2\n", hidden: false },
    { line: 18, language: "md", text: "```sh\ninner\n```\n", hidden: false },
  ]);
  const marked = readBlocks("x.md", text)[2]!;
  assertEquals(
    [marked.noRun, marked.file, marked.kind, marked.exit],
    ["why not", "a/b.yaml", "manifest", 3],
  );
});

Deno.test("marks that mean nothing, and blocks that are not closed, are named with their place", () => {
  assertThrows(() => readBlocks("x.md", "\n```sh norun\n```\n"), Error, 'x.md:2: "norun"');
  assertThrows(() => readBlocks("x.md", "```sh\necho\n"), Error, "x.md:1: the block is not closed");
});

Deno.test("commands in backquotes are found, but not those within blocks", () => {
  const text =
    "Use `hypha-conda-worker env\nlist`:\n```sh\n`hypha-conda-worker no`\n```\n`other`\n";
  assertEquals(inlineCommands(text), [{ line: 1, text: "hypha-conda-worker env list" }]);
});

Deno.test("words of commands come without quotes, redirections, comments and here-documents", () => {
  const script = `A=1 prog --x='a b' "c \\"d\\"" e\\ f > out 2>&1 # comment
cat <<'END' | sort
hypha-conda-worker --not-a-command
END
one && two; (three) || four \\
  five $(six seven)
`;
  assertEquals(shellCommands(script), [
    ["A=1", "prog", "--x=a b", 'c "d"', "e f"],
    ["cat"],
    ["sort"],
    ["one"],
    ["two"],
    ["three"],
    ["four", "five", "$(six seven)"],
  ]);
  assertThrows(() => shellCommands("echo 'x"), Error, "not closed");
});

Deno.test("calls of the program are found behind variables, by path, and as the image of a container", () => {
  const script = `
HYPHA_X=1 ./hypha-conda-worker --verbose
sudo -n hypha-conda-worker doctor --json | less
docker build -t hypha-conda-worker .
docker run --rm -v a:/b ghcr.io/org/hypha-conda-worker:1.2 run app
chmod +x hypha-conda-worker
deno task start env list
`;
  assertEquals(ownCalls(script), [
    ["--verbose"],
    ["doctor", "--json"],
    ["run", "app"],
    ["env", "list"],
  ]);
});
