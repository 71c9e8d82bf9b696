import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Option, optionsHelp } from "../../lib/cli/option.ts";
import { type Command, COMMANDS } from "../../lib/cli/commands.ts";
import { EXIT, EXIT_CODES } from "../../lib/cli/exit_codes.ts";
import { helpText } from "../../lib/cli/help.ts";
import { editDistance, nearest } from "../../lib/nearest.ts";
import { START_OPTIONS } from "../../lib/cli/options.ts";
import { checkArguments } from "../docs/program_options.ts";
import { ownCalls } from "../docs/shell_words.ts";
import { VERSION } from "../../lib/version.ts";
import { spawnProgram } from "../e2e/worker_process.ts";
import { program } from "./program.ts";

/** The help of a command, as the program prints it. */
async function help(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await program(args);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  return stdout;
}

function assertNamesAll(text: string, options: readonly Option[]): void {
  for (const option of options) {
    const flag = `${option.short ? `-${option.short}, ` : ""}--${option.name}`;
    const line = text.split("\n").find((line) => line.trimStart().startsWith(`${flag} `));
    assert(line !== undefined, `no line for ${flag}`);
    assertStringIncludes(line, option.help);
    if (option.default !== undefined) assertStringIncludes(line, `[${option.default}]`);
    if (option.value !== undefined) assertStringIncludes(line, ` ${option.value} `);
  }
}

Deno.test("the help names every command, and every option of start, which is the default", async () => {
  const texts = await Promise.all([help("--help"), help("-h"), help("help")]);
  assertEquals(texts[1], texts[0]);
  assertEquals(texts[2], texts[0]);
  assertNamesAll(texts[0]!, START_OPTIONS);
  assertMatch(texts[0]!, /^ {2}start +Serve a Hypha server/m);
  assertMatch(texts[0]!, /^ {2}run +Run an app, a script/m);
});

/** All commands with their names, and those below them. */
function everyCommand(): [string[], Command][] {
  return Object.entries(COMMANDS).flatMap(([name, command]) => [
    [[name], command] as [string[], Command],
    ...Object.entries(command.commands ?? {}).map(([below, one]) =>
      [[name, below], one] as [string[], Command]
    ),
  ]);
}

Deno.test("the help of each command names its options and has examples, however it is asked for", async () => {
  const shown = await Promise.all([
    help("help", "run"),
    help("run", "-h"),
    help("env", "create", "-h"),
    help("help", "env", "create"),
  ]);
  assertEquals(shown[1], shown[0]);
  assertEquals(shown[3], shown[2]);
  for (const [path, command] of everyCommand()) {
    const text = helpText(path);
    assertEquals(await help(...path, "--help"), `${text}\n`);
    assert(text.startsWith(`${command.summary}\n\nUsage:\n  hypha-conda-worker `), text);
    assertNamesAll(text, command.options);
    assert(command.examples.length > 0, path.join(" "));
    for (const example of command.examples) assertStringIncludes(text, example);
  }
});

Deno.test("examples of the help have commands and options that there are", () => {
  for (const [path] of everyCommand()) {
    const text = `${helpText(path)}\n`;
    const examples = /\nExamples:\n((?: {2}.*\n)+)/.exec(text)?.[1] ?? "";
    const calls = ownCalls(examples.replaceAll("…", "x"));
    assertEquals(calls.length, examples.trimEnd().split("\n").length, examples);
    for (const call of calls) checkArguments(call);
  }
});

Deno.test("help fits a terminal of 120 columns", () => {
  for (const [, { options }] of everyCommand()) {
    if (options.length === 0) continue;
    for (const line of optionsHelp(options).split("\n")) assert(line.length <= 120, line);
  }
});

Deno.test("the help shows the exit codes, and the table has all that there are", async () => {
  const text = await help("--help");
  for (const { code, meaning } of EXIT_CODES) {
    assert(text.includes(`  ${code.padEnd(8)}  ${meaning}\n`), code);
  }
  const shown = EXIT_CODES.flatMap(({ code }) => code.split(", "));
  const all = Object.values(EXIT).map(String);
  assertEquals(shown.filter((code) => code !== "other").sort(), all.sort());
});

Deno.test("exit codes: 0 for success, 1 for failure, 2 for wrong usage, 141 when nobody reads", async () => {
  const [done, failed, wrong, closed] = await Promise.all([
    program(["version"]),
    program(["env", "show", "none", "--cache-dir=/nowhere/at/all"]),
    program(["version", "--yaml"]),
    unread(["--help"]),
  ]);
  assertEquals([done.code, failed.code, wrong.code], [EXIT.ok, EXIT.failure, EXIT.usage]);
  assertMatch(failed.stderr, /^Error: .*\n.*\n$/);
  assertEquals(closed, { code: EXIT.closed, stderr: "" });
});

/** Runs the program with a pipe for its output that nobody reads. */
async function unread(args: string[]): Promise<{ code: number; stderr: string }> {
  const child = await spawnProgram(args, { NO_COLOR: "1" });
  await child.stdout.cancel();
  const stderr = await new Response(child.stderr).text();
  return { code: (await child.status).code, stderr };
}

Deno.test("a mistyped word is near to what was meant, and to nothing else", () => {
  assertEquals([editDistance("", "abc"), editDistance("kitten", "sitting")], [3, 3]);
  // Neighbours that change places are one mistake.
  assertEquals(editDistance("fihs", "fish"), 1);
  const known = ["server-url", "service-id", "cache-dir", "working-dir", "workspace", "token"];
  const cases: [string, string | undefined][] = [
    ["sever-url", "server-url"],
    ["Server-URL", "server-url"],
    ["serverurl", "server-url"],
    ["chache-dir", "cache-dir"],
    ["workingdir", "working-dir"],
    // The beginning of one.
    ["tok", "token"],
    ["cache", "cache-dir"],
    // The beginning of two.
    ["work", undefined],
    ["zzz", undefined],
    ["", undefined],
  ];
  for (const [word, expected] of cases) assertEquals(nearest(word, known), expected, word);
});

Deno.test("version says what the program runs on, also for programs", async () => {
  const text = await help("version");
  assertStringIncludes(
    text,
    `hypha-conda-worker ${VERSION}\ndeno ${Deno.version.deno}, running the sources\n`,
  );
  assertStringIncludes(text, Deno.build.target);
  assertEquals(JSON.parse(await help("version", "--json")), {
    name: "hypha-conda-worker",
    version: VERSION,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    typescript: Deno.version.typescript,
    platform: Deno.build.target,
    compiled: false,
  });
});

Deno.test("the version is that of deno.json", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assertEquals(VERSION, config.version);
  for (const flag of ["--version", "-V"]) {
    assertEquals(await help(flag), `hypha-conda-worker ${VERSION}\n`);
  }
});
