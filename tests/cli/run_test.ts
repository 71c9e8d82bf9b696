import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { filesBelow } from "../../scripts/leftovers.ts";
import { stackPaths } from "../stack/stack.ts";
import { Desk } from "./program.ts";

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Fails when a run has left a process, or a file in its directory for temporary files. */
async function assertNothingLeft(desk: Desk): Promise<void> {
  assertEquals(await desk.processes(), []);
  assertEquals(await filesBelow(desk.temporary), []);
}

Deno.test("the example runs: files staged, output live, the plot saved and named", async () => {
  await using desk = await Desk.make();
  const example = join(stackPaths.root, "examples", "plot");
  const { code, stdout } = await desk.run(example, `--channel=${stackPaths.channel}`);
  assertEquals(code, 0, stdout);
  // From notes.txt, staged as about.txt, and from data/temperatures.csv.
  assertStringIncludes(stdout, "Mean temperatures of one week");
  assertStringIncludes(stdout, "It gets 0.96 degrees warmer each day.");
  const plot = join(desk.output, "main-1.png");
  assertStringIncludes(stdout, `[image/png saved to ${plot}]`);
  assertEquals([...(await Deno.readFile(plot)).slice(0, PNG.length)], PNG);
  await assertNothingLeft(desk);
});

Deno.test("output comes while the script runs, both streams, and nothing of it is lost", async () => {
  await using desk = await Desk.make();
  const app = await desk.app(`
import os, sys, time
for step in range(4):
    print("step", step)
    time.sleep(1.5)
print("to stderr", file=sys.stderr)
os.write(1, b"from C\\n")
sys.stdout.write("no newline at the end")
`);
  const running = await desk.start([app]);
  const { code, stdout, stderr } = await running.ended;
  assertEquals(code, 0, stderr);
  assertEquals(
    stdout,
    "step 0\nstep 1\nstep 2\nstep 3\nfrom C\nno newline at the end",
  );
  assertStringIncludes(stderr, "to stderr\n");
  const first = running.pieces.find((piece) => piece.text.includes("step 0"))!;
  const last = running.pieces.find((piece) => piece.text.includes("step 3"))!;
  // All at the end would be at one time; a reader that is held up for seconds still tells them apart.
  const apart = last.time - first.time;
  assert(apart > 100, `steps 0 and 3 came ${apart} ms apart`);
  await assertNothingLeft(desk);
});

Deno.test("what the manifest wants to keep is saved, also when the script fails", async () => {
  await using desk = await Desk.make();
  const app = await desk.app(
    `
import os
os.makedirs("runs/deep")
for name in ("runs/1.csv", "runs/deep/2.csv", "runs/note.txt", "model"): open(name, "w").write(name)
os.symlink("/etc/hostname", "link")
raise SystemExit(7)
`,
    { files_to_save: ["runs/**/*.csv:tables/", "model", "link", "none"] },
  );
  const { code, stdout, stderr } = await desk.run(app);
  assertEquals(code, 7, stderr);
  assertEquals((await filesBelow(desk.output)).sort(), [
    "model",
    "tables",
    "tables/1.csv",
    "tables/deep",
    "tables/deep/2.csv",
  ]);
  assertEquals(await Deno.readTextFile(join(desk.output, "tables/deep/2.csv")), "runs/deep/2.csv");
  assertStringIncludes(stdout, `[saved to ${join(desk.output, "model")}]`);
  assertStringIncludes(stderr, 'Not uploaded: "link": it is a link');
  assertStringIncludes(stderr, 'Not uploaded: "none": it does not exist');
  await assertNothingLeft(desk);
});

Deno.test("a long path of the directory for temporary files is no hindrance", async () => {
  await using desk = await Desk.make("long-".repeat(24));
  const { code, stdout, stderr } = await desk.run(await desk.app("print('works')"));
  assertEquals([code, stdout], [0, "works\n"], stderr);
  await assertNothingLeft(desk);
});

const ENDINGS: readonly [string, string, number, string][] = [
  ["success", "print('fine')", 0, ""],
  ["an exception", "1 / 0", 1, "ZeroDivisionError: division by zero"],
  ["a syntax error", "def f(:\n", 1, "SyntaxError"],
  ["sys.exit(3)", "import sys; sys.exit(3)", 3, ""],
  ["sys.exit()", "import sys; sys.exit()", 0, ""],
  ["sys.exit with a message", "import sys; sys.exit('no data')", 1, "no data\n"],
];

Deno.test("the exit code is the script's", async (t) => {
  await using desk = await Desk.make();
  for (const [name, script, expected, message] of ENDINGS) {
    await t.step(name, async () => {
      const { code, stderr } = await desk.run(await desk.app(script));
      assertEquals(code, expected, stderr);
      assertStringIncludes(stderr, message);
    });
  }
  await assertNothingLeft(desk);
});

Deno.test("a script may write where its user works, and nowhere else unless it is not isolated", async () => {
  await using desk = await Desk.make();
  const last = await hasLandlock(desk) ? "refused" : "wrote";
  await Deno.mkdir(desk.output);
  const elsewhere = join(desk.directory, "elsewhere");
  await Deno.mkdir(elsewhere);
  const script = `
import os, sys
for folder in sys.argv[1:]:
    path = os.path.join(folder, "hypha-run-test")
    try:
        open(path, "w").close()
        os.remove(path)
        print("wrote", folder)
    except PermissionError as error:
        print("refused", folder)
`;
  const app = await desk.app(script);
  const mine = [app, desk.output, stackPaths.root];
  const places = [...mine, elsewhere];
  const isolated = await desk.run(app, "--", ...places);
  const lines = (words: string[]) => words.map((word, at) => `${word} ${places[at]}\n`).join("");
  assertEquals(isolated.stdout, lines(["wrote", "wrote", "wrote", last]), isolated.stderr);
  const free = await desk.run(app, "--isolation=off", "--", ...places);
  assertEquals(free.stdout, lines(["wrote", "wrote", "wrote", "wrote"]), free.stderr);
});

/** Whether the kernel can isolate, as `--isolation=required` finds out. */
async function hasLandlock(desk: Desk): Promise<boolean> {
  const { code, stderr } = await desk.run(await desk.app("pass"), "--isolation=required");
  if (code === 0) return true;
  assertStringIncludes(stderr, "Cannot isolate sessions");
  console.warn(`NOT TESTED: isolation: ${stderr}`);
  return false;
}

Deno.test("a traceback names the script, its line, and nothing of the worker", async () => {
  await using desk = await Desk.make();
  const { stderr } = await desk.run(await desk.app("def f():\n    return 1 / 0\n\nf()\n"));
  assertMatch(stderr, /main\.py.*line.* 2/);
  assert(!stderr.includes("hypha_kernel"), stderr);
});

Deno.test("another script than the manifest's can be run, with arguments of its own", async () => {
  await using desk = await Desk.make();
  const app = await desk.app("print('not this one')");
  await desk.write("app/other.py", "import sys; print(sys.argv, __name__)");
  const args = ["--fast", "two words", "--help"];
  const { code, stdout, stderr } = await desk.run(
    join(app, "manifest.yaml"),
    "other.py",
    "--",
    ...args,
  );
  assertEquals(code, 0, stderr);
  assertEquals(stdout, "['other.py', '--fast', 'two words', '--help'] __main__\n");
});

Deno.test("an environment.yml beside the manifest is used; --channel goes before its channels", async () => {
  await using desk = await Desk.make();
  const app = await desk.app("import os, six; print(six.__name__, os.environ['FROM_FILE'])", {
    dependencies: undefined,
    channels: undefined,
  });
  await desk.write(
    "app/environment.yml",
    "channels: ['https://nowhere.invalid/x']\ndependencies: [python=3.11, six]\n" +
      "variables: {FROM_FILE: 'yes'}\n",
  );
  const { code, stdout, stderr } = await desk.run(app, `--channel=${stackPaths.channel}`);
  assertEquals([code, stdout], [0, "six yes\n"], stderr);
  await desk.write("app/environment.yml", "dependencies: [python, 3.10]\n");
  const refused = await desk.run(app);
  assertEquals(refused.code, 1, refused.stderr);
  assertStringIncludes(refused.stderr, "environment.yml.dependencies[1]");
  await assertNothingLeft(desk);
});

Deno.test("files are staged from the app's folder into the script's directory", async () => {
  await using desk = await Desk.make();
  const app = await desk.app(
    "import os\nfor at, _, names in sorted(os.walk('.')):\n  print(at, sorted(names))\n",
    { files_to_stage: ["data/", "notes.txt:about.txt"] },
  );
  await desk.write("app/data/deep/table.csv", "1,2\n");
  await desk.write("app/notes.txt", "notes");
  await desk.write("app/private.txt", "not staged");
  const { code, stdout, stderr } = await desk.run(app);
  assertEquals(code, 0, stderr);
  assertEquals(stdout, ". ['about.txt']\n./data []\n./data/deep ['table.csv']\n");
  assertEquals(await Deno.readTextFile(join(app, "notes.txt")), "notes");
});

Deno.test("what cannot be run is named, with exit code 2", async () => {
  await using desk = await Desk.make();
  const broken = await desk.write("broken/manifest.yaml", "dependencies: [python\n");
  const list = await desk.write("list.yaml", "- a\n- b\n");
  const text = await desk.write("notes.txt", "hello");
  const empty = join(await desk.write("empty/other.txt", ""), "..");
  const cases: [string, string][] = [
    [broken, `Cannot read ${broken}`],
    [join(broken, ".."), `Cannot read ${broken}`],
    [list, `Cannot read ${list}: a manifest is a mapping`],
    [
      text,
      `Cannot run ${text}: expected an app folder, a manifest (.yaml, .yml, .json), a script (.py)`,
    ],
    [empty, `Cannot run ${empty}: it has no manifest.yaml`],
    [join(empty, "gone"), `Cannot run ${join(empty, "gone")}: there is no such file`],
  ];
  const results = await Promise.all(cases.map(([path]) => desk.run(path)));
  for (const [index, [, expected]] of cases.entries()) {
    assertEquals(results[index]!.code, 2, results[index]!.stderr);
    assertStringIncludes(results[index]!.stderr, `Error: ${expected}`);
  }
});

Deno.test("a script or a staged file that is not there is named", async () => {
  await using desk = await Desk.make();
  const missing = await desk.run(await desk.app("", { entry_point: "gone.py" }));
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.stderr, "gone.py");
  const unstaged = await desk.run(await desk.app("", { files_to_stage: ["gone.csv"] }));
  assertEquals(unstaged.code, 1);
  assertStringIncludes(unstaged.stderr, "gone.csv");
  await assertNothingLeft(desk);
});

Deno.test("a package that does not exist is named, and nothing is left", async () => {
  await using desk = await Desk.make();
  const app = await desk.app("", { dependencies: ["python=3.11", "no-such-package-anywhere"] });
  const { code, stderr } = await desk.run(app);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "no-such-package-anywhere");
  await assertNothingLeft(desk);
});

Deno.test("a script that takes too long is interrupted", async () => {
  await using desk = await Desk.make();
  const app = await desk.app("import time\nwhile True: time.sleep(0.01)\n");
  const { code, stderr } = await desk.run(app, "--timeout=1");
  assertEquals(code, 1);
  assertMatch(stderr, /timeout|timed out/i);
  await assertNothingLeft(desk);
});

Deno.test("Ctrl-C during a script ends it, its children and the program", async () => {
  await using desk = await Desk.make();
  const app = await desk.app(`
import subprocess, time
child = subprocess.Popen(["sleep", "987"])
print("running", flush=True)
time.sleep(60)
`);
  const { child, seen, ended } = await desk.start([app]);
  await seen("running");
  // One Ctrl-C is delivered twice under \`deno task\`: by the terminal and by the task runner.
  child.kill("SIGINT");
  child.kill("SIGINT");
  const { code } = await ended;
  assertEquals(code, 130);
  await assertNothingLeft(desk);
});

Deno.test("Ctrl-C while the environment is made leaves no process and no half environment", async () => {
  await using desk = await Desk.make();
  const app = await desk.app("", { dependencies: ["python=3.11", "toy-slow", "pandas"] });
  const cache = join(desk.directory, "cache");
  const { child, ended } = await desk.start([app], cache);
  // Nothing is printed on standard output while the environment is made.
  const making = async () => (await filesBelow(cache)).some((name) => name.includes("conda-meta"));
  while (!await making()) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGINT");
  const { code } = await ended;
  assertEquals(code, 130);
  await assertNothingLeft(desk);
  const ready = (await filesBelow(cache)).filter((name) => name.endsWith(".ready"));
  assertEquals(ready, []);
});

Deno.test("a second Ctrl-C that comes later ends the program at once", async () => {
  await using desk = await Desk.make();
  const app = await desk.app(`
import time
seconds = 0
while True:
    try:
        # Inside: the signal comes as soon as this is seen.
        if not seconds: print("running", flush=True)
        seconds = 60
        time.sleep(seconds)
    except KeyboardInterrupt: print("no", flush=True)
`);
  const { child, seen, ended } = await desk.start([app]);
  await seen("running");
  child.kill("SIGTERM");
  await seen("no\n");
  await new Promise((resolve) => setTimeout(resolve, 700));
  child.kill("SIGTERM");
  const { code } = await ended;
  assertEquals(code, 143);
  assertEquals(await desk.processes(), []);
});
