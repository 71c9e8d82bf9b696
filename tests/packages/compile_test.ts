import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { VERSION } from "../../lib/version.ts";
import { stackPaths } from "../stack/stack.ts";
import { available, type Ended, execute, FileServer, Folder, sha256 } from "./support.ts";

const NAME = "hypha-conda-worker";
const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
];
const LINUX = TARGETS[0]!;
const ARCHIVES = TARGETS.map((one) =>
  `${NAME}-${one}.${one.includes("windows") ? "zip" : "tar.gz"}`
);

/** Programs of each platform that stand in for Deno's run-time, which does nothing but be a file of its format. */
const STAND_INS = join(stackPaths.tools, "packages", "denort");

function standIns(): boolean {
  try {
    return Deno.statSync(STAND_INS).isDirectory;
  } catch {
    return false;
  }
}

function compile(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return execute(join(stackPaths.root, "scripts", "compile.sh"), args, {
    env: {
      PATH: `${dirname(stackPaths.deno)}:${Deno.env.get("PATH")}`,
      DENORT_BIN: "",
      DENORT_DIR: "",
      // Nothing is downloaded by a test that has not asked for it.
      DENORT_URL: "http://127.0.0.1:9",
      SOURCE_DATE_EPOCH: "1700000000",
      ...env,
    },
  });
}

async function sums(folder: Folder): Promise<Record<string, string>> {
  const lines = (await Deno.readTextFile(join(folder.path, "SHA256SUMS"))).trim().split("\n");
  return Object.fromEntries(lines.map((line) => {
    assertMatch(line, /^[0-9a-f]{64} [ *]\S+$/);
    return [line.slice(66), line.slice(0, 64)];
  }));
}

/** The first bytes of executables: ELF, Mach-O and PE, with the processor. */
function format(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0) === 0x7f454c46) {
    return { 0x3e: "x86_64 ELF", 0xb7: "aarch64 ELF" }[view.getUint16(18, true)] ?? "ELF";
  }
  if (view.getUint32(0, true) === 0xfeedfacf) {
    return { 0x1000007: "x86_64 Mach-O", 0x100000c: "aarch64 Mach-O" }[view.getUint32(4, true)] ??
      "Mach-O";
  }
  if (view.getUint16(0) === 0x4d5a) {
    const at = view.getUint32(0x3c, true);
    return view.getUint16(at + 4, true) === 0x8664 ? "x86_64 PE" : "PE";
  }
  return "unknown";
}

const FORMATS: Record<string, string> = {
  "x86_64-unknown-linux-gnu": "x86_64 ELF",
  "aarch64-unknown-linux-gnu": "aarch64 ELF",
  "x86_64-apple-darwin": "x86_64 Mach-O",
  "aarch64-apple-darwin": "aarch64 Mach-O",
  "x86_64-pc-windows-msvc": "x86_64 PE",
};

const FIVE = "all five platforms get an archive with their executable, and sums that are right";

async function allPlatforms(): Promise<void> {
  await using folder = await Folder.make("compile-");
  const { code, stderr } = await compile(["--output", folder.path], { DENORT_DIR: STAND_INS });
  assertEquals(code, 0, stderr);
  assertEquals(await folder.files(), ["SHA256SUMS", ...ARCHIVES].sort());
  const found = await sums(folder);
  assertEquals(Object.keys(found).sort(), [...ARCHIVES].sort());
  const metadata = new Set<string>();
  for (const [at, archive] of ARCHIVES.entries()) {
    const path = join(folder.path, archive);
    assertEquals(found[archive], await sha256(await Deno.readFile(path)), archive);
    const unpacked = join(folder.path, TARGETS[at]!);
    await Deno.mkdir(unpacked);
    const program = archive.endsWith(".zip")
      ? ["unzip", "-q", path, "-d", unpacked]
      : ["tar", "-xzf", path, "-C", unpacked];
    assertEquals((await execute(program[0]!, program.slice(1))).code, 0);
    const name = archive.endsWith(".zip") ? `${NAME}.exe` : NAME;
    const names = (await Array.fromAsync(Deno.readDir(unpacked))).map((one) => one.name).sort();
    assertEquals(names, ["LICENSE", "README.md", name].sort());
    const bytes = await Deno.readFile(join(unpacked, name));
    assertEquals(format(bytes), FORMATS[TARGETS[at]!], archive);
    if (!archive.endsWith(".zip")) {
      assertEquals((await Deno.stat(join(unpacked, name))).mode! & 0o777, 0o755, archive);
    }
    // Version and permissions, as they are baked in for every platform.
    const text = new TextDecoder("latin1").decode(bytes);
    assertStringIncludes(text, `"app_version":"${VERSION}"`, archive);
    metadata.add(/"permissions":(\{[^}]*\})/.exec(text.slice(text.indexOf('{"argv":')))![1]!);
    assert(!text.includes(folder.path), archive);
  }
  assertEquals(metadata.size, 1);
  assertStringIncludes([...metadata][0]!, '"allow_run":["mamba","micromamba","conda","kubectl"]');
  assertStringIncludes([...metadata][0]!, '"prompt":false');
}

Deno.test({
  name: FIVE,
  ignore: !available(standIns(), FIVE, "stand-ins for run-times: run scripts/setup.sh packages"),
  fn: allPlatforms,
});

Deno.test({
  name:
    "the same sources make the same archive, without a network, and others' archives stay in the sums",
  // Any program of this system stands in for the run-time.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using folder = await Folder.make("compile-");
    const other = `${NAME}-x86_64-pc-windows-msvc.zip`;
    await folder.write(other, "of another run");
    const archive = `${NAME}-${LINUX}.tar.gz`;
    const seen = new Set<string>();
    for (const target of ["linux-x64", LINUX]) {
      const { code, stderr } = await compile([`--output=${folder.path}`, target], {
        DENORT_BIN: "/bin/true",
      });
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, `${archive} (${NAME} ${VERSION}, Deno ${Deno.version.deno})`);
      assertEquals(await folder.files(), ["SHA256SUMS", archive, other].sort());
      const found = await sums(folder);
      assertEquals(found[other], await sha256(new TextEncoder().encode("of another run")));
      seen.add(found[archive]!);
    }
    assertEquals(seen.size, 1);
    const { code } = await compile(["--bare", "--output", join(folder.path, "bare"), "linux-x64"], {
      DENORT_BIN: "/bin/true",
    });
    assertEquals(code, 0);
    assertEquals(await folder.files("bare"), [`bare/${NAME}-${LINUX}`]);
  },
});

Deno.test({
  name: "the run-time is downloaded once, and only what its published sum says is taken",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using folder = await Folder.make("compile-");
    await using server = new FileServer();
    await Deno.copyFile("/bin/true", await folder.write("denort", ""));
    const zip = join(folder.path, "denort.zip");
    await execute("zip", ["-q", "-j", zip, join(folder.path, "denort")]);
    const bytes = await Deno.readFile(zip);
    const sum = await sha256(bytes);
    const name = `denort-${LINUX}.zip`;
    server.put(`/${name}`, bytes);
    // A checkout of its own, so that what is kept is kept there.
    const root = join(folder.path, "checkout");
    await Deno.mkdir(join(root, "scripts"), { recursive: true });
    for (const file of ["deno.json", "deno.lock", "main.ts", "LICENSE", "README.md", "lib"]) {
      await Deno.symlink(join(stackPaths.root, file), join(root, file));
    }
    for (const file of ["compile.sh", "env.sh"]) {
      await Deno.copyFile(join(stackPaths.root, "scripts", file), join(root, "scripts", file));
    }
    const run = () =>
      execute(join(root, "scripts", "compile.sh"), ["--output", join(root, "dist"), "linux-x64"], {
        env: {
          PATH: `${dirname(stackPaths.deno)}:${Deno.env.get("PATH")}`,
          DENO_DIR: Deno.env.get("DENO_DIR") ?? join(stackPaths.tools, "cache", "deno"),
          DENORT_BIN: "",
          DENORT_DIR: "",
          DENORT_URL: `${server.url}/`,
        },
      });
    const fails = async (says: string) => {
      const { code, stderr } = await run();
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, says);
      assertEquals(await folder.files("checkout/dist"), []);
    };
    await fails(`Cannot download ${server.url}/${name}.sha256sum`);
    server.put(`/${name}.sha256sum`, `${"0".repeat(64)}  ${name}\n`);
    await fails(`expected ${"0".repeat(64)}, received ${sum}`);
    server.put(`/${name}.sha256sum`, "<html>404</html>\n");
    await fails("expected nothing");
    server.answers.set(`/${name}`, "cut off");
    await fails(`Cannot download ${server.url}/${name}`);
    server.put(`/${name}`, bytes);
    // As sha256sum writes it, and as PowerShell does.
    server.put(
      `/${name}.sha256sum`,
      `\r\nAlgorithm : SHA256\r\nHash      : ${sum.toUpperCase()}\r\nPath      : C:\\${name}\r\n`,
    );
    const first = await run();
    assertEquals(first.code, 0, first.stderr);
    server.asked.length = 0;
    const second = await run();
    assertEquals(second.code, 0, second.stderr);
    assertEquals(server.asked, []);
  },
});

Deno.test("what is missing is said, and nothing is left", async () => {
  await using folder = await Folder.make("compile-");
  const output = join(folder.path, "dist");
  for (
    const [args, env, code, says] of [
      [["linux-x64"], {}, 1, "without a network set DENORT_BIN or DENORT_DIR"],
      [["linux-x64"], { DENORT_BIN: "/nowhere/denort" }, 1, "/nowhere/denort, which is not there"],
      [["linux-x64"], { DENORT_DIR: folder.path }, 1, `neither denort-${LINUX}.zip nor`],
      [[], { DENORT_BIN: "/bin/true" }, 1, "the run-time of one platform: name the target"],
      [["linux-riscv64"], {}, 2, "unknown target linux-riscv64"],
      [["--targets"], {}, 2, "unknown option --targets"],
      // No program of Windows.
      [
        ["windows-x64"],
        { DENORT_BIN: "/bin/true" },
        1,
        "cannot compile for x86_64-pc-windows-msvc",
      ],
    ] as [string[], Record<string, string>, number, string][]
  ) {
    const ended = await compile(["--output", output, ...args], env);
    assertEquals(ended.code, code, ended.stderr);
    assertStringIncludes(ended.stderr, says);
    const left = await folder.files();
    assertEquals(left, [], says);
  }
  const list = await compile(["--list"]);
  assertEquals(list.stdout.trim().split("\n"), TARGETS);
  assertStringIncludes((await compile(["--help"])).stdout, "DENORT_DIR");
});
