import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "@std/fs";
import { join } from "@std/path";
import { DOCTOR_OPTIONS } from "../../lib/cli/options.ts";
import type { CheckResult } from "../../lib/cli/doctor_check.ts";
import { expiryOf, readClaims } from "../../lib/cli/token_claims.ts";
import { leftProcesses } from "../../scripts/leftovers.ts";
import { startCommand } from "../e2e/worker_process.ts";
import { freePort, startHypha } from "../stack/hypha.ts";
import { managerPath, privateManagers, stackPaths } from "../stack/stack.ts";
import { Desk, type Ended, program, start } from "./program.ts";

const NAMES = [
  "configuration",
  "manager",
  "permissions",
  "cache",
  "temporary",
  "isolation",
  "channels",
  "server",
  "token",
  "clock",
];
const CHANNEL = `--channel=${stackPaths.channel}`;

/** `doctor` for a cache of a desk, and a channel that can be reached. */
function doctorOf(desk: Desk, managers?: string) {
  const cache = join(desk.directory, "a", "cache");
  const run = (args: string[] = [], env: Record<string, string> = {}): Promise<Ended> =>
    program(["doctor", `--cache-dir=${cache}`, CHANNEL, ...args], {
      TMPDIR: desk.temporary,
      no_proxy: "*",
      ...env,
    }, managers);
  /** What is found, by name, and the exit code. */
  const json = async (args: string[] = [], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await run([...args, "--json"], env);
    assertEquals(stderr, "");
    return { code, found: byName(JSON.parse(stdout)) };
  };
  return { cache, run, json };
}

function byName(results: CheckResult[]): Record<string, CheckResult> {
  assertEquals(results.map((one) => one.name), NAMES);
  for (const { status, message, fix } of results) {
    assert(["ok", "warning", "failure"].includes(status), status);
    assert(!message.includes("\n"), message);
    assertEquals(fix === undefined, status === "ok", message);
  }
  return Object.fromEntries(results.map((one) => [one.name, one]));
}

/** What is not well, but for what this machine's kernel may lack. */
function statuses(found: Record<string, CheckResult>): Record<string, string> {
  return Object.fromEntries(
    Object.values(found).filter(({ status, message }) =>
      status !== "ok" && !/^sessions cannot be isolated|, signals are not$/.test(message)
    ).map((one) => [one.name, one.status]),
  );
}

Deno.test("where all is well each check says so, under the flags of start, and nothing is left", async () => {
  await using desk = await Desk.make();
  const { run, json, cache } = doctorOf(desk);
  const [{ code, stdout, stderr }, listed] = await Promise.all([run(), json()]);
  assertEquals([code, stderr], [0, ""], stdout);
  assertEquals([listed.code, statuses(listed.found)], [0, {}]);
  const lines = stdout.trimEnd().split("\n");
  const told = lines.filter((line) => /^\w/.test(line)).map((line) => line.split(/ +/).slice(0, 2));
  const expected = NAMES.map((name) => [listed.found[name]!.status, name]);
  assertEquals(told.slice(0, NAMES.length), expected);
  const summary = expected.every(([status]) => status === "ok")
    ? "No problems found."
    : "1 warning.";
  assertEquals(lines.slice(-2), ["", summary]);
  const { configuration, manager, permissions, channels, server, token, clock } = listed.found;
  assertEquals(configuration!.message, "no file: arguments and variables only");
  for (const kind of ["mamba", "micromamba", "conda"]) {
    assertStringIncludes(manager!.message, join(managerPath(), kind));
  }
  assertMatch(manager!.message, /conda \d+\.\S+ \(conda, /);
  assertMatch(permissions!.message, /run of package managers only$/);
  assertStringIncludes(listed.found.cache!.message, `${cache}: can be made, locks work`);
  assertMatch(listed.found.cache!.message, /iB free/);
  assertStringIncludes(listed.found.temporary!.message, desk.temporary);
  assertStringIncludes(channels!.message, stackPaths.channel);
  for (const one of [server, token, clock]) {
    assertMatch(one!.message, /^not .*: no --/);
  }
  assert(!await exists(join(cache, "..")));
  assertEquals(await Array.fromAsync(Deno.readDir(desk.temporary)), []);
});

Deno.test("the Python of an environment that is there tells which isolation the kernel offers", async () => {
  await using desk = await Desk.make();
  const { cache, json } = doctorOf(desk, managerPath("micromamba"));
  const before = await json();
  assertMatch(before.found.isolation!.message, /no environment yet|cannot be isolated/);
  const made = await program(
    ["env", "create", "python", CHANNEL, `--cache-dir=${cache}`],
    { TMPDIR: desk.temporary },
    managerPath("micromamba"),
  );
  assertEquals(made.code, 0, made.stderr);
  const [{ found }, off] = await Promise.all([json(), json(["--isolation=off"])]);
  assertMatch(
    found.isolation!.message,
    /^Landlock [1-9]\d*, as Python 3\.\d+\.\S+ of environment [0-9a-f]{16} says|^sessions cannot be isolated: /,
  );
  assertEquals([off.code, statuses(off.found)], [0, { isolation: "warning" }]);
  assertEquals(await Array.fromAsync(Deno.readDir(desk.temporary)), []);
  assertEquals(await leftProcesses([desk.directory]), []);
});

Deno.test("a manager that does not work is named with the reason, and is no failure beside one that does", async () => {
  await using desk = await Desk.make();
  const { bin } = await privateManagers(desk.directory, ["conda"]);
  await Deno.writeTextFile(join(bin, "mamba"), "#!/bin/sh\nexit 7\n", { mode: 0o755 });
  await Deno.writeTextFile(join(bin, "micromamba"), "#!/bin/sh\necho hello\n", { mode: 0o755 });
  const { json, run } = doctorOf(desk, bin);
  const [{ code, found }, only, text] = await Promise.all([
    json(),
    json(["--package-manager=mamba,micromamba"]),
    run(["--package-manager=mamba"]),
  ]);
  assertEquals([code, statuses(found)], [0, { manager: "warning" }]);
  assertStringIncludes(
    found.manager!.message,
    "mamba does not work: --version ended with exit code 7",
  );
  assertStringIncludes(
    found.manager!.message,
    'micromamba does not work: --version printed "hello',
  );
  assertMatch(found.manager!.message, /conda \d+\./);
  assertStringIncludes(found.manager!.fix!, "mamba, micromamba");
  assertEquals([only.code, only.found.manager!.status], [1, "failure"]);
  assertEquals(text.code, 1);
  assertMatch(text.stdout, /^failure {2}manager +mamba does not work: .*\n {10,}Fix: Install /m);
  assertMatch(text.stdout, /\n\n1 failure\.\n$/);
});

/** Runs the program with other flags, or with a PATH on which there is nothing. */
async function plain(desk: Desk, flags: string[], path: string): Promise<CheckResult[]> {
  const { stdout } = await new Deno.Command(stackPaths.deno, {
    args: [...flags, "doctor", "--json", CHANNEL, `--cache-dir=${desk.directory}/cache`],
    cwd: stackPaths.root,
    env: { PATH: path, HOME: desk.directory, DENO_DIR: Deno.env.get("DENO_DIR") ?? denoDir() },
    clearEnv: true,
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Where Deno has its packages, which it would look for in another home. */
function denoDir(): string {
  return join(Deno.env.get("XDG_CACHE_HOME") ?? join(Deno.env.get("HOME")!, ".cache"), "deno");
}

Deno.test("without a manager, or without permissions, the fix is told", async () => {
  await using desk = await Desk.make();
  const task = await startCommand();
  const empty = await desk.write("empty/README", "").then((path) => join(path, ".."));
  const changed = task.filter((word) => !/^--allow-(sys|run)/.test(word)).toSpliced(1, 0, "-q");
  const narrow = changed.toSpliced(1, 0, "--allow-sys=statfs,osRelease", "--allow-run=conda");
  const wide = changed.toSpliced(1, 0, "--allow-sys", "--allow-run");
  const [none, missing, more] = await Promise.all([
    plain(desk, task, empty),
    plain(desk, narrow, managerPath()),
    plain(desk, wide, managerPath()),
  ]);
  const { manager } = byName(none!);
  assertEquals([manager!.status, manager!.message], [
    "failure",
    "none found (looked for mamba, micromamba, conda in PATH)",
  ]);
  assertStringIncludes(manager!.fix!, "`hypha-conda-worker setup` fetches micromamba.");
  // One that workers would not find, since its directory is not on PATH.
  const hidden = await desk.write(".local/bin/micromamba", "#!/bin/sh\n");
  await Deno.chmod(hidden, 0o755);
  const { manager: unseen } = byName(await plain(desk, task, empty));
  assertEquals([unseen!.status, unseen!.fix], [
    "failure",
    `${hidden} is there, but its directory is not on PATH: ` +
    'export PATH="$HOME/.local/bin:$PATH" (in ~/.profile, to keep it)',
  ]);
  const { permissions, manager: forbidden } = byName(missing!);
  assertEquals(permissions!.status, "failure");
  assertMatch(permissions!.message, /--allow-sys=hostname,.* --allow-run=mamba,micromamba$/);
  assertStringIncludes(permissions!.fix!, "deno task start");
  assertEquals(forbidden!.status, "warning");
  assertStringIncludes(forbidden!.message, "micromamba may not be run");
  assertEquals(byName(more!).permissions!.status, "warning");
});

Deno.test("the configuration file that was read is named, and one that is wrong is refused", async () => {
  await using desk = await Desk.make();
  const { cache, json, run } = doctorOf(desk);
  const file = await desk.write("settings.toml", `isolation = "off"\n[doctor]\nchannel = ["x"]\n`);
  const { code, found } = await json([`--config=${file}`]);
  assertEquals([code, found.configuration!.message], [0, file]);
  assertEquals(statuses(found), { isolation: "warning" });
  const wrong = await desk.write("wrong.toml", `[doctor]\nisolaton = "off"\n`);
  assertEquals(await run([], { HYPHA_CONFIG_FILE: wrong }), {
    code: 2,
    stdout: "",
    stderr: `Error: Unknown key doctor.isolaton in ${wrong}, line 2; did you mean isolation?\n`,
  });
  assert(!await exists(join(cache, "..")));
});

Deno.test("a cache directory that cannot be used fails with the reason, and others are still checked", async () => {
  await using desk = await Desk.make();
  const { json } = doctorOf(desk);
  const file = await desk.write("file", "");
  const places = [
    join(file, "cache"),
    `/${"long/".repeat(50)}`,
    join(desk.directory, "with space"),
  ];
  const results = await Promise.all(places.map((place) => json([`--cache-dir=${place}`])));
  for (const { code, found } of results) {
    assertEquals(code, 1);
    assertEquals(found.cache!.status, "failure");
    assertStringIncludes(found.cache!.fix!, "--cache-dir");
    assertEquals(statuses(found), { cache: "failure" });
  }
  assertStringIncludes(results[1]!.found.cache!.message, "too long");
  assertStringIncludes(results[2]!.found.cache!.message, "without spaces");
  const homeless = await program(["doctor", "--json", CHANNEL], {
    HOME: "nowhere",
    DENO_DIR: Deno.env.get("DENO_DIR") ?? denoDir(),
  });
  assertStringIncludes(byName(JSON.parse(homeless.stdout)).cache!.message, "HOME is not set");
});

Deno.test("channels that cannot be reached are named, one by one", async () => {
  await using desk = await Desk.make();
  const { json } = doctorOf(desk);
  await Deno.mkdir(join(desk.directory, "nothing"));
  const closed = `http://127.0.0.1:${freePort()}/forge`;
  const asked: string[] = [];
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => {
      const { pathname } = new URL(request.url);
      asked.push(`${request.method} ${pathname}`);
      return new Response(null, { status: pathname === "/old/noarch/repodata.json" ? 200 : 404 });
    },
  );
  const address = `http://127.0.0.1:${server.addr.port}`;
  const names = [
    stackPaths.channel,
    `${address}/old`,
    `${address}/none`,
    closed,
    `file://${desk.directory}/nothing`,
    "not a name",
  ];
  const { code, found } = await json([`--channel=${names.join(",")}`]);
  assertEquals([code, statuses(found)], [0, { channels: "warning" }]);
  const { message } = found.channels!;
  assertStringIncludes(message, `${address}/none (HTTP 404`);
  assertMatch(message, new RegExp(`${closed} \\(.*refused`, "i"));
  assertStringIncludes(message, "/nothing (there is no noarch/repodata.json)");
  assertStringIncludes(message, "not a name (");
  assert(!message.includes(`${address}/old`) && !message.includes(stackPaths.channel), message);
  assert(asked.every((one) => one.startsWith("HEAD /")), asked.join());
});

Deno.test("a server that is away, or is none, fails; the token is not sent, and what it says is told", async () => {
  await using desk = await Desk.make();
  const { json } = doctorOf(desk);
  const seen: string[] = [];
  // Stands for servers that are not Hypha; its clock is wrong, which a real one's cannot be.
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => {
      seen.push(request.url + JSON.stringify([...request.headers]));
      const date = new Date(Date.now() + 3_600_000).toUTCString();
      return new Response("no", { status: 404, headers: { date } });
    },
  );
  const away = `--server-url=http://127.0.0.1:${freePort()}`;
  const token = fakeToken({ exp: 1, scope: "ws:some-workspace#a wid:other" });
  const long = fakeToken({ exp: Date.now() / 1000 + 1e6, scope: "ws:some-workspace#a" });
  const file = await desk.write("token", token);
  const [gone, wrong, none] = await Promise.all([
    json([away, `--token-file=${file}`]),
    json([`--server-url=http://127.0.0.1:${server.addr.port}/`, `--token=${long}`]),
    json([`--server-url=nowhere`, `--token-file=${file}-missing`]),
  ]);
  assertEquals(gone.code, 1);
  assertEquals(statuses(gone.found), { server: "failure", token: "failure" });
  assertMatch(gone.found.server!.message, /cannot be reached: .*refused/i);
  assertMatch(gone.found.token!.message, /not tried.*for some-workspace, ended \d+ days ago/);
  assert(!JSON.stringify(gone).includes(token));
  assertEquals(statuses(wrong.found), { server: "failure", token: "warning", clock: "warning" });
  assertEquals(seen.length, 1);
  assertMatch(seen[0]!, /\/health\/readiness/);
  assert(!(seen[0]! + JSON.stringify(wrong)).includes(long));
  assertMatch(wrong.found.server!.message, /does not answer as a Hypha server: HTTP 404/);
  assertMatch(wrong.found.clock!.message, /^3\d\d\d s behind the server's$/);
  assertMatch(none.found.server!.message, /no http or https address/);
  assertStringIncludes(none.found.token!.message, "Cannot read --token-file");
});

/** A token nobody has signed. */
function fakeToken(claims: Record<string, unknown>): string {
  const part = (value: unknown) =>
    new TextEncoder().encode(JSON.stringify(value)).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    });
  return `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}.${"c2lnbmF0dXJl".repeat(3)}`;
}

Deno.test("a real server: a valid token joins its workspace; an expired or foreign one is refused; none is printed", async () => {
  await using desk = await Desk.make();
  const { json, run } = doctorOf(desk, managerPath("micromamba"));
  await using server = await startHypha();
  const valid = await server.userToken({ user: "user-1", expiresInSeconds: 40 * 86_400 });
  const short = await server.userToken({ user: "user-1", expiresInSeconds: 5400 });
  const expired = await server.userToken({ user: "user-1", expiresInSeconds: -7300 });
  const foreign = await server.userToken({ user: "user-2", expiresInSeconds: 40 * 86_400 });
  const workspace = server.workspaceOf("user-1");
  const args = [`--server-url=${server.url}`, `--workspace=${workspace}`];
  // First connections to a workspace that does not exist yet would meet each other in the server.
  const good = await json(args, { HYPHA_TOKEN: valid });
  const ending = await json(args, { HYPHA_TOKEN: short });
  const [late, other, root, text] = await Promise.all([
    json(args, { HYPHA_TOKEN: expired }),
    json(args, { HYPHA_TOKEN: foreign }),
    json([`--server-url=${server.url}`], { HYPHA_TOKEN: server.rootToken }),
    run([...args, `--token=${expired}`]),
  ]);
  assertEquals(statuses(good.found), {}, good.found.token!.message);
  assertEquals(good.code, 0);
  assertMatch(
    good.found.token!.message,
    new RegExp(`^joins workspace ${workspace}; for ${workspace}, ends in (39|40) days \\(20`),
  );
  assertEquals(good.found.server!.message, `${server.url} is ready`);
  assertMatch(good.found.clock!.message, /the server's$/);
  assert(!good.found.clock!.message.startsWith("not"));
  assertEquals(statuses(ending.found), { token: "warning" }, ending.found.token!.message);
  assertEquals(ending.code, 0);
  assertMatch(ending.found.token!.message, /ends in 1 hour /);
  for (const bad of [late, other]) {
    assertEquals([bad.code, statuses(bad.found)], [1, { token: "failure" }]);
    assertStringIncludes(bad.found.token!.fix!, "new token");
  }
  assertMatch(late.found.token!.message, /ended 2 hours ago/);
  assertMatch(other.found.token!.message, /for ws-user-user-2/);
  assertEquals(root.found.token!.status, "ok", root.found.token!.message);
  assertEquals(text.code, 1);
  const printed = JSON.stringify([good, ending, late, other, root]) + text.stdout + text.stderr;
  for (const secret of [valid, short, expired, foreign, server.rootToken]) {
    assert(!printed.includes(secret) && !printed.includes(secret.split(".")[2] ?? secret));
  }
});

Deno.test("an interruption ends it at once, with the exit code of one, and nothing is left", async () => {
  await using desk = await Desk.make();
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const { promise: end, resolve: answer } = Promise.withResolvers<Response>();
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    resolve();
    return end;
  });
  const running = await start(
    [
      "doctor",
      `--cache-dir=${desk.directory}/cache`,
      CHANNEL,
      `--server-url=http://127.0.0.1:${server.addr.port}`,
    ],
    { TMPDIR: desk.temporary, no_proxy: "*" },
  );
  await Promise.all([asked, running.seen("channels")]);
  running.child.kill("SIGINT");
  const { code, stderr } = await running.ended;
  answer(new Response());
  assertEquals([code, stderr], [130, "Interrupted.\n"]);
  assertEquals(await Array.fromAsync(Deno.readDir(desk.temporary)), []);
});

Deno.test("its help names its options and has examples", async () => {
  const { code, stdout } = await program(["help", "doctor"]);
  assertEquals(code, 0);
  for (const { name, help } of DOCTOR_OPTIONS) {
    assertMatch(stdout, new RegExp(`^ +--${name} .*${help.replace(/\W/g, "\\$&")}`, "m"));
  }
  assertMatch(stdout, /^Examples:\n {2}hypha-conda-worker doctor\n/m);
});

Deno.test("wrong usage ends with exit code 2 before anything is checked", async () => {
  const cases = [["--isolation=maybe"], ["--package-manager=pip"], ["extra"], ["--jsn"]];
  const results = await Promise.all(cases.map((args) => program(["doctor", ...args])));
  assertEquals(results.map(({ code, stdout }) => [code, stdout]), cases.map(() => [2, ""]));
});

Deno.test("claims of tokens are read as they are, and what is no token has none", () => {
  const now = Date.UTC(2030, 0, 1);
  assertEquals(readClaims(fakeToken({ exp: 1000, scope: "a ws:one#rw ws:two#a cid:x" })), {
    workspaces: ["one", "two"],
    expires: 1_000_000,
  });
  assertEquals(readClaims(fakeToken({})), { workspaces: [] });
  for (const text of ["", "root", "a.b.c", "a..c", "..", fakeToken({}).slice(0, 30)]) {
    assertEquals(readClaims(text), undefined, text);
  }
  assertEquals(expiryOf(now + 90_000, now), "ends in 1 minute (2030-01-01T00:01:30Z)");
  assertEquals(expiryOf(now - 2 * 86_400_000, now), "ended 2 days ago (2029-12-30T00:00:00Z)");
  assertMatch(expiryOf(1e300, now), /^ends in /);
});
