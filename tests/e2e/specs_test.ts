import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { filesBelow } from "../../scripts/leftovers.ts";
import { stackPaths } from "../stack/stack.ts";
import { Stage } from "./stage.ts";

/** Makes an environment as a person would, with the manager by hand. */
async function makeByHand(stage: Stage, prefix: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(join(stage.managers.bin, "mamba"), {
    args: ["create", "-y", "-p", prefix, "--override-channels", "-c", stackPaths.channel, "python"],
    stdout: "null",
    stderr: "piped",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** The packages of the environments in a directory, as lines of a lock file. */
async function lockLines(environments: string): Promise<string[]> {
  const lines: string[] = [];
  for (const path of await filesBelow(environments)) {
    if (!/conda-meta\/[^/]+\.json$/.test(path)) continue;
    const { url, sha256 } = JSON.parse(await Deno.readTextFile(join(environments, path)));
    lines.push(`${url}#sha256:${sha256}`);
  }
  assert(lines.length > 0, "there is no environment");
  return lines;
}

Deno.test("environments come from files of the app, lock files and the machine", async (t) => {
  const places = await Deno.realPath(await Deno.makeTempDir({ prefix: "specs-" }));
  const prefix = join(places, "own");
  try {
    await using stage = await Stage.start({ args: [`--allow-environment=${prefix}`] });

    await t.step(
      "an environment.yml of the app is read before the environment is made",
      async () => {
        await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
m = manifest(environment="conf/environment.yml")
del m["dependencies"]
del m["channels"]
content = """
name: authors-own
channels: [%s]
dependencies: [python=3.11, six]
variables: {FROM_FILE: file, BOTH: file}
""" % CHANNEL
m["env"] = {"BOTH": "manifest"}
app = await apps.install(app_id="filed", overwrite=True, timeout=300, manifest=m,
    files=files(main_dot_py="import os, six", conf__environment_dot_yml=content))
session = await apps.start(app["id"])
worker = await server.get_service(session["worker_id"])
result = await worker.execute(session["id"], "import os; print(six.__name__, os.environ['FROM_FILE'], os.environ['BOTH'])")
check(stdout(result) == "six file manifest\\n", result)
info = await worker.get_session_info(session["id"])
check("six" in info["dependencies"] and info["channels"] == [CHANNEL], info)
await apps.stop(session["id"])
m["environment"] = "missing.yml"
error = await fails(apps.install(app_id="missing", overwrite=True, timeout=300, manifest=m, files=files(main_dot_py="1")))
check("missing.yml" in error, error)
m["environment"] = "bad.yml"
error = await fails(apps.install(app_id="bad", overwrite=True, timeout=300, manifest=m,
    files=files(main_dot_py="1", bad_dot_yml="dependencies: [python, 3.10]")))
check("bad.yml.dependencies[1]" in error and "quotes" in error, error)`);
        assertEquals(await stage.sessionDirectories(), []);
      },
    );

    await t.step("a lock file of the app is installed as it is, without the solver", async () => {
      const lines = await lockLines(join(stage.directory, "cache", "envs"));
      await stage.python(
        `
server = await connect()
apps = await server.get_service("public/server-apps")
m = manifest(lock="conda.lock")
del m["dependencies"]
app = await apps.install(app_id="locked", overwrite=True, timeout=300, manifest=m,
    files=files(main_dot_py="import six", conda_dot_lock=os.environ["LOCK"]))
session = await apps.start(app["id"])
worker = await server.get_service(session["worker_id"])
check(stdout(await worker.execute(session["id"], "print(six.__name__)")) == "six\\n")
await apps.stop(session["id"])`,
        { LOCK: ["@EXPLICIT", ...lines].join("\n") },
      );
      const last = (await stage.managers.invocations("create")).at(-1)!;
      assert(last.argv.some((word) => /^(?:-f|--file)/.test(word)), last.argv.join(" "));
      assert(!last.argv.includes("six"), last.argv.join(" "));
    });

    await t.step("what the operator has not allowed of the machine is refused", async () => {
      const created = (await stage.managers.invocations("create")).length;
      await stage.python(`
server = await connect()
w = await server.get_service("conda-worker")
for manifest in [
    {"channels": ["file:///etc"]},
    {"dependencies": ["file:///etc::numpy"]},
    {"environment": {"name": "base"}},
    {"environment": {"prefix": "/usr"}},
    {"environment": {"prefix": ${JSON.stringify(places)}}},
]:
    c = {"id": "refused", "workspace": "ws-user-user-1", "app_id": "none", "manifest": manifest}
    error = await fails(w.start(c))
    check("the operator of this worker has not allowed it" in error, error)
    error = await fails(w.compile(manifest))
    check("the operator of this worker has not allowed it" in error, error)`);
      assertEquals((await stage.managers.invocations("create")).length, created);
    });

    await t.step(
      "an existing environment is used as it is, and nothing is written into it",
      async () => {
        const start = `
server = await connect()
w = await server.get_service("conda-worker")
c = {"id": "own", "workspace": "ws-user-user-1", "app_id": "none",
     "manifest": {"type": "conda-jupyter-kernel", "environment": {"prefix": os.environ["OWN"], "variables": {"A": "x"}}}}`;
        await stage.python(
          `${start}
error = await fails(w.start(c))
check("there is nothing" in error, error)`,
          { OWN: prefix },
        );
        await makeByHand(stage, prefix);
        const before = await filesBelow(prefix);
        const created = (await stage.managers.invocations("create")).length;
        await stage.python(
          `${start}
compiled, _ = await w.compile(c["manifest"])
check(compiled["environment"] == c["manifest"]["environment"] and "dependencies" not in compiled, compiled)
c["manifest"] = compiled
c["manifest"].pop("entry_point")
await w.start(c)
result = await w.execute("own", "import json, os, sys; print(sys.prefix, os.environ['A'])")
check(stdout(result) == os.environ["OWN"] + " x\\n", result)
await w.stop("own")`,
          { OWN: prefix },
        );
        assertEquals((await stage.managers.invocations("create")).length, created);
        assertEquals((await filesBelow(prefix)).sort(), before.sort());
      },
    );
  } finally {
    await Deno.remove(places, { recursive: true });
  }
});
