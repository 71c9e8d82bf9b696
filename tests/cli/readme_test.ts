import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { startWorker } from "../e2e/worker_process.ts";
import { startHypha } from "../stack/hypha.ts";
import { runPythonClient } from "../stack/python_client.ts";
import { stackPaths } from "../stack/stack.ts";

Deno.test("the README's Python program runs, with only addresses and names changed", async () => {
  const readme = await Deno.readTextFile(join(stackPaths.root, "README.md"));
  const program = /```python\n(.*?)```/s.exec(readme)?.[1] ?? "";
  await using server = await startHypha();
  await using worker = await startWorker(server);
  const changes = {
    "https://hypha.aicell.io": server.url,
    "my-workspace": server.workspaceOf("user-1"),
    "my-token": await server.userToken({ user: "user-1" }),
    "conda-forge": stackPaths.channel,
  };
  const changed = Object.entries(changes).reduce((text, [from, to]) => {
    assertStringIncludes(text, from);
    return text.replaceAll(from, to);
  }, program);
  const { code, stdout, stderr } = await runPythonClient(changed);
  assertEquals(code, 0, stderr + worker.output());
  assertStringIncludes(stdout, "· ");
  assertStringIncludes(stdout, "'text': 'computing\\n'");
  assertStringIncludes(stdout, "ok [");
  assertStringIncludes(stdout, "10");
});
