/** Every manager and version through its command line, by doubles that take no other. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import type { ManagerFamily, ManagerKind } from "../../lib/managers/manager.ts";
import { stackPaths } from "../stack/stack.ts";
import { CHANNEL, Double } from "./double.ts";

interface Member {
  /** The name of the program. */
  readonly kind: ManagerKind;
  /** What it really is. */
  readonly plays: string;
  readonly family: ManagerFamily;
}

const MEMBERS: readonly Member[] = [
  { kind: "mamba", plays: "mamba 2.8.1", family: "libmamba" },
  { kind: "mamba", plays: "mamba 2.0.5", family: "libmamba" },
  { kind: "mamba", plays: "mamba 1.5.8", family: "conda" },
  { kind: "mamba", plays: "micromamba 2.8.1", family: "libmamba" },
  { kind: "micromamba", plays: "micromamba 1.5.12", family: "libmamba" },
  { kind: "micromamba", plays: "micromamba 2.8.1", family: "libmamba" },
  { kind: "conda", plays: "conda 24.1.2", family: "conda" },
  { kind: "conda", plays: "conda 25.5.1", family: "conda" },
  { kind: "conda", plays: "conda 26.7.1", family: "conda" },
  { kind: "conda", plays: "micromamba 1.5.12", family: "libmamba" },
];

/** A line of a lock file for a package of the stack's channel. */
async function lockLine(name: string, hash: "md5" | "sha256"): Promise<string> {
  for (const subdir of ["noarch", "linux-64"]) {
    const path = join(stackPaths.channelDir, subdir, "repodata.json");
    const data = JSON.parse(await Deno.readTextFile(path));
    for (const [file, record] of Object.entries({ ...data.packages, ...data["packages.conda"] })) {
      const { name: found, md5, sha256 } = record as Record<string, string>;
      if (found !== name) continue;
      return `${CHANNEL}/${subdir}/${file}#${hash === "md5" ? md5 : `sha256:${sha256}`}`;
    }
  }
  throw new Error(`Cannot find ${name} in the channel of the stack`);
}

/** The same line with a wrong last digit. */
function wrong(line: string): string {
  return line.slice(0, -1) + (line.endsWith("0") ? "1" : "0");
}

for (const { kind, plays, family } of MEMBERS) {
  const title = plays.startsWith(`${kind} `) ? plays : `${plays} named ${kind}`;
  Deno.test(`${title} creates, runs, explains failures and takes lock files`, async (t) => {
    await using double = await Double.install(kind, { plays });
    const manager = await double.detect();
    const request = double.request("toy-data");
    const { prefix } = request;
    const again = () => Deno.remove(prefix, { recursive: true }).catch(() => {});
    assertEquals([manager.family, manager.version], [family, plays.split(" ")[1]]);

    await t.step("an environment", async () => {
      // Without a Python there is nothing to ask, which is no failure of the manager.
      const identity = await manager.create({ ...request, probe: ["-c", "print()"] });
      assertEquals(identity, { kind, family, version: manager.version });
      assertEquals((await double.packages()).length, 1);
      const show = 'echo "$CONDA_PREFIX"; exit 4';
      const execution = await manager.execute(prefix, ["sh", "-c", show]);
      assertEquals([execution.code, execution.stdout], [4, [prefix]]);
    });

    await t.step("a package that does not exist, and a conflict", async () => {
      const failures = [
        [["nosuchpkg"], "package_not_found", "nosuchpkg"],
        [["toy-b", "toy-conflict"], "solver_conflict", "toy-"],
      ] as const;
      for (const [packages, code, reason] of failures) {
        await again();
        const error = await assertRejects(
          () => manager.create({ ...request, packages }),
          WorkerError,
        );
        assertEquals(error.code, code, error.message);
        assertStringIncludes(error.message, reason);
        assert((error.context.tail as string[]).length > 0);
      }
    });

    await t.step("a channel that does not exist", async () => {
      await again();
      const channels = ["file:///nonexistent/channel"];
      const error = await assertRejects(
        () => manager.create({ ...request, channels }),
        WorkerError,
      );
      assertEquals(error.code, "channel_unavailable", error.message);
      assertStringIncludes(error.message, "/nonexistent/channel");
    });

    for (const hash of ["md5", "sha256"] as const) {
      await t.step(`a lock file with ${hash}, right and wrong`, async () => {
        const calls = await double.calls("create");
        const explicit = [await lockLine("toy-data", hash)];
        await again();
        await manager.create({ ...request, packages: [], explicit });
        assertEquals(await double.packages(), ["toy-data-1.0"]);
        assertEquals(await double.calls("create"), calls + 1);
        await again();
        const error = await assertRejects(
          () => manager.create({ ...request, explicit: [wrong(explicit[0]!)] }),
          WorkerError,
        );
        assertEquals(error.code, "package_cache", error.message);
        assertStringIncludes(error.message, wrong(explicit[0]!).slice(-32));
      });
    }
  });
}

// Pip is run by the `run` of either family, of which there are no more kinds.
for (const plays of ["micromamba 1.5.12", "mamba 1.5.8"]) {
  Deno.test(`${plays} installs with pip, whose options and failures count`, async () => {
    await using double = await Double.install(plays.split(" ")[0] as ManagerKind, { plays });
    const wheels = await wheelDirectory(double.directory);
    const manager = await double.detect();
    const request = double.request("python", "pip");
    const { prefix } = request;
    await manager.create(request);
    const pip = { prefix, cacheDirectory: join(double.cache, "pip") };
    const options = ["--no-index", "--find-links", toFileUrl(wheels).href];
    await manager.installPip({ ...pip, options, requirements: ["hello-toy==1.0"] });
    const code = "import hello_toy; print(hello_toy.WORD)";
    const { stdout } = await manager.execute(prefix, ["python", "-c", code]);
    assertEquals(stdout, ["hello"]);
    const error = await assertRejects(
      () => manager.installPip({ ...pip, options, requirements: ["no-such-package-zq7"] }),
      WorkerError,
    );
    assertEquals(error.code, "pip_failed");
    assertStringIncludes(error.message, "No matching distribution found for no-such-package-zq7");
  });
}

/** A directory with one wheel, made by hand: a wheel is a zip file. */
async function wheelDirectory(directory: string): Promise<string> {
  const wheels = join(directory, "wheels");
  await Deno.mkdir(wheels);
  const script = `
import sys, zipfile
info = "hello_toy-1.0.dist-info"
with zipfile.ZipFile(sys.argv[1] + "/hello_toy-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("hello_toy.py", "WORD = 'hello'\\n")
    wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: hello-toy\\nVersion: 1.0\\n")
    wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "/RECORD", "hello_toy.py,,\\n" + info + "/METADATA,,\\n" + info + "/WHEEL,,\\n" + info + "/RECORD,,\\n")
`;
  const { success } = await new Deno.Command(stackPaths.rattlerPython, {
    args: ["-c", script, wheels],
  }).output();
  assert(success);
  return wheels;
}
