import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { exists } from "@std/fs";
import { dirname, join } from "@std/path";
import {
  knownSha256,
  MICROMAMBA_RELEASE,
  micromambaPlatform,
  programUrl,
  RELEASES_URL,
} from "../../lib/cli/micromamba_release.ts";
import { fetchProgram } from "../../lib/cli/setup_download.ts";
import { WorkerError } from "../../lib/errors.ts";
import { pathLine, shellFile } from "../../lib/cli/setup_place.ts";
import { spawnProgram } from "../e2e/worker_process.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";
import { type Answer, RELEASE, startCutServer, startMirror } from "./mirror.ts";
import { programOnTerminal } from "./on_terminal.ts";
import { Desk, type Ended, program } from "./program.ts";

const HASH = "0".repeat(64);

/** `setup` into a directory that is not there yet, below that of a desk. */
function setupOf(desk: Desk) {
  const prefix = join(desk.directory, "made", "bin");
  const target = join(prefix, "micromamba");
  const run = (args: string[], env: Record<string, string> = {}): Promise<Ended> =>
    program(["setup", `--prefix=${prefix}`, ...args], {
      HOME: desk.directory,
      DENO_DIR: Deno.env.get("DENO_DIR") ||
        join(Deno.env.get("XDG_CACHE_HOME") || join(Deno.env.get("HOME")!, ".cache"), "deno"),
      SHELL: "/bin/bash",
      no_proxy: "127.0.0.1",
      ...env,
    });
  /** Nothing is left of a try, not even the directories it made. */
  const assertNothingLeft = async () => {
    assert(!await exists(dirname(prefix)), "something was left");
  };
  return { prefix, target, run, assertNothingLeft };
}

async function names(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map((one) => one.name).sort();
}

Deno.test("it fetches the program, checks it, makes it executable, and says what it did and what is to be done", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { target, prefix, run } = setupOf(desk);
  const { code, stdout, stderr } = await run([
    `--url=${mirror.url}`,
    `--release=${RELEASE}`,
    "--yes",
  ]);
  assertEquals([code, stderr], [0, "Downloading micromamba\n"], stdout);
  assertEquals(await Deno.readFile(target), mirror.program);
  assertEquals((await Deno.stat(target)).mode! & 0o777, 0o755);
  assertEquals(await names(prefix), ["micromamba"]);
  assertEquals(mirror.requests, [`GET ${mirror.path}.sha256`, `GET ${mirror.path}`]);
  const platform = micromambaPlatform(Deno.build.os, Deno.build.arch)!;
  const lines = stdout.split("\n");
  assertEquals(lines.slice(0, 3), [
    `This fetches micromamba ${RELEASE} for ${platform}`,
    `  from     ${mirror.url}${mirror.path}`,
    `  to       ${target}`,
  ]);
  assertMatch(
    lines[3]!,
    /^ {2}SHA-256 {2}asked of 127\.0\.0\.1:\d+ \(.*\.sha256\), which guards against damage only$/,
  );
  assertMatch(
    lines[4]!,
    new RegExp(`^Installed micromamba ${RELEASE}: ${target} \\(.*, SHA-256 ${mirror.sha256}\\)$`),
  );
  assertEquals(lines.slice(5), [
    `Workers look for it on PATH, where ${prefix} is not. Put it there, in ~/.bashrc to keep it:`,
    '  export PATH="$HOME/made/bin:$PATH"',
    "Then `hypha-conda-worker doctor` should find it.",
    "",
  ]);
});

Deno.test("what it fetched is found and works, once its directory is on PATH", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { prefix, run } = setupOf(desk);
  await Deno.mkdir(prefix, { recursive: true });
  const args = [`--url=${mirror.url}`, `--release=${RELEASE}`, `--sha256=${mirror.sha256}`, "-y"];
  const before = await program(["setup", ...args, `--prefix=${prefix}`], {}, prefix);
  assertEquals(before.code, 0, before.stderr);
  assertStringIncludes(before.stdout, `SHA-256  ${mirror.sha256}, as given`);
  assertStringIncludes(before.stdout, "Its directory is on PATH: workers find it");
  const doctor = await program(
    [
      "doctor",
      "--json",
      "--package-manager=micromamba",
      `--channel=${stackPaths.channel}`,
      `--cache-dir=${desk.directory}/cache`,
    ],
    { TMPDIR: desk.temporary },
    prefix,
  );
  const found = JSON.parse(doctor.stdout).find((one: { name: string }) => one.name === "manager");
  assertEquals(found.status, "ok");
  assertStringIncludes(found.message, join(prefix, "micromamba"));
  // The managers of the test stack come first on this PATH.
  const other = await run(args, { PATH: `${managerPath()}:${prefix}` });
  assertStringIncludes(other.stdout, `is there already: ${prefix}/micromamba`);
});

Deno.test("called again it finds what is there, without asking for more than the hash", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { target, run } = setupOf(desk);
  const args = [`--url=${mirror.url}`, `--release=${RELEASE}`];
  assertEquals((await run([...args, "--yes"])).code, 0);
  const { mtime } = await Deno.stat(target);
  mirror.requests.length = 0;
  // Nothing is fetched, so nobody need be asked.
  const known = await run([...args, `--sha256=${mirror.sha256.toUpperCase()}`]);
  assertEquals([known.code, known.stderr, mirror.requests], [0, "", []]);
  assertMatch(known.stdout, new RegExp(`^micromamba ${RELEASE} is there already: ${target}\n`));
  assertStringIncludes(known.stdout, 'export PATH="$HOME/made/bin:$PATH"');
  const asked = await run([...args, "--yes"]);
  assertEquals([asked.code, mirror.requests], [0, [`GET ${mirror.path}.sha256`]]);
  assertStringIncludes(asked.stdout, "is there already");
  assertEquals((await Deno.stat(target)).mtime, mtime);
});

Deno.test("the hash of the default release is part of the program, whichever mirror the file comes from", async () => {
  await using desk = await Desk.make();
  const known = knownSha256(
    MICROMAMBA_RELEASE,
    micromambaPlatform(Deno.build.os, Deno.build.arch)!,
  )!;
  await using mirror = await startMirror((request, { program, sha256 }) =>
    new Response(request.url.endsWith(".sha256") ? sha256 : program)
  );
  const { run, assertNothingLeft } = setupOf(desk);
  const { code, stdout, stderr } = await run([`--url=${mirror.url}`, "--yes"]);
  assertEquals(code, 1);
  assertStringIncludes(stdout, `SHA-256  ${known}, known to this program`);
  assertStringIncludes(stderr, `its SHA-256 is ${mirror.sha256}, and should be ${known}`);
  assertEquals(mirror.requests.length, 1);
  await assertNothingLeft();
});

Deno.test("faults of the server are told, and nothing is left", async () => {
  await using desk = await Desk.make();
  const { run, assertNothingLeft } = setupOf(desk);
  const page = () =>
    new Response("<p>Log in", { headers: { "content-type": "text/html; charset=utf-8" } });
  const to = (location: string) => new Response(null, { status: 302, headers: { location } });
  const cases: [string, Answer, string[], RegExp][] = [
    [
      "wrong hash",
      () => undefined,
      [`--sha256=${HASH}`],
      new RegExp(`its SHA-256 is [0-9a-f]{64}, and should be ${HASH}\n.*do not use it`),
    ],
    [
      "no such release",
      () => undefined,
      ["--release=8.8.8-0"],
      /the server answers 404 Not Found\nCheck --release and --url/,
    ],
    [
      "no such file",
      () => undefined,
      ["--release=8.8.8-0", `--sha256=${HASH}`],
      /Cannot fetch .*\/8\.8\.8-0\/micromamba-[\w-]+: the server answers 404/,
    ],
    ["server error", () => new Response(null, { status: 503 }), [], /the server answers 503/],
    ["not allowed", () => new Response(null, { status: 403 }), [], /the server answers 403/],
    [
      "a page instead of the program",
      page,
      [`--sha256=${HASH}`],
      /the server has sent a page, not a program/,
    ],
    [
      "a page instead of the hash",
      page,
      [],
      /\.sha256: it holds no SHA-256\nCheck --url, or give the hash with --sha256/,
    ],
    ["to a file", () => to("file:///etc/passwd"), [], /the server redirects to a file: address/],
    ["in a circle", (request) => to(request.url), [], /the server redirects too often/],
    [
      "a hash without end",
      () => new Response("0".repeat(100_000)),
      [],
      /the file is far too large/,
    ],
  ];
  for (const [name, answer, args, expected] of cases) {
    await using mirror = await startMirror(answer);
    const given = [`--url=${mirror.url}`, `--release=${RELEASE}`, "--yes", ...args];
    const { code, stderr } = await run(given);
    assertEquals(code, 1, name);
    assertMatch(stderr, expected, name);
    assertMatch(stderr, /^Error: Cannot /m, name);
    await assertNothingLeft();
  }
});

Deno.test("a connection that breaks, or that nobody takes, is told, and nothing is left", async () => {
  await using desk = await Desk.make();
  const { run, assertNothingLeft } = setupOf(desk);
  const args = ["--yes", `--sha256=${HASH}`];
  await using cut = startCutServer();
  const broken = await run([`--url=${cut.url}`, ...args]);
  assertEquals(broken.code, 1);
  assertMatch(broken.stderr, /the connection broke after 1000 of 100000 bytes: /);
  await assertNothingLeft();
  const closed = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = closed.addr;
  closed.close();
  const refused = await run([`--url=http://127.0.0.1:${port}`, ...args]);
  assertEquals(refused.code, 1);
  assertMatch(refused.stderr, /^Error: Cannot fetch http:.*: .*refused/im);
  assertStringIncludes(refused.stderr, "Check --url and this machine's network and proxy settings");
  await assertNothingLeft();
});

Deno.test("redirects are followed, and a proxy is used when a variable names one", async () => {
  await using desk = await Desk.make();
  const { target, run } = setupOf(desk);
  await using mirror = await startMirror((request, { path }) => {
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/old")
      ? new Response(null, {
        status: 302,
        headers: { location: path + pathname.slice(path.length + 4) },
      })
      : undefined;
  });
  const args = [`--release=${RELEASE}`, "--yes"];
  const moved = await run([`--url=${mirror.url}/old`, ...args]);
  assertEquals(moved.code, 0, moved.stderr);
  assertEquals(await Deno.readFile(target), mirror.program);
  await Deno.remove(target);
  // There is no such host: only the proxy can answer.
  const proxied = await run(["--url=http://mirror.invalid", ...args], { http_proxy: mirror.url });
  assertEquals(proxied.code, 0, proxied.stderr);
  assertEquals(await Deno.readFile(target), mirror.program);
});

Deno.test("credentials in the address reach the server and nobody else", async () => {
  await using desk = await Desk.make();
  const seen: (string | null)[] = [];
  await using mirror = await startMirror((request) => {
    seen.push(request.headers.get("authorization"));
    return request.url.includes("/closed/") ? new Response(null, { status: 401 }) : undefined;
  });
  const { run } = setupOf(desk);
  const url = mirror.url.replace("http://", "http://robot:secret-word@");
  const done = await run([`--url=${url}`, `--release=${RELEASE}`, "--yes"]);
  assertEquals(done.code, 0, done.stderr);
  const failed = await run([`--url=${url}/closed`, `--release=${RELEASE}`, "--yes", "--force"]);
  assertEquals(failed.code, 1);
  assertEquals(new Set(seen), new Set([`Basic ${btoa("robot:secret-word")}`]));
  const output = done.stdout + done.stderr + failed.stdout + failed.stderr;
  assert(!output.includes("secret-word"), output);
});

Deno.test("an address may say where release and platform belong, and may come from a variable", async () => {
  assertEquals(
    programUrl(RELEASES_URL, "1.2-0", "osx-64").href,
    "https://github.com/mamba-org/micromamba-releases/releases/download/1.2-0/micromamba-osx-64",
  );
  assertEquals(
    programUrl("https://m/x-{platform}/{release}/mm", "1.2-0", "linux-64").href,
    "https://m/x-linux-64/1.2-0/mm",
  );
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { target, run } = setupOf(desk);
  const env = {
    HYPHA_MICROMAMBA_URL: `${mirror.url}/{release}/micromamba-{platform}`,
    HYPHA_MICROMAMBA_RELEASE: RELEASE,
  };
  const { code, stderr } = await run(["--yes"], env);
  assertEquals(code, 0, stderr);
  assertEquals(await Deno.readFile(target), mirror.program);
});

Deno.test("nothing is fetched unasked: without a terminal it needs --yes", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { run, assertNothingLeft } = setupOf(desk);
  const { code, stdout, stderr } = await run([`--url=${mirror.url}`]);
  assertEquals([code, mirror.requests], [2, []]);
  assertMatch(stdout, /^This fetches micromamba /);
  assertEquals(
    stderr,
    "Error: setup fetches nothing unasked, and there is nobody to ask here: give --yes to go on\n",
  );
  await assertNothingLeft();
});

Deno.test("on a terminal it asks, and only a yes is one; progress is a bar", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { prefix, target, assertNothingLeft } = setupOf(desk);
  const args = ["setup", `--url=${mirror.url}`, `--release=${RELEASE}`, `--prefix=${prefix}`];
  const answer = (text: string) => programOnTerminal(args, [{ expect: "[y/N]" }, { type: text }]);
  for (const text of ["n\n", "\n", "yesterday\n", "\x04"]) {
    const { code, output } = await answer(text);
    assertEquals([code, mirror.requests], [1, []], output);
    assertStringIncludes(output, "Nothing was fetched.");
    await assertNothingLeft();
  }
  const interrupted = await answer("\x03");
  assertEquals(interrupted.code, 130, interrupted.output);
  await assertNothingLeft();
  const { code, output } = await answer("Yes\n");
  assertEquals(code, 0, output);
  assertStringIncludes(output, "[########################] 100% Downloading micromamba");
  assertEquals(await Deno.readFile(target), mirror.program);
});

Deno.test("another program is replaced only with --force, and never one that this program may start", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { prefix, target, run } = setupOf(desk);
  await Deno.mkdir(prefix, { recursive: true });
  await Deno.writeTextFile(target, "#!/bin/sh\necho 1.0.0\n", { mode: 0o755 });
  const args = [`--url=${mirror.url}`, `--release=${RELEASE}`, "--yes"];
  for (const more of [[], [`--sha256=${mirror.sha256}`]]) {
    const { code, stderr } = await run([...args, ...more]);
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /another one is there, with SHA-256 [0-9a-f]{64}\nReplace it with --force, or choose another/,
    );
  }
  const guarded = await program(["setup", ...args, "--force", `--prefix=${prefix}`], {}, prefix);
  assertEquals(guarded.code, 1);
  assertStringIncludes(guarded.stderr, `Remove it first: rm ${target}`);
  assertEquals(await Deno.readTextFile(target), "#!/bin/sh\necho 1.0.0\n");
  const forced = await run([...args, "--force"]);
  assertEquals(forced.code, 0, forced.stderr);
  assertStringIncludes(forced.stdout, `to       ${target} (and replaces what is there)`);
  assertEquals(await Deno.readFile(target), mirror.program);
  assertEquals(await names(prefix), ["micromamba"]);
});

Deno.test("a directory that cannot be written to is told, and a disk that is full", async () => {
  await using desk = await Desk.make();
  await using mirror = await startMirror();
  const { run } = setupOf(desk);
  const file = await desk.write("file", "");
  const args = [`--url=${mirror.url}`, `--release=${RELEASE}`, "--yes"];
  const blocked = await run([...args, `--prefix=${file}/bin`]);
  assertEquals(blocked.code, 1);
  assertMatch(
    blocked.stderr,
    /^Error: Cannot write into .*\/file\/bin: Not a directory.*\nChoose a directory you may write to with --prefix\.\n$/,
  );
  await Deno.mkdir(join(desk.directory, "folder", "micromamba"), { recursive: true });
  const taken = await run([...args, `--prefix=${desk.directory}/folder`]);
  assertEquals(taken.code, 1);
  assertMatch(taken.stderr, /^Error: Cannot use .*\/folder\/micromamba: Is a directory/);
  const disk = join(desk.directory, "disk");
  await Deno.mkdir(disk);
  if (!await quietly("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk)) {
    console.log("SKIPPED: this user cannot mount a small file system");
    return;
  }
  try {
    await using large = await startMirror(() => new Response(new Uint8Array(1_000_000)));
    const full = await run([
      `--url=${large.url}`,
      `--sha256=${HASH}`,
      "--yes",
      `--prefix=${disk}/a/b`,
    ]);
    assertEquals(full.code, 1);
    assertMatch(
      full.stderr,
      /Cannot write into .*: No space left on device.*\nMake room there, or choose another directory with --prefix\.\n$/,
    );
    assertEquals(await names(disk), []);
  } finally {
    assert(await quietly("umount", "-l", disk));
  }
});

async function quietly(command: string, ...args: string[]): Promise<boolean> {
  try {
    const child = new Deno.Command(command, { args, stdout: "null", stderr: "null" });
    return (await child.output()).success;
  } catch {
    return false;
  }
}

Deno.test("an interruption ends the download, and nothing is left", async () => {
  await using desk = await Desk.make();
  const { prefix, assertNothingLeft } = setupOf(desk);
  const sending = Promise.withResolvers<void>();
  await using mirror = await startMirror(() => {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new Uint8Array(1000)),
    });
    sending.resolve();
    return new Response(body);
  });
  const child = await spawnProgram([
    "setup",
    `--url=${mirror.url}`,
    `--sha256=${HASH}`,
    "--yes",
    `--prefix=${prefix}`,
    "--config=none",
  ], { no_proxy: "*" });
  const output = child.output();
  await sending.promise;
  child.kill("SIGINT");
  const { code, stderr } = await output;
  assertEquals([code, new TextDecoder().decode(stderr).includes("Interrupted.\n")], [130, true]);
  await assertNothingLeft();
});

Deno.test("a server that falls silent is not waited for, and nothing is left", async () => {
  await using desk = await Desk.make();
  const { target, assertNothingLeft } = setupOf(desk);
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(1000)),
  });
  await using mirror = await startMirror(() => new Response(body));
  const error = await assertRejects(() =>
    fetchProgram({
      url: new URL(mirror.url),
      target,
      sha256: HASH,
      onProgress: () => {},
      signal: new AbortController().signal,
      silence: 100,
    }), WorkerError);
  assertEquals(error.code, "setup_failed");
  assertMatch(
    error.message,
    /the connection broke after 1000 bytes: the server was silent for 0\.1 s/,
  );
  await assertNothingLeft();
});

Deno.test("wrong options are named", async () => {
  const cases: [string[], string][] = [
    [["--sha256=abc"], "--sha256 must be 64 hexadecimal digits"],
    [["--url=ftp://x"], "--url must be an http or https address, received ftp://x"],
    [["--release=../x"], "--release must be a version such as"],
    [["--prefx=x"], "Unknown option --prefx; did you mean --prefix?"],
    [["more"], "Unexpected argument more"],
  ];
  const results = await Promise.all(cases.map(([args]) => program(["setup", ...args])));
  for (const [index, [args, expected]] of cases.entries()) {
    assertEquals(results[index]!.code, 2, args.join(" "));
    assertStringIncludes(results[index]!.stderr, `Error: ${expected}`);
  }
});

Deno.test("the line for PATH is that of the user's shell", () => {
  const of = (shell: string) => (name: string) =>
    ({ HOME: "/home/me", SHELL: shell } as Record<string, string>)[name];
  const lines = (
    shell: string,
    directory: string,
  ) => [pathLine(directory, of(shell)), shellFile(of(shell))];
  assertEquals(lines("/bin/bash", "/home/me/.local/bin"), [
    'export PATH="$HOME/.local/bin:$PATH"',
    "~/.bashrc",
  ]);
  assertEquals(lines("/bin/zsh", "/opt/a b"), ['export PATH="/opt/a b:$PATH"', "~/.zshrc"]);
  assertEquals(lines("/usr/bin/fish", "/opt/$x"), [
    'fish_add_path "/opt/\\$x"',
    "~/.config/fish/config.fish",
  ]);
  assertEquals(lines("", "/home/meme/bin"), ['export PATH="/home/meme/bin:$PATH"', "~/.profile"]);
});

Deno.test("a hash is known for every platform a worker runs on", () => {
  for (const os of ["linux", "darwin"]) {
    for (const architecture of ["x86_64", "aarch64"]) {
      const platform = micromambaPlatform(os, architecture);
      assertMatch(knownSha256(MICROMAMBA_RELEASE, platform!)!, /^[0-9a-f]{64}$/);
    }
  }
  assertEquals(micromambaPlatform("windows", "x86_64"), undefined);
  assertEquals(knownSha256("1.0.0-0", "linux-64"), undefined);
});
