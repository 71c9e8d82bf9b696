import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { WorkerError } from "../../lib/errors.ts";
import { condaPlatform, parseLockFile } from "../../lib/environments/lock_file.ts";
import { packageNames, parseSpec } from "../../lib/environments/spec.ts";

const MD5 = "0123456789abcdef0123456789abcdef";
const SHA = `sha256:${MD5}${MD5}`;
const HOST = "https://conda.anaconda.org/conda-forge";
const PYTHON = `${HOST}/linux-64/python-3.11.9-hb806964_0_cpython.conda#${MD5}`;
const PIP = `${HOST}/noarch/pip-24.0-pyhd8ed1ab_0.conda#${SHA}`;
const OPTIONS = { platform: "linux-64" };

const lock = (...lines: string[]) => ["# platform: linux-64", "@EXPLICIT", ...lines, ""].join("\n");

function refusal(manifest: Record<string, unknown>): string {
  const error = assertThrows(() => parseSpec(manifest, OPTIONS), WorkerError);
  assertEquals(error.code, "invalid_spec");
  return error.message;
}

Deno.test("a lock file says which packages there are, in its order, and the solver has no say", () => {
  const spec = parseSpec({ lock: lock(PYTHON, PIP) }, OPTIONS);
  assertEquals(spec, { channels: [], packages: [], pip: [], explicit: [PYTHON, PIP] });
  assertEquals(packageNames(spec), ["python", "pip"]);
  // The same as a list, with Windows line ends, and under its other name.
  assertEquals(parseSpec({ lock: [PYTHON, PIP] }, OPTIONS), spec);
  assertEquals(parseSpec({ explicit: lock(PYTHON, PIP).replaceAll("\n", "\r\n") }, OPTIONS), spec);
  const files = { lock: { path: "conda-linux-64.lock", text: lock(PYTHON, PIP) } };
  assertEquals(parseSpec({ lock: "conda-linux-64.lock" }, { ...OPTIONS, files }), spec);
});

Deno.test("hashes that mean the same have one normal form", () => {
  const normal = (hash: string) =>
    parseLockFile(lock(PYTHON.replace(MD5, hash)), "lock", "linux-64").packages;
  assertEquals(normal(MD5.toUpperCase()), [PYTHON]);
  assertEquals(normal(`${MD5}${MD5}`), normal(SHA));
  assertEquals(normal(SHA.toUpperCase()), [PYTHON.replace(MD5, SHA)]);
});

Deno.test("pip requirements may follow, in the manifest or as conda-lock writes them", () => {
  const dependencies = ["python", "pip", { pip: ["--no-deps", "six"] }];
  const spec = parseSpec({ lock: lock(PYTHON, PIP), dependencies }, OPTIONS);
  assertEquals([spec.pip, spec.pipOptions], [["six"], ["--no-deps"]]);
  const url = "https://files.example.org/six-1.16.0-py2.py3-none-any.whl";
  const rendered = lock(
    PYTHON,
    PIP,
    `# pip six @ ${url} --hash=sha256:${MD5}${MD5}`,
    `# pip rich @ ${url}#sha256=${MD5}${MD5}`,
    "# pip toml == 0.10.2",
  );
  assertEquals(parseSpec({ lock: rendered }, OPTIONS).pip, [
    `six @ ${url}#sha256=${MD5}${MD5}`,
    `rich @ ${url}#sha256=${MD5}${MD5}`,
    "toml==0.10.2",
  ]);
});

Deno.test("a package for another platform is refused", () => {
  const text = lock(PYTHON, `${HOST}/osx-arm64/zlib-1.2-0.conda#${MD5}`);
  assertStringIncludes(refusal({ lock: text }), "package for osx-arm64, and this machine is linux");
  assertEquals(
    [
      condaPlatform("linux", "x86_64"),
      condaPlatform("linux", "aarch64"),
      condaPlatform("darwin", "x86_64"),
      condaPlatform("darwin", "aarch64"),
    ],
    ["linux-64", "linux-aarch64", "osx-64", "osx-arm64"],
  );
});

Deno.test("every line that is no package with a hash is refused and named", () => {
  const refused: [line: string, reason: string][] = [
    [`${HOST}/linux-64/zlib-1.2-0.conda`, "no hash"],
    [`${HOST}/linux-64/zlib-1.2-0.conda#`, "MD5"],
    [`${HOST}/linux-64/zlib-1.2-0.conda#${MD5}0`, "MD5"],
    [`${HOST}/linux-64/zlib-1.2-0.conda#md5=${MD5}`, "MD5"],
    [`${HOST}/linux-64/zlib-1.2-0.zip#${MD5}`, "below its platform"],
    [`${HOST}/zlib-1.2-0.conda#${MD5}`, "below its platform"],
    [`https://u:p@example.org/linux-64/zlib-1.2-0.conda#${MD5}`, "credentials"],
    [`https://example.org/t/tk-1/c/linux-64/zlib-1.2-0.conda#${MD5}`, "credentials"],
    [`ftp://example.org/linux-64/zlib-1.2-0.conda#${MD5}`, "only https, http or file"],
    [`/srv/linux-64/zlib-1.2-0.conda#${MD5}`, "not a URL"],
    [`--file=/etc/passwd`, "dash"],
    [`zlib=1.2`, "not a URL"],
    [`${HOST}/linux-64/python-3.12.0-0.conda#${MD5}`, "python is there twice"],
    [`${HOST}/linux-64/$(id)-1.2-0.conda#${MD5}`, "special characters"],
    [`${HOST}/linux-64/a b-1.2-0.conda#${MD5}`, "special characters"],
    [`# pip --index-url https://example.org`, "dash"],
    [`# pip six==1.0 --hash=sha256:${MD5}${MD5}`, "only of a requirement with a URL"],
    [`# pip ./local`, "files of the worker's machine"],
  ];
  for (const [line, reason] of refused) {
    const message = refusal({ lock: lock(PYTHON, PIP, line) });
    assertStringIncludes(message, "lock line 5", line);
    assertStringIncludes(message, reason, line);
  }
});

Deno.test("a lock file is complete, or it is refused", () => {
  assertStringIncludes(refusal({ lock: `# comment\n${PYTHON}\n` }), "@EXPLICIT");
  assertStringIncludes(refusal({ lock: "@EXPLICIT" }), "python is not in it");
  assertStringIncludes(refusal({ lock: lock(PIP) }), "python is not in it");
  assertStringIncludes(refusal({ lock: lock(PYTHON, "# pip six") }), "pip is not in it");
  const pip = { lock: lock(PYTHON), dependencies: [{ pip: ["six"] }] };
  assertStringIncludes(refusal(pip), "pip is not in the lock file");
  for (const dependencies of [["numpy"], ["python=3.11"], ["python>=3"]]) {
    assertStringIncludes(refusal({ lock: lock(PYTHON, PIP), dependencies }), "beside the lock");
  }
  for (const value of [7, {}, true, [7]]) {
    assertStringIncludes(refusal({ lock: value }), "neither the text of a lock file");
  }
  assertStringIncludes(refusal({ lock: "x\n".repeat(3e6) }), "longer than");
});

Deno.test("credentials in a lock file do not come back in the refusal", () => {
  const url = `https://user:hunter2@example.org/linux-64/zlib-1.2-0.conda#${MD5}`;
  const error = assertThrows(() => parseLockFile(lock(url), "lock", "linux-64"), WorkerError);
  assertEquals(error.message.includes("hunter2"), false);
});
