import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { stackPaths } from "../stack/stack.ts";
import { type Ended, execute, FileServer, Folder, sha256 } from "./support.ts";

const SCRIPT = join(stackPaths.root, "scripts", "install.sh");
const NAME = "hypha-conda-worker";
const LINUX = `${NAME}-x86_64-unknown-linux-gnu.tar.gz`;

/** A release as it is published: the executable is a script that stands in for the program. */
class Release implements AsyncDisposable {
  readonly server = new FileServer();

  private constructor(readonly folder: Folder) {}

  static async make(): Promise<Release> {
    return new Release(await Folder.make("install-"));
  }

  /** Publishes a version for some platforms. */
  async publish(
    version: string,
    archives: readonly string[] = [LINUX],
    program = `#!/bin/sh\necho ${NAME} ${version}\n`,
  ): Promise<void> {
    let sums = "";
    for (const archive of archives) {
      const stage = join(this.folder.path, "stage");
      await this.folder.write(`stage/${NAME}`, program, 0o755);
      await this.folder.write("stage/LICENSE", "licence");
      const file = join(this.folder.path, archive);
      const { code, stderr } = await execute("tar", ["-czf", file, "./LICENSE", `./${NAME}`], {
        cwd: stage,
      });
      assertEquals(code, 0, stderr);
      const bytes = await Deno.readFile(file);
      this.server.put(`/download/v${version}/${archive}`, bytes);
      sums += `${await sha256(bytes)}  ${archive}\n`;
    }
    this.server.put(`/download/v${version}/SHA256SUMS`, sums);
  }

  /** Makes a version the latest, by redirections as GitHub has them. */
  latest(version: string): void {
    for (const path of [...this.server.answers.keys()]) {
      const [, name] = /^\/download\/v[^/]+\/(.*)$/.exec(path) ?? [];
      if (name === undefined || !path.startsWith(`/download/v${version}/`)) continue;
      this.server.answers.set(`/latest/download/${name}`, { redirect: path });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

/** A home directory, and a `PATH` with only the programs that are named. */
class Machine implements AsyncDisposable {
  private constructor(readonly folder: Folder, readonly path: string) {}

  static async make(
    programs: readonly string[] = ["curl", "sha256sum"],
    system = "Linux x86_64",
  ): Promise<Machine> {
    const folder = await Folder.make("machine-");
    const bin = join(folder.path, "bin");
    await Deno.mkdir(bin);
    await Deno.mkdir(join(folder.path, "home"));
    const common = "cat chmod cp cut dirname grep gzip head mkdir mktemp mv rm rmdir sed sh tar tr";
    for (const name of [...common.split(" "), ...programs]) {
      const { stdout } = await execute("sh", ["-c", `command -v ${name}`]);
      assert(stdout.trim() !== "", `this machine has no ${name}`);
      await Deno.symlink(stdout.trim(), join(bin, name));
    }
    const [kernel, processor] = system.split(" ");
    const uname = `#!/bin/sh\ncase $1 in -s) echo ${kernel} ;; -m) echo ${processor} ;; esac\n`;
    await folder.write("bin/uname", uname, 0o755);
    return new Machine(folder, bin);
  }

  get home(): string {
    return join(this.folder.path, "home");
  }

  get installed(): string {
    return join(this.home, ".local", "bin", NAME);
  }

  /** Runs the script in a shell, with nothing of this machine's variables. */
  install(
    release: Release | undefined,
    args: readonly string[] = [],
    more: { env?: Record<string, string>; shell?: string; stdin?: string } = {},
  ): Promise<Ended> {
    const url: Record<string, string> = release === undefined
      ? {}
      : { HYPHA_CONDA_WORKER_DOWNLOAD_URL: release.server.url };
    const script = more.stdin === undefined ? [SCRIPT] : ["-s", "--"];
    return execute(more.shell ?? "/bin/sh", [...script, ...args], {
      cwd: this.home,
      inherit: false,
      env: { PATH: this.path, HOME: this.home, ...url, ...more.env },
      ...(more.stdin === undefined ? {} : { stdin: more.stdin }),
    });
  }

  /** Everything below the home directory. */
  files(): Promise<string[]> {
    return this.folder.files("home");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

/** Shells of this machine that the script is run in. */
async function shells(): Promise<string[]> {
  const { stdout } = await execute("sh", [
    "-c",
    "for s in dash bash busybox zsh; do command -v $s; done; true",
  ]);
  return stdout.trim().split("\n");
}

Deno.test("the latest version is installed, by every shell, with curl and with wget", async () => {
  await using release = await Release.make();
  await release.publish("0.1.0");
  await release.publish("0.2.0");
  release.latest("0.2.0");
  const found = await shells();
  assert(found.length >= 1);
  for (const shell of found) {
    for (const downloader of ["curl", "wget"]) {
      await using machine = await Machine.make([downloader, "sha256sum"]);
      const args = shell.endsWith("busybox") ? ["sh"] : [];
      const { code, stdout, stderr } = args.length > 0
        ? await execute(shell, ["sh", SCRIPT], {
          inherit: false,
          env: {
            PATH: machine.path,
            HOME: machine.home,
            HYPHA_CONDA_WORKER_DOWNLOAD_URL: release.server.url,
          },
        })
        : await machine.install(release, [], { shell });
      const name = `${shell} with ${downloader}`;
      assertEquals([code, stderr], [0, ""], `${name}: ${stdout}`);
      assertEquals(await machine.files(), [`home/.local/bin/${NAME}`], name);
      const { stdout: version } = await execute(machine.installed, ["--version"]);
      assertEquals(version, `${NAME} 0.2.0\n`, name);
      // It says what it did, and what is left to do.
      assertStringIncludes(stdout, `${release.server.url}/latest/download/${LINUX}`);
      assertMatch(stdout, /Checked sha256 [0-9a-f]{64}\n/);
      assertStringIncludes(stdout, `Installed ${NAME} 0.2.0 as ${machine.installed}\n`);
      assertStringIncludes(stdout, "It is not on PATH yet");
    }
  }
});

Deno.test("version, directory and mirror can be chosen, by argument and by variable", async () => {
  await using release = await Release.make();
  await release.publish("0.1.0");
  await release.publish("0.2.0");
  release.latest("0.2.0");
  await using machine = await Machine.make(["curl", "shasum"]);
  const mine = join(machine.home, "my programs", "bin");
  const byArgument = await machine.install(undefined, [
    ...["--version", "v0.1.0", `--dir=${mine}`],
    ...["--base-url", `${release.server.url}/`],
  ]);
  assertEquals([byArgument.code, byArgument.stderr], [0, ""]);
  const first = await execute(join(mine, NAME), ["--version"]);
  assertEquals(first.stdout, `${NAME} 0.1.0\n`);

  // Over what is there, with the directory on PATH; relative to where one stands.
  const again = await machine.install(release, [], {
    env: {
      HYPHA_CONDA_WORKER_VERSION: "0.2.0",
      INSTALL_DIR: "my programs/bin",
      PATH: `${machine.path}:${mine}`,
    },
  });
  assertEquals([again.code, again.stderr], [0, ""]);
  assertStringIncludes(again.stdout, `as ${mine}/${NAME} (it replaces ${NAME} 0.1.0)`);
  assert(!again.stdout.includes("not on PATH"));
  assertEquals(await machine.files(), [`home/my programs/bin/${NAME}`]);
});

Deno.test("it works out of a pipe, and does nothing when the script is cut off", async () => {
  await using release = await Release.make();
  await release.publish("0.1.0");
  release.latest("0.1.0");
  await using machine = await Machine.make();
  const text = await Deno.readTextFile(SCRIPT);
  for (const share of [0.2, 0.5, 0.9, 0.995]) {
    const cut = text.slice(0, Math.floor(text.length * share));
    await machine.install(release, [], { stdin: cut });
    assertEquals(await machine.files(), [], `${share}`);
  }
  const { code, stderr } = await machine.install(release, ["--version", "0.1.0"], { stdin: text });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(await machine.files(), [`home/.local/bin/${NAME}`]);
});

Deno.test("each system and processor gets its own archive", async () => {
  await using release = await Release.make();
  const expected: Record<string, string> = {
    "Linux x86_64": "x86_64-unknown-linux-gnu",
    "Linux aarch64": "aarch64-unknown-linux-gnu",
    "Linux arm64": "aarch64-unknown-linux-gnu",
    "Darwin x86_64": "x86_64-apple-darwin",
    "Darwin arm64": "aarch64-apple-darwin",
  };
  const archives = new Set(Object.values(expected).map((one) => `${NAME}-${one}.tar.gz`));
  await release.publish("0.1.0", [...archives]);
  release.latest("0.1.0");
  for (const [system, target] of Object.entries(expected)) {
    await using machine = await Machine.make(["curl", "sha256sum"], system);
    release.server.asked.length = 0;
    const { code, stderr } = await machine.install(release);
    assertEquals([code, stderr], [0, ""], system);
    const asked = release.server.asked.filter((path) => path.endsWith(".tar.gz"));
    assert(asked.every((path) => path.endsWith(`${NAME}-${target}.tar.gz`)), asked.join());
  }
  // A translated shell on an arm64 machine.
  await using translated = await Machine.make(["curl", "sha256sum"], "Darwin x86_64");
  await translated.folder.write("bin/sysctl", "#!/bin/sh\necho 1\n", 0o755);
  release.server.asked.length = 0;
  assertEquals((await translated.install(release)).code, 0);
  assertStringIncludes(release.server.asked.join(), "aarch64-apple-darwin");
  for (
    const [system, says] of [
      ["FreeBSD amd64", "no executable for FreeBSD"],
      ["Linux riscv64", "no executable for riscv64 processors"],
      ["MINGW64_NT-10.0 x86_64", "x86_64-pc-windows-msvc.zip"],
    ] as const
  ) {
    await using machine = await Machine.make(["curl", "sha256sum"], system);
    const { code, stderr } = await machine.install(release);
    assertEquals(code, 1);
    assertStringIncludes(stderr, says);
    assertEquals(await machine.files(), []);
  }
});

Deno.test("what is wrong is said, nothing is left, and what was there stays", async () => {
  const damage: Record<string, [(release: Release) => void | Promise<void>, string]> = {
    "another file than was released": [
      (release) => release.server.put(`/download/v0.2.0/${LINUX}`, "something else"),
      "damaged or not the one that was released",
    ],
    "no archive": [
      (release) => void release.server.answers.delete(`/download/v0.2.0/${LINUX}`),
      `Cannot download`,
    ],
    "no sums": [
      (release) => void release.server.answers.delete("/download/v0.2.0/SHA256SUMS"),
      "is there a version 0.2.0",
    ],
    "an archive that is cut off": [
      (release) => void release.server.answers.set(`/download/v0.2.0/${LINUX}`, "cut off"),
      "Cannot download",
    ],
    "sums that are cut off": [
      (release) => void release.server.answers.set("/download/v0.2.0/SHA256SUMS", "cut off"),
      "Cannot download",
    ],
    "not made for this machine": [
      (release) => release.publish("0.2.0", [`${NAME}-aarch64-apple-darwin.tar.gz`]),
      `has no sum of ${LINUX}`,
    ],
    "a name that only looks like it": [
      (release) =>
        release.server.put(
          "/download/v0.2.0/SHA256SUMS",
          `${"0".repeat(64)}  other-${LINUX}\n${"0".repeat(64)}  ${LINUX}.sig\n`,
        ),
      "has no sum of",
    ],
    "a program that does not run here": [
      (release) => release.publish("0.2.0", [LINUX], "#!/nowhere/ld-linux.so\n"),
      "does not run on this machine",
    ],
    "an archive with another content": [
      async (release) => {
        const file = await release.folder.write("other/file", "");
        const archive = join(release.folder.path, "other.tar.gz");
        await execute("tar", ["-czf", archive, "-C", join(file, ".."), "./file"]);
        const bytes = await Deno.readFile(archive);
        release.server.put(`/download/v0.2.0/${LINUX}`, bytes);
        release.server.put("/download/v0.2.0/SHA256SUMS", `${await sha256(bytes)}  ${LINUX}\n`);
      },
      `There is no ${NAME} in`,
    ],
  };
  for (const downloader of ["curl", "wget"]) {
    for (const [name, [damaging, says]] of Object.entries(damage)) {
      await using release = await Release.make();
      await release.publish("0.1.0");
      await release.publish("0.2.0");
      await damaging(release);
      await using machine = await Machine.make([downloader, "sha256sum"]);
      const args = ["--version", "0.2.0"];
      const fresh = await machine.install(release, args);
      assertEquals(fresh.code, 1, `${name}: ${fresh.stdout}`);
      assertStringIncludes(fresh.stderr, says, name);
      // Not even the directories that were made for it.
      const left = await Array.fromAsync(Deno.readDir(machine.home));
      assertEquals(left, [], name);

      assertEquals((await machine.install(release, ["--version", "0.1.0"])).code, 0);
      assertEquals((await machine.install(release, args)).code, 1, name);
      assertEquals(await machine.files(), [`home/.local/bin/${NAME}`], name);
      const { stdout } = await execute(machine.installed, ["--version"]);
      assertEquals(stdout, `${NAME} 0.1.0\n`, name);
    }
  }
});

Deno.test("a directory that cannot be written to is an error before anything is downloaded", async () => {
  await using release = await Release.make();
  await release.publish("0.1.0");
  release.latest("0.1.0");
  await using machine = await Machine.make();
  // Root may write everywhere but where there can be no files.
  for (const directory of ["/proc", "/proc/here/bin", join(machine.path, "curl", "bin")]) {
    const { code, stderr } = await machine.install(release, ["--dir", directory]);
    assertEquals(code, 1, directory);
    assertMatch(
      stderr,
      /Cannot (make|write to) .*choose a directory you may write to with --dir DIR\n$/,
    );
  }
  const homeless = await machine.install(release, [], { env: { HOME: "" } });
  assertEquals(homeless.code, 1);
  assertStringIncludes(homeless.stderr, "HOME is not set");
  assertEquals(release.server.asked, []);
  await Deno.mkdir(machine.installed, { recursive: true });
  const folder = await machine.install(release);
  assertEquals(folder.code, 1);
  assertStringIncludes(folder.stderr, `${machine.installed} is a directory`);
  assertEquals(await machine.files(), []);
});

Deno.test("what the script needs and does not find is named", async () => {
  await using release = await Release.make();
  for (
    const [programs, says] of [
      [["sha256sum"], "curl or wget is needed"],
      [["curl"], "sha256sum, shasum or openssl is needed"],
    ] as const
  ) {
    await using machine = await Machine.make(programs);
    const { code, stderr } = await machine.install(release);
    assertEquals(code, 1);
    assertStringIncludes(stderr, says);
  }
  assertEquals(release.server.asked, []);
});

Deno.test("wrong arguments end with code 2, help with 0", async () => {
  await using machine = await Machine.make();
  for (
    const args of [["--version"], ["--version="], ["--dirr", "x"], ["0.1.0"], [
      "--version",
      "../../x",
    ]]
  ) {
    const { code, stdout, stderr } = await machine.install(undefined, args);
    assertEquals([code, stdout], [2, ""], args.join(" "));
    assertStringIncludes(stderr, "usage: install.sh");
  }
  const { code, stdout } = await machine.install(undefined, ["--help"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "usage: install.sh");
});
