/** Uploads into the artifact manager of a real Hypha server, and the rules of what is uploaded. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import type { Progress } from "../../lib/progress.ts";
import { createArtifactSource } from "../../lib/staging/artifact.ts";
import { ArtifactWriter, type ArtifactWriterOptions } from "../../lib/staging/artifact_writer.ts";
import { matchesPattern } from "../../lib/staging/glob.ts";
import { parseSaveEntries } from "../../lib/staging/save_entries.ts";
import {
  uploadFiles,
  type UploadItem,
  type UploadKind,
  type UploadOptions,
  type UploadSource,
} from "../../lib/staging/upload.ts";
import { startHypha } from "../stack/hypha.ts";
import { runPythonClient } from "../stack/python_client.ts";

type Content = Uint8Array<ArrayBuffer>;

const utf8 = new TextEncoder();

/** Files in memory; `others` are paths that are no files. */
function filesOf(
  files: Record<string, string | Content>,
  others: Record<string, Exclude<UploadKind, "file">> = {},
): UploadSource {
  const bytes = new Map(
    Object.entries(files).map(([path, content]) => [
      path,
      typeof content === "string" ? utf8.encode(content) : content,
    ]),
  );
  return {
    look: (path) => {
      const own = bytes.get(path);
      const other = others[path];
      if (own !== undefined) return Promise.resolve({ type: "file", size: own.byteLength });
      if (other !== undefined) return Promise.resolve({ type: other, size: 0 });
      const folder = [...bytes.keys()].some((one) => one.startsWith(`${path}/`));
      return Promise.resolve(folder ? { type: "directory" as const, size: 0 } : undefined);
    },
    walk: async function* (folder) {
      const prefix = folder === "" ? "" : `${folder}/`;
      for (const [path, { byteLength }] of bytes) {
        if (!path.startsWith(prefix)) continue;
        yield await Promise.resolve<UploadItem>({
          path: path.slice(prefix.length),
          type: "file",
          size: byteLength,
        });
      }
      for (const [path, type] of Object.entries(others)) {
        if (path.startsWith(prefix)) yield { path: path.slice(prefix.length), type };
      }
    },
    open: (path) => {
      const content = bytes.get(path)!;
      return Promise.resolve({
        size: content.byteLength,
        // In small pieces, as a session's files come.
        read: (offset, length) =>
          Promise.resolve(content.subarray(offset, offset + Math.min(length, 1024 * 1024))),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      });
    },
  };
}

Deno.test("patterns: what they match", () => {
  const cases: [string, string[], string[]][] = [
    ["*.csv", ["a.csv", "ü.csv"], ["a.txt", "d/a.csv", ".a.csv", "a.csv.gz"]],
    ["**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"], ["d/a.txt", ".d/a.csv"]],
    ["run-?/out", ["run-1/out"], ["run-10/out", "run-/out", "run-1/x/out"]],
    ["run*/**", ["run1/a", "run1/b/c"], ["run1", "other/a"]],
    ["**", ["a", "b/c"], [".a", "b/.c"]],
    [".*", [".a"], ["a"]],
    ["a[1].csv", ["a[1].csv"], ["a1.csv"]],
    ["a**b", ["ab", "axb"], ["a/b"]],
  ];
  for (const [pattern, yes, no] of cases) {
    for (const path of yes) assert(matchesPattern(pattern, path), `${pattern} matches ${path}`);
    for (const path of no) assert(!matchesPattern(pattern, path), `${pattern} but not ${path}`);
  }
});

Deno.test("patterns: the time of a match is bounded by the lengths, whatever the pattern", () => {
  // Backtracking over all stars would take longer than the age of the universe.
  const pattern = `${"a*".repeat(60)}b`;
  assert(!matchesPattern(pattern, "a".repeat(255)));
  assert(!matchesPattern(`${"**/a/".repeat(60)}b`, "a/".repeat(200) + "c"));
});

Deno.test("save entries: their forms", () => {
  const parsed = (entry: string) => {
    const [one] = parseSaveEntries([entry]);
    return [one?.kind, one?.source, one?.pattern, one?.target];
  };
  assertEquals(parsed("a.csv"), ["file", "a.csv", undefined, "a.csv"]);
  assertEquals(parsed("r/"), ["folder", "r", undefined, "r"]);
  assertEquals(parsed("./"), ["folder", "", undefined, ""]);
  assertEquals(parsed("a.csv:b/c.csv"), ["file", "a.csv", undefined, "b/c.csv"]);
  assertEquals(parsed("d/a.csv:b/"), ["file", "d/a.csv", undefined, "b/a.csv"]);
  assertEquals(parsed("r/:s/"), ["folder", "r", undefined, "s"]);
  assertEquals(parsed("r/*.csv"), ["pattern", "r", "*.csv", "r"]);
  assertEquals(parsed("r/x*/y/*.csv:t/"), ["pattern", "r", "x*/y/*.csv", "t"]);
  assertEquals(parsed("run*/"), ["pattern", "", "run*/**", ""]);
  for (
    const [entry, words] of [
      ["../a", '".."'],
      ["a:../b", '".."'],
      ["/a", "absolute"],
      [
        "a:b:c",
        "ambiguous",
      ],
      ["a:*", "pattern"],
      [":b", "no source"],
      ["a:", "no target"],
    ] as const
  ) {
    assertThrows(() => parseSaveEntries([entry]), WorkerError, words);
  }
  assertThrows(() => parseSaveEntries([1]), WorkerError, "files_to_save[0]");
  assertThrows(() => parseSaveEntries({}), WorkerError, "list of texts");
});

const CREATE = `
import asyncio, json, os
from hypha_rpc import connect_to_server

async def main():
    server = await connect_to_server({"server_url": os.environ["URL"], "token": os.environ["TOKEN"],
        "workspace": os.environ["WORKSPACE"]})
    manager = await server.get_service("public/artifact-manager")
    for alias in json.loads(os.environ["ALIASES"]):
        artifact = await manager.create(alias=alias, type="generic", manifest={"name": alias}, stage=True)
        if not alias.startswith("draft"):
            await manager.commit(artifact.id)
    await server.disconnect()
asyncio.run(main())
`;

Deno.test("uploads into a real artifact manager", async (t) => {
  await using hypha = await startHypha();
  const workspace = hypha.workspaceOf("user-1");
  const token = await hypha.userToken({ user: "user-1" });
  const foreign = await hypha.userToken({ user: "user-2" });
  const aliases = [
    "out",
    "many",
    "large",
    "shared",
    "raced",
    "failing",
    "stopped",
    "draft",
    "crowd",
  ];
  const { code, stderr } = await runPythonClient(CREATE, {
    env: {
      URL: hypha.url,
      TOKEN: token,
      WORKSPACE: workspace,
      ALIASES: JSON.stringify(aliases),
    },
  });
  assertEquals(code, 0, stderr.slice(-2000));
  const writerTo = (alias: string, more: Partial<ArtifactWriterOptions> = {}) =>
    new ArtifactWriter({ serverUrl: hypha.url, workspace, alias, token, backOff: 5, ...more });
  const readerOf = (alias: string) =>
    createArtifactSource({ serverUrl: hypha.url, workspace, alias, token });
  const upload = (
    alias: string,
    entries: string[],
    source: UploadSource,
    options: UploadOptions = {},
    more: Partial<ArtifactWriterOptions> = {},
  ) => uploadFiles(parseSaveEntries(entries), source, writerTo(alias, more), options);
  const names = async (alias: string, folder = ""): Promise<string[]> => {
    try {
      const items = await Array.fromAsync(readerOf(alias).list(folder));
      return items.map((item) => item.name).sort();
    } catch (error) {
      assert(String(error).includes("does not exist or is empty"), String(error));
      return [];
    }
  };

  await t.step("all forms arrive under their names, odd ones too, and are visible", async () => {
    const odd = "results/ünï cöde/50% #1?+&:='.txt";
    const files = filesOf({
      "a.csv": "1,2",
      "results/x.csv": "x",
      "results/y.csv": "y",
      "results/deep/z.csv": "z",
      "results/notes.txt": "no",
      [odd]: "odd",
      "empty": "",
    });
    const progress: Progress[] = [];
    const result = await upload(
      "out",
      ["a.csv", "results/*.csv:tables/", "results/ünï cöde/", "a.csv:copy/", "empty"],
      files,
      { onProgress: (one) => progress.push(one) },
    );
    assertEquals(result.committed, true);
    assertEquals(result.artifact_id, `${workspace}/out`);
    assertEquals(result.files.map((file) => file.path).sort(), [
      "a.csv",
      "copy/a.csv",
      "empty",
      odd,
      "tables/x.csv",
      "tables/y.csv",
    ]);
    assertEquals(result.bytes, 11);
    for (const { path, source } of result.files) {
      const content = { "a.csv": "1,2", [odd]: "odd", empty: "" }[source] ??
        source.slice(8, 9);
      assertEquals(await readerOf("out").readText(path), content);
    }
    assertEquals(progress.at(-1)?.bytes, { done: 11, total: 11 });
    await upload("out", ["a.csv"], filesOf({ "a.csv": "replaced" }));
    assertEquals(await readerOf("out").readText("a.csv"), "replaced");
    assertEquals(await names("out"), ["a.csv", "copy", "empty", "results", "tables"]);
  });

  await t.step("files that go in parts arrive whole, under odd names too", async () => {
    const part = 5 * 1024 * 1024;
    const content = new Uint8Array(2 * part + 12345);
    for (let i = 0; i < content.length; i += 4099) content[i] = i * 7;
    const progress: Progress[] = [];
    const odd = "d/50% #1?&=+.bin";
    const files = filesOf({ "d/b ü": content, [odd]: content });
    await upload("large", ["d/b ü:big/b ü.bin", "d/"], files, {
      onProgress: (one) => progress.push(one),
    }, { pieceSize: part });
    for (const path of ["big/b ü.bin", odd]) {
      const file = await readerOf("large").open(path);
      assertEquals(await new Response(file.body).bytes(), content);
    }
    assertEquals(progress.at(-1)?.bytes?.done, 3 * content.length);
  });

  await t.step("an entry without a file refuses all, or is skipped, as asked", async () => {
    const files = filesOf({ "a": "1", "d/b": "2" }, { "link": "link", "d/pipe": "other" });
    for (
      const [entry, words] of [
        ["none", "does not exist"],
        ["none/", "does not exist"],
        [
          "d",
          'it is a folder; write "d/"',
        ],
        ["link", "it is a link"],
        ["a/", "not a folder"],
        ["none/*", "no file matches"],
      ]
    ) {
      const error = await assertRejects(
        () => upload("out", ["a:never", entry!], files),
        WorkerError,
        words,
      );
      assertEquals(error.code, "file_not_found");
      assert(error.message.includes(JSON.stringify(entry)), error.message);
    }
    assert(!(await names("out")).includes("never"));
    const result = await upload("out", ["a:kept", "none", "d/:dd/", "x*"], files, {
      missing: "skip",
    });
    assertEquals(result.files.map((file) => file.path), ["kept", "dd/b"]);
    assertEquals(result.skipped.map((one) => one.path), ["none", "d/pipe", "x*"]);
    assert((await names("out")).includes("kept"));
  });

  await t.step("nothing to upload does not touch the artifact", async () => {
    const result = await upload("nowhere", ["*.none"], filesOf({ a: "1" }));
    assertEquals([result.files, result.committed], [[], true]);
  });

  await t.step("refusals of the server are typed and name file and artifact", async () => {
    const files = filesOf({ a: "1" });
    const cases: [string, Partial<ArtifactWriterOptions>, string][] = [
      ["none", {}, "the artifact does not exist"],
      ["out", { token: foreign }, "permission denied"],
      ["out", { token: "no.such.token" }, "does not accept the token"],
      ["out", { token: undefined }, "permission denied"],
      ["out", { serverUrl: "http://127.0.0.1:9", attempts: 1 }, "Cannot upload to artifact"],
    ];
    for (const [alias, more, words] of cases) {
      const error = await assertRejects(
        () => upload(alias, ["a"], files, {}, more),
        WorkerError,
        words,
      );
      assertEquals(error.code, "upload_failed");
      assert(error.message.includes(`${workspace}/${alias}`), error.message);
      assert(!error.message.includes(token) && !error.message.includes("Traceback"));
    }
  });

  await t.step("uploads of several sessions at once all arrive", async () => {
    const sessions = Array.from({ length: 6 }, (_, n) => n);
    const results = await Promise.all(
      sessions.map((n) =>
        upload("many", [`s${n}/`], filesOf({ [`s${n}/a`]: `${n}`, [`s${n}/b`]: `${n}` }))
      ),
    );
    assert(results.every((result) => result.committed));
    assertEquals(await names("many"), sessions.map((n) => `s${n}`));
  });

  await t.step("who waits for another upload can give up, and lets nobody pass", async () => {
    const order: string[] = [];
    const begun = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const held = (name: string, until?: Promise<void>): UploadSource => {
      const files = filesOf({ [name]: name });
      return {
        ...files,
        open: async (path) => {
          order.push(`${name} begins`);
          begun.resolve();
          await until;
          order.push(`${name} goes on`);
          return await files.open(path);
        },
      };
    };
    const first = upload("many", ["first"], held("first", release.promise));
    await begun.promise;
    const stop = new AbortController();
    const second = upload("many", ["second"], held("second"), { signal: stop.signal });
    const third = upload("many", ["third"], held("third"));
    stop.abort(new Error("gave up"));
    await assertRejects(() => second, Error, "gave up");
    release.resolve();
    await Promise.all([first, third]);
    assertEquals(order, ["first begins", "first goes on", "third begins", "third goes on"]);
  });

  await t.step("changes of somebody else are not committed, and take the files along", async () => {
    const other = writerTo("shared");
    await other.stage();
    const progress: Progress[] = [];
    const result = await upload("shared", ["a"], filesOf({ a: "1" }), {
      onProgress: (one) => progress.push(one),
    });
    assertEquals(result.committed, false);
    assert(progress.some((one) => one.type === "warning" && one.message.includes("other changes")));
    assertEquals(await other.staged(), true);
    await other.commit();
    assertEquals(await readerOf("shared").readText("a"), "1");
    const draft = await upload("draft", ["a"], filesOf({ a: "1" }));
    assertEquals(draft.committed, false);
  });

  await t.step("many files do not cost a request to the artifact manager each", async () => {
    const files = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`f/${n}`, `${n}`]));
    const asked: string[] = [];
    const counting: typeof fetch = (input, init) => {
      const { pathname } = new URL(String(input));
      if (!pathname.startsWith("/s3/")) asked.push(pathname);
      return fetch(input, init);
    };
    const result = await upload("crowd", ["f/"], filesOf(files), {}, { fetch: counting });
    assertEquals([result.files.length, result.committed], [300, true]);
    assertEquals((await names("crowd", "f")).length, 300);
    assertEquals(await readerOf("crowd").readText("f/217"), "217");
    assert(asked.length < 10, asked.join("\n"));
  });

  await t.step("addresses out of reach are done without", async () => {
    const unreachable: typeof fetch = (input, init) =>
      new URL(String(input)).pathname.startsWith("/s3/")
        ? Promise.reject(new TypeError("out of reach on purpose"))
        : fetch(input, init);
    const files = filesOf({ "u/1": "1", "u/2": "2", "u/3": "3" });
    await upload("out", ["u/"], files, {}, { fetch: unreachable, attempts: 2 });
    assertEquals(await names("out", "u"), ["1", "2", "3"]);
  });

  await t.step("an upload whose staging somebody else ends begins anew", async () => {
    const writer = writerTo("raced");
    let disturbed = false;
    const files = filesOf({ a: "1", b: "2" });
    const source: UploadSource = {
      ...files,
      open: async (path) => {
        if (path === "b" && !disturbed) {
          disturbed = true;
          await writer.discard();
        }
        return await files.open(path);
      },
    };
    const result = await upload("raced", ["a", "b"], source, { concurrency: 1 });
    assertEquals(result.committed, true);
    assertEquals(await names("raced"), ["a", "b"]);
  });

  await t.step("an upload that fails or is cancelled leaves the artifact as it was", async () => {
    await upload("failing", ["a"], filesOf({ a: "before" }));
    const files = filesOf({ a: "after", b: "new" });
    const broken: UploadSource = {
      ...files,
      open: async (path) => {
        const file = await files.open(path);
        return path === "b"
          ? { ...file, size: 100, [Symbol.asyncDispose]: () => Promise.resolve() }
          : file;
      },
    };
    const error = await assertRejects(
      () => upload("failing", ["a", "b"], broken, { concurrency: 1 }),
      WorkerError,
      '"b" to artifact',
    );
    assert(error.message.includes("became shorter"), error.message);
    assertEquals(await writerTo("failing").staged(), false);
    assertEquals(await names("failing"), ["a"]);
    assertEquals(await readerOf("failing").readText("a"), "before");

    const stop = new AbortController();
    const stopping: UploadSource = {
      ...files,
      open: async (path) => {
        if (path === "b") stop.abort(new Error("stopped by test"));
        return await files.open(path);
      },
    };
    await assertRejects(
      () => upload("stopped", ["a", "b"], stopping, { concurrency: 1, signal: stop.signal }),
      Error,
      "stopped by test",
    );
    assertEquals(await writerTo("stopped").staged(), false);
    assertEquals(await names("stopped"), []);
  });

  await t.step("lost requests are sent again", async () => {
    let count = 0;
    const unreliable: typeof fetch = (input, init) => {
      count++;
      return count % 2 === 1
        ? Promise.reject(new TypeError("lost on purpose"))
        : fetch(input, init);
    };
    const result = await upload("out", ["again"], filesOf({ again: "yes" }), {}, {
      fetch: unreliable,
    });
    assertEquals(result.committed, true);
    assertEquals(await readerOf("out").readText("again"), "yes");
    assert(count >= 8);
  });
});
