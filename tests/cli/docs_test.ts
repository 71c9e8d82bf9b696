import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { outdated } from "../../scripts/docs.ts";
import { stackPaths } from "../stack/stack.ts";

Deno.test("documents that come from the code are up to date (scripts/docs.ts writes them)", async () => {
  assertEquals(await outdated(), []);
});

/** Markdown files of the project, relative to the checkout. */
async function documentsOf(directory: string, pattern: RegExp): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(join(stackPaths.root, directory))) {
    if (entry.isFile && pattern.test(entry.name)) names.push(join(directory, entry.name));
  }
  return names;
}

Deno.test("links and files that documents name exist", async () => {
  const documents = [...await documentsOf(".", /\.md$/), ...await documentsOf("docs", /\.md$/)];
  for (const document of documents) {
    const text = await Deno.readTextFile(join(stackPaths.root, document));
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) =>
      join(dirname(document), match[1]!)
    );
    // Paths in backquotes, such as `lib/cli/` and `tests/stack/main.ts`.
    const paths = [
      ...text.matchAll(/`((?:lib|tests|scripts|docs|examples|deploy|bench)\/[\w./-]*)`/g),
    ]
      .map((match) => match[1]!);
    for (const path of [...links, ...paths]) {
      const found = await Deno.stat(join(stackPaths.root, path)).then(() => true, () => false);
      assert(found, `${document} names ${path}, which does not exist`);
    }
  }
});
