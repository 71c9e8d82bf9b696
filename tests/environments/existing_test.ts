import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { resolveExisting } from "../../lib/environments/existing.ts";
import { checkSpec, EVERYTHING_LOCAL, parsePolicy } from "../../lib/environments/policy.ts";
import { NOTHING_LOCAL } from "../../lib/environments/policy.ts";
import { packageNames, parseSpec } from "../../lib/environments/spec.ts";

/** A directory with environments in it: what managers leave behind, as far as it is looked at. */
class Machine implements AsyncDisposable {
  private constructor(readonly directory: string) {}

  static async make(): Promise<Machine> {
    return new Machine(await Deno.realPath(await Deno.makeTempDir({ prefix: "existing-" })));
  }

  path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Makes an environment with these files. */
  async environment(
    path: string,
    files: string[] = ["conda-meta/history", "bin/python"],
  ): Promise<string> {
    const prefix = this.path(path);
    for (const file of files) {
      await Deno.mkdir(join(prefix, file, ".."), { recursive: true });
      await Deno.writeTextFile(join(prefix, file), "");
    }
    return prefix;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

Deno.test("an existing environment is named by name or prefix, and nothing else is asked for", () => {
  const empty = { channels: [], packages: [], pip: [] };
  assertEquals(parseSpec({ environment: { name: "torch" } }), {
    ...empty,
    existing: { name: "torch" },
  });
  const prefix = { prefix: "/opt/envs/torch/" };
  assertEquals(parseSpec({ environment: prefix, channels: ["conda-forge"], dependencies: [] }), {
    ...empty,
    existing: { prefix: "/opt/envs/torch" },
  });
  const variables = { A: "x" };
  assertEquals(parseSpec({ environment: { name: "torch", variables } }), {
    ...empty,
    existing: { name: "torch" },
    variables,
  });
  assertEquals(packageNames(parseSpec({ environment: { name: "torch" } })), []);
});

Deno.test("name and prefix in an environment.yml say only where its author keeps it", () => {
  const content = { name: "torch", prefix: "/home/author/x", dependencies: ["numpy"] };
  assertEquals(parseSpec({ environment: content }).existing, undefined);
  assertEquals(parseSpec({ environment: content }).packages, ["numpy", "python"]);
  const yaml = "name: torch\nprefix: /home/author/x\n";
  assertEquals(parseSpec({ environment: yaml }).existing, undefined);
  const files = { environment: { path: "environment.yml", text: yaml } };
  assertEquals(parseSpec({ environment: "environment.yml" }, { files }).existing, undefined);
});

Deno.test("what is no name and no plain path is refused, and so are packages beside it", () => {
  const refused: Record<string, unknown>[] = [
    { environment: { name: "../x" } },
    { environment: { name: "a/b" } },
    { environment: { name: "-p" } },
    { environment: { name: "a b" } },
    { environment: { name: "" } },
    { environment: { name: 7 } },
    { environment: { name: "x\n" } },
    { environment: { prefix: "relative" } },
    { environment: { prefix: "/a/../b" } },
    { environment: { prefix: "/a//b" } },
    { environment: { prefix: "~/x" } },
    { environment: { prefix: "/a\nb" } },
    { environment: { prefix: ["/a"] } },
    { environment: { name: "x", prefix: "/x" } },
    { environment: { name: "x" }, dependencies: ["numpy"] },
    { environment: { name: "x" }, dependencies: [{ pip: ["six"] }] },
  ];
  for (const manifest of refused) {
    const error = assertThrows(() => parseSpec(manifest), WorkerError, "environment");
    assertEquals(error.code, "invalid_spec", JSON.stringify(manifest));
  }
});

Deno.test("names are found where managers keep environments, and in their list", async () => {
  await using machine = await Machine.make();
  const inRoot = await machine.environment("mamba/envs/one");
  const inConda = await machine.environment("conda/envs/two");
  const listed = await machine.environment("elsewhere/three");
  const inDirs = await machine.environment("dirs/four");
  const base = await machine.environment("mamba");
  await Deno.mkdir(machine.path("home/.conda"), { recursive: true });
  await Deno.writeTextFile(
    machine.path("home/.conda/environments.txt"),
    `${machine.path("gone/three")}\n${listed}\nrelative/three\n`,
  );
  const variables: Record<string, string> = {
    MAMBA_ROOT_PREFIX: machine.path("mamba"),
    CONDA_ROOT: machine.path("conda"),
    CONDA_ENVS_DIRS: `relative:${machine.path("dirs")}`,
    HOME: machine.path("home"),
  };
  const find = (name: string) =>
    resolveExisting({ name }, { environment: (variable) => variables[variable] });
  assertEquals(await find("one"), inRoot);
  assertEquals(await find("two"), inConda);
  assertEquals(await find("three"), listed);
  assertEquals(await find("four"), inDirs);
  assertEquals(await find("base"), base);
  const error = await assertRejects(() => find("five"), WorkerError, "five");
  assertEquals(error.code, "environment_not_found");
  const none = resolveExisting({ name: "one" }, { environment: () => undefined });
  assertEquals((await assertRejects(() => none, WorkerError)).code, "environment_not_found");
});

Deno.test("a prefix is an environment with Python, by its real path, outside the forbidden places", async () => {
  await using machine = await Machine.make();
  const good = await machine.environment("good");
  await Deno.symlink(good, machine.path("link"));
  const options = { environment: () => undefined };
  const find = (prefix: string, forbidden: string[] = []) =>
    resolveExisting({ prefix }, { ...options, forbidden });
  assertEquals(await find(good), good);
  assertEquals(await find(machine.path("link")), good);
  const refused: [prefix: string, forbidden: string[], reason: string][] = [
    [machine.path("missing"), [], "there is nothing"],
    [await machine.environment("plain", ["bin/python"]), [], "not a conda environment"],
    [await machine.environment("bare", ["conda-meta/history"]), [], "no Python"],
    [good, [good], "others may write"],
    [good, [machine.directory], "others may write"],
    // The place that counts is the one behind links, of the environment and of the place.
    [machine.path("link"), [good], "others may write"],
    [good, [machine.path("link")], "others may write"],
  ];
  for (const [prefix, forbidden, reason] of refused) {
    const error = await assertRejects(() => find(prefix, forbidden), WorkerError);
    assertEquals(error.code, "environment_not_found");
    assertStringIncludes(error.message, reason);
  }
  // A neighbour whose name only begins alike is another place.
  assertEquals(await find(good, [machine.path("goo")]), good);
});

Deno.test("of this machine only what the operator allows may be used", () => {
  const allowed = parsePolicy("/srv/channels/, /data", "torch,/opt/envs/torch/");
  const sha = "0".repeat(64);
  const cases: [manifest: Record<string, unknown>, allowed: boolean][] = [
    [{ channels: ["file:///srv/channels"] }, true],
    [{ channels: ["file:///srv/channels/a"] }, true],
    [{ channels: ["file:///data/x"] }, true],
    [{ channels: ["file:///srv/channels2"] }, false],
    [{ channels: ["file:///srv"] }, false],
    [{ channels: ["file:///srv/%63hannels/a"] }, true],
    [{ channels: ["conda-forge", "file:///etc"] }, false],
    [{ dependencies: ["file:///srv/channels/a::numpy"] }, true],
    [{ dependencies: ["file:///etc::numpy"] }, false],
    [{ dependencies: ["numpy[channel='file:///etc']"] }, false],
    [{ lock: [`file:///data/noarch/python-3.11-0.conda#sha256:${sha}`] }, true],
    [{ lock: [`file:///etc/noarch/python-3.11-0.conda#sha256:${sha}`] }, false],
    [{ environment: { name: "torch" } }, true],
    [{ environment: { name: "other" } }, false],
    [{ environment: { prefix: "/opt/envs/torch" } }, true],
    [{ environment: { prefix: "/opt/envs/torch/bin" } }, false],
    [{ environment: { prefix: "/opt/envs" } }, false],
  ];
  for (const [manifest, expected] of cases) {
    const label = JSON.stringify(manifest);
    const spec = parseSpec(manifest);
    checkSpec(spec, EVERYTHING_LOCAL);
    const refuse = (policy: typeof allowed) => {
      const error = assertThrows(() => checkSpec(spec, policy), WorkerError, "operator", label);
      assertEquals(error.code, "permission_denied");
      assertStringIncludes(error.suggestion, "--allow-");
    };
    if (expected) checkSpec(spec, allowed);
    else refuse(allowed);
    refuse(NOTHING_LOCAL);
  }
  checkSpec(parseSpec({ dependencies: ["numpy"], channels: ["https://a.example"] }), NOTHING_LOCAL);
  checkSpec(parseSpec({ channels: ["file:///x"] }), parsePolicy("/", undefined));
});

Deno.test("the operator's lists are checked, and an empty one allows nothing", () => {
  assertEquals(parsePolicy(undefined, undefined), NOTHING_LOCAL);
  assertEquals(parsePolicy(" , ", ","), NOTHING_LOCAL);
  for (const [channels, environments] of [["srv", ""], ["/a/../b", ""], ["", "a/b"], ["", "-x"]]) {
    const error = assertThrows(() => parsePolicy(channels, environments), WorkerError, "--allow-");
    assertEquals(error.code, "usage");
  }
});
