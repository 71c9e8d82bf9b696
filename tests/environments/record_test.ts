import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parse as parseYaml } from "@std/yaml";
import { exportEnvironment } from "../../lib/environments/export.ts";
import type { EnvironmentMeta } from "../../lib/environments/meta.ts";
import { readRecords } from "../../lib/environments/record.ts";
import { parseSpec } from "../../lib/environments/spec.ts";
import { WorkerError } from "../../lib/errors.ts";
import type { ManagerKind } from "../../lib/managers/manager.ts";
import { Cache, spec } from "./support.ts";

for (const kind of ["mamba", "conda"] as const satisfies ManagerKind[]) {
  Deno.test(`${kind}: an environment can be built again from its list, without the solver`, async () => {
    await using cache = await Cache.make(kind);
    const { admin, layout } = cache.store;
    const key = await cache.build("toy-b", { pip: ["six==1.16.0"] });
    const text = await admin.export(key, "explicit");
    assertEquals(await Deno.readTextFile(layout.explicit(key)), text);
    const lines = text.split("\n");
    assertStringIncludes(text, "\n@EXPLICIT\n");
    const urls = lines.filter((line) => /^file:.*#[0-9a-f]{32}$/.test(line));
    assertEquals(urls.length, (await admin.get(key)).packages.length);
    assert(lines.includes("# pip six==1.16.0"), text);
    // Each package comes after what it needs.
    const at = (name: string) => urls.findIndex((url) => url.includes(`/${name}-`));
    assert(at("toy-a") < at("toy-b"), text);

    const locked = parseSpec({ lock: text });
    assertEquals(locked.explicit, urls);
    // Nothing may be solved: what the specs would find now must not count.
    await using lease = await cache.store.acquire(locked);
    assertEquals([lease.cached, lease.key === key], [false, false]);
    const [first, second] = [await admin.get(key), await admin.get(lease.key)];
    assertEquals(second.packages, first.packages);
    assertEquals(second.pip, first.pip);
    const again = await admin.export(lease.key, "explicit");
    assertEquals(again.slice(again.indexOf("@EXPLICIT")), text.slice(text.indexOf("@EXPLICIT")));
    const yaml = parseYaml(await admin.export(lease.key, "yaml")) as Record<string, unknown>;
    assert((yaml.channels as string[]).length > 0);
  });
}

Deno.test("an exported environment.yml names exact versions and is a spec itself", async () => {
  await using cache = await Cache.make("mamba");
  const { admin } = cache.store;
  const key = await cache.build("toy-a=1", { pip: ["six==1.16.0"] });
  const text = await admin.export(key, "yaml");
  const { channels, dependencies } = parseYaml(text) as {
    channels: string[];
    dependencies: unknown[];
  };
  assertEquals(channels, spec().channels);
  assert(dependencies.includes("toy-a=1.0=py_0"), text);
  assertEquals(dependencies.at(-1), { pip: ["six==1.16.0"] });
  await using lease = await cache.store.acquire(parseSpec({ environment: text }));
  assertEquals((await admin.get(lease.key)).packages, (await admin.get(key)).packages);
  const facts = JSON.parse(await admin.export(key, "json")) as EnvironmentMeta;
  assertEquals(facts.key, key);
  assert(facts.packages.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256 ?? "")));
  assertEquals(
    (await assertRejects(() => admin.export("ffff", "json"), WorkerError)).code,
    "environment_not_found",
  );
});

Deno.test("records are in an order that can be installed, and without credentials", async () => {
  const prefix = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${prefix}/conda-meta`);
    const write = (name: string, depends: string[], url: string) =>
      Deno.writeTextFile(
        `${prefix}/conda-meta/${name}-1-0.json`,
        JSON.stringify({ name, version: "1", build: "0", depends, url, md5: "0".repeat(32) }),
      );
    await write(
      "a",
      ["z >=1,<2", "b[version='>1']"],
      "https://user:secret@host/linux-64/a-1-0.conda",
    );
    await write("b", ["python 3.11.*"], "https://host/t/tk-123-secret/chan/noarch/b-1-0.conda");
    await write("z", [], "https://host/chan/noarch/z-1-0.conda");
    // These two need each other, as the real ones do.
    await write("python", ["pip"], "https://host/chan/noarch/python-1-0.conda");
    await write("pip", ["python"], "https://host/chan/noarch/pip-1-0.conda");
    const records = await readRecords(prefix);
    const names = records.map(({ name }) => name);
    assertEquals(names.toSorted(), ["a", "b", "pip", "python", "z"]);
    for (const [first, then] of [["z", "a"], ["b", "a"], ["python", "b"]] as const) {
      assert(names.indexOf(first) < names.indexOf(then), names.join());
    }
    const meta = {
      key: "0123456789abcdef",
      platform: "linux-x86_64",
      created: "2026-01-01T00:00:00Z",
      spec: {
        channels: [],
        packages: [],
        pip: [],
        pipOptions: ["--pre", "--index-url", "https://p"],
      },
      packages: records,
      pip: ["x==1", "y @ https://host/y.zip#sha256=00"],
    } as unknown as EnvironmentMeta;
    for (const format of ["explicit", "yaml", "json"] as const) {
      const text = exportEnvironment(meta, format);
      assert(!text.includes("secret"), text);
    }
    const yaml = parseYaml(exportEnvironment(meta, "yaml")) as Record<string, unknown[]>;
    assertEquals(yaml.channels?.toSorted(), ["https://host", "https://host/chan"]);
    assertEquals(yaml.dependencies, [
      ...names.map((name) => `${name}=1=0`),
      { pip: ["--pre", "--index-url https://p", "x==1", "y @ https://host/y.zip#sha256=00"] },
    ]);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});
