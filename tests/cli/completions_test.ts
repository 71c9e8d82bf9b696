import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { type Command, COMMANDS, SHELLS } from "../../lib/cli/commands.ts";
import { choicesOf } from "../../lib/cli/option.ts";
import { onTerminal } from "./on_terminal.ts";
import { Desk, program } from "./program.ts";

/** The script of a shell, as the program prints it. */
async function script(shell: string): Promise<string> {
  const { code, stdout, stderr } = await program(["completions", shell]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

async function isInstalled(shell: string): Promise<boolean> {
  try {
    const child = new Deno.Command(shell, { args: ["-c", "true"], stdout: "null", stderr: "null" });
    return (await child.output()).success;
  } catch {
    return false;
  }
}

const installed = new Map(
  await Promise.all(SHELLS.map(async (shell) => [shell, await isInstalled(shell)] as const)),
);

/** A test that needs a shell; where there is none, its name among the ignored ones says so. */
function shellTest(shell: typeof SHELLS[number], name: string, fn: () => Promise<void>): void {
  const ignore = !installed.get(shell);
  Deno.test({ name: ignore ? `${name} (NOT RUN: no ${shell} on PATH)` : name, ignore, fn });
}

/** Runs a program and gives its standard output. */
async function run(command: string, args: string[], env: Record<string, string> = {}) {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  const errors = new TextDecoder().decode(stderr);
  assert(success && errors === "", errors);
  return new TextDecoder().decode(stdout);
}

/** What bash offers for words of a command line, the last of which is being typed. */
async function bashReplies(desk: Desk, lines: readonly string[][]): Promise<string[][]> {
  const file = await desk.write("completions.bash", await script("bash"));
  const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;
  const calls = lines.map((words) => `ask ${words.map(quoted).join(" ")}`);
  const driver = await desk.write(
    "drive.bash",
    `source "$1"
# What readline is told, which is not there.
compopt() { told+=" $*"; }
ask() {
  COMP_WORDS=(hypha-conda-worker "$@") COMP_CWORD=$# told=
  _hypha_conda_worker
  echo "$told|\${COMPREPLY[*]}"
}
${calls.join("\n")}
`,
  );
  const output = await run("bash", ["--norc", driver, file], { HOME: desk.directory });
  return output.trimEnd().split("\n").map((line) => {
    const [told = "", words = ""] = line.split("|");
    if (words !== "") return words.split(" ");
    // Without an answer readline completes paths, unless it is told not to.
    if (told.includes("dirnames")) return ["<directories>"];
    return told.includes("+o default") ? [] : ["<files>"];
  });
}

function flags(command: Command): string[] {
  return [
    ...command.options.flatMap((one) =>
      one.short ? [`-${one.short}`, `--${one.name}`] : [`--${one.name}`]
    ),
    "-h",
    "--help",
  ];
}

shellTest(
  "bash",
  "bash offers every command, and every option of each with its choices",
  async () => {
    await using desk = await Desk.make();
    const cases: [string[], string[]][] = [
      [[""], [...Object.keys(COMMANDS), "help"]],
      [["-"], [...flags(COMMANDS.start), "-V", "--version"]],
      [["help", ""], Object.keys(COMMANDS)],
      [["help", "env", ""], Object.keys(COMMANDS.env.commands!)],
      [["completions", ""], [...SHELLS]],
    ];
    const visit = (path: string[], command: Command) => {
      cases.push([[...path, "-"], flags(command)]);
      for (const option of command.options) {
        const choices = choicesOf(option);
        if (choices.length > 0) cases.push([[...path, `--${option.name}`, ""], choices]);
      }
      const below = Object.entries(command.commands ?? {});
      if (below.length > 0) cases.push([[...path, ""], below.map(([name]) => name)]);
      for (const [name, one] of below) visit([...path, name], one);
    };
    for (const [name, command] of Object.entries(COMMANDS)) visit([name], command);
    const replies = await bashReplies(desk, cases.map(([words]) => words));
    for (const [index, [words, expected]] of cases.entries()) {
      assertEquals(replies[index]!.toSorted(), expected.toSorted(), words.join(" "));
    }
  },
);

shellTest("bash", "bash knows what an option takes and where it stands", async () => {
  await using desk = await Desk.make();
  await Deno.mkdir(join(desk.directory, "cache", "envs", "3f0c"), { recursive: true });
  await Deno.mkdir(join(desk.directory, ".hypha_conda_cache", "envs", "91bd"), { recursive: true });
  const cases: [string[], string[]][] = [
    [["ru"], ["run"]],
    [["--visi"], ["--visibility"]],
    [["--visibility", "pub"], ["public"]],
    // The shell breaks such words at =.
    [["--visibility", "="], ["public", "protected"]],
    [["--visibility", "=", "prot"], ["protected"]],
    [["--workspace", ""], []],
    [["--cache-dir", ""], ["<directories>"]],
    [["--token-file", ""], ["<files>"]],
    [["run", ""], ["<files>"]],
    [["run", "app", "--isolation", "re"], ["required"]],
    [["run", "app", "--", ""], ["<files>"]],
    [["env", "create", "--cache-dir", "env", "--as"], ["--as-installed"]],
    [["env", "show", ""], ["91bd"]],
    [["env", "show", "--cache-dir", join(desk.directory, "cache"), ""], ["3f0c"]],
    [["env", "show", "--cache-dir", "=", "~/cache", "3"], ["3f0c"]],
    // Behind an option no command follows.
    [["--verbose", "ru"], []],
    // A value that is called like a command is none.
    [["--workspace", "env", "--disa"], ["--disable-ssl"]],
  ];
  const replies = await bashReplies(desk, cases.map(([words]) => words));
  for (const [index, [words, expected]] of cases.entries()) {
    assertEquals(replies[index], expected, words.join(" "));
  }
});

shellTest("bash", "on a terminal, bash completes what is typed", async () => {
  await using desk = await Desk.make();
  const rc = await desk.write("bashrc", `${await script("bash")}\nPS1='READY> '\n`);
  const typed = (text: string, expect: string) => [{ type: `\x15${text}\t` }, { expect }];
  const { output } = await onTerminal(["bash", "--noprofile", "--rcfile", rc, "-i"], [
    { expect: "READY> " },
    ...typed("hypha-conda-worker setu", "worker setup "),
    ...typed("hypha-conda-worker setup --rel", "--release "),
    ...typed("hypha-conda-worker --visibility=pub", "=public "),
    ...typed("hypha-conda-worker env cr", "env create "),
    ...typed(`hypha-conda-worker run ${desk.directory}/bash`, "/bashrc "),
    { type: "\x15exit\n" },
  ], { HOME: desk.directory, INPUTRC: "/dev/null" });
  assertStringIncludes(output, "exit");
});

shellTest("zsh", "zsh takes the script", async () => {
  await using desk = await Desk.make();
  const file = await desk.write("_hypha-conda-worker", await script("zsh"));
  assertEquals(await run("zsh", ["-f", "-n", file]), "");
  const rc = `autoload -U compinit; compinit -D -u; source ${file}; PS1='READY> '`;
  await desk.write(".zshrc", rc);
  await onTerminal(["zsh", "-i"], [
    { expect: "READY> " },
    { type: "hypha-conda-worker setu\t" },
    { expect: "setup " },
    { type: "--rel\t" },
    { expect: "--release" },
    { type: "\x15hypha-conda-worker --visibility prot\t" },
    { expect: "protected " },
    { type: "\x15hypha-conda-worker env exp\t" },
    { expect: "export " },
    { type: "\x15exit\n" },
  ], { HOME: desk.directory, ZDOTDIR: desk.directory, TERM: "dumb" });
});

shellTest("fish", "fish takes the script, and offers commands, options and choices", async () => {
  await using desk = await Desk.make();
  await Deno.mkdir(join(desk.directory, ".hypha_conda_cache", "envs", "91bd"), { recursive: true });
  const file = await desk.write("completions.fish", await script("fish"));
  const offered = async (line: string) => {
    const code = `source ${file}; complete -C '${line}'`;
    const output = await run("fish", ["--no-config", "-c", code], { HOME: desk.directory });
    return output.split("\n").map((one) => one.split("\t")[0]!).filter((word) => word !== "");
  };
  const cases: [string, string[]][] = [
    ["hypha-conda-worker ", [...Object.keys(COMMANDS), "help"]],
    ["hypha-conda-worker env ", Object.keys(COMMANDS.env.commands!)],
    ["hypha-conda-worker setup --rel", ["--release"]],
    ["hypha-conda-worker --visibility ", ["public", "protected"]],
    ["hypha-conda-worker env show ", ["91bd"]],
    ["hypha-conda-worker completions ", [...SHELLS]],
    ["hypha-conda-worker --verbose ", []],
  ];
  for (const [line, expected] of cases) {
    assertEquals((await offered(line)).toSorted(), expected.toSorted(), line);
  }
});

Deno.test("every shell's script names every command and every option", async () => {
  const scripts = await Promise.all(SHELLS.map(script));
  const visit = (text: string, shell: string, name: string, command: Command) => {
    assertStringIncludes(text, name);
    for (const option of command.options) {
      const flag = shell === "fish" ? ` -l ${option.name} ` : `--${option.name}`;
      assertStringIncludes(text, flag, `${shell} ${name}`);
    }
    for (const [below, one] of Object.entries(command.commands ?? {})) {
      visit(text, shell, below, one);
    }
  };
  for (const [index, shell] of SHELLS.entries()) {
    for (const [name, command] of Object.entries(COMMANDS)) {
      visit(scripts[index]!, shell, name, command);
    }
  }
});

Deno.test("completions for another shell, or for none, are refused with what there is", async () => {
  const cases: [string[], string][] = [
    [[], "Error: completions needs the name of a shell: bash, zsh, fish\n"],
    [["fihs"], "Error: There are no completions for fihs; did you mean fish?\n"],
    [["tcsh9"], "Error: There are no completions for tcsh9; there are those for bash, zsh, fish\n"],
    [["bash", "more"], "Error: Unexpected argument more\n"],
  ];
  const results = await Promise.all(cases.map(([args]) => program(["completions", ...args])));
  for (const [index, [, stderr]] of cases.entries()) {
    assertEquals(results[index], { code: 2, stdout: "", stderr });
  }
});
