import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { filesBelow } from "../../scripts/leftovers.ts";
import { eventually, Stage } from "./stage.ts";

Deno.test("environments are looked after through the worker", async (t) => {
  await using stage = await Stage.start({ args: ["--visibility=public"] });
  const { cacheDir } = stage.worker;
  const python = (body: string, env: Record<string, string> = {}) =>
    stage.python(
      `
server = await connect()
w = await server.get_service("conda-worker")
MANIFEST = {"dependencies": ["python=3.11", "toy-a=1"], "channels": [CHANNEL]}
async def idle(*but):
    # New environments are compiled in the background, which uses them.
    for _ in range(2400):
        if {e["key"] for e in await w.list_environments() if e["in_use"]} == set(but): return
        await asyncio.sleep(0.05)
    check(False, await w.list_environments())
${body}`,
      { WORKER_PID: String(stage.worker.pid), ...env },
    );
  let key = "";

  await t.step("one is made before a session needs it, with progress", async () => {
    key = (await python(`
check(await w.list_environments() == [])
seen = []
made = await w.create_environment(MANIFEST, progress_callback=lambda p: seen.append(p["message"]))
check(made["cached"] is False and made["python"].startswith("3.11."), made)
check([(p["name"], p["version"]) for p in made["packages"] if p["name"] == "toy-a"] == [("toy-a", "1.0")], made)
check("Creating new conda environment" in seen and "Environment is ready" in seen, seen)
again = await w.create_environment(manifest={"dependencies": ["toy-a 1.*", "python=3.11"], "channels": [CHANNEL]})
check(again["cached"] and again["key"] == made["key"], again)
print(made["key"])`)).trim();
    assertEquals((await stage.managers.invocations("create")).length, 1);
    await python(`
c = config("s")
c["manifest"]["dependencies"] = MANIFEST["dependencies"]
await w.start(c)
check(stdout(await w.execute("s", "import toy_a; print(toy_a.__version__)")) == "1.0\\n")`);
    assertEquals((await stage.managers.invocations("create")).length, 1);
  });

  await t.step("they are listed and described, with who uses them", async () => {
    await python(
      `
[one] = await w.list_environments()
check(one["key"] == os.environ["KEY"] and one["state"] == "ready", one)
check(one["dependencies"] == ["python=3.11", "toy-a=1"] and one["channels"] == [CHANNEL], one)
check(one["in_use"] and one["pids"] == [int(os.environ["WORKER_PID"])], one)
check(one["created"] and one["last_used"] and one["build_ms"] > 0, one)
for _ in range(2400):
    details = await w.get_environment(os.environ["KEY"][:7], export_format="explicit")
    if details["size"]: break
    await asyncio.sleep(0.05)
check(details["size"] > 0 and details["shared_size"] > 0, details)
check(any(p["name"] == "toy-a" and p["md5"] for p in details["packages"]), details)
check("@EXPLICIT" in details["export"], details)
check("export" not in await w.get_environment(os.environ["KEY"]))
copy = await w.create_environment({"lock": details["export"]})
check(not copy["cached"] and copy["packages"] == details["packages"], copy)
check("EnvironmentNotFound" in await fails(w.get_environment("ffff")))
check("export_format" in await fails(w.get_environment(os.environ["KEY"], "toml")))`,
      { KEY: key },
    );
  });

  await t.step("one in use stays, and the refusal names its users", async () => {
    await python(
      `
error = await fails(w.remove_environment(os.environ["KEY"]))
check("EnvironmentInUse" in error and "used by process " + os.environ["WORKER_PID"] in error, error)
await idle(os.environ["KEY"])
pruned = await w.prune_environments(all=True)
check([p["key"] for p in pruned["in_use"]] == [os.environ["KEY"]], pruned)
check(stdout(await w.execute("s", "import toy_a; print('here')")) == "here\\n")
await w.stop("s")
# Kept for a while for the next session, but not against the administrator's will.
check((await w.get_environment(os.environ["KEY"]))["in_use"])
check(await w.remove_environment(os.environ["KEY"][:8]) == {"removed": os.environ["KEY"]})
check(await w.list_environments() == [])
check("EnvironmentNotFound" in await fails(w.remove_environment(os.environ["KEY"])))`,
      { KEY: key },
    );
    const isLeft = async () =>
      (await filesBelow(cacheDir)).some((path) => path.includes(`envs/${key}/`));
    await eventually(async () => !await isLeft(), "its files are deleted");
  });

  await t.step("limits are applied, and a dry run removes nothing", async () => {
    await python(`
keys = [(await w.create_environment({"dependencies": ["python=3.11", name], "channels": [CHANNEL]}))["key"]
        for name in ["toy-a", "toy-data", "toy-b"]]
await idle()
told = await w.prune_environments(max_count=1, dry_run=True)
check(told["dry_run"] and len(told["removed"]) == 2 and len(await w.list_environments()) == 3, told)
check((await w.prune_environments())["removed"] == [] and (await w.prune_environments(max_age=1))["removed"] == [])
pruned = await w.prune_environments(max_count=1)
check([(p["key"], p["reason"]) for p in pruned["removed"]] == [(keys[0], "count"), (keys[1], "count")], pruned)
pruned = await w.prune_environments(max_size=1)
check([p["key"] for p in pruned["removed"]] == keys[2:] and await w.list_environments() == [], pruned)
check("max_count" in await fails(w.prune_environments(max_count=-1)))
check("max_count" in await fails(w.prune_environments(max_count="all")))`);
  });

  await t.step(
    "specs are checked, failures are told, and a refusal can be asked again",
    async () => {
      await python(`
for m, words in [
    ({"dependencies": ["--help"]}, ["InvalidSpec", "dependencies[0]", "--help"]),
    ({"dependencies": ["python=3.11", "toy-none"], "channels": [CHANNEL]}, ["EnvironmentError", "toy-none"]),
    ({"environment": {"name": "base"}}, ["PermissionDenied", "--allow-environment"]),
    ({"channels": ["file:///etc"]}, ["PermissionDenied", "--allow-file-channels"]),
    ({"environment_file": "environment.yml"}, ["StagingError", "artifact_id"]),
]:
    error = await fails(w.create_environment(m))
    check(all(word in error for word in words), words, error)
check("artifact_id" in await fails(w.create_environment(MANIFEST, "a/../b")))
check("manifest" in await fails(w.create_environment()))
none = {"dependencies": ["python=3.11", "toy-none"], "channels": [CHANNEL]}
check("refresh" in await fails(w.create_environment(none)))
check("refresh" not in (await fails(w.create_environment(none, refresh=True))).split("Suggestion")[0])`);
      const solved = (await stage.managers.invocations("create")).filter(({ argv }) =>
        argv.includes("toy-none")
      );
      // The first and the refreshed one.
      assertEquals(solved.length, 2);
    },
  );

  await t.step("an environment.yml comes from an artifact that the worker may read", async () => {
    await python(`
apps = await server.get_service("public/server-apps")
m = manifest(environment="environment.yml")
del m["dependencies"]
del m["channels"]
content = "channels: ['%s']\\ndependencies: [python=3.11, six]\\n" % CHANNEL
app = await apps.install(app_id="filed", overwrite=True, timeout=300, manifest=m,
    files=files(main_dot_py="", environment_dot_yml=content))
made = await w.create_environment({"environment": "environment.yml"}, artifact_id=server.config.workspace + "/filed")
check(any(p["name"] == "six" for p in made["packages"]), made)`);
  });

  await t.step("a caller who goes away ends the build that nobody else waits for", async () => {
    await stage.managers.setFaults({ hang: "link" });
    const before = (await stage.managers.invocations("create")).length;
    await python(`
call = asyncio.ensure_future(w.create_environment({"dependencies": ["python=3.11", "toy-slow"], "channels": [CHANNEL]}))
other = await connect()
w2 = await other.get_service("conda-worker")
for _ in range(2400):
    if [e["state"] for e in await w2.list_environments()].count("building") == 1: break
    await asyncio.sleep(0.05)
else: check(False)
[building] = [e for e in await w2.list_environments() if e["state"] == "building"]
check(building["in_use"] and building["pids"] == [int(os.environ["WORKER_PID"])], building)
error = await fails(w2.remove_environment(building["key"]))
check("process " + os.environ["WORKER_PID"] + " is building it" in error, error)
await server.disconnect()
for _ in range(2400):
    if all(e["state"] != "building" for e in await w2.list_environments()): break
    await asyncio.sleep(0.05)
else: check(False)`);
    await stage.managers.setFaults({});
    assert((await stage.managers.invocations("create")).length > before);
  });

  await t.step("other workspaces may have environments made, and see and remove none", async () => {
    await python(`
other = await connect("user-2")
theirs = await other.get_service(w.id)
made = await theirs.create_environment(MANIFEST)
check(set(made) == {"key", "cached", "python", "manager", "packages", "pip"}, made)
for call in [lambda: theirs.list_environments(), lambda: theirs.get_environment(made["key"]),
             lambda: theirs.remove_environment(made["key"]), lambda: theirs.prune_environments(all=True)]:
    error = await fails(call())
    check("PermissionDenied" in error and "ws-user-user-1" in error, error)
check(made["key"] in [e["key"] for e in await w.list_environments()])
nobody = await connect_to_server({"server_url": SERVER})
anonymous = await nobody.get_service(w.id)
check("anonymous users may not" in await fails(anonymous.create_environment(MANIFEST)))
check("PermissionDenied" in await fails(anonymous.list_environments()))`);
  });

  await t.step("members who administer nothing look, and remove nothing", async () => {
    await python(`
token = await server.generate_token({"permission": "read_write", "expires_in": 600})
member = await connect_to_server({"server_url": SERVER, "workspace": server.config.workspace, "token": token})
theirs = await member.get_service("conda-worker")
[one, *_] = await theirs.list_environments()
check((await theirs.get_environment(one["key"]))["key"] == one["key"])
for call in [lambda: theirs.remove_environment(one["key"]), lambda: theirs.prune_environments()]:
    check("only administrators of workspace" in await fails(call()))`);
  });

  const log = stage.worker.stderr;
  for (const method of ["create_environment", "remove_environment", "prune_environments"]) {
    assertStringIncludes(log, `method=${method}`);
  }
});
