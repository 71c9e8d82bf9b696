import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { isAlive, Stage } from "./stage.ts";

const ATTACKS = fromFileUrl(new URL("../interpreter/isolation_attacks.py", import.meta.url));

Deno.test("a session cannot reach another one, the worker, nor the cache", async (t) => {
  const secrets = await Deno.makeTempDir({ dir: "/var/tmp" });
  const tokenFile = join(secrets, "token");
  await Deno.writeTextFile(tokenFile, "secret");
  await Deno.writeTextFile(join(secrets, "beside"), "no secret");
  try {
    // Beside the token itself, which counts more: the file is only to be hidden.
    await using stage = await Stage.start({ env: { HYPHA_TOKEN_FILE: tokenFile } });
    const { worker } = stage;
    const python = (body: string) =>
      stage.python(
        `
server = await connect()
w = await server.get_service("conda-worker")
ALLOWED = ("Permission denied", "Operation not permitted", "Invalid cross-device link", "in the child", "CalledProcessError")
async def output(id, code):
    result = await w.execute(id, code)
    check(result["status"] == "ok", result["error"])
    return stdout(result)
async def attack(folder, victim):
    given = "FOLDER, VICTIM, SIGNALS = %r, %r, %r\\n" % (folder, victim, isolation["signals_scoped"])
    results = json.loads(await output("thief", given + open(${JSON.stringify(ATTACKS)}).read() +
        "\\nimport json; print(json.dumps(results))"))
    return {name: result for name, result in results.items() if result not in ALLOWED}
async def refused(*codes):
    for code in codes:
        result = await w.execute("thief", code)
        check(result["status"] == "error" and result["error"]["ename"] == "PermissionError", code, result)
isolation = (await w.get_session_info("thief"))["isolation"] if any(
    s["session_id"].endswith("/thief") for s in await w.list_sessions()) else None
${body}`,
        { WORKER_PID: String(worker.pid), CACHE: worker.cacheDir, SECRETS: secrets },
      );
    const restricted = (await python(`
for name in ("thief", "victim"): await w.start(config(name))
isolation = (await w.get_session_info("thief"))["isolation"]
check(isolation["mode"] == "auto" and isolation["restricted"] == (isolation["landlock_abi"] > 0), isolation)
check(isolation["signals_scoped"] == (isolation["landlock_abi"] >= 6), isolation)
check((isolation["reason"] is None) == isolation["restricted"], isolation)
print(isolation["restricted"])`)).trim() === "True";
    if (!restricted) {
      console.warn("NOT TESTED: isolation of sessions: the kernel has no Landlock");
      return;
    }

    await t.step("not its files, and not its process", async () => {
      await python(`
folder = (await w.get_session_info("victim"))["working_directory"] + "/loot"
await output("victim", "import os; os.makedirs('loot/empty'); open('loot/secret.txt', 'w').write('secret')")
pid = (await w.get_session_info("victim"))["pid"]
check(await attack(folder, pid) == {})
check(await output("victim", "print(open('loot/secret.txt').read(), sorted(os.listdir('loot')))") == "secret ['empty', 'secret.txt']\\n")`);
    });

    await t.step("not the worker's variables, descriptors and life", async () => {
      await python(`
folder = (await w.get_session_info("victim"))["working_directory"] + "/loot"
check(await attack(folder, int(os.environ["WORKER_PID"])) == {})`);
      assertEquals(await isAlive(worker.pid), true);
    });

    await t.step("not the cache, but for reading its own environment", async () => {
      await python(`
cache = os.environ["CACHE"]
prefix = (await output("thief", "import sys; print(sys.prefix)")).strip()
check(prefix.startswith(cache), prefix)
site = (await output("thief", "import sysconfig; print(sysconfig.get_paths()['purelib'])")).strip()
check(site.startswith(prefix), site)
await refused(*["open(%r, 'w')" % (site + "/evil.py"), "import os; os.mkdir(%r)" % (site + "/evil"),
    "import os; os.remove(%r)" % (prefix + "/.ready"), "open(%r)" % (prefix + ".lock"), "open(%r)" % (prefix + ".json"),
    "import os; os.rename(%r, %r)" % (prefix, prefix + "-away"), "open(%r, 'w')" % (cache + "/pkgs/evil"),
    "open(%r, 'w')" % (cache + "/runtime/evil")])
check(await output("thief", "import json; print(open(json.__file__).read() != '')") == "True\\n")`);
    });

    await t.step("not the token file, though what lies beside it", async () => {
      await python(`
secrets = os.environ["SECRETS"]
await refused("open(%r)" % (secrets + "/token"))
check(await output("thief", "print(open(%r).read())" % (secrets + "/beside")) == "no secret\\n")`);
    });

    await t.step("what the worker does with sessions goes on working", async () => {
      await python(`
info = await w.get_session_info("thief")
check(info["usage"]["memory_bytes"] > 0 and info["usage"]["processes"] == 1, info["usage"])
await w.restart("thief")
check((await w.get_session_info("thief"))["isolation"] == isolation)
await refused("open(%r, 'w')" % (os.environ["CACHE"] + "/evil"))
for name in ("thief", "victim"): await w.stop(name)`);
      assertEquals(await stage.sessionDirectories(), []);
    });
  } finally {
    await Deno.remove(secrets, { recursive: true });
  }
});
