import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { parseSpec } from "../../lib/environments/spec.ts";
import { readSpecFiles, specFiles } from "../../lib/environments/spec_files.ts";

function refusal(manifest: Record<string, unknown>, files = {}): string {
  const error = assertThrows(() => parseSpec(manifest, { files }), WorkerError);
  assertEquals(error.code, "invalid_spec");
  return error.message;
}

const YAML = `
name: authors-own
prefix: /home/author/envs/authors-own
channels:
  - bioconda
  - nodefaults
channel_priority: strict
dependencies:
  - python=3.11
  - numpy
  - pip:
    - --pre
    - six
variables:
  A: text
  B: 7
`;
const EXPECTED = {
  channels: ["bioconda"],
  packages: ["numpy", "pip", "python=3.11"],
  pip: ["six"],
  pipOptions: ["--pre"],
  variables: { A: "text", B: "7" },
  channelPriority: "strict" as const,
};

Deno.test("an environment.yml says the same as text, as an object and as a file of the app", () => {
  for (const name of ["environment", "environment_yml", "conda"]) {
    assertEquals(parseSpec({ [name]: YAML }), EXPECTED);
  }
  const files = { environment: { path: "environment.yml", text: YAML } };
  assertEquals(parseSpec({ environment_file: "environment.yml" }, { files }), EXPECTED);
  assertEquals(parseSpec({ environment: "environment.yml" }, { files }), EXPECTED);
});

Deno.test("what the manifest itself says comes before its files", () => {
  const files = { environment: { path: "environment.yml", text: YAML } };
  const manifest = {
    environment_file: "environment.yml",
    channels: ["conda-forge"],
    dependencies: ["pandas"],
    variables: { A: "other" },
  };
  const spec = parseSpec(manifest, { files });
  assertEquals(spec.channels, ["conda-forge", "bioconda"]);
  assertEquals(spec.packages, ["numpy", "pandas", "pip", "python=3.11"]);
  assertEquals(spec.variables, { A: "other", B: "7" });
});

Deno.test("errors in a file name the file", () => {
  const files = { environment: { path: "conf/env.yml", text: "dependencies: ['-c x']" } };
  assertStringIncludes(refusal({ environment_file: "conf/env.yml" }, files), "conf/env.yml.depend");
});

Deno.test("the files a manifest names are known, and texts are not taken for names", async () => {
  assertEquals(specFiles({}), undefined);
  assertEquals(specFiles({ environment: YAML, lock: "@EXPLICIT\n" }), undefined);
  assertEquals(specFiles({ environment: { dependencies: [] } }), undefined);
  assertEquals(specFiles({ environment: "dependencies: [x.yml]" }), undefined);
  assertEquals(specFiles({ environment_file: "a.txt" }), { environment: "a.txt" });
  assertEquals(specFiles({ environment: "./sub/environment.yaml", lock: "conda-linux-64.lock" }), {
    environment: "sub/environment.yaml",
    lock: "conda-linux-64.lock",
  });
  const read = await readSpecFiles(
    { environment: "environment.yml", explicit: "lock.txt" },
    (path) => Promise.resolve(`content of ${path}`),
  );
  assertEquals(read, {
    environment: { path: "environment.yml", text: "content of environment.yml" },
    lock: { path: "lock.txt", text: "content of lock.txt" },
  });
});

Deno.test("a file outside the app is refused", () => {
  for (
    const path of [
      "/etc/environment.yml",
      "../environment.yml",
      "a/../../environment.yml",
      "a//b.yml",
      "~/environment.yml",
      "-x.yml",
      "https/\u0000.yml",
      "a\\..\\b.yml",
    ]
  ) {
    assertStringIncludes(refusal({ environment_file: path }), "not the path of a file of the app");
    assertStringIncludes(refusal({ lock: path }), "not the path of a file of the app");
  }
  for (const path of [7, {}, [], true]) {
    assertStringIncludes(refusal({ environment_file: path }), "not the path of a file of the app");
  }
});

Deno.test("a number where a text is meant is refused with the reason", () => {
  assertStringIncludes(refusal({ environment: "dependencies: [3.10]" }), "in quotes");
  assertStringIncludes(refusal({ environment: "dependencies: {python: 3.10}" }), '"python=3.10"');
  assertStringIncludes(refusal({ environment: "dependencies: [python: 3.10]" }), '"python=3.10"');
  assertStringIncludes(refusal({ environment: "channels: [3.10]" }), "in quotes");
  assertStringIncludes(refusal({ environment: "dependencies: [pip: [3.10]]" }), "in quotes");
  assertStringIncludes(refusal({ environment: "variables: {A: 3.10}" }), "environment.variables.A");
});

Deno.test("variables are names and texts", () => {
  const refused: [variables: unknown, reason: string][] = [
    [["A=1"], "not a mapping"],
    ["A=1", "not a mapping"],
    [{ "A-B": "x" }, "not a name"],
    [{ "A=B": "x" }, "not a name"],
    [{ "": "x" }, "not a name"],
    [JSON.parse('{"__proto__": "x"}'), "__proto__"],
    [{ A: null }, "in quotes"],
    [{ A: true }, "in quotes"],
    [{ A: ["x"] }, "in quotes"],
    [{ A: "a\0b" }, "NUL"],
    [{ A: "x".repeat(40_000) }, "longer"],
    [Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`A${i}`, "x"])), "more than"],
  ];
  for (const [variables, reason] of refused) {
    assertStringIncludes(refusal({ environment: { variables } }), reason);
    assertStringIncludes(refusal({ variables }), reason);
  }
  const secret = assertThrows(() => parseSpec({ variables: { TOKEN: "secret\0" } }), WorkerError);
  assert(!secret.message.includes("secret"));
});

Deno.test("YAML that stands for a huge structure is refused", () => {
  const levels = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
  const bomb = levels.map((name, index) => {
    const inner = index === 0 ? '"x"' : `*${levels[index - 1]}`;
    return `${name}: &${name} [${Array(9).fill(inner).join(",")}]`;
  }).join("\n");
  assertStringIncludes(refusal({ environment: bomb }), "more than 10000 values");
  const [last] = levels.slice(-1);
  assertStringIncludes(refusal({ environment: `${bomb}\ndependencies: *${last}` }), "more than");
  assertStringIncludes(refusal({ environment: "dependencies: &a [*a]" }), "environment");
  assertStringIncludes(refusal({ environment: "a: " + "[".repeat(20) + "]".repeat(20) }), "deep");
  for (const depth of [100_000, 250_000]) {
    assertStringIncludes(refusal({ environment: "[".repeat(depth) }), "not YAML");
    assertStringIncludes(refusal({ environment: "a: ".repeat(depth / 3) }), "not YAML");
  }
  assertStringIncludes(refusal({ environment: "x\n".repeat(200_000) }), "longer than");
  assertStringIncludes(
    refusal({ environment: `dependencies: [${"a,".repeat(600)}]` }),
    "more than 500 entries",
  );
  assertStringIncludes(
    refusal({ environment: '__proto__: {channels: ["x"]}\n' }),
    "environment.__proto__",
  );
  assertStringIncludes(refusal({ environment: "!!js/function 'x'" }), "not YAML");
  assertStringIncludes(refusal({ environment: "--- a\n--- b\n" }), "not YAML");
});
