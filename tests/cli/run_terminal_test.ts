import { assert, assertEquals, assertMatch } from "@std/assert";
import { stackPaths } from "../stack/stack.ts";
import { onTerminal, programOnTerminal } from "./on_terminal.ts";
import { cacheOptions, Desk } from "./program.ts";
import {
  assertNothingLeft,
  programCommand,
  PYTHON,
  runLocal,
  runVariables,
} from "./run_support.ts";

Deno.test("on a terminal input() asks there, and getpass() does not show what is typed", async () => {
  await using desk = await Desk.make();
  const code = `
import getpass
name = input("name? ")
secret = getpass.getpass("secret? ")
print("got", name, secret.upper())
try:
    input("more? ")
except EOFError:
    print("no more")
`;
  const { code: exit, output } = await programOnTerminal(
    ["run", ...cacheOptions(), ...PYTHON, "-c", code],
    [
      { expect: "name? " },
      { type: "Ada\n" },
      { expect: "secret? " },
      { type: "xx\x7fyz\n" },
      { expect: "got Ada XYZ" },
      { expect: "more? " },
      { type: "\x04" },
      { expect: "no more" },
    ],
    runVariables(desk),
  );
  assertEquals(exit, 0, output);
  assert(!output.includes("xx"), output);
});

Deno.test("Ctrl-C at a question ends the code, and the terminal shows again what is typed", async () => {
  await using desk = await Desk.make();
  const words = [stackPaths.deno, ...await programCommand(), "run", ...cacheOptions()];
  for (const question of ["input('ask? ')", "__import__('getpass').getpass('ask? ')"]) {
    const script = 'trap : INT; "$@"; echo "code $?"; stty -a';
    const { output } = await onTerminal(
      ["sh", "-c", script, "sh", ...words, ...PYTHON, "-c", question],
      [{ expect: "ask? " }, { type: "\x03" }, { expect: "code 130" }],
      runVariables(desk),
    );
    assertMatch(output, /KeyboardInterrupt/);
    assertMatch(output, / icanon /);
    assertMatch(output, / echo /);
  }
  await assertNothingLeft(desk);
});

Deno.test("code is told of the terminal it prints to", async () => {
  await using desk = await Desk.make();
  const code =
    "import os, shutil; print(os.environ.get('FORCE_COLOR'), shutil.get_terminal_size().columns > 0)";
  const args = ["run", ...cacheOptions(), ...PYTHON, "-c", code];
  const variables = { ...runVariables(desk), NO_COLOR: "" };
  const shown = await programOnTerminal(args, [{ expect: "1 True" }], variables);
  assertEquals(shown.code, 0, shown.output);
  const plain = await runLocal(desk, args.slice(2), { env: { NO_COLOR: "", FORCE_COLOR: "" } });
  assertEquals(plain.stdout, " True\n", plain.stderr);
});
