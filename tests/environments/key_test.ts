import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { environmentKey } from "../../lib/environments/key.ts";
import { parseSpec } from "../../lib/environments/spec.ts";

const OPTIONS = { family: "libmamba", root: "/cache/envs", platform: "linux-x86_64" } as const;
const key = (manifest: Record<string, unknown>) => environmentKey(parseSpec(manifest), OPTIONS);

Deno.test("a key is 16 hexadecimal digits and stays the same", async () => {
  assertMatch(await key({}), /^[0-9a-f]{16}$/);
  assertEquals(await key({}), await key({ dependencies: ["python"], channels: ["conda-forge"] }));
});

Deno.test("spelling and the order of packages do not matter", async () => {
  const one = await key({ dependencies: ["python=3.11", "numpy>=1.2,<2", { pip: ["six"] }] });
  for (
    const dependencies of [
      ["NumPy >= 1.2, < 2", " python = 3.11 ", { pip: ["Six"] }],
      [{ pip: "six" }, "python=3.11", "pip", "numpy>=1.2,<2", "numpy>=1.2,<2"],
      ["python 3.11.*", "numpy[version='<2,>=1.2']", { pip: ["six"] }],
    ]
  ) assertEquals(await key({ dependencies }), one);
});

/** A lock file with one package. */
function locked(digit: string): string {
  return `@EXPLICIT\nhttps://example.org/noarch/python-3.11-0.conda#${digit.repeat(32)}\n`;
}

Deno.test("variables do not matter: they change sessions and nothing on disk", async () => {
  assertEquals(await key({ variables: { A: "x" } }), await key({}));
});

Deno.test("everything that decides the content matters", async () => {
  const manifest = {
    dependencies: ["numpy", { pip: ["a", "b"] }],
    channels: ["conda-forge", "bioconda"],
  };
  const spec = parseSpec(manifest);
  const keys = [
    await key(manifest),
    await key({ ...manifest, channels: ["bioconda", "conda-forge"] }),
    await key({ ...manifest, dependencies: ["numpy", { pip: ["b", "a"] }] }),
    await key({ ...manifest, dependencies: ["numpy=1", { pip: ["a", "b"] }] }),
    await environmentKey(spec, { ...OPTIONS, family: "conda" }),
    await environmentKey(spec, { ...OPTIONS, root: "/other/envs" }),
    await environmentKey(spec, { ...OPTIONS, platform: "darwin-aarch64" }),
    await environmentKey(spec, { ...OPTIONS, usesConfiguration: true }),
    await key({ ...manifest, channel_priority: "strict" }),
    await key({ ...manifest, channel_priority: "disabled" }),
    await key({ ...manifest, dependencies: ["numpy", { pip: ["--pre", "a", "b"] }] }),
    await key({ ...manifest, dependencies: ["numpy", { pip: ["--no-deps", "a", "b"] }] }),
    await key({ ...manifest, dependencies: ["numpy=1.2", { pip: ["a", "b"] }] }),
    await key({ ...manifest, dependencies: ["numpy==1.2", { pip: ["a", "b"] }] }),
    await key({ environment: { name: "numpy" } }),
    await key({ environment: { prefix: "/numpy" } }),
    await key({ lock: locked("a") }),
    await key({ lock: locked("b") }),
  ];
  assertEquals(new Set(keys).size, keys.length);
  assertNotEquals(keys[0], "");
});
