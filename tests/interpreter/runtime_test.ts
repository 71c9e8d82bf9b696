import { fromFileUrl, join } from "@std/path";
import { assertEquals } from "@std/assert";
import { installRuntime, RUNTIME_FILES } from "../../lib/interpreter/runtime.ts";

const SOURCE = fromFileUrl(new URL("../../lib/interpreter/python", import.meta.url));

Deno.test("every Python file of the kernel is embedded", async () => {
  const found: string[] = [];
  for (const folder of ["", "hypha_kernel/"]) {
    for await (const entry of Deno.readDir(join(SOURCE, folder))) {
      if (entry.isFile && entry.name.endsWith(".py")) found.push(folder + entry.name);
    }
  }
  assertEquals(Object.keys(RUNTIME_FILES).sort(), found.sort());
});

Deno.test("workers that install the kernel at once share one copy", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const programs = await Promise.all(Array.from({ length: 8 }, () => installRuntime(directory)));
    assertEquals(new Set(programs).size, 1);
    assertEquals(await Deno.readTextFile(programs[0]!), RUNTIME_FILES["main.py"]);
    assertEquals((await Array.fromAsync(Deno.readDir(directory))).length, 1);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
