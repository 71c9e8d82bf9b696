import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Option, optionsHelp } from "../../lib/cli/option.ts";
import { RUN_OPTIONS, START_OPTIONS } from "../../lib/cli/options.ts";
import { VERSION } from "../../lib/version.ts";
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
  assertMatch(texts[0]!, /^ {2}run +Run an app on this machine/m);
});

Deno.test("the help of a command names its options, however it is asked for", async () => {
  const [start, run, runFlag] = await Promise.all([
    help("help", "start"),
    help("help", "run"),
    help("run", "--help"),
  ]);
  assertNamesAll(start!, START_OPTIONS);
  assertNamesAll(run!, RUN_OPTIONS);
  assertEquals(runFlag, run);
});

Deno.test("help fits a terminal of 120 columns", () => {
  for (const line of [START_OPTIONS, RUN_OPTIONS].flatMap((all) => optionsHelp(all).split("\n"))) {
    assert(line.length <= 120, line);
  }
});

Deno.test("the version is that of deno.json", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  assertEquals(VERSION, config.version);
  assertEquals(await help("--version"), `hypha-conda-worker ${VERSION}\n`);
});
