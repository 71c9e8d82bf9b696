import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { resolve } from "@std/path";
import { WorkerError } from "../../lib/errors.ts";
import { readOptions } from "../../lib/cli/option.ts";
import { RUN_OPTIONS } from "../../lib/cli/run_options.ts";
import {
  readChoice,
  readParts,
  splitPackages,
  userVariables,
} from "../../lib/cli/run_environment.ts";

const choose = (...args: string[]) => readChoice(readOptions(RUN_OPTIONS, args, () => undefined));

Deno.test("a comma separates packages, but not the parts of a version", () => {
  const cases: [string, string[]][] = [
    ["numpy", ["numpy"]],
    ["numpy, pandas>=2,<3,six", ["numpy", "pandas>=2,<3", "six"]],
    ["numpy >=1.26, <2", ["numpy >=1.26, <2"]],
    ["python=3.11,*", ["python=3.11,*"]],
    ["pip:httpx[http2,brotli]>=0.2,<1,pip:rich", ["pip:httpx[http2,brotli]>=0.2,<1", "pip:rich"]],
    ["numpy[version='>=1,<2',build=py_0],six", ["numpy[version='>=1,<2',build=py_0]", "six"]],
    ["conda-forge::a,b", ["conda-forge::a", "b"]],
    ["pip:x @ https://h/a,b.whl", ["pip:x @ https://h/a,b.whl"]],
    ["pip:x; python_version in '3.8,a'", ["pip:x; python_version in '3.8,a'"]],
    ["a,,b,", ["a", "b"]],
  ];
  for (const [text, expected] of cases) assertEquals(splitPackages(text), expected, text);
});

Deno.test("options make dependencies as manifests have them", () => {
  assertEquals(
    choose("--with=numpy,pip:rich", "--with=pip:six", "--python=3.11", "--channel=a, b"),
    {
      packages: ["python=3.11", "numpy", { pip: ["rich", "six"] }],
      channels: ["a", "b"],
      spec: undefined,
      existing: undefined,
    },
  );
  assertEquals(choose("--python=>=3.10,<3.13").packages, ["python >=3.10,<3.13"]);
  assertEquals(choose("--env=base").existing, { name: "base" });
  assertEquals(choose("--env=./x/").existing, { prefix: resolve("x") });
  assertThrows(() => choose("--env=base", "--python=3.11"), WorkerError, "without --python");
});

Deno.test("what the command line says goes beside, or instead of, what a manifest says", async () => {
  const manifest = {
    dependencies: ["numpy"],
    channels: ["a"],
    entry_point: "main.py",
    env: { X: "1" },
  };
  const parts = async (...args: string[]) =>
    (await readParts(manifest, undefined, choose(...args))).parts;
  const added = await parts("--with=six,pip:rich");
  assertEquals(added.spec.packages, ["numpy", "pip", "python", "six"]);
  assertEquals([added.spec.pip, added.spec.channels], [["rich"], ["a"]]);
  assertEquals([added.entryPoint, added.env], ["main.py", { X: "1" }]);
  assertEquals((await parts("--channel=b,c")).spec.channels, ["b", "c"]);
  assertEquals((await parts("--env=mine")).spec, {
    channels: [],
    packages: [],
    pip: [],
    existing: { name: "mine" },
  });
  await assertRejects(() => parts("--with=numpy; rm"), WorkerError, "dependencies[1]");
  assertEquals(manifest.dependencies, ["numpy"]);
});

Deno.test("variables of the program, of its environment and of its session do not reach code", () => {
  const all = {
    LANG: "C.UTF-8",
    MY_KEY: "k",
    no_proxy: "*",
    HYPHA_TOKEN: "t",
    CONDA_PREFIX: "p",
    MAMBA_ROOT_PREFIX: "p",
    PATH: "/bin",
    PYTHONHASHSEED: "0",
    LD_PRELOAD: "x",
    CUDA_VISIBLE_DEVICES: "0",
    "BASH_FUNC_x%%": "() {}",
  };
  assertEquals(userVariables(all), { LANG: "C.UTF-8", MY_KEY: "k", no_proxy: "*" });
});
