/** A session's files from outside, with real Pythons on both sides; the hostile code is the session's. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { dirname, join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { FileProcess } from "../../lib/interpreter/file_process.ts";
import type { Interpreter } from "../../lib/interpreter/interpreter.ts";
import { SessionFiles } from "../../lib/worker/session_files.ts";
import { randomNumbers } from "../worker/support.ts";
import { alive, type Kernel, suite, valueOf } from "./harness.ts";
import { until } from "../wait.ts";

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Access to a session's files, and where they are. */
async function filesOf(
  session: Interpreter,
  kernel: Kernel,
  more: { idleTime?: number; confined?: boolean } = {},
) {
  const work = (await valueOf(session, "import os; os.getcwd()"))!.slice(1, -1);
  const processes: FileProcess[] = [];
  const files = new SessionFiles({
    session: "w/s",
    idleTime: more.idleTime ?? 30_000,
    start: async () => {
      const process = await FileProcess.start(kernel.server, kernel.switchboard, {
        directory: dirname(work),
        folder: "work",
        confined: more.confined ?? true,
      });
      processes.push(process);
      return process;
    },
  });
  return { files, work, processes };
}

async function refusal(call: () => Promise<unknown>, code: string, words: string): Promise<void> {
  const error = await assertRejects(call, WorkerError, words);
  assertEquals(error.code, code, error.message);
}

await suite("files", {
  "what is written is there for the code, and what the code writes can be read": async (
    session,
    kernel,
  ) => {
    const { files } = await filesOf(session, kernel);
    await using _files = files;
    const odd = "ünï cöde/50% #1?:[x] 'q'.txt";
    assertEquals(await files.write(odd, utf8.encode("hällo")), 6);
    assertEquals(await valueOf(session, `open(${JSON.stringify(odd)}).read()`), "'hällo'");
    assertEquals(await files.write(odd, utf8.encode("!"), true), 7);
    await session.execute(`open("b", "wb").write(bytes(range(256)))`);
    const { bytes, size } = await files.read("b", 0, 1000);
    assertEquals([size, bytes], [256, Uint8Array.from({ length: 256 }, (_, i) => i)]);
    assertEquals((await files.read("b", 250, 3)).bytes, new Uint8Array([250, 251, 252]));
    assertEquals((await files.read("b", 300, 3)).bytes.length, 0);
    assertEquals(text((await files.read(odd, 0, 100)).bytes), "hällo!");
  },

  "files of many megabytes go both ways whole": async (session, kernel) => {
    const { files } = await filesOf(session, kernel);
    await using _files = files;
    const content = new Uint8Array(5 * 1024 * 1024 + 17).map((_, index) => index * 31 >> 3);
    assertEquals(await files.write("deep/er/big", content), content.length);
    const { bytes } = await files.read("deep/er/big", 0, content.length);
    assertEquals(bytes, content);
    await session.execute(`f = open("sparse", "wb"); f.truncate(1 << 40); f.close()`);
    const part = await files.read("sparse", (1 << 30) * 512, 3);
    assertEquals([part.size, part.bytes], [2 ** 40, new Uint8Array(3)]);
  },

  "a listing tells what is there, below folders too, page by page": async (session, kernel) => {
    const { files } = await filesOf(session, kernel);
    await using _files = files;
    await session.execute(`
import os
os.makedirs("a/b"); os.makedirs("empty")
for n in range(25): open("a/b/f%02d" % n, "w").write("x" * n)
open("top", "w").close(); os.symlink("top", "link"); os.symlink("/etc", "out"); os.mkfifo("pipe")
open(b"bad\\xff", "w").close()`);
    const { items, more } = await files.list("");
    assertEquals(more, false);
    assertEquals(items.map((item) => `${item.type} ${item.path}`), [
      "directory a",
      "file bad�",
      "directory empty",
      "link link",
      "link out",
      "other pipe",
      "file top",
    ]);
    assertEquals(items[4]?.target, "/etc");
    const below = (await files.list("a", { recursive: true })).items;
    assertEquals(below.length, 26);
    assertEquals([below[1]?.path, below[25]?.path, below[25]?.size], ["b/f00", "b/f24", 24]);
    const paged: string[] = [];
    for (let offset = 0;; offset += 10) {
      const page = await files.list("a", { recursive: true, offset, limit: 10 });
      paged.push(...page.items.map((item) => item.path));
      if (!page.more) break;
    }
    assertEquals(paged, below.map((item) => item.path));
    await session.execute(`for n in range(4100): open("empty/%05d" % n, "w").close()`);
    const walked = (await Array.fromAsync(files.walk(""))).map((item) => item.path);
    assertEquals(walked.length, items.length + below.length + 4100);
    assertEquals(walked.toSorted(), [...new Set(walked)].toSorted());
    // One that is not read to its end holds nothing open.
    for (let round = 0; round < 100; round++) {
      for await (const _item of files.walk("")) break;
    }
    await refusal(() => Array.fromAsync(files.walk("link")), "file_refused", "it is a link");
    // What cannot be listed is not what cannot be there.
    assert(!below.some((item) => item.path.startsWith("passwd")));
  },

  "what is no regular file is refused at once, and the refusal says what it is": async (
    session,
    kernel,
  ) => {
    const { files, work } = await filesOf(session, kernel);
    await using _files = files;
    await Deno.writeTextFile(join(dirname(dirname(work)), "secret"), "secret");
    await session.execute(`
import os, socket
os.mkfifo("pipe"); os.mkdir("folder"); open("folder/inner", "w").close(); open("plain", "w").close()
os.symlink("../../secret", "link"); os.symlink("folder", "way"); os.symlink("nowhere", "loose")
socket.socket(socket.AF_UNIX).bind("socket")`);
    const read = (path: string) => () => files.read(path, 0, 10);
    const write = (path: string, append: boolean) => () =>
      files.write(path, new Uint8Array(1), append);
    await refusal(read("none"), "file_not_found", "does not exist");
    await refusal(read("folder"), "file_refused", "it is a folder");
    await refusal(read("pipe"), "file_refused", "not a regular file");
    await refusal(read("socket"), "file_refused", "not a regular file");
    await refusal(read("link"), "file_refused", 'it is a link to "../../secret"');
    await refusal(read("way/inner"), "file_refused", 'it is a link to "folder"');
    await refusal(read("plain/x"), "file_refused", "a part of its path is not a folder");
    await refusal(write("way/new", false), "file_refused", "it is a link");
    await refusal(write("plain/x", false), "file_refused", "not a folder");
    await refusal(write("folder", false), "file_refused", "it is a folder");
    for (const path of ["pipe", "socket", "folder", "link", "loose"]) {
      await refusal(write(path, true), "file_refused", "it is");
    }
    await refusal(() => files.list("way"), "file_refused", "it is a link");
    await refusal(() => files.list("plain"), "file_refused", "not a folder");
    await refusal(() => files.remove("folder"), "file_refused", "not empty");
    for (const path of ["../x", "/etc/passwd", "a/../../x", "a//b", "a\\b", "a\0b", "\ud800", ""]) {
      await refusal(read(path), "invalid_argument", "Cannot read");
      await refusal(write(path, true), "invalid_argument", "Cannot write");
      await refusal(() => files.remove(path, true), "invalid_argument", "Cannot remove");
    }
    // Replacing a link or a pipe writes what it was, not where it led.
    await files.write("link", utf8.encode("new"));
    await files.write("pipe", utf8.encode("new"));
    assertEquals(await Deno.readTextFile(join(dirname(dirname(work)), "secret")), "secret");
    assertEquals(await Deno.readTextFile(join(work, "pipe")), "new");
    await files.remove("way");
    await files.remove("folder/", true);
    assertEquals((await files.list("")).items.map((item) => item.path), [
      "link",
      "loose",
      "pipe",
      "plain",
      "socket",
    ]);
  },

  "1000 hostile paths end as typed errors, or stay inside": async (session, kernel) => {
    const { files, work } = await filesOf(session, kernel);
    await using _files = files;
    const directory = dirname(work);
    await Deno.writeTextFile(join(directory, "victim"), "victim");
    await session.execute(`
import os
os.symlink("..", "up"); os.symlink("/", "root"); os.symlink("../victim", "victim"); os.mkdir("d")`);
    const parts = ["..", ".", "", "d", "up", "root", "victim", "a", "\0", "\\", " ", "~", "%2e%2e"];
    const more = [
      "...",
      "..\u202e",
      "etc",
      "\u2025",
      "\uff0e\uff0e",
      "\ud800",
      "x".repeat(260),
      "-rf",
      "\n",
      "C:",
    ];
    const random = randomNumbers(7);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const before = await outside(directory);
    const codes = new Map<string, number>();
    for (let round = 0; round < 1000; round++) {
      const length = 1 + Math.floor(random() * 4);
      const path = Array.from({ length }, () => pick([...parts, ...parts, ...more])).join("/");
      const call = pick([
        () => files.read(path, 0, 10),
        () => files.write(path, utf8.encode("x")),
        () => files.write(path, utf8.encode("x"), true),
        () => files.list(path, { recursive: true }),
        () => files.look(path),
        () => files.remove(`${path}/a`, true),
      ]);
      const code = await call().then(() => "done", (error) => {
        assert(error instanceof WorkerError, `${JSON.stringify(path)}: ${error}`);
        return error.code;
      });
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    assertEquals(await outside(directory), before);
    assertEquals([...codes.keys()].sort(), [
      "done",
      "file_not_found",
      "file_refused",
      "invalid_argument",
    ]);
  },

  "names longer than the system allows are refused": async (session, kernel) => {
    const { files } = await filesOf(session, kernel);
    await using _files = files;
    await assertRejects(() => files.write("x".repeat(300), new Uint8Array(0)), WorkerError);
    await refusal(
      () => files.read("x/".repeat(3000) + "y", 0, 1),
      "invalid_argument",
      "longer than",
    );
  },

  "a replaced file keeps its permissions, and nobody sees it half-written": async (
    session,
    kernel,
  ) => {
    const { files, work } = await filesOf(session, kernel);
    await using _files = files;
    await session.execute(`
import os
open("script.sh", "w").write("old" * 1000); os.chmod("script.sh", 0o750)
old = open("script.sh")`);
    await files.write("script.sh", utf8.encode("new"));
    assertEquals((await Deno.stat(join(work, "script.sh"))).mode! & 0o777, 0o750);
    assertEquals(await valueOf(session, "len(old.read())"), "3000");
    assertEquals((await files.list("")).items.length, 1);
  },

  "files can be reached while a cell runs, and after the session's Python has died": async (
    session,
    kernel,
  ) => {
    const { files } = await filesOf(session, kernel);
    await using _files = files;
    const cell = session.execute(`
import os, time
open("begun", "w").write("1")
while not os.path.exists("go"): time.sleep(0.005)
open("seen", "w").write(open("go").read())
os._exit(3)`);
    await until(async () => (await files.list("")).items.some((item) => item.path === "begun"));
    await files.write("go", utf8.encode("from outside"));
    await cell;
    await session.exited;
    assertEquals(text((await files.read("seen", 0, 100)).bytes), "from outside");
  },

  "the process ends when nothing is asked of it, and starts again when something is": async (
    session,
    kernel,
  ) => {
    const { files, processes } = await filesOf(session, kernel, { idleTime: 20 });
    await files.write("a", utf8.encode("1"));
    await until(() => processes[0]!.ended);
    assertEquals(text((await files.read("a", 0, 1)).bytes), "1");
    assertEquals(processes.length, 2);
    await files[Symbol.asyncDispose]();
    assert(processes.every((process) => process.ended));
    await refusal(() => files.read("a", 0, 1), "session_not_ready", "its files are gone");
    await refusal(() => files.list(""), "session_not_ready", "its files are gone");
  },

  "a process that was killed is replaced, and nothing is left of one": async (session, kernel) => {
    const { files, processes } = await filesOf(session, kernel);
    await files.write("a", utf8.encode("1"));
    const children = await childrenOf(session.pid);
    assertEquals(children.length, 1);
    Deno.kill(children[0]!, "SIGKILL");
    await until(() => processes[0]!.ended);
    assertEquals(text((await files.read("a", 0, 1)).bytes), "1");
    const [other] = await childrenOf(session.pid);
    await files[Symbol.asyncDispose]();
    assert(!await alive(other!));
  },
});

/** What is in a session's directory beside its working directory, and around it. */
async function outside(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of [directory, dirname(directory)]) {
    for await (const { name } of Deno.readDir(folder)) {
      const path = join(folder, name);
      const info = await Deno.lstat(path);
      found.push(`${path} ${info.isFile ? await Deno.readTextFile(path) : ""}`);
    }
  }
  return found.sort();
}

/** The other children of a session's fork server. */
async function childrenOf(pid: number): Promise<number[]> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const server = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
  const list = await Deno.readTextFile(`/proc/${server}/task/${server}/children`);
  return list.trim().split(" ").map(Number).filter((child) => child !== pid);
}

/** Swaps folders and files for links that lead out, as fast as it can, until a file `stop` is there. */
const SWAPPER = `
import os, shutil
def clear(name):
    if os.path.islink(name) or os.path.isfile(name): os.unlink(name)
    elif os.path.isdir(name): shutil.rmtree(name)
def prepare(outside):
    for name in ("d", "f", "real", "evil", "evil_f", "plain_f"): clear(name)
    os.mkdir("real")
    for name in ("real/f", "plain_f"):
        with open(name, "w") as file: file.write("inside")
    os.symlink(outside, "evil")
    os.symlink(outside + "/f", "evil_f")
def swap(outside, whole):
    for name, good, bad in (("d", "real", "evil"), ("f", "plain_f", "evil_f")):
        os.rename(good, name)
        for _ in range(2000): pass
        os.rename(name, good)
        os.rename(bad, name)
        for _ in range(500): pass
        os.rename(name, bad)
    if whole:
        # The working directory itself.
        os.rename("../work", "../kept"); os.symlink(outside, "../work")
        os.unlink("../work"); os.rename("../kept", "../work")
def swapper(outside):
    count = 0
    ready = False
    while not os.path.exists("stop"):
        try:
            if not ready: prepare(outside)
            ready = True
            swap(outside, count % 4 == 0)
            count += 1
        except OSError:
            # What was written from outside is in the way.
            ready = False
    return count
`;

for (const confined of [true, false]) {
  const how = confined ? "confined by the kernel" : "by its own care";
  await suite(`files, ${how}`, {
    "no swap of links lets a request out of the session's directory": async (session, kernel) => {
      const { files, work } = await filesOf(session, kernel, { confined });
      await using _files = files;
      const outside = await Deno.makeTempDir({ prefix: "outside-" });
      try {
        await Deno.writeTextFile(join(outside, "f"), "outside");
        await Deno.mkdir(join(outside, "sub"));
        await session.execute(SWAPPER);
        const cell = session.execute(`swapper(${JSON.stringify(outside)})`);
        let done = 0;
        let refused = 0;
        const attempt = async (work: () => Promise<unknown>) => {
          try {
            await work();
            done++;
          } catch (error) {
            assert(error instanceof WorkerError, String(error));
            assert(error.code === "file_refused" || error.code === "file_not_found", error.message);
            refused++;
          }
        };
        for (let round = 0; round < 200; round++) {
          for (const path of ["d/f", "f"]) {
            await attempt(async () => {
              const { bytes } = await files.read(path, 0, 100);
              assert(text(bytes) !== "outside", `read ${path} from outside`);
            });
            await attempt(() => files.write(path, utf8.encode("inside")));
            await attempt(() => files.write(path, utf8.encode(""), true));
          }
          await attempt(() => files.write(`d/new/${round}`, utf8.encode("inside")));
          await attempt(() => files.remove("d/sub", true));
          for (const folder of ["d", ""]) {
            await attempt(async () => {
              const { items } = await files.list(folder, { recursive: true });
              assert(!items.some((item) => /(^|\/)sub$/.test(item.path)), "listed the outside");
            });
          }
        }
        await until(async () => {
          await attempt(() => files.write("stop", utf8.encode("")));
          return await exists(join(work, "stop"));
        });
        const result = await cell;
        assert(done > 100 && refused > 100, `${done} done, ${refused} refused: no race was run`);
        assertEquals(result.error, undefined);
        const [value] = result.outputs.slice(-1);
        assert(value?.type === "execute_result" && Number(value.data["text/plain"]) > 100);
        const left = [...await Array.fromAsync(Deno.readDir(outside))].map((entry) => entry.name);
        assertEquals(left.sort(), ["f", "sub"]);
        assertEquals(await Deno.readTextFile(join(outside, "f")), "outside");
      } finally {
        await Deno.remove(outside, { recursive: true });
      }
    },
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
