import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { makeSessionsDirectory, makeSocketsDirectory } from "../../lib/cli/places.ts";
import { socketFits } from "../../lib/interpreter/switchboard.ts";

const withTmpdir = (value: string | undefined) => (name: string) =>
  name === "TMPDIR" ? value : undefined;

/** Runs a test with directories that are removed at the end. */
async function withDirectories(
  test: (make: (kind: "sessions" | "sockets", tmpdir?: string) => Promise<string>) => Promise<void>,
): Promise<void> {
  const made: string[] = [];
  try {
    await test(async (kind, tmpdir) => {
      const make = kind === "sessions" ? makeSessionsDirectory : makeSocketsDirectory;
      made.push(await make(withTmpdir(tmpdir)));
      return made.at(-1)!;
    });
  } finally {
    for (const directory of made) await Deno.remove(directory);
  }
}

Deno.test("sessions and sockets lie apart, and not in /tmp, which sessions may use", async () => {
  await withDirectories(async (make) => {
    for (const tmpdir of [undefined, "", "/tmp", "/tmp/"]) {
      const sessions = await make("sessions", tmpdir);
      const sockets = await make("sockets", tmpdir);
      assertEquals(dirname(sessions), "/var/tmp");
      assertEquals(dirname(sockets), "/var/tmp");
      assert(sessions !== sockets);
      assertEquals((await Deno.stat(sessions)).mode! & 0o777, 0o700);
      assertEquals((await Deno.stat(sockets)).mode! & 0o777, 0o700);
    }
  });
});

Deno.test("TMPDIR is where the operator wants them; one that cannot be used is passed over", async () => {
  const tmpdir = await Deno.makeTempDir();
  await withDirectories(async (make) => {
    for (const given of [tmpdir, `${tmpdir}/`]) {
      assertEquals(dirname(await make("sessions", given)), tmpdir);
      assertEquals(dirname(await make("sockets", given)), tmpdir);
    }
    assertEquals(dirname(await make("sessions", join(tmpdir, "missing"))), "/var/tmp");
  });
  await Deno.remove(tmpdir);
});

Deno.test("sockets get a path that the system allows, however long TMPDIR is", async () => {
  const tmpdir = join(await Deno.makeTempDir(), "long-".repeat(24));
  await Deno.mkdir(tmpdir);
  await withDirectories(async (make) => {
    assertEquals(dirname(await make("sessions", tmpdir)), tmpdir);
    assert(socketFits(await make("sockets", tmpdir)));
  });
  await Deno.remove(dirname(tmpdir), { recursive: true });
});
