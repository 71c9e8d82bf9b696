import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { RUN_OPTIONS } from "../../lib/cli/run_options.ts";
import { type RunArguments, splitArguments } from "../../lib/cli/run_arguments.ts";

const split = (args: string[]) => splitArguments(RUN_OPTIONS, args);

/** What arguments are, in a form that is easy to compare. */
function shown({ target, options, passed }: RunArguments): unknown[] {
  const what = target === undefined || target.kind === "stdin"
    ? target?.kind
    : target.kind === "code"
    ? `code ${target.code}`
    : target.kind === "nothing"
    ? target.error.message
    : [target.kind, target.name, ...(target.kind === "app" ? [target.script] : [])].join(" ");
  return [what, options, passed];
}

Deno.test("the first word that is no option is what is run, by its kind", async () => {
  const folder = await Deno.makeTempDir({ prefix: "arguments-" });
  try {
    for (const name of ["s.py", "bare", "nb.ipynb", "m.yaml", "app/manifest.json", "x.txt"]) {
      await Deno.mkdir(join(folder, name, ".."), { recursive: true });
      await Deno.writeTextFile(join(folder, name), "");
    }
    await Deno.writeTextFile(join(folder, "tool.exe"), "#!/usr/bin/env python\n");
    const at = (name: string) => join(folder, name);
    const cases: [string[], unknown[]][] = [
      [[at("s.py"), "--with=x"], [`script ${at("s.py")}`, [], ["--with=x"]]],
      [[at("bare"), "--", "a"], [`script ${at("bare")}`, [], ["a"]]],
      [[at("tool.exe")], [`script ${at("tool.exe")}`, [], []]],
      [["--with", "x", "-", "-v"], ["stdin", ["--with=x"], ["-v"]]],
      [["-v", "-c", "1\n2", "-c"], ["code 1\n2", ["-v"], ["-c"]]],
      [["-c=1"], ["code 1", [], []]],
      [["-cprint(1)"], ["code print(1)", [], []]],
      // Options may stand anywhere here.
      [[at("nb.ipynb"), "-o", "-", "-px=-1", "--", "a"], [
        `notebook ${at("nb.ipynb")}`,
        ["--output=-", "--parameters=x=-1"],
        ["a"],
      ]],
      [[at("m.yaml"), "other.py", "--timeout", "3"], [
        `app ${at("m.yaml")} other.py`,
        ["--timeout=3"],
        [],
      ]],
      [[at("app"), "--unknown"], [`app ${at("app")} `, ["--unknown"], []]],
      [["-v", "--", "a"], [undefined, ["-v"], ["a"]]],
      [[], [undefined, [], []]],
      [[folder], [
        `Cannot run ${folder}: it has no manifest.yaml or manifest.yml or manifest.json`,
        [],
        [],
      ]],
      [[at("x.txt")], [
        `Cannot run ${at("x.txt")}: expected an app folder, a manifest (.yaml, .yml, .json), ` +
        "a script (.py) or a notebook (.ipynb)",
        [],
        [],
      ]],
    ];
    for (const [args, expected] of cases) assertEquals(shown(await split(args)), expected);
    for (
      const args of [[at("m.yaml"), "a.py", "b.py"], [at("nb.ipynb"), "b"], [
        at("nb.ipynb"),
        "-c",
        "1",
      ]]
    ) {
      const error = await assertRejects(() => split(args), WorkerError);
      assert(error.code === "usage", error.message);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
