import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { filesBelow } from "../../scripts/leftovers.ts";
import { managerPath, stackPaths } from "../stack/stack.ts";
import { Desk } from "./program.ts";

Deno.test("an app runs from a cache that cannot be written to, as in a container image", async () => {
  await using desk = await Desk.make();
  const cache = join(desk.directory, "cache");
  const app = await desk.app("print('works')");
  const built = await (await desk.start([app], cache)).ended;
  assertEquals([built.code, built.stdout], [0, "works\n"], built.stderr);

  const script = `
    mount --bind "$CACHE" "$CACHE" && mount -o remount,bind,ro "$CACHE" || exit 99
    exec "$@"
  `;
  const runs = async (dependencies: string[]) => {
    await desk.app("print('works')", { dependencies });
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      args: [
        ...["-m", "sh", "-c", script, "sh", Deno.execPath(), "run", "--quiet", "-A"],
        ...[join(stackPaths.root, "main.ts"), "run", app, `--cache-dir=${cache}`],
        `--output-dir=${desk.output}`,
      ],
      env: { CACHE: cache, TMPDIR: desk.temporary, PATH: `${managerPath()}:/usr/bin:/bin` },
    }).output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  };
  const { code, stdout, stderr } = await runs(["python=3.11"]);
  if (code === 99 || stderr.includes("unshare")) {
    console.log("SKIPPED: nothing can be made read-only here");
    return;
  }
  assertEquals([code, stdout], [0, "works\n"], stderr);
  const other = await runs(["python=3.11", "toy-a"]);
  assertEquals(other.code, 1);
  assertStringIncludes(other.stderr, "Cannot use the cache directory");
  assertEquals(await filesBelow(desk.temporary), []);
  assertEquals(await desk.processes(), []);
});
