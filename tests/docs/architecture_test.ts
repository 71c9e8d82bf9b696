/** What docs/architecture.md says of the rooms, against the code. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { stackPaths } from "../stack/stack.ts";

/** From the top down. Rooms of one line do not import each other; what is in no folder of `lib/` is the base. */
const ORDER = [
  ["cli"],
  ["service", "dashboard", "notebook", "kubernetes"],
  ["worker"],
  ["interpreter", "environments", "staging"],
  ["managers"],
  ["std"],
];

const lib = join(stackPaths.root, "lib");
const level = (room: string) => ORDER.findIndex((rooms) => rooms.includes(room));

async function* modules(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = join(directory, entry.name);
    if (entry.isDirectory) yield* modules(path);
    else if (entry.name.endsWith(".ts")) yield path;
  }
}

/** The room of a module; empty for the base. */
function roomOf(path: string): string {
  const parts = path.slice(lib.length + 1).split("/");
  return parts.length > 1 ? parts[0]! : "";
}

Deno.test("imports go from room to room downwards only", async () => {
  const upwards: string[] = [];
  let crossing = 0;
  for await (const path of modules(lib)) {
    const from = roomOf(path);
    const text = await Deno.readTextFile(path);
    for (const match of text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)) {
      const to = roomOf(join(path, "..", match[1]!));
      if (to === from || to === "") continue;
      crossing++;
      const allowed = from !== "" && level(from) >= 0 && level(from) < level(to);
      if (!allowed) upwards.push(`${path.slice(lib.length + 1)} imports ${match[1]}`);
    }
  }
  assert(crossing > 100, `${crossing}`);
  assertEquals(upwards, []);
});

Deno.test("the document has exactly the rooms that there are", async () => {
  const rooms = (await Array.fromAsync(Deno.readDir(lib))).filter((entry) => entry.isDirectory);
  const text = await Deno.readTextFile(join(stackPaths.root, "docs", "architecture.md"));
  const named = [...text.matchAll(/^\| `lib\/(\w+)\/`/gm)].map((match) => match[1]!);
  assertEquals(named.sort(), rooms.map((entry) => entry.name).sort());
  assertEquals(ORDER.flat().sort(), named);
  const picture = await Deno.readTextFile(join(stackPaths.root, "docs", "pictures", "rooms.svg"));
  for (const room of named) if (room !== "std") assert(picture.includes(`>${room}`), room);
});

Deno.test("files that the document tells to begin with are there", async () => {
  const text = await Deno.readTextFile(join(stackPaths.root, "docs", "architecture.md"));
  for (const [, room, words] of text.matchAll(/^\| `lib\/(\w+)\/`\s*\|(.*)\|$/gm)) {
    for (const [, name] of words!.matchAll(/`([\w/]+(?:\.ts|\/))`/g)) {
      const path = join(lib, room!, name!);
      assert(await Deno.stat(path).then(() => true, () => false), path);
    }
  }
});
