import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { NOBODY, Users, UserTable } from "../../lib/environments/users.ts";

/** A directory for notes. */
async function withDirectory(
  test: (layout: { users: string }) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "users-" });
  try {
    await test({ users: join(directory, "users") });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function files(layout: { users: string }): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(layout.users))).map(({ name }) => name);
}

/** A process under the worker's permissions that uses `place` until it is killed. */
async function otherProcess(layout: { users: string }, place: string): Promise<Deno.ChildProcess> {
  const module = new URL("../../lib/environments/users.ts", import.meta.url).href;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const code = `import { Users, UserTable } from ${JSON.stringify(module)};
new Users(${JSON.stringify(layout)}).enter(${JSON.stringify(place)});
await UserTable.read(${JSON.stringify(layout)});
console.log("in");
setInterval(() => {}, 1000);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ..."run --quiet --no-prompt --allow-read --allow-write --allow-sys=hostname".split(" "),
      `--config=${config}`,
      `data:application/typescript,${encodeURIComponent(code)}`,
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  return child;
}

Deno.test("users and builders of an environment are told apart, each process once", async () => {
  await withDirectory(async (layout) => {
    const holders = async (place: string) => (await UserTable.read(layout)).holders(place);
    assertEquals(await holders("a"), NOBODY);
    const users = new Users(layout);
    const [first, second] = [users.enter("a"), users.enter("a")];
    const building = users.enter("b", "build");
    assertEquals(await holders("a"), { users: [Deno.pid], owner: undefined });
    assertEquals(await holders("b"), { users: [], owner: Deno.pid });
    assertEquals((await files(layout)).length, 2);
    await first();
    await first();
    assertEquals((await holders("a")).users, [Deno.pid]);
    await second();
    assertEquals(await holders("a"), NOBODY);
    await building();
    assertEquals(await files(layout), []);
    users.enter("c");
    await users.close();
    assertEquals(await files(layout), []);
  });
});

Deno.test("a killed process is no user any more, and its note is removed by whoever finds it", async () => {
  await withDirectory(async (layout) => {
    const child = await otherProcess(layout, "a");
    const holders = async () => (await UserTable.read(layout)).holders("a");
    const users = new Users(layout);
    const leave = users.enter("a");
    assertEquals((await holders()).users, [Deno.pid, child.pid].sort((a, b) => a - b));
    child.kill("SIGKILL");
    await child.status;
    await child.stdout.cancel();
    assertEquals((await files(layout)).length, 2);
    assertEquals((await holders()).users, [Deno.pid]);
    assertEquals((await files(layout)).length, 1);
    await leave();
  });
});

Deno.test("users elsewhere are not taken for processes of this machine", async () => {
  await withDirectory(async (layout) => {
    await Deno.mkdir(layout.users);
    const path = join(layout.users, "other.json");
    const note = { place: "a", role: "use", pid: 1, host: "another-machine", since: "" };
    await Deno.writeTextFile(path, JSON.stringify(note));
    using file = await Deno.open(path);
    await file.lock(true);
    assertEquals((await UserTable.read(layout)).holders("a"), NOBODY);
    assertEquals(await files(layout), ["other.json"]);
  });
});

Deno.test("drafts of killed writers go, those being written stay, and so does what is not ours", async () => {
  await withDirectory(async (layout) => {
    await Deno.mkdir(layout.users);
    for (const name of ["old.json.tmp", "new.json.tmp", "README"]) {
      await Deno.writeTextFile(join(layout.users, name), "");
    }
    const ago = new Date(Date.now() - 120_000);
    await Deno.utime(join(layout.users, "old.json.tmp"), ago, ago);
    await UserTable.read(layout);
    assertEquals((await files(layout)).sort(), ["README", "new.json.tmp"]);
  });
});

Deno.test("where nothing can be written nothing is noted, and nothing fails", async () => {
  const users = new Users({ users: "/proc/nothing" });
  const leave = users.enter("a");
  await leave();
  assertEquals((await UserTable.read({ users: "/nowhere" })).holders("a"), NOBODY);
});
