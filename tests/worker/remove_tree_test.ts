import { assert, assertEquals, assertRejects } from "@std/assert";
import { exists } from "@std/fs";
import { join, toFileUrl } from "@std/path";
import { removeTree } from "../../lib/remove_tree.ts";
import { stackPaths } from "../stack/stack.ts";

/** Somebody who is not allowed everything: this user, or `nobody` when this is root. */
const ORDINARY = Deno.uid() === 0 ? { uid: 65534, gid: 65534 } : {};

Deno.test("a directory that its code has closed to its owner is removed", async () => {
  const directory = await Deno.makeTempDir();
  await Deno.chmod(directory, 0o777);
  try {
    const module = toFileUrl(join(import.meta.dirname!, "../../lib/remove_tree.ts")).href;
    const copy = join(directory, "code");
    const script = join(directory, "remove.ts");
    // The module cache of another user is not this one's.
    await Deno.mkdir(copy);
    const text = (await (await fetch(module)).text()).replaceAll(
      /from "(@std\/path|\.\/delay\.ts)"/g,
      'from "./support.ts"',
    );
    await Deno.writeTextFile(join(copy, "remove_tree.ts"), text);
    await Deno.writeTextFile(
      join(copy, "support.ts"),
      'export const join = (...parts: string[]) => parts.join("/");\n' +
        "export const delay = (ms: number) => new Promise((done) => setTimeout(done, ms));\n",
    );
    await Deno.writeTextFile(
      script,
      `import { removeTree } from "./code/remove_tree.ts";
const root = ${JSON.stringify(join(directory, "session"))};
await Deno.mkdir(root + "/a/b/c", { recursive: true });
await Deno.mkdir(root + "/d");
await Deno.writeTextFile(root + "/a/b/c/file", "");
await Deno.writeTextFile(root + "/d/file", "");
await Deno.mkdir(${JSON.stringify(join(directory, "outside"))}, { mode: 0o500 });
await Deno.symlink(${JSON.stringify(join(directory, "outside"))}, root + "/d/link");
await Deno.chmod(root + "/a/b/c", 0);
await Deno.chmod(root + "/a", 0o500);
await Deno.chmod(root + "/d", 0);
await Deno.remove(root, { recursive: true }).then(() => console.log("no obstacle"), () => {});
await removeTree(root);
`,
    );
    const { code, stdout, stderr } = await new Deno.Command(stackPaths.deno, {
      args: ["run", "--quiet", "--no-check", "--no-config", "--allow-all", script],
      env: { DENO_DIR: join(directory, "deno"), HOME: directory },
      ...ORDINARY,
    }).output();
    assertEquals(
      [code, new TextDecoder().decode(stdout)],
      [0, ""],
      new TextDecoder().decode(stderr),
    );
    assert(!await exists(join(directory, "session")));
    const mode = (await Deno.stat(join(directory, "outside"))).mode!;
    assertEquals(mode & 0o777, 0o500, "what a link leads to has been changed");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a directory that is not there is removed already, and one that cannot be is an error", async () => {
  await removeTree("/nonexistent/directory");
  await assertRejects(() => removeTree("/proc/self/task"));
});
