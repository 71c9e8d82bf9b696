import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { environmentNames, readOptions } from "../../lib/cli/option.ts";
import { START_OPTIONS, VERBOSE } from "../../lib/cli/options.ts";
import { readSettings } from "../../lib/cli/start_settings.ts";
import { Desk, program } from "./program.ts";

const REQUIRED = ["--server-url=http://127.0.0.1:1", "--workspace=w", "--token=a-secret-token"];

function environment(variables: Record<string, string>): (name: string) => string | undefined {
  return (name) => ({ HOME: "/home/someone", ...variables })[name];
}

async function refusal(args: string[], variables: Record<string, string> = {}): Promise<string> {
  try {
    await readSettings(args, environment(variables));
  } catch (error) {
    assert(error instanceof WorkerError && error.code === "usage", String(error));
    return error.message;
  }
  throw new Error("the arguments were accepted");
}

Deno.test("every option can be given by an environment variable in three spellings", () => {
  for (const option of START_OPTIONS) {
    const value = option.type === "flag" ? "1" : "some-value";
    const names = environmentNames(option);
    const plain = (option.variable ?? option.name).toUpperCase().replaceAll("-", "_");
    assertEquals(names, [`HYPHA_${plain}`, `CONDA_${plain}`, `HYPHA_CONDA_${plain}`]);
    for (const name of names) {
      const { values } = readOptions(START_OPTIONS, [], environment({ [name]: value }));
      assertEquals(values[option.name], option.type === "flag" ? true : value, name);
    }
  }
});

Deno.test("an argument goes before HYPHA_, HYPHA_ before CONDA_, CONDA_ before HYPHA_CONDA_", () => {
  const read = (args: string[], variables: Record<string, string>) =>
    readOptions(START_OPTIONS, args, environment(variables)).values["cache-dir"];
  const last = { HYPHA_CONDA_CACHE_DIR: "/c" };
  const both = { ...last, CONDA_CACHE_DIR: "/b" };
  const all = { ...both, HYPHA_CACHE_DIR: "/a" };
  assertEquals(read([], last), "/c");
  assertEquals(read([], both), "/b");
  assertEquals(read([], all), "/a");
  assertEquals(read(["--cache-dir", "/given"], all), "/given");
});

Deno.test("of an option that is given twice the last counts, so that scripts can append", () => {
  const args = ["--workspace=a", "--workspace", "b"];
  const { values } = readOptions(START_OPTIONS, args, environment({}));
  assertEquals(values.workspace, "b");
});

Deno.test("arguments stay as they are typed, also those that look like numbers", () => {
  const { rest, passed } = readOptions(
    [VERBOSE],
    ["12e5", "-v", "007", "--", "1e3"],
    environment({}),
  );
  assertEquals([rest, passed], [["12e5", "007"], ["1e3"]]);
});

Deno.test("an option that may be given several times has all its values; a variable has them with commas", () => {
  const many = { name: "with", type: "list", value: "PACKAGE", help: "Package" } as const;
  const read = (args: string[], variables: Record<string, string> = {}) =>
    readOptions([many], args, environment(variables)).lists.with;
  assertEquals(read(["--with", "numpy", "--with=pandas>=2,<3"]), ["numpy", "pandas>=2,<3"]);
  assertEquals(read([], { HYPHA_WITH: "numpy, rich" }), ["numpy", "rich"]);
  assertEquals(read(["--with=a"], { HYPHA_WITH: "b" }), ["a"]);
  assertEquals(read([]), []);
});

Deno.test("an empty variable counts as one that is not set", () => {
  const variables = environment({ HYPHA_CACHE_DIR: "", CONDA_CACHE_DIR: "/b" });
  assertEquals(readOptions(START_OPTIONS, [], variables).values["cache-dir"], "/b");
});

Deno.test("flags are on when given, by a letter or by a variable that does not say no", () => {
  const verbose = (args: string[], value?: string) =>
    readOptions(
      START_OPTIONS,
      args,
      environment(value === undefined ? {} : { HYPHA_VERBOSE: value }),
    )
      .values.verbose;
  assertEquals(verbose(["--verbose"]), true);
  assertEquals(verbose(["-v"]), true);
  for (const on of ["1", "true", "yes", "on"]) assertEquals(verbose([], on), true, on);
  for (const off of ["0", "false", "no", "off", "FALSE"]) {
    assertEquals(verbose([], off), undefined, off);
  }
  assertEquals(verbose([]), undefined);
});

Deno.test("settings have defaults and are cleaned", async () => {
  const settings = await readSettings(
    [...REQUIRED, "--authorized-workspaces= a, b ,,", "--cache-dir=~/envs"],
    environment({ HYPHA_SERVER_URL: "ignored" }),
  );
  assertEquals(settings.visibility, "protected");
  assertEquals([settings.isolation, settings.secretFiles], ["auto", []]);
  assertEquals(settings.authorizedWorkspaces, ["a", "b"]);
  assertEquals(settings.cacheDir, "/home/someone/envs");
  assertMatch(settings.serviceId, /^conda-worker-[0-9a-f]{8}$/);
  const plain = await readSettings(
    [...REQUIRED, "--server-url=https://h.example/"].slice(1),
    environment({}),
  );
  assertEquals(plain.serverUrl, "https://h.example");
  assertEquals(plain.cacheDir, "/home/someone/.hypha_conda_cache");
  assertEquals(plain.authorizedWorkspaces, undefined);
});

Deno.test("what is missing or wrong is named", async () => {
  const cases: [string[], string][] = [
    [[], "--server-url is required (or set HYPHA_SERVER_URL)"],
    [REQUIRED.slice(0, 1), "--workspace is required (or set HYPHA_WORKSPACE)"],
    [REQUIRED.slice(0, 2), "--token is required (or set HYPHA_TOKEN)"],
    [
      ["--server-url=ftp://x", ...REQUIRED.slice(1)],
      "--server-url must be an http or https address",
    ],
    [[...REQUIRED, "--visibility=secret"], "--visibility must be public or protected"],
    [[...REQUIRED, "--isolation=on"], "--isolation must be auto, required, off, received on"],
    [[...REQUIRED, "--service-id=a/b"], "--service-id may have letters"],
    [[...REQUIRED, "--cache-dir="], "--cache-dir needs a value"],
    [[...REQUIRED, "--token-fil=x"], "Unknown option --token-fil; did you mean --token-file?"],
    [[...REQUIRED, "--zzzzzzzz"], "Unknown option --zzzzzzzz"],
    [[...REQUIRED, "more"], "Unexpected argument more"],
    [[...REQUIRED.slice(0, 2), "--token-file=/no/such/file"], "Cannot read --token-file"],
  ];
  for (const [args, expected] of cases) assertStringIncludes(await refusal(args), expected);
});

Deno.test("the token can be in a file, and a file without one is refused", async () => {
  await using desk = await Desk.make();
  const file = await desk.write("token", "  from-the-file\n");
  const args = [...REQUIRED.slice(0, 2), `--token-file=${file}`];
  const settings = await readSettings(args, environment({}));
  assertEquals(settings.token, "from-the-file");
  // Sessions must not read it.
  assertEquals(settings.secretFiles, [file]);
  assertEquals(
    (await readSettings(REQUIRED.slice(0, 2), environment({ HYPHA_TOKEN_FILE: file }))).token,
    "from-the-file",
  );
  await Deno.writeTextFile(file, "\n");
  assertStringIncludes(await refusal(args), "it is empty");
});

Deno.test("wrong usage of the program is one clear line and exit code 2", async () => {
  const cases: [string[], string][] = [
    [[], "Error: --server-url is required (or set HYPHA_SERVER_URL)\n"],
    [["start", "--sever-url=x"], "Error: Unknown option --sever-url; did you mean --server-url?\n"],
    [["hello.py"], "Error: Unknown command hello.py; did you mean run hello.py?\n"],
    [["strat"], "Error: Unknown command strat; did you mean start?\n"],
    [
      ["run"],
      "Error: run needs an app folder, a manifest, a script, a notebook, - or -c with code\n",
    ],
    [["setup", "--", "--yes"], "Error: Unexpected argument --yes\n"],
    [["env", "creat"], "Error: Unknown command env creat; did you mean env create?\n"],
    [["env", "list", "--jsn"], "Error: Unknown option --jsn; did you mean --json?\n"],
    [["help", "docter"], "Error: Unknown command docter; did you mean doctor?\n"],
    [["--cache-dri", "x"], "Error: Unknown option --cache-dri; did you mean --cache-dir?\n"],
    [["run", ".", "--timeot=3"], "Error: Unknown option --timeot; did you mean --timeout?\n"],
  ];
  const results = await Promise.all(cases.map(([args]) => program(args)));
  for (const [index, [, expected]] of cases.entries()) {
    assertEquals(results[index], { code: 2, stdout: "", stderr: expected });
  }
});

Deno.test("no output contains the token, not even that of a failed connection", async () => {
  await using desk = await Desk.make();
  const token = "a-token-that-must-not-be-seen";
  const args = ["--workspace=w", "--verbose", `--cache-dir=${desk.directory}/cache`];
  // Nobody listens on this port; the address repeats the token, as a mistaken operator's might.
  const server = `--server-url=http://127.0.0.1:9/?token=${token}`;
  const results = await Promise.all([
    program([...args, server], { HYPHA_TOKEN: token, TMPDIR: desk.temporary }),
    program([...args, server, `--token=${token}`], { TMPDIR: desk.temporary }),
    program([...args, server, `--token=${token}`, "--visibility=wrong"]),
  ]);
  assertEquals(results.map((result) => result.code), [1, 1, 2]);
  for (const { stdout, stderr } of results) {
    assert(!(stdout + stderr).includes(token), stdout + stderr);
    assertMatch(stderr, /^Error: /m);
  }
});

Deno.test("without a manager the program says what to install", async () => {
  await using desk = await Desk.make();
  const { code, stderr } = await program(
    [...REQUIRED, `--cache-dir=${desk.directory}/cache`],
    { TMPDIR: desk.temporary },
    "/nowhere",
  );
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Neither mamba nor conda package manager found");
  assertStringIncludes(stderr, "Install micromamba, mamba or conda");
});
