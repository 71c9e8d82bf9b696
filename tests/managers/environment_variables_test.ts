import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import {
  configurationVariables,
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

Deno.test("the managers' own settings of the network count, their other ones do not", () => {
  const variables = managerVariables({
    CONDA_SSL_VERIFY: "/ca.pem",
    MAMBA_REMOTE_MAX_RETRIES: "9",
    CONDA_PKGS_DIRS: "/evil",
    MAMBA_ROOT_PREFIX: "/evil",
    CONDARC: "/evil",
  }, "/cache/home");
  assertEquals(variables.CONDA_SSL_VERIFY, "/ca.pem");
  assertEquals(variables.MAMBA_REMOTE_MAX_RETRIES, "9");
  assert(!Object.values(variables).includes("/evil"));
});

Deno.test("configuration that was asked for comes without the active environment and the worker's secrets", () => {
  const variables = configurationVariables({
    HOME: "/home/me",
    CONDARC: "/mine/condarc",
    CONDA_CHANNELS: "mine",
    MAMBA_USE_UV: "1",
    PIP_USER: "1",
    PYTHONPATH: "/x",
    LD_PRELOAD: "/x.so",
    CONDA_PREFIX: "/active",
    CONDA_PREFIX_1: "/active",
    CONDA_SHLVL: "2",
    CONDA_PKGS_DIRS: "/elsewhere",
    CONDA_TOKEN: "secret",
    HYPHA_TOKEN: "secret",
  }, ["CONDA_TOKEN"]);
  assertEquals(variables, {
    HOME: "/home/me",
    XDG_CONFIG_HOME: "/home/me/.config",
    XDG_CACHE_HOME: "/home/me/.cache",
    XDG_DATA_HOME: "/home/me/.local/share",
    CONDARC: "/mine/condarc",
    CONDA_CHANNELS: "mine",
    MAMBA_USE_UV: "1",
    PIP_USER: "1",
    PYTHONPATH: "/x",
  });
});

Deno.test("of pip's configuration files only mirrors, certificates and the like count", async () => {
  const home = await Deno.makeTempDir();
  try {
    const own = join(home, "pip.conf");
    await Deno.writeTextFile(
      own,
      "[global]\nindex-url = https://mirror/simple\nuser = true\ntrusted-host =\n    a\n    b\n[list]\nretries = 9\n[install]\ntimeout: 7\n",
    );
    const named = { HOME: home, PIP_CONFIG_FILE: own, PIP_TIMEOUT: "8", PIP_USER: "1" };
    const variables = await pipVariables(named, "/pip");
    assertEquals(variables.PIP_INDEX_URL, "https://mirror/simple");
    assertEquals(variables.PIP_TRUSTED_HOST, "a b");
    // A variable counts more than a file.
    assertEquals(variables.PIP_TIMEOUT, "8");
    assertEquals(variables.PIP_CACHE_DIR, "/pip");
    assertEquals(variables.PIP_CONFIG_FILE, "/dev/null");
    assertEquals([variables.PIP_USER, variables.PIP_RETRIES], [undefined, undefined]);

    await Deno.mkdir(join(home, ".config", "pip"), { recursive: true });
    await Deno.rename(own, join(home, ".config", "pip", "pip.conf"));
    const found = await pipVariables({ HOME: home }, "/pip");
    assertEquals(found.PIP_INDEX_URL, "https://mirror/simple");
    const none = await pipVariables({ HOME: home, PIP_CONFIG_FILE: "/dev/null" }, "/pip");
    assertEquals(none, { PIP_CACHE_DIR: "/pip", PIP_CONFIG_FILE: "/dev/null" });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
