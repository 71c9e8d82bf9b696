import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { EnvironmentStore } from "../../lib/environments/store.ts";
import { parseSpec } from "../../lib/environments/spec.ts";
import { silentLogger } from "../../lib/log.ts";
import { VERSION } from "../../lib/version.ts";
import { startCommand } from "../e2e/worker_process.ts";
import { Double } from "../managers/double.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";

const RUN = ["mamba", "micromamba", "conda"];
const SYS = "hostname,osRelease,systemMemoryInfo,statfs,cpus,uid,gid,homedir".split(",");

/** Permission flags of a task, in order. */
async function taskPermissions(name: string): Promise<string[]> {
  const config = JSON.parse(await Deno.readTextFile(join(stackPaths.root, "deno.json")));
  const words = (config.tasks[name].command as string).split(" ");
  return words.filter((word) => /^--(allow|deny|no-prompt|ignore)/.test(word)).sort();
}

Deno.test("the start and the compile task name the same permissions, and no others", async () => {
  const flags = [
    "--allow-env",
    "--allow-net",
    "--allow-read",
    // kubectl is for kubeconfigs that only it can use.
    `--allow-run=${[...RUN, "kubectl"].join(",")}`,
    `--allow-sys=${SYS.join(",")}`,
    "--allow-write",
    "--deny-ffi",
    "--no-prompt",
  ];
  assertEquals(await taskPermissions("start"), flags);
  assertEquals(await taskPermissions("compile"), flags);
  const config = JSON.parse(await Deno.readTextFile(join(stackPaths.root, "deno.json")));
  // The code cache is a file with a name everybody can guess, in a directory everybody can write to.
  assertStringIncludes(config.tasks.compile.command, " --no-code-cache ");
});

/** Runs `attempts.ts` under the flags of the start task. */
async function attempts(programs: string[], managers: string): Promise<Record<string, string>> {
  const flags = (await startCommand()).filter((word) => word !== "main.ts");
  const { stdout, stderr } = await new Deno.Command(stackPaths.deno, {
    args: [...flags, join(stackPaths.root, "tests", "cli", "attempts.ts"), ...programs],
    cwd: stackPaths.root,
    env: { PATH: `${managers}:${Deno.env.get("PATH")}` },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text !== "", new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

Deno.test("nothing but the three managers can be started, and no process be signalled", async () => {
  await using double = await Double.install("mamba");
  const manager = await double.detect();
  const store = new EnvironmentStore({ directory: double.cache, manager, log: silentLogger });
  const spec = parseSpec({ dependencies: ["python=3.11"], channels: [stackPaths.channel] });
  const lease = await store.acquire(spec, {});
  const python = join(lease.prefix, "bin", "python");
  assert((await Deno.stat(python)).isFile);
  const copy = join(double.directory, "mamba");
  await Deno.copyFile(join(managerPath("mamba"), "mamba"), copy);
  const forbidden = ["sh", "python3", "/bin/ls", "kill", "deno", stackPaths.deno, python, copy];
  const results = await attempts([...RUN, ...forbidden], managerPath());
  await lease.release();
  await store.close();
  const expected: Record<string, string> = {};
  for (const name of RUN) expected[name] = "allowed";
  const others = ["signal", "another PATH", "library preloaded", "foreign function"];
  for (const name of [...forbidden, ...others]) expected[name] = "NotCapable";
  assertEquals(results, expected);
});

Deno.test("a manager that is missing grants nothing in its place", async () => {
  const results = await attempts(["mamba", "micromamba", "conda", "sh"], managerPath("micromamba"));
  assertEquals(results.micromamba, "allowed");
  assertEquals(results.sh, "NotCapable");
  // Those of the machine itself, when it has any, are granted; the stack's own mamba and conda are not on PATH.
  for (const name of ["mamba", "conda"]) {
    assert(["allowed", "NotFound", "NotCapable"].includes(results[name]!), results[name]);
  }
});

/** What `deno compile` bakes into the executable, as far as it matters here. */
interface Metadata {
  permissions: Record<string, unknown>;
  app_version?: string;
}

/** Reads the first JSON object at a position of a text. */
function objectAt(text: string, start: number): unknown {
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter === "\\") at++;
      else if (letter === '"') quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === "{") depth++;
    else if (letter === "}" && --depth === 0) return JSON.parse(text.slice(start, at + 1));
  }
  throw new Error("the object does not end");
}

Deno.test({
  name: "the executable has the permissions of the task, the version and the Python files in it",
  // Any ELF file serves as a stand-in for the run-time, which is downloaded where releases are made.
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const directory = await Deno.makeTempDir({ prefix: "compile-" });
    try {
      const output = join(directory, "hypha-conda-worker");
      const { success, stderr } = await new Deno.Command(stackPaths.deno, {
        args: ["task", "compile", "--output", output, "main.ts"],
        cwd: stackPaths.root,
        env: {
          DENORT_BIN: "/bin/true",
          PATH: `${dirname(stackPaths.deno)}:${Deno.env.get("PATH")}`,
        },
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      const text = new TextDecoder("latin1").decode(await Deno.readFile(output));
      const start = text.indexOf('{"argv":');
      assert(start >= 0, "no metadata found");
      const { permissions, app_version } = objectAt(text, start) as Metadata;
      assertEquals(app_version, VERSION);
      // An empty list allows everything, null nothing.
      assertEquals(permissions.allow_run, [...RUN, "kubectl"]);
      assertEquals(permissions.allow_sys, SYS);
      for (const name of ["allow_read", "allow_write", "allow_net", "allow_env"]) {
        assertEquals(permissions[name], [], name);
      }
      assertEquals(permissions.allow_ffi ?? null, null);
      assertEquals(permissions.deny_ffi, []);
      assertEquals(permissions.prompt, false);
      assert(permissions.allow_all !== true);
      const python = join(stackPaths.root, "lib", "interpreter", "python");
      for (const name of await pythonFiles(python)) {
        const source = await Deno.readFile(join(python, name));
        const content = new TextDecoder("latin1").decode(source);
        assert(text.includes(content), `${name} is not in the executable`);
      }
      // Where it was built must not be seen, nor matter.
      assert(!JSON.stringify(permissions).includes(stackPaths.root));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

async function pythonFiles(directory: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    if (entry.isFile && entry.name.endsWith(".py")) names.push(entry.name);
    if (entry.isDirectory && entry.name !== "__pycache__") {
      const below = await pythonFiles(join(directory, entry.name));
      names.push(...below.map((name) => join(entry.name, name)));
    }
  }
  return names;
}
