import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { paint, wantsColour } from "../../lib/cli/colour.ts";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { helpText } from "../../lib/cli/help.ts";
import { programOnTerminal } from "./on_terminal.ts";
import { program } from "./program.ts";

Deno.test("colours are for terminals, unless variables of the field say otherwise", () => {
  const wants = (terminal: boolean, variables: Record<string, string> = {}) =>
    wantsColour({ terminal, environment: (name) => variables[name] });
  assertEquals([wants(true), wants(false)], [true, false]);
  assertEquals([wants(true, { NO_COLOR: "1" }), wants(true, { NO_COLOR: "" })], [false, true]);
  assertEquals([wants(true, { TERM: "dumb" }), wants(true, { CLICOLOR: "0" })], [false, false]);
  for (const name of ["FORCE_COLOR", "CLICOLOR_FORCE"]) {
    assertEquals([wants(false, { [name]: "1" }), wants(false, { [name]: "0" })], [true, false]);
    assertEquals(wants(false, { [name]: "1", NO_COLOR: "1" }), false);
    assertEquals(wants(true, { [name]: "1", TERM: "dumb" }), true);
  }
  assertEquals([wants(true, { FORCE_COLOR: "0" }), wants(true, { CLICOLOR_FORCE: "0" })], [
    false,
    true,
  ]);
});

const ESCAPE = "\x1b";
const COLOURS = new RegExp(`${ESCAPE}\\[[\\d;]*m`, "g");

Deno.test("elsewhere than on a terminal, help and errors are plain; FORCE_COLOR colours them, NO_COLOR goes before it", async () => {
  const none = { NO_COLOR: "", FORCE_COLOR: "", CLICOLOR_FORCE: "" };
  const [help, error, forced, forcedError, both] = await Promise.all([
    program(["help", "env"], none),
    program(["strat"], none),
    program(["help", "env"], { ...none, FORCE_COLOR: "1" }),
    program(["strat"], { ...none, CLICOLOR_FORCE: "1" }),
    program(["help", "env"], { ...none, FORCE_COLOR: "1", NO_COLOR: "1" }),
  ]);
  assert(!help.stdout.includes(ESCAPE) && !error.stderr.includes(ESCAPE));
  assertStringIncludes(forced.stdout, `${ESCAPE}[1;32mUsage:${ESCAPE}[0m`);
  assertEquals(forced.stdout.replace(COLOURS, ""), help.stdout);
  assertEquals(both.stdout, help.stdout);
  assertEquals(
    forcedError.stderr,
    `\x1b[1;31mError:\x1b[0m Unknown command strat; did you mean start?\n`,
  );
});

Deno.test("on a terminal, help has colours and fits its width; a dumb one and NO_COLOR get plain text", async () => {
  const help = async (env: Record<string, string>) => {
    const { code, output } = await programOnTerminal(["help", "start"], [], env);
    assertEquals(code, 0, output);
    return output.replaceAll("\r\n", "\n");
  };
  const [colours, dumb, no] = await Promise.all([
    help({}),
    help({ TERM: "dumb" }),
    help({ NO_COLOR: "1" }),
  ]);
  assertStringIncludes(colours!, `${ESCAPE}[1;36m--server-url URL${ESCAPE}[0m`);
  for (const text of [dumb!, no!]) assert(!text.includes(ESCAPE), text);
  assertEquals(colours!.replace(COLOURS, ""), no);
});

Deno.test("help is broken at spaces to fit a width, and loses nothing", () => {
  for (const name of Object.keys(COMMANDS)) {
    const whole = helpText([name]);
    for (const width of [70, 90, 110]) {
      const text = helpText([name], { width, paint: paint(false) });
      assertEquals(text.replace(/\s+/g, " "), whole.replace(/\s+/g, " "));
      const options = text.split("\n").filter((line) => line.startsWith("  -"));
      // A column of flags may be too wide for two columns.
      const flags = Math.max(
        ...whole.split("\n").filter((line) => line.startsWith("  -")).map((line) =>
          line.search(/(?<=\S)  +\S/)
        ),
      );
      if (width - flags >= 30) { for (const line of options) assert(line.length <= width, line); }
    }
  }
});
