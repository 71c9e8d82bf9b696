import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { packageNames, parseSpec } from "../../lib/environments/spec.ts";

const packages = (...dependencies: unknown[]) => parseSpec({ dependencies }).packages;

Deno.test("a manifest without dependencies asks for python from conda-forge", () => {
  const plain = { channels: ["conda-forge"], packages: ["python"], pip: [] };
  assertEquals(parseSpec({}), plain);
  assertEquals(parseSpec({ dependencies: null, channels: null }), plain);
  assertEquals(parseSpec({ dependencies: [], channels: [] }), plain);
});

Deno.test("the manifest of the documentation is understood", () => {
  const manifest = {
    type: "conda-jupyter-kernel",
    dependencies: ["python=3.11", "numpy", "pandas"],
    channels: ["conda-forge"],
  };
  assertEquals(parseSpec(manifest).packages, ["numpy", "pandas", "python=3.11"]);
});

Deno.test("one dependency and one channel need no list", () => {
  const spec = parseSpec({ dependencies: "numpy", channels: "bioconda" });
  assertEquals(spec.packages, ["numpy", "python"]);
  assertEquals(spec.channels, ["bioconda"]);
});

Deno.test("python and pip are added only when no spec names them", () => {
  const named = [
    "python=3.11",
    "python >=3.9,<3.12",
    "Python[version='>3.9']",
    "conda-forge::python",
    "python 3.11.*",
  ];
  for (const spec of named) assertEquals(packages(spec).length, 1, spec);
  assertEquals(packages("python-dateutil"), ["python", "python-dateutil"]);
  for (const pip of ["pip", "pip>=23", "conda-forge::pip", "pip[version='>23']"]) {
    assertEquals(packages(pip, { pip: ["six"] }).length, 2, pip);
  }
  assertEquals(packages({ pip: ["six"] }), ["pip", "python"]);
  assertEquals(packages({ pip: [] }), ["python"]);
});

Deno.test("names that another worker needed are kept as they are", () => {
  const spec = parseSpec({ dependencies: ["ipykernel", "jupyter_client", "pyzmq"] });
  assertEquals(spec.packages, ["ipykernel", "jupyter_client", "python", "pyzmq"]);
});

Deno.test("spellings that mean the same have one normal form", () => {
  const same: [string, string][] = [
    ["numpy = 1.2", "numpy=1.2"],
    ["  NumPy  ", "numpy"],
    ["python >=3.9, <3.12", "python>=3.9,<3.12"],
    ["numpy 1.2", "numpy==1.2"],
    ["numpy  1.2  py_0", "numpy 1.2 py_0"],
    ["numpy[version='>1, <2']", "numpy>1,<2"],
    ["numpy[version='>1']", "numpy>1"],
    ["conda-forge::NumPy>=1", "conda-forge::numpy>=1"],
    ["conda-forge/linux-64::numpy", "conda-forge/linux-64::numpy"],
    ["python=3.11=*_cpython", "python=3.11=*_cpython"],
    ["numpy!=1.2|~=1.3", "numpy~=1.3|!=1.2"],
  ];
  for (const [given, normal] of same) {
    assert(packages(given).includes(normal), `${given}: ${packages(given)}`);
  }
  assertEquals(packages("numpy", "NUMPY", " numpy "), ["numpy", "python"]);
  const pip = ["Foo_Bar >= 1.0", "foo.bar>=1.0", "six[ a , b ] ; python_version  < '3.12'"];
  assertEquals(parseSpec({ dependencies: [{ pip }] }).pip, [
    "foo-bar>=1.0",
    "six[a,b] ; python_version < '3.12'",
  ]);
});

Deno.test("pip requirements may be URLs and come from repositories", () => {
  const pip = [
    "six",
    "git+https://example.org/a/b.git@v1#egg=b",
    "b @ https://example.org/b-1.0-py3-none-any.whl",
    "https://example.org/c-1.0.tar.gz",
    "torch==2.1.0+cpu",
    "a~=1.0,!=1.5.*",
    "hypha-rpc",
  ];
  const spec = parseSpec({ dependencies: [{ pip }] });
  assertEquals(spec.pip.length, pip.length);
  assertEquals(spec.pip[3], pip[3]);
});

Deno.test("an environment.yml is read as an object and as text", () => {
  const text = "name: x\nchannels: [bioconda]\ndependencies:\n  - numpy\n  - pip:\n    - six\n";
  const expected = { channels: ["bioconda"], packages: ["numpy", "pip", "python"], pip: ["six"] };
  const object = { channels: ["bioconda"], dependencies: ["numpy", { pip: ["six"] }] };
  for (const name of ["environment", "environment_yml", "conda"]) {
    assertEquals(parseSpec({ [name]: text }), expected);
    assertEquals(parseSpec({ [name]: object }), expected);
  }
  assertEquals(parseSpec({ dependency: "numpy" }).packages, ["numpy", "python"]);
});

Deno.test("channels are names and URLs in their order, without nodefaults", () => {
  const channels = [
    "conda-forge",
    "pytorch/label/nightly",
    "nodefaults",
    "https://example.org/channel/",
    "file:///srv/channel",
    "conda-forge",
  ];
  assertEquals(parseSpec({ channels }).channels, [
    "conda-forge",
    "pytorch/label/nightly",
    "https://example.org/channel",
    "file:///srv/channel",
  ]);
  assertEquals(parseSpec({ channels: ["nodefaults"] }).channels, ["conda-forge"]);
});

Deno.test("what cannot be a spec is refused and named", () => {
  const refused: [entry: unknown, reason: string][] = [
    [7, "neither a package spec"],
    [null, "neither a package spec"],
    [["numpy"], "neither a package spec"],
    [{ npm: ["x"] }, `only "pip" may`],
    ["", "empty"],
    ["   ", "empty"],
    ["--file=/etc/passwd", "dash"],
    ["-c", "dash"],
    ["numpy\n--yes", "line break"],
    ["numpy\u0000", "control character"],
    ["numpy; rm -rf /", `no ";"`],
    ["$(id)", `no "$"`],
    ["`id`", 'no "`"'],
    ["numpy && id", `no "&"`],
    ["numpy -c evil", "an option"],
    ["./local.conda", "files of the worker's machine"],
    ["/abs/local.tar.bz2", "files of the worker's machine"],
    ["~/x.conda", "files of the worker's machine"],
    ["file:///x/numpy-1-0.conda", "URL"],
    ["https://u:p@example.org/numpy-1.0-0.conda", "credentials"],
    ["numpy=1.2 'x y'", "version"],
    ["numpy(", "version"],
    ["x".repeat(2000), "longer"],
    [{ pip: [7] }, "a text"],
    [{ pip: ["-r /etc/passwd"] }, "pip's option -r is not allowed"],
    [{ pip: ["--index-url=file:///srv"] }, "only https or http can"],
    [{ pip: ["six --hash=sha256:0"] }, "an option"],
    [{ pip: ["six\n-e ."] }, "line break"],
    [{ pip: ["./x"] }, "files of the worker's machine"],
    [{ pip: ["/x/y"] }, "files of the worker's machine"],
    [{ pip: ["x.whl"] }, "files of the worker's machine"],
    [{ pip: ["x @ file:///etc"] }, "URL"],
    [{ pip: ["file:///etc"] }, "URL"],
    [{ pip: ["git+https://user:token@example.org/x"] }, "credentials"],
    [{ pip: ["git+https://token@example.org/x"] }, "credentials"],
    [{ pip: ["six${HOME}"] }, "no $"],
    [{ pip: ["six \\"] }, "backslash"],
    [{ pip: ["numpy=1.2"] }, "two equals signs"],
    [{ pip: ["a/b"] }, "version"],
  ];
  for (const [entry, reason] of refused) {
    const dependencies = ["numpy", entry];
    const error = assertThrows(() => parseSpec({ dependencies }), WorkerError, undefined);
    assertEquals(error.code, "invalid_spec");
    assertStringIncludes(error.message, "dependencies[1]");
    assertStringIncludes(error.message, reason);
  }
});

Deno.test("what cannot be a channel is refused and named", () => {
  const refused: [entry: unknown, reason: string][] = [
    [7, "a text"],
    ["-c", "dash"],
    ["https://u:p@example.org/x", "credentials"],
    ["https://example.org/t/secret/x", "credentials"],
    ["ftp://example.org", "http, https or file"],
    ["file://relative", "no proper host"],
    ["../x", "neither"],
    ["/srv/channel", "neither"],
    ["a b", "neither"],
    ["https://example.org/$(id)", "special characters"],
    ["https://example.org/a?b", "more than a host and a path"],
    ["file:///srv/../etc", "absolute and plain"],
    ["file:///srv/%2e%2e/etc", "absolute and plain"],
    ["file:///srv/%zz", "absolute and plain"],
    ["local", "directory of the worker's machine"],
    [3.1, "put it in quotes"],
  ];
  for (const [entry, reason] of refused) {
    const error = assertThrows(() => parseSpec({ channels: [entry] }), WorkerError, undefined);
    assertEquals(error.code, "invalid_spec");
    assertStringIncludes(error.message, "channels[0]");
    assertStringIncludes(error.message, reason);
  }
});

Deno.test("credentials do not come back in the refusal", () => {
  const secret = "hunter2".repeat(40);
  const places = [
    `https://user:${secret}@example.org/x`,
    `https://${secret}@example.org/x`,
    `https://user:${secret}:${secret}@${secret}@example.org/x`,
    `https://example.org/t/${secret}/x`,
    `HTTPS://${secret}@example.org/x::numpy`,
    `--index-url https://${secret}@example.org`,
    `--https://user:${secret}@example.org`,
    `git+https://${secret}@example.org/x`,
    `git@example.org:${secret}@x`,
  ];
  for (const entry of places) {
    for (
      const manifest of [
        { channels: [entry] },
        { dependencies: [entry] },
        { dependencies: [{ pip: [entry] }] },
        { dependencies: [{ [entry]: 1 }] },
        { lock: ["@EXPLICIT", entry] },
        { environment_file: entry },
        { environment: { name: entry } },
        { variables: { [entry]: "x" } },
        { channel_priority: entry },
      ]
    ) {
      let error: unknown;
      try {
        parseSpec(manifest);
      } catch (thrown) {
        error = thrown;
      }
      // A token in the path is one for conda only; elsewhere it is any folder.
      if (error === undefined && entry.includes("/t/")) continue;
      assert(error instanceof WorkerError, JSON.stringify(manifest));
      const shown = `${error.message} ${JSON.stringify(error.context)}`;
      assert(!shown.includes("hunter2"), shown);
    }
  }
});

Deno.test("broken YAML is refused", () => {
  const error = assertThrows(() => parseSpec({ environment: "a: [" }), WorkerError, "environment");
  assertEquals(error.code, "invalid_spec");
});

// One on which a pattern backtracks without end would never come back.
Deno.test("a long malicious spec is refused, and comes to an end", () => {
  for (const part of [" ", "=", " =", "a ", "=a ", ",", " a="]) {
    try {
      packages(`numpy${part.repeat(Math.floor(900 / part.length))}"`);
    } catch (error) {
      assert(error instanceof WorkerError);
    }
    try {
      packages({ pip: [`numpy${part.repeat(Math.floor(900 / part.length))}"`] });
    } catch (error) {
      assert(error instanceof WorkerError);
    }
  }
});

Deno.test("the names in a spec are known", () => {
  const spec = parseSpec({
    dependencies: ["conda-forge::NumPy>=1", "https://example.org/linux-64/x-y-1.0-0.conda"],
  });
  assertEquals(packageNames(spec).sort(), ["numpy", "python", "x-y"]);
});
