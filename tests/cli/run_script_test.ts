import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { hostPythons, stackPaths } from "../stack/stack.ts";
import { cacheOptions, Desk } from "./program.ts";
import {
  assertNothingLeft,
  programCommand,
  PYTHON,
  runLocal,
  runVariables,
  spawnRun,
} from "./run_support.ts";

Deno.test("a script without a manifest finds what python gives it: names, arguments, folder, modules beside it", async () => {
  await using desk = await Desk.make();
  await desk.write("code/beside.py", "VALUE = 41\n");
  const path = await desk.write(
    "code/script.py",
    `"""What it does."""
import os, sys
import beside
print([__name__, __file__, __doc__, sys.argv, sys.path[0], os.getcwd(), os.environ["PWD"], beside.VALUE])
`,
  );
  const { code, stdout, stderr } = await runLocal(desk, [...PYTHON, "code/script.py", "a"]);
  assertEquals(code, 0, stderr);
  const { directory } = desk;
  const expected = (argv0: string, file: string) =>
    `['__main__', '${file}', 'What it does.', ['${argv0}', 'a'], ` +
    `'${join(path, "..")}', '${directory}', '${directory}', 41]\n`;
  assertEquals(stdout, expected("code/script.py", path));
  // The same by a link: modules are those beside the file itself.
  await Deno.symlink(path, join(directory, "link"));
  const linked = await runLocal(desk, [...PYTHON, "link", "a"]);
  assertEquals(linked.stdout, expected("link", join(directory, "link")), linked.stderr);
  await assertNothingLeft(desk);
});

Deno.test("what follows the code is its own, also what looks like an option or asks for help", async () => {
  await using desk = await Desk.make();
  const code = "import sys; print(sys.argv)";
  await desk.write("s.py", code);
  const cases: [string[], string[]][] = [
    [["s.py", "--with", "x", "-c", "--help"], ["s.py", "--with", "x", "-c", "--help"]],
    [["s.py", "--", "--fast", "two words"], ["s.py", "--fast", "two words"]],
    [["s.py", "a", "--", "b"], ["s.py", "a", "--", "b"]],
    [["-c", code, "-h", "--timeout=1"], ["-c", "-h", "--timeout=1"]],
    [[`--code=${code}`, "--", "-"], ["-c", "-"]],
    [["-", "x"], ["-", "x"]],
  ];
  const runs = await Promise.all(
    cases.map(([args]) => runLocal(desk, [...PYTHON, ...args], { stdin: code })),
  );
  for (const [index, [, expected]] of cases.entries()) {
    const { stdout, stderr } = runs[index]!;
    assertEquals(
      stdout.trim().replaceAll("'", '"'),
      JSON.stringify(expected).replaceAll(",", ", "),
      stderr,
    );
  }
});

const ENDINGS: readonly [string, string, number, string, string][] = [
  ["the end", "1", 0, "", ""],
  ["an exception", "1 / 0", 1, "", "ZeroDivisionError: division by zero"],
  ["sys.exit(300)", "raise SystemExit(300)", 44, "", ""],
  ["sys.exit(-1)", "raise SystemExit(-1)", 255, "", ""],
  ["a message", "raise SystemExit('no data')", 1, "", "no data\n"],
  ["os._exit", "import os; os._exit(9)", 9, "", ""],
  ["a signal", "import os; os.kill(os.getpid(), 9)", 137, "", "signal SIGKILL"],
  ["its own KeyboardInterrupt", "raise KeyboardInterrupt", 130, "", "KeyboardInterrupt"],
  [
    "a thread and atexit, after an error",
    `
import atexit, threading, time
atexit.register(print, "at exit")
def work():
    time.sleep(0.3)
    print("thread")
threading.Thread(target=work).start()
raise SystemExit(5)
`,
    5,
    "thread\nat exit\n",
    "",
  ],
  [
    "a pool of threads",
    `
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(2)
pool.submit(print, "in the pool")
`,
    0,
    "in the pool\n",
    "",
  ],
];

Deno.test("code ends as under python: exit code, threads that are waited for, atexit", async () => {
  await using desk = await Desk.make();
  const runs = await Promise.all(
    ENDINGS.map(([, code]) => runLocal(desk, [...PYTHON, "-c", code])),
  );
  for (const [index, [name, , expected, out, message]] of ENDINGS.entries()) {
    const run = runs[index]!;
    assertEquals([run.code, run.stdout], [expected, out], `${name}: ${run.stderr}`);
    assertStringIncludes(run.stderr, message);
    assert(!run.stderr.includes("hypha_kernel"), run.stderr);
  }
  await assertNothingLeft(desk);
});

Deno.test("an error is told before threads that go on are waited for, and once", async () => {
  await using desk = await Desk.make();
  const code = `
import os, threading, time
def wait():
    while not os.path.exists("go"): time.sleep(0.01)
    print("went")
threading.Thread(target=wait).start()
1 / 0
`;
  const child = await spawnRun(desk, [...PYTHON, "-c", code]);
  const stdout = new Response(child.stdout).text();
  let stderr = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    stderr += text;
    if (stderr.includes("by zero\n")) await desk.write("go", "");
  }
  assertEquals([(await child.status).code, await stdout], [1, "went\n"], stderr);
  assertEquals(stderr.split("ZeroDivisionError").length, 2, stderr);
  await assertNothingLeft(desk);
});

Deno.test("the oldest and the newest Python end code alike, and give it standard input", async () => {
  await using desk = await Desk.make();
  const code = `
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
def late():
    time.sleep(0.3)
    print("thread")
atexit.register(print, "at exit")
threading.Thread(target=late).start()
ThreadPoolExecutor(1).submit(len, "").result()
print(sys.version_info[:2], input(), sys.stdin.read())
`;
  const supported = (await hostPythons()).filter(({ major, minor }) => major === 3 && minor >= 8)
    .map(({ minor }) => minor).sort((a, b) => a - b);
  for (const minor of new Set([supported[0]!, supported.at(-1)!])) {
    const args = [`--python=3.${minor}`, `--channel=${stackPaths.channel}`, "-c", code];
    const { stdout, stderr } = await runLocal(desk, args, { stdin: "one\ntwo" });
    assertEquals(stdout, `(3, ${minor}) one two\nthread\nat exit\n`, stderr);
  }
});

Deno.test("processes that multiprocessing forks and spawns find the functions of the script", async () => {
  await using desk = await Desk.make();
  await desk.write(
    "s.py",
    `import multiprocessing as mp
def square(x):
    return x * x
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with mp.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, [1, 2, 3]))
`,
  );
  const { stdout, stderr } = await runLocal(desk, [...PYTHON, "s.py"]);
  assertEquals(stdout, "fork [1, 4, 9]\nspawn [1, 4, 9]\n", stderr);
  await assertNothingLeft(desk);
});

Deno.test("Ctrl-C lets code tidy up, with what it registered for its end", async () => {
  await using desk = await Desk.make();
  const code = `
import atexit, time
atexit.register(print, "at exit")
try:
    print("running", flush=True)
    time.sleep(600)
finally:
    print("finally")
`;
  const child = await spawnRun(desk, [...PYTHON, "-c", code]);
  const stderr = new Response(child.stderr).text();
  let stdout = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (!stdout.includes("running") && (stdout + text).includes("running")) child.kill("SIGINT");
    stdout += text;
  }
  assertEquals(
    [(await child.status).code, stdout],
    [130, "running\nfinally\nat exit\n"],
    await stderr,
  );
  await assertNothingLeft(desk);
});

Deno.test("standard input reaches the code: as a stream, by input(), in a child process", async () => {
  await using desk = await Desk.make();
  const lines = "one\ntwo\nthrée";
  const cases: [string, string, string][] = [
    ["import sys; print(sys.stdin.read())", lines, lines + "\n"],
    [
      "print(input('? ')); import sys; print(list(sys.stdin))",
      lines,
      "? one\n['two\\n', 'thrée']\n",
    ],
    ["import subprocess, sys; subprocess.run(['cat'], stdin=sys.stdin)", lines, lines],
    ["try: input()\nexcept EOFError as error: print(error)", "", "EOF when reading a line\n"],
    ["import sys; print(sys.stdin.isatty(), sys.stdin.fileno())", lines, "False 0\n"],
  ];
  const runs = await Promise.all(
    cases.map(([code, stdin]) => runLocal(desk, [...PYTHON, "-c", code], { stdin })),
  );
  for (const [index, [, , expected]] of cases.entries()) {
    assertEquals(runs[index]!.stdout, expected, runs[index]!.stderr);
  }
  const large = new Uint8Array(5_000_003).fill(65);
  const count = "import sys; print(len(sys.stdin.buffer.read()))";
  const counted = await runLocal(desk, [...PYTHON, "-c", count], { stdin: large });
  assertEquals(counted.stdout, "5000003\n", counted.stderr);
  await assertNothingLeft(desk);
});

Deno.test("standard input that the code does not read is left to others", async () => {
  await using desk = await Desk.make();
  const words = [stackPaths.deno, ...await programCommand(), "run", ...cacheOptions()];
  const child = new Deno.Command("sh", {
    args: ["-c", '"$@"; cat', "sh", ...words, ...PYTHON, "-c", "print('ran')"],
    cwd: desk.directory,
    env: runVariables(desk),
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  await new Response("for\nothers\n").body!.pipeTo(child.stdin);
  const { stdout } = await child.output();
  assertEquals(new TextDecoder().decode(stdout), "ran\nfor\nothers\n");
});

Deno.test("variables of the user reach their code, but for those of the program and its session", async () => {
  await using desk = await Desk.make();
  const code = `
import os
names = ("MINE", "HYPHA_TOKEN", "PYTHONPATH", "CONDA_EXTRA", "TMPDIR")
print([os.environ.get(name) for name in names][:4], os.environ["TMPDIR"] == os.environ["OLD"], os.environ["HOME"])
`;
  const env = {
    MINE: "mine",
    HYPHA_TOKEN: "secret",
    PYTHONPATH: "/nowhere",
    CONDA_EXTRA: "1",
    OLD: desk.temporary,
    HOME: desk.directory,
  };
  const { stdout, stderr } = await runLocal(desk, [...PYTHON, "-c", code], { env });
  assertStringIncludes(stdout, "['mine', None, None, None] False ", stderr);
  assert(!stdout.includes(` ${desk.directory}\n`), stdout);
  // Where code may write to the user's home, it is its home.
  const free = await runLocal(desk, ["--isolation=off", ...PYTHON, "-c", code], { env });
  assertStringIncludes(free.stdout, ` ${desk.directory}\n`, free.stderr);
});

Deno.test("--with adds packages of conda and pip, --python chooses the version", async () => {
  await using desk = await Desk.make();
  const code =
    "import sys, toy_a, toy_b, six; print(sys.version_info[:2], toy_a.__version__, six.__name__)";
  const packages = ["--with=toy-a>=1,<2,toy-b", "--with", "pip:six"];
  const { stdout, stderr } = await runLocal(desk, [...PYTHON, ...packages, "-c", code]);
  assertEquals(stdout, "(3, 11) 1.0 six\n", stderr);
  // They are added to what an app asks for, too.
  const app = await desk.app("import toy_a, six; print(toy_a.__name__)", {
    dependencies: ["python=3.11", "six"],
  });
  const added = await runLocal(desk, ["--with=toy-a", app]);
  assertEquals(added.stdout, "toy_a\n", added.stderr);
});

Deno.test("a script's own metadata make its environment", async () => {
  await using desk = await Desk.make();
  await desk.write(
    "s.py",
    `# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#   "six==1.16.0",  # from PyPI
# ]
#
# [tool.hypha-conda-worker]
# channels = ["${stackPaths.channel}"]
# dependencies = ["toy-a<2"]
# ///
import six, sys, toy_a
print(sys.version_info[:2], six.__version__, toy_a.__version__)
`,
  );
  const { stdout, stderr } = await runLocal(desk, ["s.py"]);
  assertEquals(stdout, "(3, 11) 1.16.0 1.0\n", stderr);
  // The command line adds to it.
  const more = await runLocal(desk, ["--with=toy-b", "s.py"]);
  assertEquals([more.code, more.stdout], [0, stdout], more.stderr);
  await desk.write(
    "bad.py",
    "#!/usr/bin/env python\n# /// script\n# dependencies = ['-e .']\n# ///\n",
  );
  const refused = await runLocal(desk, ["bad.py"]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "the metadata of bad.py, line 3: dependencies[0]");
});

Deno.test("--spec and --env give the environment instead", async () => {
  await using desk = await Desk.make();
  const code =
    "import os, sys, toy_a; print(toy_a.__version__, os.environ.get('FROM_SPEC'), sys.prefix)";
  await desk.write(
    "my env.yml",
    `channels: ["${stackPaths.channel}"]\ndependencies: [python=3.11, toy-a=1]\nvariables: {FROM_SPEC: "yes"}\n`,
  );
  const cache = join(desk.directory, "cache");
  const made = await runLocal(desk, ["--spec", "my env.yml", "-c", code], { cache });
  assertMatch(made.stdout, /^1\.0 yes .*\n$/, made.stderr);
  const prefix = made.stdout.trim().split(" ").at(-1)!;
  const moved = join(desk.directory, "existing");
  await Deno.rename(prefix, moved);
  await runLocal(desk, ["--env=./existing", "-c", "print(1)"], { cache }).then((run) =>
    assertEquals([run.code, run.stdout], [0, "1\n"], run.stderr)
  );
  const cases: [string[], number, string][] = [
    [["--env=no-such-name", "-c", "1"], 1, "no-such-name"],
    [["--env=x", "--with=six", "-c", "1"], 2, "it goes without --with"],
    [["--spec=gone.yml", "-c", "1"], 2, "Cannot read --spec gone.yml"],
    [["--python=new", "-c", "1"], 2, "--python must be a version such as 3.11"],
  ];
  for (const [args, exit, message] of cases) {
    const refused = await runLocal(desk, args, { cache });
    assertEquals(refused.code, exit, refused.stderr);
    assertStringIncludes(refused.stderr, message);
  }
});

Deno.test("a script may name its encoding, and one that is no text is refused", async () => {
  await using desk = await Desk.make();
  const latin = new Uint8Array(
    [..."# coding: latin-1\nprint(ascii('\xe9'))\n"].map((one) => one.charCodeAt(0)),
  );
  await Deno.writeFile(join(desk.directory, "latin.py"), latin);
  const { stdout, stderr } = await runLocal(desk, [...PYTHON, "latin.py"]);
  assertEquals(stdout, "'\\xe9'\n", stderr);
  await Deno.writeFile(join(desk.directory, "broken.py"), latin.subarray(18));
  const broken = await runLocal(desk, [...PYTHON, "broken.py"]);
  assertEquals(broken.code, 2);
  assertStringIncludes(broken.stderr, "Cannot read broken.py: it is not utf-8");
});

Deno.test("--report writes a page with the code, its output and its error", async () => {
  await using desk = await Desk.make();
  const code = "print('<seen>')\nraise ValueError('why')";
  const { code: exit, stderr } = await runLocal(desk, [...PYTHON, "--report=r.html", "-c", code]);
  assertEquals(exit, 1, stderr);
  const page = await Deno.readTextFile(join(desk.directory, "r.html"));
  assertStringIncludes(page, "&lt;seen&gt;");
  assertStringIncludes(page, "ValueError");
  assertEquals(
    (await Array.fromAsync(Deno.readDir(desk.directory))).map((one) => one.name).sort(),
    ["r.html", "tmp"],
  );
});

Deno.test("what is wrong with the arguments is told in one line", async () => {
  await using desk = await Desk.make();
  await desk.write("nb.ipynb", "{}");
  const cases: [string[], string][] = [
    [[], "run needs an app folder, a manifest, a script, a notebook, - or -c with code"],
    [["-c"], "Option -c needs the code"],
    [["nb.ipynb", "-c", "1"], "-c gives the code: no file may stand beside it"],
    [["--inplace", "-c", "1"], "--inplace is for notebooks only"],
    [["gone.py"], "Cannot run gone.py: there is no such file or folder"],
    [["--timeout=-1", "-c", "1"], "--timeout must be a number of seconds, received -1"],
    [["nb.ipynb"], "Cannot read nb.ipynb: it has no nbformat: it is not a notebook"],
  ];
  const runs = await Promise.all(cases.map(([args]) => runLocal(desk, args)));
  for (const [index, [args, message]] of cases.entries()) {
    assertEquals(
      runs[index],
      { code: 2, stdout: "", stderr: `Error: ${message}\n` },
      args.join(" "),
    );
  }
});
