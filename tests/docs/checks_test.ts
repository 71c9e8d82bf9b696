/** The checks of documents find what is wrong. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkData } from "./kinds.ts";
import { watched } from "./manifest_fields.ts";
import { readBlocks } from "./markdown.ts";
import { checkArguments } from "./program_options.ts";

function block(language: string, text: string) {
  return readBlocks("x.md", `\`\`\`${language}\n${text}\n\`\`\`\n`)[0]!;
}

Deno.test("a command or an option that there is not is found", () => {
  for (const words of ["", "--verbose", "run a.py -- --whatever", "env list --json", "help env"]) {
    checkArguments(words.split(" ").filter((word) => word !== ""));
  }
  const wrong = [
    ["--servr-url x", "--servr-url"],
    ["run --no-such", "--no-such"],
    ["env lst", "lst"],
    ["env list --nope", "--nope"],
    ["explode", "explode"],
  ];
  for (const [words, part] of wrong) {
    assertThrows(() => checkArguments(words!.split(" ")), Error, part!);
  }
});

Deno.test("data that is not what it looks like is found", async () => {
  const good = [
    block("yaml", "dependencies: [python=3.11]\nlimits: {memory: 4GiB}"),
    block("yaml", "name: x\nchannels: [conda-forge]\ndependencies: [numpy]"),
    block(
      "yaml",
      "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: y}",
    ),
    block("yaml", "services: {worker: {image: x}}"),
    block("yaml as=fragment", "anything: 1"),
    block("toml", 'cache-dir = "/x"\n[run]\nworking_dir = "/y"'),
    block("json", '{"a": 1}'),
  ];
  for (const one of good) await checkData(one);
  const bad: [ReturnType<typeof block>, string][] = [
    [block("yaml", "anything: 1"), "say as="],
    [block("yaml", "dependencies: [--prefix=/]"), "--prefix"],
    [block("yaml", "limits: {memory: much}"), "limits.memory"],
    [block("yaml as=manifest", "dependancies: [x]"), "dependancies"],
    [block("yaml", "services: {worker: {}}"), "neither image nor build"],
    [block("yaml", "apiVersion: v1\nkind: Pod"), "no metadata"],
    [block("yaml", "a: b: c"), "line 1"],
    [block("toml", 'cache-dri = "/x"'), "cache-dri"],
    [block("toml", "[rum]\nverbose = true"), "rum"],
    [block("json", "{a: 1}"), "JSON"],
    [block("json as=nonsense", "{}"), "as=nonsense"],
  ];
  for (const [one, part] of bad) await assertRejects(() => checkData(one), Error, part);
});

Deno.test("fields that are looked at are noted, by whatever way", () => {
  const seen = new Set<string>();
  const manifest = watched({ a: { b: 1 } }, seen);
  void (manifest.a as Record<string, unknown>).b;
  void ("c" in manifest);
  void Object.hasOwn(manifest, "d");
  assertEquals([...seen].sort(), ["a", "a.b", "c", "d"]);
});
