import { fromFileUrl } from "@std/path";
import { edgePythons } from "./harness.ts";

const folder = fromFileUrl(new URL("python", import.meta.url));
const sources = fromFileUrl(new URL("../../lib/interpreter/python", import.meta.url));

for (const python of await edgePythons()) {
  const version = /python([\d.]+)$/.exec(python)?.[1];
  Deno.test(`the kernel's own unit tests pass, Python ${version}`, async () => {
    const { success, stderr } = await new Deno.Command(python, {
      args: ["-B", "-W", "error", "-m", "unittest", "discover", "-s", folder],
      env: { PYTHONPATH: sources },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  });
}
