/** The reference of manifests, docs/manifest.md, against the code and against the server. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { compileManifest } from "../../lib/worker/compile.ts";
import { limitsOf, NO_LIMITS } from "../../lib/worker/session_limits.ts";
import { workerMethods } from "../../lib/worker/methods.ts";
import type { MethodContext } from "../../lib/worker/method_support.ts";
import { runPythonClient } from "../stack/python_client.ts";
import { stackPaths } from "../stack/stack.ts";
import { checkManifest, exampleOf, fieldsRead, referenceRows } from "./manifest_fields.ts";

const rows = referenceRows(
  await Deno.readTextFile(join(stackPaths.root, "docs", "manifest.md")),
);
const names = new Set(rows.map((row) => row.name));

Deno.test("every field of a manifest that the code looks at is in the reference", () => {
  const read = [...fieldsRead()].filter((name) => !names.has(name));
  assertEquals(read, [], "fields that docs/manifest.md lacks");
});

Deno.test("every field that the method table describes is in the reference", () => {
  const start = workerMethods({} as MethodContext).find((method) => method.name === "start")!;
  const manifest = start.parameters[0]!.schema.properties!.manifest!;
  const described = Object.keys(manifest.properties!);
  assert(described.length > 5);
  assertEquals(described.filter((name) => !names.has(name)), []);
});

Deno.test("limits of the reference are exactly those the code knows", () => {
  const error = assertThrows(() => limitsOf({ limits: { nonsense: 1 } }, NO_LIMITS), Error);
  const known = /one of ([\w, ]+), received/.exec(error.message)![1]!.split(", ");
  const documented = [...names].filter((name) => name.startsWith("limits.")).sort();
  assertEquals(documented, known.map((name) => `limits.${name}`).sort());
});

Deno.test("fields that the reference says are the worker's are looked at, the others are the server's", async () => {
  const read = fieldsRead();
  const { code, stdout, stderr } = await runPythonClient(`
import json
from hypha.core import ApplicationManifest
from hypha.apps import extract_startup_config_kwargs
class Everything(dict):
    def __contains__(self, key): return True
names = "timeout wait_for_service additional_kwargs stop_after_inactive".split()
print("NAMES" + json.dumps([list(ApplicationManifest.model_fields), list(extract_startup_config_kwargs(**{n: 1 for n in names}))]))
`);
  assertEquals(code, 0, stderr);
  const [fields, startup] = JSON.parse(/NAMES(.*)/.exec(stdout)![1]!) as [string[], string[]];
  const server = new Set([...fields, ...startup.map((name) => `startup_config.${name}`)]);
  const nobodys = rows.map((row) => row.name).filter((name) =>
    !read.has(name) && !server.has(name) && !name.startsWith("limits.")
  );
  assertEquals(nobodys, [], "fields that nobody reads");
  const missing = startup.filter((name) => !names.has(`startup_config.${name}`));
  assertEquals(missing, [], "fields of startup_config that docs/manifest.md lacks");
});

Deno.test("every row has type, default, meaning and an example that is accepted and shows the field", () => {
  for (const row of rows) {
    for (const [column, text] of Object.entries(row)) assert(text !== "", `${row.name}: ${column}`);
    const example = exampleOf(row);
    const shown = row.name.split(".").reduce<unknown>(
      (value, name) => (value as Record<string, unknown> | undefined)?.[name],
      example,
    );
    assert(shown !== undefined, `the example of ${row.name} does not show it`);
    checkManifest(example);
  }
  assertEquals(rows.length, names.size, "a field has two rows");
});

Deno.test("defaults of the reference are those that installing fills in", () => {
  const compiled = compileManifest({});
  const initial = (name: string) =>
    rows.find((row) => row.name === name)!.initial.replaceAll("`", "");
  assertEquals(initial("entry_point"), compiled.entry_point);
  assertEquals([initial("channels")], compiled.channels);
  assertEquals(compiled.dependencies, ["pip", { pip: ["hypha-rpc"] }]);
});
