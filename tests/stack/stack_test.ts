/** Tests of the test stack itself: what other tests build upon. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { hyphaWebsocketClient } from "hypha-rpc";
import { startHypha } from "./hypha.ts";
import { runPythonClient } from "./python_client.ts";
import {
  hostPythons,
  type ManagerFaults,
  type ManagerKind,
  managerPath,
  privateManagers,
  stackPaths,
} from "./stack.ts";

interface Output {
  code: number;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** A folder with a package cache, a home, and a scrubbed way to run managers in it. */
class Playground implements AsyncDisposable {
  constructor(readonly dir: string) {}

  static async make(): Promise<Playground> {
    return new Playground(await Deno.makeTempDir({ prefix: "stack-" }));
  }

  env(bin: string): Record<string, string> {
    return {
      PATH: `${bin}:/usr/bin:/bin`,
      HOME: join(this.dir, "home"),
      TMPDIR: this.dir,
      CONDA_PKGS_DIRS: join(this.dir, "pkgs"),
      MAMBA_ROOT_PREFIX: join(this.dir, "root"),
    };
  }

  async run(bin: string, args: string[], stdin: "null" | "inherit" = "null"): Promise<Output> {
    const { code, signal, stdout, stderr } = await new Deno.Command("/usr/bin/env", {
      args,
      clearEnv: true,
      env: this.env(bin),
      stdin,
    }).output();
    const decoder = new TextDecoder();
    return { code, signal, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  create(kind: ManagerKind, bin: string, prefix: string, ...specs: string[]): Promise<Output> {
    const quick = kind === "conda" ? [] : ["--no-rc", "--no-pyc"];
    const channel = ["--override-channels", "-c", stackPaths.channel];
    return this.run(bin, [kind, "create", "-y", ...quick, "-p", prefix, ...channel, ...specs]);
  }

  async history(prefix: string): Promise<number | undefined> {
    return (await Deno.stat(join(prefix, "conda-meta", "history")).catch(() => undefined))?.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

for (const kind of ["mamba", "micromamba", "conda"] as const) {
  Deno.test(`${kind} double makes an environment that works`, async () => {
    await using place = await Playground.make();
    const bin = managerPath(kind);
    const prefix = join(place.dir, "env");
    const made = await place.create(kind, bin, prefix, "python=3.11", "numpy", "toy-b");
    assertEquals(made.code, 0, made.stderr);
    assertEquals(made.stdout.includes("Linking toy-a-1.0-py_0"), kind === "mamba");
    assert((await place.history(prefix) ?? 0) > 0);
    const script = "import numpy, toy_a, sys; print(toy_a.__version__, sys.prefix, sys.argv[1])";
    const flags = kind === "conda" ? ["--no-capture-output"] : [];
    const ran = await place.run(bin, [
      kind,
      "run",
      ...flags,
      "-p",
      prefix,
      "python",
      "-c",
      script,
      "x",
    ]);
    assertEquals(ran, { code: 0, signal: null, stdout: `1.0 ${prefix} x\n`, stderr: "" });
  });
}

Deno.test("oldest and newest Python of the machine are in the channel", async () => {
  await using place = await Playground.make();
  const pythons = await hostPythons();
  for (const python of [pythons.at(0), pythons.at(-1)]) {
    assert(python);
    const prefix = join(place.dir, python.version);
    const bin = managerPath("mamba");
    const made = await place.create("mamba", bin, prefix, `python=${python.version}`, "toy-script");
    assertEquals(made.code, 0, made.stderr);
    const ran = await place.run(bin, ["mamba", "run", "-p", prefix, "toy-script", "hello"]);
    assertEquals(ran.stdout, "toy-script hello\n");
  }
});

Deno.test("doubles refuse what the real programs refuse", async () => {
  await using place = await Playground.make();
  const bin = managerPath();
  const prefix = join(place.dir, "env");
  assertEquals((await place.run(bin, ["mamba", "create", "--no-such-flag"])).code, 109);
  assertEquals((await place.run(bin, ["conda", "create", "--no-rc"])).code, 2);
  const conflict = await place.create("mamba", bin, prefix, "toy-b", "toy-conflict", "python");
  assertEquals(conflict.code, 1);
  assertStringIncludes(conflict.stderr, "The following packages are incompatible");
  const unknown = await place.create("conda", bin, prefix, "python", "nosuch");
  assertStringIncludes(unknown.stderr, "PackagesNotFoundInChannelsError");
  const broken = await place.create("mamba", bin, prefix, "python=3.11", "toy-broken");
  assertEquals(broken.code, 1);
  assertMatch(broken.stderr, /File not valid: SHA256/);
});

Deno.test("private managers misbehave as told, and log what they were run with", async (t) => {
  await using place = await Playground.make();
  const managers = await privateManagers(join(place.dir, "managers"), ["mamba", "conda"]);
  let count = 0;
  const attempt = async (faults: ManagerFaults, kind: ManagerKind = "mamba") => {
    await managers.setFaults(faults);
    const prefix = join(place.dir, `env${count++}`);
    const specs = ["python=3.11", "toy-slow"];
    const output = await place.create(kind, managers.bin, prefix, ...specs);
    return { ...output, history: await place.history(prefix), prefix };
  };
  await t.step("network, once", async () => {
    const failed = await attempt({ network: true, times: 1 });
    assertEquals([failed.code, failed.history], [1, undefined]);
    assertMatch(failed.stderr, /Download error \(7\)/);
    const prefix = join(place.dir, "again");
    assertEquals((await place.create("mamba", managers.bin, prefix, "python=3.11")).code, 0);
  });
  await t.step("killed half-way", async () => {
    const killed = await attempt({ kill_after_links: 1 });
    assertEquals([killed.signal, killed.history], ["SIGKILL", 0]);
  });
  await t.step("success that is none", async () => {
    const lied = await attempt({ lie: true });
    assertEquals([lied.code, lied.history], [0, 0]);
  });
  await t.step("disk full", async () => {
    const full = await attempt({ disk_full_after_links: 1 });
    assertEquals([full.code, full.history], [1, 0]);
    assertMatch(full.stderr, /rolled back/);
  });
  await t.step("noise", async () => {
    const noisy = await attempt({ lock_noise: true });
    assertEquals(noisy.code, 0);
    assertMatch(noisy.stderr, /Could not set lock/);
  });
  await t.step("log", async () => {
    const creates = await managers.invocations("create");
    assertEquals(creates.length, count + 1);
    assertEquals(creates.map((one) => one.code), [1, 0, undefined, 0, 1, 0]);
  });
});

Deno.test("mamba run keeps exit codes and forwards SIGTERM", async () => {
  await using place = await Playground.make();
  const bin = managerPath("mamba");
  const prefix = join(place.dir, "env");
  await place.create("mamba", bin, prefix, "python=3.11", "toy-activate");
  const exit = await place.run(bin, ["mamba", "run", "-p", prefix, "python", "-c", "exit(3)"]);
  assertEquals(exit.code, 3);
  const script = "import os, time; print(os.environ['TOY_ACTIVATED'], flush=True); time.sleep(60)";
  const child = new Deno.Command(join(bin, "mamba"), {
    args: ["run", "-p", prefix, "python", "-c", script],
    clearEnv: true,
    env: place.env(bin),
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assertEquals(new TextDecoder().decode(value), `${prefix}\n`);
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 252);
  // The end of the output proves that the child is gone too.
  assert((await reader.read()).done);
  await child.stderr.cancel();
});

Deno.test("a Hypha server takes users, survives a restart and leaves nothing behind", async () => {
  let url: string;
  {
    await using server = await startHypha();
    url = server.url;
    const token = await server.userToken({ user: "user-1" });
    const connect = (token: string) =>
      hyphaWebsocketClient.connectToServer({ server_url: server.url, token });
    const client = await connect(token);
    assertEquals(client.config.workspace, server.workspaceOf("user-1"));
    await client.disconnect();

    const python = await runPythonClient(
      `
import asyncio, os
from hypha_rpc import connect_to_server

async def main():
    async with connect_to_server({"server_url": os.environ["URL"], "token": os.environ["TOKEN"]}) as api:
        print(api.config.workspace)

asyncio.run(main())
`,
      { env: { URL: server.url, TOKEN: token } },
    );
    assertEquals(python.code, 0, python.stderr);
    assertMatch(python.stdout, /^ws-user-user-1\n/);

    await server.restart({ secret: "another" });
    assertEquals(server.url, url);
    await assertRejects(() => connect(token));
    const renewed = await connect(await server.userToken({ user: "user-1" }));
    await renewed.disconnect();
  }
  await assertRejects(() => fetch(`${url}/health/readiness`));
});
