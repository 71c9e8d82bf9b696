import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { configuredEnvironment } from "../../lib/cli/config_file.ts";
import { lineOf } from "../../lib/cli/config_line.ts";
import { DOCTOR_OPTIONS, START_OPTIONS } from "../../lib/cli/options.ts";
import { RUN_OPTIONS } from "../../lib/cli/run_options.ts";
import { ENV_COMMANDS } from "../../lib/cli/env_options.ts";
import { type Environment, readOptions } from "../../lib/cli/option.ts";
import { readSettings } from "../../lib/cli/start_settings.ts";
import { WorkerError } from "../../lib/errors.ts";
import { startCommand } from "../e2e/worker_process.ts";
import { startHypha } from "../stack/hypha.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";
import { Desk, type Ended, start } from "./program.ts";

const START = `
server_url = "https://hypha.example.org"
workspace = "lab"
token-file = "secret/token"
`;

/** The environment of a command below which a file lies. */
function configured(
  file: string,
  command: string[] = ["start"],
  variables: Record<string, string> = {},
): { environment: Environment; warnings: string[] } {
  const warnings: string[] = [];
  const all: Record<string, string> = {
    HOME: "/home/someone",
    HYPHA_CONFIG_FILE: file,
    ...variables,
  };
  const environment = configuredEnvironment((name) => all[name], command, (text) => {
    warnings.push(text);
  });
  return { environment, warnings };
}

/** The message with which a file is refused. */
function refusal(file: string, command: string[] = ["start"]): string {
  const options = command[0] === "run" ? RUN_OPTIONS : START_OPTIONS;
  try {
    readOptions(options, [], configured(file, command).environment);
  } catch (error) {
    assert(error instanceof WorkerError && error.code === "usage", String(error));
    return error.message;
  }
  throw new Error("the file was accepted");
}

/** Where Deno has its packages, which it would look for in another home. */
function denoDir(): string {
  return Deno.env.get("DENO_DIR") ||
    join(Deno.env.get("XDG_CACHE_HOME") || join(Deno.env.get("HOME")!, ".cache"), "deno");
}

/** Runs the program in a directory, with a home of its own. */
async function programIn(
  directory: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const words = await startCommand();
  const main = join(stackPaths.root, "main.ts");
  const { code, stdout, stderr } = await new Deno.Command(stackPaths.deno, {
    args: [...words.slice(0, -1), `--config=${join(stackPaths.root, "deno.json")}`, main, ...args],
    cwd: directory,
    clearEnv: true,
    env: {
      PATH: `${managerPath()}:${Deno.env.get("PATH")}`,
      DENO_DIR: denoDir(),
      HOME: directory,
      NO_COLOR: "1",
      ...env,
    },
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

Deno.test("keys are names of options in either spelling, in TOML and in YAML, below arguments and variables", async () => {
  await using desk = await Desk.make();
  await desk.write("secret/token", "from-a-file");
  const toml = await desk.write(
    "a.toml",
    `${START}
max_sessions = 7
max-cache-size = "50GB"
idle-timeout = 2.5
verbose = true
use_local_url = true
cache_dir = "envs"
working-dir = "~/sessions"
authorized-workspaces = ["a", "b"]
`,
  );
  const yaml = await desk.write(
    "b.yaml",
    `server-url: https://hypha.example.org
workspace: lab
token_file: secret/token
max-sessions: 7
max_cache_size: 50GB
idle_timeout: 2.5
verbose: true
use-local-url: true
cache-dir: envs
working_dir: ~/sessions
authorized_workspaces: a,b
`,
  );
  for (const file of [toml, yaml]) {
    const settings = await readSettings([], configured(file).environment);
    assertEquals(settings.serverUrl, "https://hypha.example.org");
    assertEquals([settings.workspace, settings.token], ["lab", "from-a-file"]);
    assertEquals([settings.maxSessions, settings.verbose, settings.useLocalUrl], [7, true, true]);
    assertEquals(settings.limits.idleTimeout, 2500);
    assertEquals(settings.cacheLimits.maxBytes, 50e9);
    assertEquals(settings.authorizedWorkspaces, ["a", "b"]);
    // Paths are relative to the file.
    assertEquals(settings.cacheDir, join(desk.directory, "envs"));
    assertEquals(settings.workingDir, "/home/someone/sessions");
    // Sessions must read neither the token nor what may hold one.
    assertEquals(settings.secretFiles, [join(desk.directory, "secret", "token"), file]);
    const { environment } = configured(file, ["start"], {
      CONDA_WORKSPACE: "variable",
      HYPHA_VERBOSE: "0",
    });
    const above = await readSettings(["--max-sessions=9"], environment);
    assertEquals([above.workspace, above.maxSessions, above.verbose], ["variable", 9, false]);
    assertEquals(
      (await readSettings(["--verbose=false"], configured(file).environment)).verbose,
      false,
    );
  }
});

Deno.test("tables are for one command, and go before what is at the top", async () => {
  await using desk = await Desk.make();
  const file = await desk.write(
    "c.toml",
    `cache-dir = "/top"
[start]
cache-dir = "/start"
[run]
timeout = 60
with = ["numpy", "pandas>=2,<3"]
[env]
cache-dir = "/env"
[env.create]
cache-dir = "/create"
channel = ["conda-forge", "bioconda"]
`,
  );
  const read = (command: string[], options = START_OPTIONS) =>
    readOptions(options, [], configured(file, command).environment);
  assertEquals(read(["start"]).values["cache-dir"], "/start");
  const run = read(["run"], RUN_OPTIONS);
  assertEquals([run.values["cache-dir"], run.values.timeout], ["/top", "60"]);
  assertEquals(run.lists.with, ["numpy", "pandas>=2,<3"]);
  assertEquals(read(["env", "list"], ENV_COMMANDS.list.options).values["cache-dir"], "/env");
  const create = read(["env", "create"], ENV_COMMANDS.create.options);
  assertEquals([create.values["cache-dir"], create.values.channel], [
    "/create",
    "conda-forge,bioconda",
  ]);
  assertEquals(read(["doctor"], DOCTOR_OPTIONS).values["cache-dir"], "/top");
  assertEquals(run.sources.timeout, "file");
  assertEquals(run.file, file);
});

Deno.test("a token and a file with one do not both count: the more important source does", async () => {
  await using desk = await Desk.make();
  const token = await desk.write("token", "in-a-file");
  const file = await desk.write("d.toml", `token = "in-the-configuration"\n`);
  await Deno.chmod(file, 0o600);
  const rest = ["--server-url=http://x", "--workspace=w"];
  const read = async (args: string[], variables: Record<string, string> = {}) =>
    (await readSettings([...rest, ...args], configured(file, ["start"], variables).environment))
      .token;
  assertEquals(await read([]), "in-the-configuration");
  assertEquals(await read([], { HYPHA_TOKEN_FILE: token }), "in-a-file");
  assertEquals(await read([`--token-file=${token}`], { HYPHA_TOKEN: "variable" }), "in-a-file");
  assertEquals(await read(["--token=argument"], { HYPHA_TOKEN_FILE: token }), "argument");
});

Deno.test("unknown keys, wrong values and files that cannot be read are named, with the line and the nearest key", async () => {
  await using desk = await Desk.make();
  const cases: [string, string, string][] = [
    [
      "toml",
      `# first\nsever_url = "x"\n`,
      "Unknown key sever_url in FILE, line 2; did you mean server-url?",
    ],
    [
      "yaml",
      "# first\n\nsever-url: x\n",
      "Unknown key sever-url in FILE, line 3; did you mean server-url?",
    ],
    [
      "toml",
      `[run]\ntime_out = 3\n`,
      "Unknown key run.time_out in FILE, line 2; did you mean timeout?",
    ],
    [
      "yaml",
      "env:\n  create:\n    chanel: x\n",
      "Unknown key env.create.chanel in FILE, line 3; did you mean channel?",
    ],
    ["toml", `[strat]\nverbose = true\n`, "Unknown key strat in FILE, line 1; did you mean start?"],
    // It is for one call, of one command.
    ["toml", `timeout = 3\n`, "Unknown key timeout in FILE, line 1"],
    ["toml", `[setup]\nyes = true\n`, "Unknown key setup.yes in FILE, line 2"],
    ["toml", `verbose = "yes"\n`, "Wrong value of verbose in FILE, line 1: it takes true or false"],
    [
      "toml",
      `max-sessions = true\n`,
      "Wrong value of max-sessions in FILE, line 1: it takes a number, received true",
    ],
    [
      "yaml",
      "workspace: 3\n",
      "Wrong value of workspace in FILE, line 1: it takes a text, received 3",
    ],
    [
      "toml",
      `visibility = 1\n`,
      "Wrong value of visibility in FILE, line 1: it takes one of public, protected, received 1",
    ],
    [
      "toml",
      `authorized-workspaces = ["a,b"]\n`,
      "Wrong value of authorized-workspaces in FILE, line 1: it takes a list of texts",
    ],
    [
      "toml",
      `workspace = "a"\n\n[start]\nworkspace = []\n`,
      "Wrong value of start.workspace in FILE, line 4",
    ],
    [
      "toml",
      `cache-dir = "a"\ncache_dir = "b"\n`,
      "cache_dir in FILE, line 2 says the same as cache-dir",
    ],
    ["toml", `workspace = \n`, "Cannot read configuration file FILE: "],
    ["toml", `ok = 1\nworkspace = "a\n`, "line 2"],
    ["yaml", "a: [\n", "Cannot read configuration file FILE: "],
    ["yaml", "- a\n", "Cannot read configuration file FILE: it must hold names and values"],
  ];
  for (const [index, [ending, text, expected]] of cases.entries()) {
    const file = await desk.write(`${index}.${ending}`, text);
    assertStringIncludes(refusal(file), expected.replaceAll("FILE", file));
  }
  assertMatch(
    refusal(join(desk.directory, "none.toml")),
    /^Cannot read configuration file .*No such file/,
  );
  assertMatch(refusal(desk.directory), /^Cannot read configuration file /);
});

Deno.test("an empty file says nothing, and tables of a command may be empty", async () => {
  await using desk = await Desk.make();
  for (
    const [name, text] of [["a.toml", ""], ["b.yaml", ""], ["c.yml", "# none\n"], [
      "d.toml",
      "[run]\n",
    ]]
  ) {
    const file = await desk.write(name!, text!);
    const { sources } = readOptions(START_OPTIONS, [], configured(file).environment);
    assertEquals(Object.values(sources).filter((one) => one === "file"), []);
  }
});

Deno.test("the line of a key is that of its table", () => {
  const toml = `a = 1\n[run]\n"b" = 2\n[ env . create ] # here\nb = 3\n`;
  assertEquals(lineOf(toml, "", "a"), 1);
  assertEquals(lineOf(toml, "run", "b"), 3);
  assertEquals(lineOf(toml, "env.create", "b"), 5);
  assertEquals(lineOf(toml, "env", "b"), undefined);
  const yaml = `a: 1\nrun:\n  # none\n  b: 2\nenv:\n  create:\n    b: 3\nb: 4\n`;
  assertEquals(lineOf(yaml, "run", "b"), 4);
  assertEquals(lineOf(yaml, "env.create", "b"), 7);
  assertEquals(lineOf(yaml, "", "b"), 8);
});

Deno.test("a token that others may read is warned of, and one that they may not is not", async () => {
  await using desk = await Desk.make();
  const file = await desk.write("e.toml", `dashboard-token = "some-long-token"\n`);
  const warned = async (mode: number) => {
    await Deno.chmod(file, mode);
    const { environment, warnings } = configured(file);
    readOptions(START_OPTIONS, [], environment);
    return warnings;
  };
  assertEquals(await warned(0o644), [
    `${file} holds a token, and other users may read it: chmod 600 ${file}`,
  ]);
  assertEquals(await warned(0o600), []);
});

Deno.test("the file is that of --config, else the variable's, the working directory's, the user's own; none is none", async () => {
  await using desk = await Desk.make();
  const { directory } = desk;
  const named = (name: string) => `visibility = "from-${name}"\n`;
  const given = await desk.write("given.toml", named("given"));
  const variable = await desk.write("variable.toml", named("variable"));
  const home = await desk.write(
    ".config/hypha-conda-worker/config.yaml",
    "visibility: from-home\n",
  );
  const required = ["--server-url=http://x", "--workspace=w", "--token=t"];
  const told = async (args: string[], env: Record<string, string> = {}) => {
    const { code, stderr } = await programIn(directory, [...required, ...args], env);
    assertEquals(code, args[0] === "--help" ? 0 : 2, stderr);
    return stderr;
  };
  const expected = (name: string, file: string) =>
    `Error: --visibility must be public or protected, received from-${name} (visibility in ${file}, line 1)\n`;
  assertEquals(await told([]), expected("home", home));
  const own = await desk.write("xdg/hypha-conda-worker/config.toml", named("xdg"));
  assertEquals(await told([], { XDG_CONFIG_HOME: join(directory, "xdg") }), expected("xdg", own));
  const working = await desk.write("hypha-conda-worker.toml", named("here"));
  const real = join(await Deno.realPath(directory), "hypha-conda-worker.toml");
  assertEquals(await told([]), expected("here", real));
  const variables = { HYPHA_CONFIG_FILE: variable };
  assertEquals(await told([], variables), expected("variable", variable));
  assertEquals(
    await told(["--config=given.toml"], variables),
    expected("given", join(await Deno.realPath(directory), "given.toml")),
  );
  assertEquals(await told([`--config=${given}`], variables), expected("given", given));
  assertEquals(
    await told(["--config=none", "--visibility=wrong"], variables),
    "Error: --visibility must be public or protected, received wrong\n",
  );
  // An argument goes before the file, so the file is not to blame.
  assertEquals(
    await told(["--visibility=wrong"]),
    "Error: --visibility must be public or protected, received wrong\n",
  );
  await desk.write("hypha-conda-worker.yaml", "visibility: x\n");
  assertMatch(
    await told([]),
    /^Error: There are two configuration files, .*\.toml and .*\.yaml: keep one of them\n$/,
  );
  await Deno.remove(join(directory, "hypha-conda-worker.yaml"));
  await Deno.remove(working);
});

Deno.test({
  name:
    "a file in the working directory that belongs to another user is not read unless it is named",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using desk = await Desk.make();
    const file = await desk.write("hypha-conda-worker.toml", `visibility = "wrong"\n`);
    await Deno.chown(file, 12345, null);
    const required = ["--server-url=http://x", "--workspace=w", "--token=t"];
    const found = await programIn(desk.directory, required);
    assertEquals(found.code, 2);
    assertMatch(found.stderr, /belongs to another user: name it with --config to use it/);
    const named = await programIn(desk.directory, [...required, `--config=${file}`]);
    assertMatch(named.stderr, /--visibility must be public or protected, received wrong/);
    const none = await programIn(desk.directory, ["env", "list", "--config=none"]);
    assertEquals([none.code, none.stderr], [0, ""]);
  },
});

Deno.test("places that cannot be looked at hold no file", async () => {
  await using desk = await Desk.make();
  // A path that is too long stands for all that a system refuses.
  for (const place of [`/${"x".repeat(300)}`, await desk.write("file", ""), "relative"]) {
    const { code, stderr } = await programIn(desk.directory, ["version"], {
      XDG_CONFIG_HOME: place,
    });
    assertEquals([code, stderr], [0, ""], place);
    const list = ["env", "list", `--cache-dir=${desk.directory}/cache`];
    const found = await programIn(desk.directory, list, { XDG_CONFIG_HOME: place });
    assertEquals([found.code, found.stderr], [0, ""], place);
  }
});

Deno.test("run reads it, and a value that is wrong there is told with file and line", async () => {
  await using desk = await Desk.make();
  await desk.write("hypha-conda-worker.yaml", "# mine\nrun:\n  timeout: 0\n");
  const script = await desk.write("hello.py", "print('hello')\n");
  const { code, stderr } = await programIn(desk.directory, ["run", script]);
  const path = join(await Deno.realPath(desk.directory), "hypha-conda-worker.yaml");
  assertEquals(code, 2);
  assertMatch(stderr, /^Error: --timeout must be .*received 0 \(run\.timeout in /);
  assertStringIncludes(stderr, `(run.timeout in ${path}, line 3)`);
});

Deno.test("env reads it, and secrets in it are not printed", async () => {
  await using desk = await Desk.make();
  await desk.write("hypha-conda-worker.toml", `cache-dir = "kept"\ntoken = "a-secret-in-a-file"\n`);
  const { code, stdout, stderr } = await programIn(desk.directory, ["env", "list", "--json"]);
  assertEquals(code, 0, stderr);
  assertEquals(JSON.parse(stdout).directory, join(await Deno.realPath(desk.directory), "kept"));
  assertMatch(
    stderr,
    /^Warning: .*hypha-conda-worker\.toml holds a token, and other users may read it: chmod 600 /,
  );
  await Deno.chmod(join(desk.directory, "hypha-conda-worker.toml"), 0o600);
  // The address repeats the token, as a mistaken operator's might.
  const failed = await programIn(desk.directory, [
    "--server-url=http://127.0.0.1:9/?token=a-secret-in-a-file",
    "--workspace=w",
    `--working-dir=${desk.directory}/sessions`,
  ]);
  assertEquals(failed.code, 1);
  assert(!(failed.stdout + failed.stderr).includes("a-secret-in-a-file"), failed.stderr);
  assertMatch(failed.stderr, /INFO Configuration file path=.*hypha-conda-worker\.toml/);
});

Deno.test("a worker starts with nothing but its file, and says which it read", async () => {
  await using desk = await Desk.make();
  await using server = await startHypha();
  const token = await server.userToken({ user: "user-1" });
  const file = await desk.write(
    "worker.toml",
    `server-url = "${server.url}"
workspace = "${server.workspaceOf("user-1")}"
token = "${token}"
cache-dir = "cache"
[start]
working-dir = "sessions"
service-id = "from-a-file"
`,
  );
  await Deno.chmod(file, 0o600);
  const env = { TMPDIR: desk.temporary, no_proxy: "*" };
  const worker = await start(["--config", file], env);
  await worker.seen("from-a-file");
  await worker.seen("registered successfully");
  worker.child.kill("SIGTERM");
  const { code, stdout, stderr } = await worker.ended;
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, `Cache Dir: ${desk.directory}/cache\n`);
  assertStringIncludes(stderr, `INFO Configuration file path=${file}\n`);
  assert(!(stdout + stderr).includes(token));
});
