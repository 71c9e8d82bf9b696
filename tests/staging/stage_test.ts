import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { createHash } from "node:crypto";
import { WorkerError } from "../../lib/errors.ts";
import type { Progress } from "../../lib/progress.ts";
import { createArtifactSource } from "../../lib/staging/artifact.ts";
import { parseStageEntries } from "../../lib/staging/entries.ts";
import { createFolderSource } from "../../lib/staging/folder.ts";
import { stageFiles } from "../../lib/staging/stage.ts";
import { bytes, startArtifactServer, truncated } from "./artifact_server.ts";

class TemporaryFolder implements AsyncDisposable {
  private constructor(readonly path: string) {}
  static async make(): Promise<TemporaryFolder> {
    return new TemporaryFolder(await Deno.realPath(await Deno.makeTempDir()));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

async function tree(folder: string, prefix = ""): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for await (const entry of Deno.readDir(join(folder, prefix))) {
    const path = prefix + entry.name;
    if (entry.isDirectory) Object.assign(result, await tree(folder, `${path}/`));
    else result[path] = await Deno.readTextFile(join(folder, path));
  }
  return result;
}

function sourceOf(url: string) {
  return createArtifactSource({ serverUrl: url, workspace: "ws", alias: "app", backOff: 5 });
}

Deno.test("stage: all four forms arrive, recursively", async () => {
  await using server = startArtifactServer();
  for (const path of ["a.csv", "models/m", "models/deep/er/n", "source.txt", "raw/r/s", "no"]) {
    server.files.set(path, bytes(`content of ${path}`));
  }
  await using session = await TemporaryFolder.make();
  const progress: Progress[] = [];
  const staged = await stageFiles(
    parseStageEntries(["a.csv", "models/", "source.txt:sub/renamed.txt", "raw/:processed/"]),
    sourceOf(server.url),
    session.path,
    { onProgress: (message) => progress.push(message) },
  );
  const expected = {
    "a.csv": "content of a.csv",
    "models/deep/er/n": "content of models/deep/er/n",
    "models/m": "content of models/m",
    "processed/r/s": "content of raw/r/s",
    "sub/renamed.txt": "content of source.txt",
  };
  assertEquals(await tree(session.path), expected);
  assertEquals(staged.map((file) => file.path).sort(), Object.keys(expected).sort());
  assert(staged.every((file) => file.bytes === expected[file.path as "a.csv"].length));
  assertEquals(progress.at(-1)?.message.startsWith("Staged 5 files ("), true);
  assertEquals(progress.at(-1)?.percent, 100);
});

Deno.test("stage: a folder beyond one page is staged whole", async () => {
  await using server = startArtifactServer();
  for (let i = 0; i < 2003; i++) server.files.set(`d/f${i}`, bytes(String(i)));
  await using session = await TemporaryFolder.make();
  const staged = await stageFiles(parseStageEntries(["d/"]), sourceOf(server.url), session.path, {
    concurrency: 8,
  });
  assertEquals(staged.length, 2003);
  assertEquals(await Deno.readTextFile(join(session.path, "d/f2002")), "2002");
});

Deno.test("stage: the later entry wins when two write one file", async () => {
  await using server = startArtifactServer();
  server.files.set("a", bytes("first"));
  server.files.set("b", bytes("second"));
  await using session = await TemporaryFolder.make();
  await stageFiles(parseStageEntries(["a:x", "b:x"]), sourceOf(server.url), session.path);
  assertEquals(await tree(session.path), { x: "second" });
});

Deno.test("stage: a missing file fails the whole, names it, and leaves no temporary file", async () => {
  await using server = startArtifactServer();
  for (let i = 0; i < 20; i++) server.files.set(`f${i}`, bytes("x".repeat(1000)));
  await using session = await TemporaryFolder.make();
  const entries = [...server.files.keys(), "missing", "f0:again"];
  const error = await assertRejects(
    () => stageFiles(parseStageEntries(entries), sourceOf(server.url), session.path),
    WorkerError,
    '"missing"',
  );
  assertEquals(error.code, "staging_failed");
  assert(Object.keys(await tree(session.path)).every((path) => !path.includes(".stage-")));
});

Deno.test("stage: a body shorter than announced is an error and leaves nothing", async () => {
  await using server = startArtifactServer();
  server.fault = () => truncated(bytes("abcdef"), 3, { etag: '"x"' });
  await using session = await TemporaryFolder.make();
  await assertRejects(
    () => stageFiles(parseStageEntries(["f"]), sourceOf(server.url), session.path),
    WorkerError,
  );
  assertEquals(await tree(session.path), {});
});

Deno.test("stage: cancelling in the middle of a file leaves no temporary file", async () => {
  await using server = startArtifactServer();
  let send: ReadableStreamDefaultController<Uint8Array> | undefined;
  server.fault = () =>
    new Response(
      new ReadableStream<Uint8Array>({
        start(controller) {
          send = controller;
          controller.enqueue(new Uint8Array(100_000));
        },
      }),
      { headers: { "content-length": "200000" } },
    );
  await using session = await TemporaryFolder.make();
  const abort = new AbortController();
  const work = stageFiles(parseStageEntries(["big"]), sourceOf(server.url), session.path, {
    signal: abort.signal,
  });
  while (true) {
    const names = await Array.fromAsync(Deno.readDir(session.path));
    if (names.length > 0) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  abort.abort(new Error("stopped by test"));
  await assertRejects(() => work, Error, "stopped by test");
  assertEquals(await tree(session.path), {});
  try {
    send?.close();
  } catch {
    // The server has seen the cancel already.
  }
});

Deno.test("stage: links that lead out of the session's directory are not followed", async () => {
  await using server = startArtifactServer();
  server.files.set("a", bytes("new"));
  server.files.set("d/a", bytes("new"));
  await using session = await TemporaryFolder.make();
  await using outside = await TemporaryFolder.make();
  await Deno.writeTextFile(join(outside.path, "victim"), "old");
  await Deno.symlink(outside.path, join(session.path, "out"));
  await Deno.symlink(join(outside.path, "victim"), join(session.path, "file"));
  await Deno.mkdir(join(session.path, "real"));
  await Deno.symlink(join(session.path, "real"), join(session.path, "in"));
  const stage = (entry: string) =>
    stageFiles(parseStageEntries([entry]), sourceOf(server.url), session.path);

  await assertRejects(() => stage("a:out/x"), WorkerError, "leads out of the session");
  await assertRejects(() => stage("a:out/new/x"), WorkerError, "leads out of the session");
  await assertRejects(() => stage("d/:out/"), WorkerError, "leads out of the session");
  await stage("a:file");
  await stage("a:in/x");
  assertEquals(await tree(outside.path), { victim: "old" });
  assertEquals(await Deno.readTextFile(join(session.path, "file")), "new");
  assertEquals(await Deno.readTextFile(join(session.path, "real/x")), "new");
});

Deno.test("stage: something in the way is a typed error", async () => {
  await using server = startArtifactServer();
  server.files.set("a", bytes("new"));
  await using session = await TemporaryFolder.make();
  await Deno.writeTextFile(join(session.path, "f"), "");
  await Deno.mkdir(join(session.path, "d"));
  const stage = (entry: string) =>
    stageFiles(parseStageEntries([entry]), sourceOf(server.url), session.path);
  await assertRejects(() => stage("a:f/x"), WorkerError, "in the way");
  await assertRejects(() => stage("a:d"), WorkerError, "Cannot stage");
  assertEquals(await tree(session.path), { f: "" });
});

Deno.test("stage: a local folder is a source too, but not beyond itself", async () => {
  await using app = await TemporaryFolder.make();
  await using outside = await TemporaryFolder.make();
  await using session = await TemporaryFolder.make();
  await Deno.mkdir(join(app.path, "models/deep"), { recursive: true });
  await Deno.mkdir(join(app.path, "empty"));
  await Deno.writeTextFile(join(app.path, "main.py"), "print(1)");
  await Deno.writeTextFile(join(app.path, "models/deep/m"), "weights");
  await Deno.writeTextFile(join(outside.path, "secret"), "secret");
  await Deno.symlink(join(app.path, "main.py"), join(app.path, "link.py"));
  await Deno.symlink(join(outside.path, "secret"), join(app.path, "leak"));
  await Deno.symlink(app.path, join(app.path, "models/loop"));
  const source = createFolderSource(app.path);
  const stage = (entry: string) => stageFiles(parseStageEntries([entry]), source, session.path);

  assertEquals(await source.readText("main.py"), "print(1)");
  await stage("link.py:copy.py");
  await stage("models/deep/:m/");
  await stage("empty/");
  assertEquals(await tree(session.path), { "copy.py": "print(1)", "m/m": "weights" });
  assert((await Deno.lstat(join(session.path, "empty"))).isDirectory);
  await assertRejects(() => stage("leak"), WorkerError, "leads out of the folder");
  await assertRejects(() => stage("./"), WorkerError, "leads out of the folder");
  await assertRejects(() => stage("models"), WorkerError, "it is a folder");
  await assertRejects(() => stage("nothing"), WorkerError, "does not exist");
  await Deno.remove(join(app.path, "leak"));
  await assertRejects(() => stage("models/"), WorkerError, "deep");
});

/** The MD5 of a text, as storage tells it. */
function md5(content: string): string {
  return `"${createHash("md5").update(content).digest("hex")}"`;
}

Deno.test("stage: content that does not match its checksum is fetched again", async () => {
  await using server = startArtifactServer();
  server.files.set("f", bytes("right"));
  const answers = ["wrong", "right"];
  server.fault = () => new Response(answers.shift(), { headers: { etag: md5("right") } });
  await using session = await TemporaryFolder.make();
  await stageFiles(parseStageEntries(["f"]), sourceOf(server.url), session.path);
  assertEquals(await tree(session.path), { f: "right" });
  assertEquals(server.requests.length, 2);
});

Deno.test("stage: content that arrives damaged again and again is refused, and leaves nothing", async () => {
  await using server = startArtifactServer();
  let count = 0;
  server.fault = () => new Response(`wrong ${count++}`, { headers: { etag: md5("right") } });
  await using session = await TemporaryFolder.make();
  const error = await assertRejects(
    () => stageFiles(parseStageEntries(["f"]), sourceOf(server.url), session.path),
    WorkerError,
    "checksum",
  );
  assertEquals(error.code, "staging_failed");
  assertEquals(await tree(session.path), {});
});

Deno.test("stage: storage whose etags only look like checksums can be used", async () => {
  await using server = startArtifactServer();
  server.fault = () => new Response("same", { headers: { etag: md5("a key and the content") } });
  await using session = await TemporaryFolder.make();
  await stageFiles(parseStageEntries(["f"]), sourceOf(server.url), session.path);
  assertEquals(await tree(session.path), { f: "same" });
});

Deno.test("stage: more than the limit is refused before it is fetched, or where it gets beyond", async () => {
  await using server = startArtifactServer();
  for (const name of ["a", "b", "c"]) server.files.set(`d/${name}`, bytes("x".repeat(1000)));
  await using session = await TemporaryFolder.make();
  const stage = (entries: string[], maxBytes: number) =>
    stageFiles(parseStageEntries(entries), sourceOf(server.url), session.path, { maxBytes });
  const error = await assertRejects(() => stage(["d/"], 2999), WorkerError, "more than 3.0 KB");
  assertEquals([error.code, error.suggestion.includes("--max-stage-size")], [
    "staging_failed",
    true,
  ]);
  assert(server.requests.every((request) => request.path.includes("/files/d/?")));
  await assertRejects(() => stage(["d/a", "d/b", "d/c"], 2999), WorkerError, "more than");
  assertEquals(
    Object.keys(await tree(session.path)).filter((path) => path.includes(".stage-")),
    [],
  );
  await stage(["d/"], 3000);
});

Deno.test("stage: progress tells bytes, also within one large file", async () => {
  await using server = startArtifactServer();
  const content = new Uint8Array(3_000_000);
  server.files.set("d/f", content);
  server.fault = (path) => {
    if (path !== "d/f") return undefined;
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (sent >= content.length) return controller.close();
        await new Promise((resolve) => setTimeout(resolve, 100));
        controller.enqueue(content.subarray(sent, sent += 300_000));
      },
    });
    return new Response(body, { headers: { "content-length": String(content.length) } });
  };
  await using session = await TemporaryFolder.make();
  const progress: Progress[] = [];
  await stageFiles(parseStageEntries(["d/"]), sourceOf(server.url), session.path, {
    onProgress: (message) => progress.push(message),
  });
  const within = progress.filter((one) => one.bytes !== undefined && one.percent! < 100);
  assert(within.length > 0 && within.every((one) => one.bytes!.total === content.length));
  assertEquals(progress.at(-1)?.bytes, { done: content.length, total: content.length });
});

Deno.test("stage: nothing to stage touches nothing", async () => {
  assertEquals(await stageFiles([], createFolderSource("/nowhere"), "/nowhere"), []);
});
