/** Tokens that stop to be good while a worker runs. Expired ones are in the network test. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { eventually, isAlive, Stage } from "./stage.ts";
import { spawnProgram } from "./worker_process.ts";

const CALL = `
server = await connect()
w = await server.get_service("conda-worker")
`;

/** Revokes a token as an administrator of its workspace does. */
async function revoke(stage: Stage, token: string): Promise<void> {
  await stage.python(
    `
server = await connect()
await server.revoke_token(os.environ["REVOKED"])`,
    { REVOKED: token },
  );
}

Deno.test("a revoked token is good until the connection ends, and is then refused in plain words", async (t) => {
  await using stage = await Stage.start({ throughProxy: true });
  // Tokens of their own: that of the clients stays good.
  const tokenOf = (hours: number) =>
    stage.server.userToken({ user: "user-1", expiresInSeconds: hours * 3600 });
  const refused = () =>
    stage.worker.stderr.split("\n").filter((line) => /cannot reconnect yet.*revoked/.test(line));

  await t.step("the connection stays, and what runs goes on; the next one is refused", async () => {
    const token = await tokenOf(2);
    await stage.restartWorker({ token, args: ["--heartbeat=3", "--reconnect-timeout=6"] });
    const pid = Number(
      await stage.python(`${CALL}
await w.start(config("s"))
print(stdout(await w.execute("s", "import os; print(os.getpid())")))`),
    );
    await revoke(stage, token);
    await stage.python(`${CALL}
check(stdout(await w.execute("s", "print(1)")) == "1\\n")`);
    stage.proxy!.cut();
    assertEquals((await stage.worker.status).code, 3, stage.worker.output());
    assert(refused().length > 0, stage.worker.stderr);
    const last = stage.worker.stderr.split("\n").find((line) => line.includes("gave up"))!;
    assertStringIncludes(last, "revoked");
    assert(!stage.worker.output().includes(token), "the token is in the output");
    assert(!await isAlive(pid), "the session's process is left");
    assertEquals(await stage.sessionDirectories(), []);
  });

  await t.step("without a limit of time it goes on trying, and can be stopped", async () => {
    const token = await tokenOf(3);
    await stage.restartWorker({ token, args: ["--heartbeat=3"] });
    await revoke(stage, token);
    stage.proxy!.cut();
    await eventually(() => Promise.resolve(refused().length >= 3), "it tries again and again");
    assertEquals(await stage.worker.stop("SIGTERM"), 0, stage.worker.output());
  });

  await t.step("a worker is not started with one", async () => {
    const token = await tokenOf(4);
    await revoke(stage, token);
    const child = await spawnProgram(
      [
        `--server-url=${stage.server.url}`,
        "--workspace=ws-user-user-1",
        `--cache-dir=${stage.directory}/cache`,
      ],
      { HYPHA_TOKEN: token },
      stage.managers.bin,
    );
    const output = await child.output();
    const stderr = new TextDecoder().decode(output.stderr);
    assertEquals(output.code, 1, stderr);
    assertStringIncludes(stderr, "revoked");
    assertStringIncludes(stderr, "Check --server-url, --workspace and that the token is valid");
    assert(!stderr.includes(token));
  });
});
