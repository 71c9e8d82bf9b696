import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { hasCode } from "../../lib/errors.ts";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { checkIsolation } from "../../lib/interpreter/isolation.ts";
import type { IsolationOptions } from "../../lib/interpreter/options.ts";
import { alive, edgePythons, Kernel, suite, textOf, valueOf } from "./harness.ts";

const text = (name: string) => Deno.readTextFile(new URL(name, import.meta.url));
const ATTACKS = await text("isolation_attacks.py");
/** Uses of the system that must not be hindered. */
const USES = await text("isolation_uses.py");

/** Whether the kernel has Landlock; without, there is nothing to test but that it is said. */
async function hasLandlock(): Promise<boolean> {
  await using kernel = await Kernel.start((await edgePythons())[0]);
  if (kernel.server.landlock.abi > 0) return true;
  console.warn(`NOT TESTED: isolation of sessions: ${kernel.server.landlock.reason}`);
  return false;
}
const isolated = await hasLandlock();

/** Isolation options of a session of a kernel, as the harness gives them, with changes. */
function options(kernel: Kernel, changes: Partial<IsolationOptions> = {}): IsolationOptions {
  return {
    mode: "auto",
    sessions: kernel.sessionsDirectory,
    hidden: [],
    writable: [],
    ...changes,
  };
}

/** Runs code that leaves a JSON value in `results`. */
async function resultsOf(session: Interpreter, code: string): Promise<Record<string, string>> {
  const result = await session.execute(`${code}\nimport json; print(json.dumps(results))`);
  if (result.error !== undefined) throw new Error(result.error.traceback.join("\n"));
  return JSON.parse(textOf(result, "stdout"));
}

/** A directory with something to take. */
async function loot(kernel: Kernel): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: kernel.sessionsDirectory });
  await Deno.writeTextFile(join(folder, "secret.txt"), "secret");
  await Deno.mkdir(join(folder, "empty"));
  return folder;
}

async function attack(attacker: Interpreter, folder: string, victim: number) {
  const signals = attacker.isolation.signals_scoped || attacker.isolation.mode === "off";
  const given = `FOLDER = ${JSON.stringify(folder)}\nVICTIM = ${victim}\n` +
    `SIGNALS = ${signals ? "True" : "False"}\n`;
  return await resultsOf(attacker, given + ATTACKS);
}

/** The attempts that did not fail, or failed for another reason than a refusal. */
function notRefused(results: Record<string, string>): string[] {
  const refusals =
    /^(Permission denied|Operation not permitted|Invalid cross-device link|in the child|CalledProcessError)$/;
  return Object.entries(results).filter(([, result]) => !refusals.test(result))
    .map(([name, result]) => `${name}: ${result}`);
}

await suite(
  "isolation",
  isolated
    ? {
      "a session says how it is isolated": async (session, kernel) => {
        const { abi } = kernel.server.landlock;
        assertEquals(session.isolation, {
          mode: "auto",
          landlock_abi: abi,
          restricted: true,
          signals_scoped: abi >= 6,
          reason: null,
        });
        const off = await kernel.session({ isolation: options(kernel, { mode: "off" }) });
        assertEquals(off.isolation.restricted, false);
        assertEquals([off.isolation.mode, off.isolation.reason], ["off", null]);
        await off.kill();
      },
      "the files and the process of another session are out of reach": async (session, kernel) => {
        const victim = await kernel.session();
        const folder = await loot(kernel);
        assertEquals(notRefused(await attack(session, folder, victim.pid)), []);
        assertEquals(await Deno.readTextFile(join(folder, "secret.txt")), "secret");
        assertEquals((await Array.fromAsync(Deno.readDir(folder))).length, 2);
        assertEquals(await valueOf(victim, "1"), "1");
        await victim.kill();
      },
      "without isolation they are not: the attacks are real ones": async (_, kernel) => {
        const free = await kernel.session({ isolation: options(kernel, { mode: "off" }) });
        const victim = await kernel.session();
        const results = await attack(free, await loot(kernel), victim.pid);
        const works = Object.keys(results).filter((name) => results[name] === "done");
        // "remove" and what follows it cannot work after "move out"; tracing may be forbidden by the system.
        for (const name of ["read", "list", "read through a hard link", "read the environment"]) {
          assert(works.includes(name), `${name}: ${results[name]}`);
        }
        for (const name of ["write", "create", "move in", "move out", "signal"]) {
          assert(works.includes(name), `${name}: ${results[name]}`);
        }
        await free.kill();
        await victim.kill();
      },
      "the worker and the fork server are out of reach": async (session, kernel) => {
        const folder = await Deno.makeTempDir({ dir: kernel.directory });
        await Deno.writeTextFile(join(folder, "secret.txt"), "secret");
        await Deno.mkdir(join(folder, "empty"));
        const server = Number(await valueOf(session, "import os; os.getppid()"));
        for (const pid of [Deno.pid, server]) {
          assertEquals(notRefused(await attack(session, folder, pid)), []);
        }
        assert(await alive(server));
      },
      "the socket of the worker cannot be replaced": async (session, kernel) => {
        const code = `import os, socket
path = ${JSON.stringify(kernel.switchboard.path)}
results = {}
def bind():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path + ".other")
for name, action in {
    "remove": lambda: os.remove(path),
    "rename": lambda: os.rename(path, path + ".old"),
    "bind": bind,
}.items():
    try:
        action()
        results[name] = "done"
    except OSError as error:
        results[name] = error.strerror`;
        assertEquals(notRefused(await resultsOf(session, code)), []);
        assert((await Deno.lstat(kernel.switchboard.path)).isSocket);
      },
      "the environment can be read and not be changed": async (session) => {
        const code = `import os, sys, sysconfig
results = {}
folders = [sys.prefix, sys.base_prefix, sysconfig.get_paths()["purelib"], os.path.dirname(os.__file__)]
for folder in folders:
    path = os.path.join(folder, "hypha-test-file")
    try:
        open(path, "w").close()
        os.remove(path)
        results[folder] = "done"
    except OSError as error:
        results[folder] = error.strerror
import sqlite3, xml.dom.minidom
assert open(os.__file__).read()`;
        assertEquals(notRefused(await resultsOf(session, code)), []);
      },
      "what the worker hides cannot be read, and what lies beside it can": async (_, kernel) => {
        const folder = await Deno.makeTempDir({ dir: "/var/tmp" });
        try {
          for (const name of ["token", "beside"]) {
            await Deno.writeTextFile(join(folder, name), name);
          }
          const isolation = options(kernel, { hidden: [join(folder, "token")] });
          const first = await kernel.session({ isolation });
          const read = (name: string) => `open(${JSON.stringify(join(folder, name))}).read()`;
          assertEquals(await valueOf(first, read("beside")), "'beside'");
          const refused = await first.execute(read("token"));
          assertEquals(refused.error?.ename, "PermissionError");
          // What is new is not hidden either, for sessions that start later.
          await Deno.writeTextFile(join(folder, "new"), "new");
          const second = await kernel.session({ isolation });
          assertEquals(await valueOf(second, read("new")), "'new'");
          assertEquals((await second.execute(read("token"))).error?.ename, "PermissionError");
          await first.kill();
          await second.kill();
        } finally {
          await Deno.remove(folder, { recursive: true });
        }
      },
      "temporary space can be used, unless the sessions lie in it": async (session) => {
        const code = `import os, tempfile
results = {}
for folder in ("/tmp", "/var/tmp", "/dev/shm"):
    if os.path.isdir(folder):
        try:
            tempfile.TemporaryFile(dir=folder).close()
            results[folder] = "done"
        except PermissionError as error:
            results[folder] = error.strerror`;
        const results = await resultsOf(session, code);
        const place = await valueOf(session, "os.getcwd()");
        for (const [folder, result] of Object.entries(results)) {
          assertEquals(
            result === "done",
            !place!.startsWith(`'${folder}/`),
            `${folder}: ${result}`,
          );
        }
        assertEquals(results["/dev/shm"], "done");
      },
      "an error that comes of the isolation says so, another one does not": async (
        session,
        kernel,
      ) => {
        const path = JSON.stringify(join(kernel.directory, "file"));
        const refused = await session.execute(`open(${path}, "w")`);
        assertStringIncludes(refused.error!.evalue, "isolation");
        assertStringIncludes(refused.error!.traceback.at(-1)!, "isolation");
        const missing = await session.execute(`open(${path[0]}/missing/file")`);
        assertEquals(missing.error!.ename, "FileNotFoundError");
        const own = await session.execute(
          'raise PermissionError(13, "Permission denied", "/missing/x")',
        );
        assertEquals(own.error!.evalue, "[Errno 13] Permission denied: '/missing/x'");
      },
      "rights cannot be had back": async (session) => {
        const code = `import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
results = {"privileges": str(libc.prctl(39, 0, 0, 0, 0))}
links = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + fd)]
results["rulesets"] = str(sum("landlock" in link for link in links))`;
        assertEquals(await resultsOf(session, code), { privileges: "1", rulesets: "0" });
      },
      "scripts of the session's own can be run": async (session) => {
        const code = `import os, subprocess
with open("tool.sh", "w") as file:
    file.write("#!/bin/sh\\necho ran > out.txt; cat out.txt")
os.chmod("tool.sh", 0o755)
print(subprocess.run(["./tool.sh"], check=True, stdout=subprocess.PIPE).stdout.decode())`;
        const result = await session.execute(code);
        assertEquals([result.error, textOf(result, "stdout").trim()], [undefined, "ran"]);
      },
      "what programs need goes on working": async (_, kernel) => {
        const own = await Deno.makeTempDir({ dir: kernel.sessionsDirectory });
        for (const name of ["home", "tmp", "work"]) await Deno.mkdir(join(own, name));
        const session = await kernel.session({
          cwd: join(own, "work"),
          env: { HOME: join(own, "home"), TMPDIR: join(own, "tmp") },
          overlay: join(own, "overlay"),
          isolation: options(kernel, { writable: [own] }),
        });
        assertEquals(notDone(await resultsOf(session, USES)), []);
        await session.kill();
      },
    }
    : {},
);

function notDone(results: Record<string, string>): string[] {
  return Object.entries(results).filter(([, result]) => result !== "done")
    .map(([name, result]) => `${name}: ${result}`);
}

/** Numbers of system calls, and of errors. */
const CREATE_RULESET = 444;
const RESTRICT_SELF = 446;
const EPERM = 1;
const ENOSYS = 38;

/** A Python for which the kernel answers one system call with an error, as an older one or a container does. */
const lacking = (python: string, call: number, error: number) =>
  `#!${python} -I
import ctypes, os, struct, sys
# Loads the number of the call, compares it, answers with the error; everything else is let through.
program = b"".join(struct.pack("=HBBI", *one) for one in (
    (0x20, 0, 0, 0), (0x15, 0, 1, ${call}), (0x06, 0, 0, 0x00050000 | ${error}), (0x06, 0, 0, 0x7FFF0000)))
buffer = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter) == 0, ctypes.get_errno()
os.execv(${JSON.stringify(python)}, [${JSON.stringify(python)}] + sys.argv[1:])
`;

/** Starts a kernel under a system that lacks something. */
async function lackingKernel(
  call: number,
  error: number,
  test: (kernel: Kernel) => Promise<void>,
): Promise<void> {
  const python = (await edgePythons()).at(-1)!;
  const directory = await Deno.makeTempDir();
  try {
    const program = join(directory, "python");
    await Deno.writeTextFile(program, lacking(python, call, error), { mode: 0o755 });
    await using kernel = await Kernel.start(program);
    await test(kernel);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Fails unless `auto` goes on without isolation and `required` refuses, both with the reason. */
async function assertUnavailable(kernel: Kernel, reason: string): Promise<void> {
  const session = await kernel.session();
  assertEquals(session.isolation.mode, "auto");
  assertEquals(session.isolation.restricted, false);
  assertStringIncludes(session.isolation.reason!, reason);
  assertEquals(await valueOf(session, "1 + 1"), "2");
  await session.kill();
  const isolation = options(kernel, { mode: "required" });
  const error = await assertRejects(() => kernel.session({ isolation }));
  assert(hasCode(error, "isolation_unavailable"), String(error));
  assertStringIncludes(error.message, reason);
  assertStringIncludes(error.suggestion, "--isolation auto");
}

Deno.test("a kernel without Landlock: auto says so, required refuses, with the reason", async () => {
  await lackingKernel(CREATE_RULESET, ENOSYS, async (kernel) => {
    assertEquals(kernel.server.landlock.abi, 0);
    await assertUnavailable(kernel, "Linux 5.13");
  });
});

Deno.test({
  name: "a kernel that refuses to restrict: auto says so, required refuses, with the reason",
  ignore: !isolated,
  fn: () =>
    lackingKernel(RESTRICT_SELF, EPERM, async (kernel) => {
      assert(kernel.server.landlock.abi > 0);
      await assertUnavailable(kernel, "Operation not permitted");
    }),
});

Deno.test("systems that cannot isolate are refused before anything is started", () => {
  for (
    const [os, release] of [["darwin", "24.1.0"], ["linux", "5.12.9"], ["linux", "4.18.0-553.el8"]]
  ) {
    checkIsolation("auto", os!, release!);
    checkIsolation("off", os!, release!);
    let error;
    try {
      checkIsolation("required", os!, release!);
    } catch (thrown) {
      error = thrown;
    }
    assert(hasCode(error, "isolation_unavailable"), `${os} ${release}`);
  }
  for (const release of ["5.13.0", "5.15.0-1-generic", "6.1.0", "10.0"]) {
    checkIsolation("required", "linux", release);
  }
});
