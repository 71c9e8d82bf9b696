import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { silentLogger } from "../../lib/log.ts";
import { detectManager, parseVersion } from "../../lib/managers/detect.ts";
import { Double, KINDS } from "./double.ts";
import { transcript } from "./transcript.ts";

async function program(directory: string, name: string, text: string): Promise<void> {
  const path = join(directory, name);
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`);
  await Deno.chmod(path, 0o755);
}

function detect(path: string, preference?: readonly string[]) {
  return detectManager({
    runtimeDirectory: "/nonexistent/runtime",
    log: silentLogger,
    env: { PATH: `${path}:/usr/bin:/bin` },
    ...(preference === undefined ? {} : { preference }),
  });
}

Deno.test("a version tells which command line a manager speaks", async () => {
  const version = async (name: string) => (await transcript(`${name}/version`)).stdout.join("\n");
  assertEquals(parseVersion(await version("mamba-2.8.1")), {
    family: "libmamba",
    version: "2.8.1",
  });
  assertEquals(parseVersion(await version("micromamba-1.5.12")), {
    family: "libmamba",
    version: "1.5.12",
  });
  assertEquals(parseVersion(await version("conda-26.7")), { family: "conda", version: "26.7.1" });
  assertEquals(parseVersion("mamba 1.5.8\nconda 24.1.2\n"), { family: "conda", version: "1.5.8" });
  assertEquals(parseVersion("command not found"), undefined);
  assertEquals(parseVersion(""), undefined);
});

for (const kind of KINDS) {
  Deno.test(`${kind} is found on PATH`, async () => {
    await using double = await Double.install(kind);
    const manager = await double.detect();
    assertEquals([manager.kind, manager.command], [kind, kind]);
    assertEquals(manager.family, kind === "conda" ? "conda" : "libmamba");
  });
}

Deno.test("mamba is preferred, then micromamba, then conda, unless told otherwise", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await program(directory, "conda", "echo conda 26.7.1");
    assertEquals((await detect(directory)).kind, "conda");
    await program(directory, "micromamba", "echo 2.8.1");
    assertEquals((await detect(directory)).kind, "micromamba");
    await program(directory, "mamba", "echo 2.8.1");
    assertEquals((await detect(directory)).kind, "mamba");
    assertEquals((await detect(directory, ["conda", "mamba"])).kind, "conda");
    assertEquals((await detect(directory, [join(directory, "micromamba")])).kind, "micromamba");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a program named conda may be micromamba", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await program(directory, "conda", "echo 2.8.1");
    const manager = await detect(directory);
    assertEquals([manager.kind, manager.family], ["conda", "libmamba"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a manager that does not work is passed over", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await program(directory, "mamba", "echo 2.8.1; exit 3");
    await program(directory, "micromamba", "echo no such thing");
    assertEquals(
      (await assertRejects(() => detect(directory), WorkerError)).code,
      "manager_not_found",
    );
    await Deno.writeTextFile(join(directory, "micromamba"), "#!/nonexistent/python\n");
    await program(directory, "conda", "echo conda 26.7.1");
    assertEquals((await detect(directory)).kind, "conda");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("without any manager the error says so", async () => {
  const error = await assertRejects(() => detect("/nonexistent"), WorkerError);
  assertEquals(error.code, "manager_not_found");
  assertStringIncludes(error.message, "Neither mamba nor conda package manager found");
});
