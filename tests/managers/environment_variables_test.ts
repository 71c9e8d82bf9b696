import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import {
  managerVariables,
  pipVariables,
  withoutLoaderVariables,
} from "../../lib/managers/environment_variables.ts";

Deno.test("managers get what the operator set for the network, and nothing of the worker's", () => {
  const variables = managerVariables({
    PATH: "/bin",
    HOME: "/root",
    HYPHA_TOKEN: "secret",
    CONDA_CHANNELS: "evil",
    PYTHONPATH: "/x",
    LD_PRELOAD: "/x.so",
    https_proxy: "http://proxy",
    SSL_CERT_FILE: "/ca.pem",
  }, "/cache/home");
  assertEquals(variables.PATH, "/bin");
  assertEquals(variables.HOME, "/cache/home");
  assertEquals(variables.https_proxy, "http://proxy");
  assertEquals(variables.SSL_CERT_FILE, "/ca.pem");
  for (const name of ["HYPHA_TOKEN", "CONDA_CHANNELS", "PYTHONPATH", "LD_PRELOAD"]) {
    assertEquals(variables[name], undefined);
  }
});

Deno.test("variables of the dynamic loader are dropped, whatever their case", () => {
  const env = { LD_LIBRARY_PATH: "1", ld_preload: "2", DYLD_X: "3", OLD_ONE: "4", LD: "5" };
  assertEquals(withoutLoaderVariables(env), { OLD_ONE: "4", LD: "5" });
});

Deno.test("the operator's pip configuration applies although the home directory is private", async () => {
  const home = await Deno.makeTempDir();
  try {
    assertEquals(await pipVariables({ HOME: home }, "/pip"), { PIP_CACHE_DIR: "/pip" });
    const old = join(home, ".pip", "pip.conf");
    await Deno.mkdir(join(home, ".pip"));
    await Deno.writeTextFile(old, "");
    assertEquals((await pipVariables({ HOME: home }, "/pip")).PIP_CONFIG_FILE, old);
    const config = join(home, ".config", "pip", "pip.conf");
    await Deno.mkdir(join(home, ".config", "pip"), { recursive: true });
    await Deno.writeTextFile(config, "");
    assertEquals((await pipVariables({ HOME: home }, "/pip")).PIP_CONFIG_FILE, config);
    const named = {
      HOME: home,
      PIP_CONFIG_FILE: "/mine",
      PIP_INDEX_URL: "http://x",
      PIP_USER: "1",
    };
    assertEquals(await pipVariables(named, "/pip"), {
      PIP_CACHE_DIR: "/pip",
      PIP_CONFIG_FILE: "/mine",
      PIP_INDEX_URL: "http://x",
    });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
