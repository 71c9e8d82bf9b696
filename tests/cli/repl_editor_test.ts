import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { processContext } from "../../lib/cli/command.ts";
import { repl, type ReplSession } from "../../lib/cli/repl.ts";
import { Editor } from "../../lib/cli/repl_editor.ts";
import { type Key, KeyDecoder } from "../../lib/cli/repl_keys.ts";
import { History, historyFile, MAX_ENTRIES } from "../../lib/cli/repl_history.ts";
import { Screen, widthOf } from "../../lib/cli/repl_screen.ts";
import { renderAnsi } from "../../lib/notebook/ansi.ts";

/** Keys as short texts: names in brackets, text as it is. */
function keys(decoder: KeyDecoder, ...pieces: (string | Uint8Array)[]): string[] {
  const bytes = (piece: string | Uint8Array) =>
    typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
  return pieces.flatMap((piece) => decoder.push(bytes(piece))).map(short);
}
const short = (key: Key) =>
  key.type === "key" ? `[${key.name}]` : key.pasted ? `<${key.text}>` : key.text;

/** An editor in which a text stands with the cursor at `|`, after keys. */
function edited(start: string, ...pressed: string[]): string {
  const editor = new Editor();
  editor.set(start.replace("|", ""), start.indexOf("|"));
  for (const name of pressed) {
    const known = editor.press({ type: "key", name });
    assert(known, name);
  }
  return `${editor.text.slice(0, editor.cursor)}|${editor.text.slice(editor.cursor)}`;
}

Deno.test("Keys of terminals are understood, also in pieces", () => {
  const decoder = new KeyDecoder();
  assertEquals(keys(decoder, "ab\r\x03\x1b[A\x1bOB\x1b[3~\x1b[1;5C\x1bf\x1b\x7f\t\x7f"), [
    "ab",
    "[enter]",
    "[ctrl-c]",
    "[up]",
    "[down]",
    "[delete]",
    "[ctrl-right]",
    "[alt-f]",
    "[alt-backspace]",
    "[tab]",
    "[backspace]",
  ]);
  assertEquals(keys(decoder, "\x1b[", "1;5", "D", "\x1b[99~", "\x1b"), [
    "[ctrl-left]",
    "[unknown]",
  ]);
  // Escape is what others send for Alt, and may be pressed as a key of its own before another.
  assertEquals(keys(decoder, "b\x1b\x1b", "x"), ["[alt-b]", "[escape]", "[alt-x]"]);
  const smile = new TextEncoder().encode("😀é");
  assertEquals(keys(decoder, smile.slice(0, 2), smile.slice(2, 5), smile.slice(5)).join(""), "😀é");
});

Deno.test("What is pasted is one text, without control characters, however it comes", () => {
  const decoder = new KeyDecoder();
  const typed = "\x1b[200~def f():\r\n\tpass\r\x1b[31m\x03\x1b[201~x";
  assertEquals(keys(decoder, ...typed), ["<def f():\n\tpass\n[31m>", "x"]);
});

Deno.test("The cursor moves by characters as people see them, by words and by lines", () => {
  assertEquals(edited("a👩‍👩‍👧|b", "left"), "a|👩‍👩‍👧b");
  assertEquals(edited("a|👩‍👩‍👧b", "right"), "a👩‍👩‍👧|b");
  assertEquals(edited("foo.bar(x)|", "ctrl-left"), "foo.bar(|x)");
  assertEquals(edited("foo.bar|(x)", "ctrl-left", "ctrl-left", "ctrl-left"), "|foo.bar(x)");
  assertEquals(edited("|foo.bar", "ctrl-right"), "foo|.bar");
  assertEquals(edited("first\nse|cond\nx", "up"), "fi|rst\nsecond\nx");
  assertEquals(edited("first\nsecond|\nx", "down"), "first\nsecond\nx|");
  assertEquals(edited("ab\n|cd", "end", "home", "left"), "ab|\ncd");
  assertEquals(
    edited("|", "left", "right", "up", "down", "home", "end", "backspace", "delete"),
    "|",
  );
});

Deno.test("What was removed can be put back, and indentation goes by stops", () => {
  assertEquals(edited("a = foo.bar|", "ctrl-w", "ctrl-w", "ctrl-y", "ctrl-y"), "a = foo.foo.|");
  assertEquals(edited("ab|cd", "ctrl-k"), "ab|");
  assertEquals(edited("ab|\ncd", "ctrl-k"), "ab|cd");
  assertEquals(edited("x\nab|cd", "ctrl-u", "ctrl-y", "ctrl-y"), "x\nabab|cd");
  assertEquals(edited("if x:\n        |y", "backspace"), "if x:\n    |y");
  assertEquals(edited("      |y", "backspace", "backspace"), "|y");
  assertEquals(edited("a |y", "backspace"), "a|y");
});

Deno.test("A new line is indented as Python expects", () => {
  const next = (text: string) => edited(`${text}|`, "alt-enter").slice(text.length + 1, -1);
  assertEquals(next("def f():"), "    ");
  assertEquals(next("    if x:  # why"), "        ");
  assertEquals(next("    x = 1"), "    ");
  assertEquals(next("        return x"), "    ");
  assertEquals(next("x = {"), "");
});

/** What a terminal shows of drawings, as lines, with the cursor as `|`. */
function shown(columns: number, draw: (screen: Screen) => void, rows = 24): string[] {
  let written = "";
  draw(new Screen((text) => written += text, () => ({ columns, rows }), false));
  return renderAnsi(written + "|").map((line) => line.map((run) => run.text).join(""));
}
const PROMPT = { first: ">>> ", more: "... ", python: true };

Deno.test("A drawing replaces the one before, and the cursor stands where the next character goes", () => {
  assertEquals(shown(80, (screen) => screen.draw(PROMPT, "abc", 3)), [">>> abc|"]);
  assertEquals(
    shown(80, (screen) => {
      screen.draw(PROMPT, "a\nb\nccc", 7);
      screen.draw(PROMPT, "x\ny", 3);
    }),
    [">>> x", "... y|"],
  );
  assertEquals(
    shown(80, (screen) => {
      screen.draw(PROMPT, "one\ntwo", 0);
      screen.finish(PROMPT, "one\ntwo");
    }),
    [">>> one", "... two", "|"],
  );
  // The cursor covers the character it stands on.
  assertEquals(shown(80, (screen) => screen.draw(PROMPT, "one\ntwo", 5)), [">>> one", "... t|o"]);
});

Deno.test("Lines longer than the terminal go on below, and wide characters count as two", () => {
  assertEquals(shown(10, (screen) => screen.draw(PROMPT, "abcdefghij", 10)), [
    ">>> abcdef",
    "ghij|",
  ]);
  assertEquals(shown(10, (screen) => screen.draw(PROMPT, "abcdef", 6)), [">>> abcdef", "|"]);
  assertEquals(shown(10, (screen) => screen.draw(PROMPT, "abcdefg", 6)), [">>> abcdef", "|"]);
  assertEquals(shown(11, (screen) => screen.draw(PROMPT, "日本語文", 4))[0], ">>> 日本語");
  assertEquals(["a", "日", "é", "👩‍👩‍👧", "한"].map(widthOf), [1, 2, 1, 2, 2]);
});

Deno.test("Of a cell that is higher than the terminal, what is around the cursor is drawn", () => {
  const text = Array.from({ length: 50 }, (_, line) => `line${line}`).join("\n");
  const lines = shown(80, (screen) => screen.draw(PROMPT, text, text.length), 5);
  assertEquals(lines, ["... line46", "... line47", "... line48", "... line49|"]);
  assertEquals(shown(80, (screen) => screen.draw(PROMPT, text, 0), 5)[0], ">>> |ine0");
});

Deno.test("The history is bounded, in memory and in its file, and several prompts may write it", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "deep", "history");
    const first = await History.open(path);
    const second = await History.open(path);
    await first.add("one");
    await second.add("two");
    await first.add("one");
    await first.add("x".repeat(20_000));
    assertEquals((await History.open(path)).entries, ["one", "two"]);
    const many = Array.from({ length: 2 * MAX_ENTRIES + 1 }, (_, at) => JSON.stringify(`e${at}`));
    await Deno.writeTextFile(path, many.join("\n") + "\n");
    await Deno.chmod(path, 0o644);
    const full = await History.open(path);
    assertEquals([full.entries.length, full.entries.at(-1)], [MAX_ENTRIES, `e${2 * MAX_ENTRIES}`]);
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    assertEquals(lines.length, MAX_ENTRIES);
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    for (let at = 0; at < 10; at++) await full.add(`new ${at}`);
    assertEquals(full.entries.length, MAX_ENTRIES);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Going through the history keeps what is being typed", async () => {
  const history = await History.open(undefined);
  await history.add("a");
  await history.add("b\nc");
  assertEquals(history.move(1, "typed"), undefined);
  assertEquals(history.move(-1, "typed"), "b\nc");
  assertEquals(history.move(-1, "b\nc"), "a");
  assertEquals(history.move(-1, "a"), undefined);
  assertEquals([history.move(1, "a"), history.move(1, "b\nc")], ["b\nc", "typed"]);
  assertEquals(history.search("b")?.entry, "b\nc");
  assertEquals(history.search("", 1), undefined);
});

Deno.test("The history is where the user's programs keep such things", () => {
  const of = (variables: Record<string, string>) => historyFile((name) => variables[name]);
  assertEquals(of({ HOME: "/home/me" }), "/home/me/.local/state/hypha-conda-worker/history");
  assertEquals(of({ HOME: "/h", XDG_STATE_HOME: "/s" }), "/s/hypha-conda-worker/history");
  assertEquals(
    of({ HOME: "/h", XDG_STATE_HOME: "relative" }),
    "/h/.local/state/hypha-conda-worker/history",
  );
  assertEquals(of({}), undefined);
});

Deno.test("Colours change nothing but colours", () => {
  let written = "";
  const size = () => ({ columns: 12, rows: 24 });
  const screen = new Screen((text) => written += text, size, true);
  screen.draw(PROMPT, "def f():\n    return '日本' # why", 26);
  const lines = renderAnsi(written);
  assertEquals(lines.map((line) => line.map((run) => run.text).join("")), [
    ">>> def f():",
    "...     retu",
    "rn '日本' # ",
    "why",
  ]);
  const coloured = lines.flat().filter((run) => run.style.foreground !== undefined);
  assertEquals(coloured.map((run) => run.text).join(""), ">>> deff... return'日本'# why");
});

Deno.test("A prompt that is told to stop ends, and gives the terminal back as it was", async () => {
  const stop = new AbortController();
  const modes: boolean[] = [];
  let written = "";
  // Stands for a session and a terminal that do nothing by themselves.
  const session = { state: "running", pythonVersion: "3.11" } as unknown as ReplSession;
  const prompt = repl(session, {
    context: {
      ...processContext(),
      environment: () => undefined,
      write: (_stream, text) => {
        written += text;
        if (written.includes(">>> ")) stop.abort(new Error("told to stop"));
      },
    },
    outputDir: ".",
    signal: stop.signal,
    input: {
      isTerminal: () => true,
      setRaw: (raw) => modes.push(raw),
      read: () => new Promise<null>(() => {}),
    },
  });
  await assertRejects(() => prompt, Error, "told to stop");
  assertEquals(modes, [true, false]);
  assert(written.endsWith("\x1b[?2004l"), JSON.stringify(written));
});
