/** Whose configuration counts. */
import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { CHANNEL, Double, KINDS } from "./double.ts";

for (const kind of KINDS) {
  Deno.test(`${kind}: configuration of user and program stays out, unless it is asked for`, async () => {
    await using double = await Double.install(kind);
    const home = join(double.directory, "home");
    await Deno.mkdir(home);
    const rc = join(home, ".condarc");
    // A channel that breaks every create in which it counts, and a package nobody has asked for.
    const hostile = "channels: ['file:///nonexistent/rc']\ncreate_default_packages: [toy-data]\n";
    await Deno.writeTextFile(rc, hostile);
    await Deno.copyFile(rc, join(double.directory, ".condarc"));
    const root = join(double.directory, "root");
    const env = {
      ...double.env,
      HOME: home,
      CONDARC: rc,
      CONDA_CHANNELS: "file:///nonexistent/variable",
      CONDA_PKGS_DIRS: join(double.directory, "elsewhere"),
      MAMBA_ROOT_PREFIX: root,
    };
    const request = double.request("toy-a");
    const isolated = await double.detect({ env });
    assertEquals(isolated.usesConfiguration, false);
    await isolated.create({ ...request, packages: ["toy-data"] });
    assertEquals(await double.packages(), ["toy-data-1.0"]);
    await Deno.remove(request.prefix, { recursive: true });

    const configured = await double.detect({ env, useConfiguration: true });
    assertEquals(configured.usesConfiguration, true);
    const error = await assertRejects(() => configured.create(request), WorkerError);
    assertEquals(error.code, "channel_unavailable");
    await Deno.remove(request.prefix, { recursive: true }).catch(() => {});
    await Deno.remove(join(double.directory, ".condarc"));
    await Deno.writeTextFile(rc, `channels: ['${CHANNEL}']\n`);
    const { CONDA_CHANNELS: _, ...rest } = env;
    const willing = await double.detect({ env: rest, useConfiguration: true });
    await willing.create({ ...request, packages: ["toy-data"], channels: [] });
    assertEquals(await double.packages(), ["toy-data-1.0"]);
    // The package cache stays the worker's.
    await Deno.stat(join(request.packageCache, "urls.txt"));
  });
}
