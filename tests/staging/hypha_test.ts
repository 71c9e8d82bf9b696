/** Staging from the artifact manager of a real Hypha server. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { createArtifactSource } from "../../lib/staging/artifact.ts";
import { parseStageEntries } from "../../lib/staging/entries.ts";
import { stageFiles } from "../../lib/staging/stage.ts";
import { startHypha } from "../stack/hypha.ts";
import { runPythonClient } from "../stack/python_client.ts";

const UPLOAD = `
import asyncio, json, os, urllib.parse, urllib.request
from hypha_rpc import connect_to_server

async def main():
    server = await connect_to_server({"server_url": os.environ["URL"], "token": os.environ["TOKEN"],
        "workspace": os.environ["WORKSPACE"]})
    manager = await server.get_service("public/artifact-manager")
    artifact = await manager.create(alias="data", type="generic", manifest={"name": "data"}, stage=True)
    def put(path, content):
        url = "%s/%s/artifacts/data/files/%s" % (
            os.environ["URL"], os.environ["WORKSPACE"], urllib.parse.quote(path))
        request = urllib.request.Request(url, data=content.encode(), method="PUT",
            headers={"authorization": "Bearer " + os.environ["TOKEN"]})
        urllib.request.urlopen(request).read()
    for path, content in json.loads(os.environ["FILES"]).items():
        await asyncio.to_thread(put, path, content)
    await manager.commit(artifact.id)
    for path, content in json.loads(os.environ["NEWER"]).items():
        await manager.edit(artifact.id, stage=True, version="new")
        await asyncio.to_thread(put, path, content)
        if content != "staged":
            await manager.commit(artifact.id)
    await server.disconnect()
asyncio.run(main())
`;

Deno.test("staging from a real artifact manager", async (t) => {
  await using hypha = await startHypha();
  const user = "user-1";
  const token = await hypha.userToken({ user });
  const workspace = hypha.workspaceOf(user);
  const files = {
    "a.csv": "x,y\n1,2\n",
    "models/m.bin": "weights",
    "models/deep/50 % ü.bin": "more",
    "source.txt": "text ü",
    "raw/r": "raw",
    "package/__init__.py": "",
    "package/m.py": "m",
  };
  const newer = { "newer.txt": "newer", "late.txt": "staged" };
  const { code, stderr } = await runPythonClient(UPLOAD, {
    env: {
      URL: hypha.url,
      TOKEN: token,
      WORKSPACE: workspace,
      FILES: JSON.stringify(files),
      NEWER: JSON.stringify(newer),
    },
  });
  assertEquals(code, 0, stderr.slice(-2000));
  type More = { token?: string | undefined; alias?: string; version?: string };
  const sourceWith = (more: More) =>
    createArtifactSource({
      serverUrl: hypha.url,
      workspace,
      alias: "data",
      token,
      version: "v0",
      ...more,
    });

  await t.step("all four forms arrive", async () => {
    const directory = await Deno.makeTempDir();
    try {
      const entries = ["a.csv", "models/", "source.txt:renamed.txt", "raw/:processed/"];
      const staged = await stageFiles(parseStageEntries(entries), sourceWith({}), directory);
      assertEquals(staged.map((file) => file.path).sort(), [
        "a.csv",
        "models/deep/50 % ü.bin",
        "models/m.bin",
        "processed/r",
        "renamed.txt",
      ]);
      const read = (path: string) => Deno.readTextFile(join(directory, path));
      assertEquals(await read("models/deep/50 % ü.bin"), "more");
      assertEquals(await read("renamed.txt"), "text ü");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });

  await t.step("sizes and etags are told, and pages are put together", async () => {
    const file = await sourceWith({}).open("a.csv");
    assertEquals(file.size, 8);
    assert(file.etag !== undefined);
    await file.body.cancel();
    const paged = createArtifactSource({
      serverUrl: hypha.url,
      workspace,
      alias: "data",
      token,
      pageSize: 2,
      version: "v0",
    });
    const names = (await Array.fromAsync(paged.list(""))).map((item) => item.name);
    assertEquals(names.sort(), ["a.csv", "models", "package", "raw", "source.txt"]);
  });

  await t.step("files without content arrive, in folders and by name", async () => {
    const directory = await Deno.makeTempDir();
    try {
      const entries = ["package/", "package/__init__.py:alone.py"];
      const staged = await stageFiles(parseStageEntries(entries), sourceWith({}), directory);
      assertEquals(staged.map(({ path, bytes }) => `${path} ${bytes}`).sort(), [
        "alone.py 0",
        "package/__init__.py 0",
        "package/m.py 1",
      ]);
      assertEquals((await Deno.stat(join(directory, "alone.py"))).size, 0);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });

  for (const reachable of [true, false]) {
    const how = reachable
      ? "from the storage"
      : "through the server when its storage is out of reach";
    await t.step(`a folder comes ${how}`, async () => {
      const directory = await Deno.makeTempDir();
      const singles: string[] = [];
      const watching: typeof fetch = (input, init) => {
        const { pathname } = new URL(String(input));
        const stored = pathname.startsWith("/s3/");
        if (stored && !reachable) return Promise.reject(new TypeError("out of reach on purpose"));
        if (stored) assert(!new Headers(init?.headers).has("authorization"));
        else if (/[^/]$/.test(pathname.split("/files/")[1] ?? "")) singles.push(pathname);
        return fetch(input, init);
      };
      try {
        const source = createArtifactSource({
          serverUrl: hypha.url,
          workspace,
          alias: "data",
          token,
          version: "v0",
          fetch: watching,
          backOff: 5,
        });
        const staged = await stageFiles(parseStageEntries(["./"]), source, directory);
        assertEquals(staged.map((file) => file.path).sort(), Object.keys(files).sort());
        for (const [path, content] of Object.entries(files)) {
          assertEquals(await Deno.readTextFile(join(directory, path)), content);
        }
        // Only the name that the storage's proxy does not carry.
        if (reachable) assertEquals(singles.length, 1, singles.join());
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    });
  }

  await t.step("a version is what it was, and staged changes can be read", async () => {
    const names = async (version: string | undefined) => {
      const source = createArtifactSource({
        serverUrl: hypha.url,
        workspace,
        alias: "data",
        token,
        version,
      });
      return (await Array.fromAsync(source.list(""))).map((item) => item.name).sort();
    };
    assert((await names("v0")).includes("a.csv"));
    assertEquals(await names("v1"), ["newer.txt"]);
    assertEquals(await names(undefined), ["newer.txt"]);
    assertEquals(await names("stage"), ["late.txt"]);
    assertEquals(await sourceWith({ version: "stage" }).readText("late.txt"), "staged");
    await assertRejects(() => names("v9"), WorkerError, "(version v9)");
  });

  const refusals: [string, { token?: string | undefined; alias?: string }, string, string][] = [
    ["a missing file", {}, "nope.txt", "the file does not exist"],
    ["a missing artifact", { alias: "none" }, "a.csv", "the artifact does not exist"],
    ["no token", { token: undefined }, "a.csv", "permission denied"],
    ["a bad token", { token: "no.such.token" }, "a.csv", "does not accept the token"],
  ];
  for (const [what, more, path, reason] of refusals) {
    await t.step(`${what} is a typed error`, async () => {
      const read = () => sourceWith(more).readText(path);
      const error = await assertRejects(read, WorkerError, reason);
      assertEquals(error.code, "staging_failed");
    });
  }
});
