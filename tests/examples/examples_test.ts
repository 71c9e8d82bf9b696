/** The examples, run by the real program and through a real Hypha server. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parse as parseYaml } from "@std/yaml";
import { filesBelow } from "../../scripts/leftovers.ts";
import { cacheOptions, Desk, type Ended, program } from "../cli/program.ts";
import { checkManifest } from "../docs/manifest_fields.ts";
import { manifestFields } from "../docs/kinds.ts";
import { managersWithChannels, sharedCache } from "../docs/sandbox.ts";
import { Stage } from "../e2e/stage.ts";
import { stackPaths } from "../stack/stack.ts";

const folder = join(stackPaths.root, "examples");
const apps: string[] = [];
for await (const entry of Deno.readDir(folder)) if (entry.isDirectory) apps.push(entry.name);

/** Runs an example as its README says; conda-forge is the channel of the test stack. */
async function runExample(desk: Desk, app: string): Promise<Ended> {
  const managers = await managersWithChannels(join(desk.directory, "managers"));
  const options = [...cacheOptions(sharedCache), `--output-dir=${desk.output}`];
  return await program(
    ["run", join(folder, app), ...options],
    { TMPDIR: desk.temporary },
    managers,
  );
}

/** Width and height of a PNG. */
function pngSize(bytes: Uint8Array): { width: number; height: number } {
  assertEquals([...bytes.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

Deno.test("every example has a README, and a manifest whose fields are all known and good", async () => {
  const known = await manifestFields();
  assert(apps.length >= 5, `${apps}`);
  for (const app of apps) {
    const files = await filesBelow(join(folder, app));
    assert(files.includes("README.md"), `${app} has no README.md`);
    if (!files.includes("manifest.yaml")) {
      assert(files.some((file) => file.endsWith(".ipynb")), `${app} has nothing to run`);
      continue;
    }
    const manifest = parseYaml(
      await Deno.readTextFile(join(folder, app, "manifest.yaml")),
    ) as Record<string, unknown>;
    assertEquals(Object.keys(manifest).filter((name) => !known.has(name)), [], app);
    checkManifest(manifest);
    assert(files.includes(manifest.entry_point as string), `${app} has no ${manifest.entry_point}`);
  }
});

Deno.test("analysis: the rates that the data were made with are found, the table is saved and the figure drawn", async () => {
  await using desk = await Desk.make();
  const { code, stdout, stderr } = await runExample(desk, "analysis");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "153 wells read, blank 0.042 subtracted");
  const table = await Deno.readTextFile(join(desk.output, "growth_rates.csv"));
  const rows = table.trim().split("\n").slice(1).map((line) => line.split(","));
  const found = new Map(rows.map(([strain, rate]) => [strain, Number(rate)]));
  const made = [["mutant A", 0.82], ["mutant B", 1.31], ["wild type", 1.05]] as const;
  for (const [strain, rate] of made) {
    const difference = Math.abs(found.get(strain)! / rate - 1);
    // Growth slows down towards its end, which is fitted too.
    assert(difference < 0.12, `${strain}: ${found.get(strain)} instead of ${rate}`);
  }
  const { width, height } = pngSize(await Deno.readFile(join(desk.output, "main-1.png")));
  assert(width > 300 && height > 200, `${width} x ${height}`);
});

Deno.test("files: what the manifest stages is read, under its new name, and what it saves is there", async () => {
  await using desk = await Desk.make();
  const { code, stdout, stderr } = await runExample(desk, "files");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "sample-2: 3 peaks");
  assertEquals((await filesBelow(desk.output)).filter((name) => name.includes(".")).sort(), [
    "pictures/sample-1.svg",
    "pictures/sample-2.svg",
    "pictures/sample-3.svg",
    "results/peaks.csv",
  ]);
  const peaks = (await Deno.readTextFile(join(desk.output, "results/peaks.csv"))).trim();
  assertEquals(peaks.split(/\r?\n/).length, 1 + 2 + 3 + 1, peaks);
});

Deno.test("gpu: says what there is, and ends well without", async () => {
  await using desk = await Desk.make();
  const { code, stdout, stderr } = await runExample(desk, "gpu");
  assertEquals(code, 0, stderr);
  const devices = (await Array.fromAsync(Deno.readDir("/dev"))).filter((entry) =>
    /^nvidia\d+$/.test(entry.name)
  );
  if (devices.length === 0) {
    assertStringIncludes(stdout, "Device files: none");
    assertMatch(stdout, /^No GPU/m);
  } else {
    for (const { name } of devices) assertStringIncludes(stdout, `/dev/${name}`);
    assertMatch(stdout, /GiB, compute capability|No GPU can be used: /);
  }
});

/** A stand-in for the NVIDIA driver with two devices, as far as the example asks; FAULT makes it refuse. */
const DRIVER = `
#include <stdlib.h>
#include <string.h>
static int refused(void) { const char *fault = getenv("FAULT"); return fault ? atoi(fault) : 0; }
int cuInit(unsigned flags) { return refused(); }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int index) { *device = index + 10; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, device == 10 ? "Stand-in A" : "Stand-in B", length);
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device == 10 ? 80 : 24) << 30; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 9 : 0; return 0; }
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_STAND_IN"; return 0; }
`;

Deno.test("gpu: lists what a driver shows, and tells its refusals apart from having none", async () => {
  const directory = await Deno.makeTempDir({ prefix: "driver-" });
  try {
    const source = join(directory, "driver.c");
    await Deno.writeTextFile(source, DRIVER);
    const built = await new Deno.Command("cc", {
      args: ["-shared", "-fPIC", "-o", join(directory, "libcuda.so.1"), source],
    }).output();
    assertEquals(built.code, 0, new TextDecoder().decode(built.stderr));
    const run = async (env: Record<string, string>) => {
      const { code, stdout, stderr } = await new Deno.Command(stackPaths.hyphaPython, {
        args: [join(folder, "gpu", "main.py")],
        env: { LD_LIBRARY_PATH: directory, ...env },
      }).output();
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    const listed = await run({ CUDA_VISIBLE_DEVICES: "0,1" });
    assertStringIncludes(listed, "CUDA_VISIBLE_DEVICES: 0,1\n");
    assertStringIncludes(listed, "Stand-in A: 80 GiB, compute capability 9.0\n");
    assertStringIncludes(listed, "Stand-in B: 24 GiB, compute capability 9.0\n");
    assertStringIncludes(await run({ FAULT: "100" }), "it shows no device to this session");
    assertStringIncludes(
      await run({ FAULT: "999" }),
      "No GPU can be used: cuInit failed: CUDA_ERROR_STAND_IN (999)",
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("notebook: it brings its own packages, takes parameters, and is saved with what it found", async () => {
  await using desk = await Desk.make();
  const managers = await managersWithChannels(join(desk.directory, "managers"));
  const saved = join(desk.directory, "saved.ipynb");
  const report = join(desk.directory, "report.html");
  const { code, stderr } = await program(
    [
      "run",
      join(folder, "notebook", "dose_response.ipynb"),
      "--parameters=half_dose=5.0",
      "--parameters=noise=0.01",
      `--output=${saved}`,
      `--report=${report}`,
      ...cacheOptions(sharedCache),
    ],
    { TMPDIR: desk.temporary },
    managers,
  );
  assertEquals(code, 0, stderr);
  const notebook = JSON.parse(await Deno.readTextFile(saved));
  assertEquals([notebook.nbformat, notebook.nbformat_minor], [4, 5]);
  const text = JSON.stringify(notebook);
  const found = Number(/Half dose: ([\d.]+) µM/.exec(text)?.[1]);
  assert(Math.abs(found - 5) < 0.5, `${found}`);
  const last = notebook.cells.at(-1).outputs.at(-1);
  assert(last.data["image/png"] !== undefined, JSON.stringify(last).slice(0, 200));
  assertStringIncludes(await Deno.readTextFile(report), "data:image/png;base64,");
});

Deno.test("notebook: it is kept without outputs", async () => {
  const text = await Deno.readTextFile(join(folder, "notebook", "dose_response.ipynb"));
  for (const cell of JSON.parse(text).cells) {
    if (cell.cell_type === "code") assertEquals([cell.outputs, cell.execution_count], [[], null]);
  }
});

Deno.test("through a server: the model is started by its first call, files come back when the session ends", async (t) => {
  await using desk = await Desk.make();
  const managers = await managersWithChannels(join(desk.directory, "managers"));
  await using stage = await Stage.start({
    managers,
    cacheDir: sharedCache,
    args: ["--max-environments=100"],
  });
  /** Runs one of the examples' own programs against the server. */
  const python = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(stackPaths.hyphaPython, {
      args,
      cwd: folder,
      env: {
        HYPHA_SERVER_URL: stage.server.url,
        HYPHA_WORKSPACE: stage.server.workspaceOf("user-1"),
        HYPHA_TOKEN: await stage.server.userToken({ user: "user-1" }),
        no_proxy: "*",
      },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assertEquals(code, 0, decoder.decode(stderr) + stage.worker.output());
    return decoder.decode(stdout);
  };

  await t.step("model-service", async () => {
    assertStringIncludes(await python("install.py", "model-service"), "Installed model-service");
    const answers = await python("model-service/client.py");
    assertStringIncludes(answers, "['debris', 'elongated', 'round']");
    for (const [cell, label] of [["60", "round"], ["90", "elongated"], ["12", "debris"]]) {
      assertMatch(answers, new RegExp(`${cell} µm², roundness [\\d.]+: ${label} \\(\\d+%\\)`));
    }
    const stdout = await stage.python(`
server = await connect()
model = await server.get_service("default@model-service")
check((await model.predict([])) == [])
print(await fails(model.predict([{"area": 1}])))
apps = await server.get_service("public/server-apps")
[session] = await apps.list_running()
logs = await apps.get_logs(session["id"], type="stdout")
print(logs["items"][0]["content"])
await apps.stop(session["id"])`);
    assertStringIncludes(stdout, "every cell needs the numbers area and roundness");
    assertMatch(stdout, /Trained on debris, elongated, round: (?:9\d|100)% of the training set/);
  });

  await t.step("files", async () => {
    await python("install.py", "files", "spectra");
    const stdout = await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
session = await apps.start("spectra", timeout=300)
await apps.stop(session["id"])
print(await apps.read_file("spectra", "results/peaks.csv"))
manager = await server.get_service("public/artifact-manager")
print(sorted(f["name"] for f in await manager.list_files("ws-user-user-1/spectra", "pictures")))`);
    assertStringIncludes(stdout, "sample-2");
    assertStringIncludes(stdout, "['sample-1.svg', 'sample-2.svg', 'sample-3.svg']");
  });

  await t.step("a cell of the analysis finds the script's variables", async () => {
    await python("install.py", "analysis");
    await stage.python(`
server = await connect()
apps = await server.get_service("public/server-apps")
session = await apps.start("analysis", timeout=300)
worker = await server.get_service(session["worker_id"])
result = await worker.execute(session["id"], "rates['rate'].idxmax()")
check(result["outputs"][-1]["data"]["text/plain"] == "'mutant B'", result)
logs = await apps.get_logs(session["id"], type="stdout")
check("153 wells read" in "".join(i["content"] for i in logs["items"]), logs)
await apps.stop(session["id"])`);
  });
});
