/** The table of fields: its examples, what the document shows, and the schema that programs read. */
import { assert, assertEquals } from "@std/assert";
import { parse as parseYaml } from "@std/yaml";
import { type Field, FIELDS } from "../../../lib/kubernetes/jobs/fields.ts";
import { manifestSchema } from "../../../lib/kubernetes/jobs/schema.ts";
import type { JsonSchema } from "../../../lib/worker/method.ts";
import { build } from "./support.ts";

const GENEROUS = {
  allowedSecrets: ["my-*"],
  allowedConfigMaps: ["my-*"],
  allowedClaims: ["my-*"],
  allowedServiceAccounts: ["my-*"],
  trustedWorkspaces: ["my-workspace"],
};
const OWN = { workspace: "my-workspace" };
const fields = Object.entries<Field>(FIELDS);

Deno.test("every example is a good one, for every type that has the field", () => {
  for (const [name, field] of fields) {
    for (const type of field.types) {
      const needed = type === "k8s-job" ? { image: "a:1" } : {};
      for (const spelling of [name, ...field.also ?? []]) {
        const example = name === "type" ? type : field.example;
        const built = build({ type, ...needed, [spelling]: example }, GENEROUS, OWN);
        assertEquals(built.warnings, [], spelling);
      }
    }
  }
});

Deno.test("manifests in the document are good ones", async () => {
  const path = new URL("../../../docs/kubernetes-manifest.md", import.meta.url);
  const document = await Deno.readTextFile(path);
  const blocks = [...document.matchAll(/```yaml[^\n]*\n([\s\S]*?)```/g)].map(([, text]) => text!);
  assertEquals(blocks.length, 3);
  for (const block of blocks) {
    assertEquals(build(parseYaml(block), GENEROUS, OWN).warnings, [], block);
  }
  for (const [name] of fields) assert(document.includes(`| \`${name}\``), name);
});

function check(schema: JsonSchema, path: string): void {
  assert(schema.description !== undefined && !schema.description.includes("`"), path);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (field.description !== undefined) check(field, `${path}.${name}`);
  }
}

Deno.test("the schema has every field with its meaning, and is JSON", () => {
  const schema = manifestSchema();
  assertEquals(Object.keys(schema.properties!), fields.map(([name]) => name));
  for (const [name, field] of Object.entries(schema.properties!)) {
    check(field, name);
    assert(field.type !== undefined || field.anyOf !== undefined, name);
  }
  assertEquals(JSON.parse(JSON.stringify(schema)), schema);
});
