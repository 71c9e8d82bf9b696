import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { ENV_COMMANDS } from "../../lib/cli/env_options.ts";
import { optionsHelp } from "../../lib/cli/option.ts";
import { readSource } from "../../lib/cli/env_source.ts";
import { ago, shorten, size, table } from "../../lib/cli/tables.ts";
import { WorkerError } from "../../lib/errors.ts";
import { privateManagers, stackPaths } from "../stack/stack.ts";
import { Desk, type Ended, program, start } from "./program.ts";

const CHANNEL = `--channel=${stackPaths.channel}`;

/** A cache directory and `env` for it. */
function envOf(desk: Desk, managers?: string) {
  const cache = join(desk.directory, "cache");
  const run = (...args: string[]): Promise<Ended> =>
    program(
      ["env", ...args, `--cache-dir=${cache}`],
      { TMPDIR: desk.temporary },
      managers,
    );
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, "--json");
    assertEquals(code, 0, stderr);
    return JSON.parse(stdout);
  };
  return { cache, run, json };
}

Deno.test("an environment is made, listed, shown, exported, made again, and removed", async () => {
  await using desk = await Desk.make();
  const { cache, run, json } = envOf(desk);

  const empty = await run("list");
  assertEquals([empty.code, empty.stdout], [0, `No environments in ${cache}\n`]);
  assert(!await exists(cache), "looking at a cache made one");

  const made = await run("create", "python=3.11", "toy-a=1", CHANNEL);
  assertEquals(made.code, 0, made.stderr);
  const [, key] = /^([0-9a-f]{16}) {2}built in \d+\.\d s\n\/.*\n$/.exec(made.stdout) ?? [];
  assert(key !== undefined, made.stdout);
  assertStringIncludes(made.stderr, "Creating new conda environment");
  const again = await run("create", "toy-a=1", "python 3.11.*", CHANNEL);
  assertStringIncludes(again.stdout, `${key}  was there already`);
  // What workers do in the background is done.
  assert(await exists(join(cache, "envs", key, ".compiled")));

  const { stdout: listed } = await run("list", "--usage");
  assertMatch(listed, /^KEY +STATE +SIZE +SHARED +USED +BY +PYTHON +ASKED FOR\n/);
  const row = new RegExp(
    `^${key} +ready +\\S+ \\w+ +\\S+ \\w+ +just now +- +3\\.11\\.\\d+ +python=3\\.11 toy-a=1$`,
    "m",
  );
  assertMatch(listed, row);
  assertStringIncludes(listed, `\n1 environment in ${cache}\n`);
  assertMatch(listed, /MiB on disk: environments .* other packages .* pip's cache /);

  const { environments: [entry], usage } = await json("list", "--usage");
  assertEquals([entry.key, entry.state, entry.in_use, entry.pids], [key, "ready", false, []]);
  assertEquals(entry.dependencies, ["python=3.11", "toy-a=1"]);
  assert(entry.size > 0 && entry.shared_size > 0 && usage.total >= entry.size);

  const beginning = key.slice(0, 6);
  const { stdout: shown } = await run("show", beginning);
  assertMatch(shown, new RegExp(`^Key: +${key}$`, "m"));
  assertMatch(shown, /^ {2}toy-a +1\.0 /m);
  assertEquals((await json("show", beginning)).packages.at(-1).name, "toy-a");

  const { stdout: yaml } = await run("export", beginning);
  assertStringIncludes(yaml, "- toy-a=1.0=");
  const fromYaml = await json("create", await desk.write("again.yml", yaml));
  const { stdout: list } = await run("export", beginning, "--format=explicit");
  assertStringIncludes(list, "\n@EXPLICIT\n");
  const fromList = await json("create", await desk.write("again.txt", list));
  for (const copy of [fromYaml, fromList]) {
    assert(copy.key !== key && copy.cached === false);
    assertEquals(
      copy.packages.map(({ name, version }: Record<string, string>) => `${name} ${version}`),
      (await json("show", key)).packages.map((one: Record<string, string>) =>
        `${one.name} ${one.version}`
      ),
    );
  }
  assertEquals(JSON.parse((await run("export", key, "--format", "json")).stdout).key, key);

  const removed = await run("remove", beginning, "ffff", fromYaml.key);
  assertEquals([removed.code, removed.stdout], [1, `Removed ${key}\nRemoved ${fromYaml.key}\n`]);
  assertStringIncludes(removed.stderr, "Error: Cannot find the environment ffff");
  const { environments: left } = await json("list");
  assertEquals(left.map((one: Record<string, unknown>) => one.key), [fromList.key]);
  assert(!await exists(join(cache, "envs", key)));
  assertEquals(await desk.processes(), []);
});

Deno.test("what a running app uses is not removed, and its users are named", async () => {
  await using desk = await Desk.make();
  const { cache, run, json } = envOf(desk);
  const flag = join(desk.directory, "go");
  const app = await desk.app(
    `import os, time\nprint("begun", flush=True)\nwhile not os.path.exists(${
      JSON.stringify(flag)
    }): time.sleep(0.05)`,
  );
  const running = await desk.start([app], cache);
  await running.seen("begun");
  const { environments: [entry] } = await json("list");
  const { pid } = running.child;
  assertEquals([entry.in_use, entry.pids], [true, [pid]]);
  assertMatch((await run("list")).stdout, new RegExp(`just now +pid ${pid} +3\\.11`));

  const refused = await run("remove", entry.key);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertStringIncludes(
    refused.stderr,
    `Error: Cannot remove the environment ${entry.key}: used by process ${pid}\n`,
  );
  const pruned = await run("prune", "--max-count=0");
  assertEquals(pruned.code, 0, pruned.stderr);
  assertStringIncludes(pruned.stdout, `Kept ${entry.key}: in use by ${pid}\n`);
  assertEquals((await json("prune", "--all")).in_use, [{ key: entry.key, pids: [pid] }]);

  await Deno.writeTextFile(flag, "");
  assertEquals((await running.ended).code, 0);
  assertEquals(await json("remove", entry.key), { removed: [entry.key], failed: [] });
});

Deno.test("limits are given to prune, or those of workers hold", async () => {
  await using desk = await Desk.make();
  const { cache, run, json } = envOf(desk);
  const keys: string[] = [];
  for (const name of ["toy-a=1", "toy-a=2", "toy-data"]) {
    keys.push((await json("create", "python=3.11", name, CHANNEL)).key);
    // The first was used the longest ago.
    const date = new Date(Date.now() - (3 - keys.length) * 86_400_000 - 3_600_000);
    await Deno.utime(join(cache, "envs", `${keys.at(-1)}.json`), date, date);
  }
  assertMatch((await run("list")).stdout, / 2 days ago .*\n/);
  assertEquals((await run("prune")).stdout, "Nothing to remove.\n");
  const told = await run("prune", "--max-age=1.5", "--dry-run");
  assertMatch(
    told.stdout,
    new RegExp(`^Would remove ${keys[0]} \\(not used for long, \\S+ \\w+\\)\n`),
  );
  assertEquals((await json("list")).environments.length, 3);
  const { removed } = await json("prune", "--max-count=2");
  assertEquals(removed.map(({ key, reason }: Record<string, string>) => [key, reason]), [
    [keys[0], "count"],
  ]);
  assert(removed[0].bytes > 0);
  const asWorker = await program(
    ["env", "prune", `--cache-dir=${cache}`],
    { HYPHA_MAX_ENVIRONMENTS: "1", TMPDIR: desk.temporary },
  );
  assertStringIncludes(asWorker.stdout, `Removed ${keys[1]} (too many, `);
  const all = await json("prune", "--all");
  assertEquals(all.removed.map(({ key }: Record<string, string>) => key), [keys[2]]);
  assert(all.package_bytes > 0);
  assertEquals((await json("list")).environments, []);
});

Deno.test("an interrupted create leaves nothing, and says so with its exit code", async () => {
  await using desk = await Desk.make();
  const managers = await privateManagers(join(desk.directory, "managers"), ["mamba"], {
    hang: "link",
  });
  const { cache } = envOf(desk);
  const endings = [["SIGINT", 130], ["SIGTERM", 143]] as const;
  for (const [index, [signal, code]] of endings.entries()) {
    const running = await start(
      ["env", "create", "python=3.11", CHANNEL, `--cache-dir=${cache}`],
      { TMPDIR: desk.temporary },
      managers.bin,
    );
    while ((await managers.invocations("create")).length <= index) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running.child.kill(signal);
    const ended = await running.ended;
    assertEquals([ended.code, ended.stdout], [code, ""], ended.stderr);
    assertStringIncludes(ended.stderr, "Interrupted.\n");
  }
  const left = (await Array.fromAsync(Deno.readDir(join(cache, "envs")))).map(({ name }) => name);
  assertEquals(left.filter((name) => !/\.(?:lock|log)$/.test(name)), []);
  assertEquals(await desk.processes(), []);
});

Deno.test("a spec that cannot be solved ends with 1 and the solver's reason", async () => {
  await using desk = await Desk.make();
  const { run } = envOf(desk);
  const { code, stderr } = await run("create", "toy-nonexistent", CHANNEL);
  assertEquals(code, 1);
  assertMatch(stderr, /Error: Cannot create the environment[^]*toy-nonexistent/);
});

Deno.test("wrong usage ends with 2 and one line that names the argument", async () => {
  const cases: [string[], string][] = [
    [[], "env needs a command: list, create, show, export, remove, prune"],
    [["--json"], "env needs a command"],
    [["lst"], "Unknown command env lst; did you mean env list?"],
    [["frobnicate"], "Unknown command env frobnicate; there are list, create"],
    [["list", "more"], "Unexpected argument more"],
    [["list", "--al"], "Unknown option --al"],
    [["show"], "env show needs the key of an environment"],
    [["show", "a", "b"], "Unexpected argument b"],
    [["export", "ab", "--format=toml"], "--format must be yaml, explicit, json, received toml"],
    [["remove"], "env remove needs the key"],
    [["prune", "--max-count=many"], "--max-count must be a whole number, received many"],
    [["prune", "--max-size=-1"], "--max-size must be a size such as 50GB, received -1"],
    [["prune", "--max-age=soon"], "--max-age must be a number of days, received soon"],
    [["prune", "--all", "--max-count=0"], "--all and limits exclude each other"],
    [["create"], "env create needs an app folder"],
    [["create", "./nothing"], "Cannot read ./nothing: there is no such file or folder"],
    [["create", "python", "x.yml"], "x.yml is a file or folder"],
    [["create", "examples/plot", "numpy"], "examples/plot is a file or folder"],
    [["create", "docs/"], "Cannot read docs/: it has no manifest.yaml"],
    [["create", "numpy", "--package-manager=pip"], "--package-manager takes the names"],
  ];
  await using desk = await Desk.make();
  const { cache, run } = envOf(desk);
  await Promise.all(cases.map(async ([args, message]) => {
    const { code, stdout, stderr } = await run(...args);
    assertEquals([code, stdout], [2, ""], `${args}: ${stderr}`);
    assertStringIncludes(stderr, message);
    assertEquals(stderr.trim().split("\n").length, 1, stderr);
  }));
  assert(!await exists(cache));
});

Deno.test("what create is given becomes the environment that a worker or run would make of it", async () => {
  await using desk = await Desk.make();
  const { signal } = new AbortController();
  const read = (args: string[], more: { channels?: string[]; asInstalled?: boolean } = {}) =>
    readSource(args, { signal, ...more });
  const refused = async (args: string[]) => {
    try {
      await read(args);
    } catch (error) {
      assert(error instanceof WorkerError, String(error));
      return error.message;
    }
    throw new Error(`${args} were accepted`);
  };
  // Package specs, also those that look a little like paths.
  assertEquals(await read(["numpy>=1.26", "conda-forge/linux-64::six"], { channels: ["a", "b"] }), {
    channels: ["a", "b"],
    packages: ["conda-forge/linux-64::six", "numpy>=1.26", "python"],
    pip: [],
  });
  assertStringIncludes(await refused(["numpy", "no such spec!"]), "no such spec!");

  // An app, by its folder, its folder's name, or its manifest.
  const app = await desk.app("", { dependencies: ["python=3.11", "toy-a"] });
  const plain = await read([app]);
  assertEquals(plain, {
    channels: [stackPaths.channel],
    packages: ["python=3.11", "toy-a"],
    pip: [],
  });
  assertEquals(await read([join(app, "manifest.yaml")]), plain);
  const installed = await read([app], { asInstalled: true });
  assertEquals([installed.packages, installed.pip], [
    ["pip", "python=3.11", "toy-a"],
    ["hypha-rpc"],
  ]);
  assertEquals((await read([app], { channels: ["bioconda"] })).channels, ["bioconda"]);

  // An environment.yml, alone, alone in a folder, or named by an app; its channels are replaced, too.
  const text =
    "name: mine\nprefix: /home/me/mine\nchannels: [x, y]\ndependencies: [six, {pip: [rich]}]\n";
  const described = { channels: ["x", "y"], packages: ["pip", "python", "six"], pip: ["rich"] };
  const file = await desk.write("described/environment.yml", text);
  assertEquals(await read([file]), described);
  assertEquals(await read([join(file, "..")]), described);
  const other = await desk.write("described/manifest.json", '{"environment": "environment.yml"}');
  assertEquals(await read([other]), described);
  assertEquals(await read([other], { channels: ["z"] }), { ...described, channels: ["z"] });

  // A lock file, whatever its name.
  const url = "https://conda.anaconda.org/conda-forge/noarch/python-3.11.0-0.conda";
  const md5 = "0123456789abcdef0123456789abcdef";
  const lock = await desk.write("linux.lock", `# made by hand\n@EXPLICIT\n${url}#${md5}\n`);
  assertEquals((await read([lock])).explicit, [`${url}#${md5}`]);
  const requirements = await desk.write("requirements.txt", "rich\n");
  assertStringIncludes(await refused([requirements]), "no lock file");

  const existing = await desk.write("e/manifest.yaml", "environment: {name: base}\n");
  assertStringIncludes(await refused([existing]), "exists already");
});

Deno.test("the help of env fits a terminal and names every command and option", async () => {
  const whole = await program(["help", "env"]);
  assertEquals((await program(["env", "--help"])).stdout, whole.stdout);
  for (const [name, { summary, options }] of Object.entries(ENV_COMMANDS)) {
    assertStringIncludes(whole.stdout, summary);
    const { stdout } = await program(["help", "env", name]);
    assertEquals((await program(["env", name, "--help"])).stdout, stdout);
    for (const line of optionsHelp(options).split("\n")) {
      assertStringIncludes(stdout, line);
    }
    for (const option of options) assertStringIncludes(stdout, `--${option.name}`);
  }
  for (const line of whole.stdout.split("\n")) assert(line.length <= 120, line);
});

Deno.test("tables are aligned, sizes and ages are for people", () => {
  assertEquals(table([["A", "B"], ["long", "1"], ["ä", "22"]], [1]), [
    "A      B",
    "long   1",
    "ä     22",
  ]);
  assertEquals([size(undefined), size(0), size(2048)], ["-", "0 bytes", "2.0 KiB"]);
  const now = Date.parse("2030-01-10T00:00:00Z");
  for (
    const [time, text] of [
      ["2030-01-09T23:59:30Z", "just now"],
      ["2030-01-10T00:05:00Z", "just now"],
      ["2030-01-09T23:59:00Z", "1 minute ago"],
      ["2030-01-09T21:30:00Z", "2 hours ago"],
      ["2030-01-01T00:00:00Z", "9 days ago"],
    ] as const
  ) assertEquals(ago(time, now), text);
  assertEquals(ago(undefined, now), "-");
  assertEquals([shorten("abcdef", 6), shorten("abcdefg", 6)], ["abcdef", "abcde…"]);
});
