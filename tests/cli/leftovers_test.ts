import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { exists } from "@std/fs";
import { clearTemporary, occupy, occupySessions } from "../../lib/cli/leftovers.ts";
import { silentLogger } from "../../lib/log.ts";

/** A temporary directory with directories in it. */
async function place(...names: string[]) {
  const root = await Deno.makeTempDir({ prefix: "leftovers-" });
  for (const name of names) await Deno.mkdir(join(root, name), { recursive: true });
  return {
    root,
    path: (name: string) => join(root, name),
    has: (name: string) => exists(join(root, name)),
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

Deno.test("temporary directories of killed workers go, those of living ones and of others stay", async () => {
  await using dir = await place(
    "hypha_sessions_dead/session-0/work",
    "hypha_sockets_alive",
    "hypha_runtime_new",
    "somebody_elses",
  );
  (await occupy(dir.path("hypha_sessions_dead")))[Symbol.dispose]();
  await Deno.writeTextFile(dir.path("somebody_elses/.lock"), "");
  {
    using _alive = await occupy(dir.path("hypha_sockets_alive"));
    await clearTemporary([dir.root, dir.root, join(dir.root, "missing")], silentLogger);
  }
  assertEquals(await dir.has("hypha_sessions_dead"), false);
  for (const name of ["hypha_sockets_alive", "hypha_runtime_new", "somebody_elses"]) {
    assertEquals(await dir.has(name), true, name);
  }
});

Deno.test("a directory that is being taken is not taken for one that was left", async () => {
  await using dir = await place();
  let over = false;
  const others = Promise.all([1, 2, 3].map(async () => {
    while (!over) await clearTemporary([dir.root], silentLogger);
  }));
  try {
    for (let count = 0; count < 300; count++) {
      const path = dir.path(`hypha_sessions_${count}`);
      await Deno.mkdir(path);
      using _mine = await occupy(path);
      assertEquals(await dir.has(`hypha_sessions_${count}`), true);
    }
  } finally {
    over = true;
    await others;
  }
});

Deno.test("links are not followed when leftovers are removed", async () => {
  await using dir = await place("hypha_sessions_dead", "elsewhere/precious");
  await Deno.symlink(dir.path("elsewhere"), dir.path("hypha_sessions_dead/link"));
  await Deno.symlink(dir.path("elsewhere"), dir.path("hypha_sessions_link"));
  await Deno.writeTextFile(dir.path("elsewhere/.lock"), "");
  (await occupy(dir.path("hypha_sessions_dead")))[Symbol.dispose]();
  await clearTemporary([dir.root], silentLogger);
  assertEquals(await dir.has("hypha_sessions_dead"), false);
  assertEquals(await dir.has("elsewhere/precious"), true);
});

Deno.test("a directory of sessions is cleared by who finds it unused, and only of sessions", async () => {
  const session = "session-0123456789abcdef";
  await using dir = await place(session, "session-of-mine", "data");
  {
    using _first = await occupySessions(dir.root, silentLogger);
    assertEquals(
      [await dir.has(session), await dir.has("session-of-mine"), await dir.has("data")],
      [
        false,
        true,
        true,
      ],
    );
    await Deno.mkdir(dir.path(session));
    using _second = await occupySessions(dir.root, silentLogger);
    assertEquals(await dir.has(session), true);
  }
  using _third = await occupySessions(dir.root, silentLogger);
  assertEquals(await dir.has(session), false);
});
