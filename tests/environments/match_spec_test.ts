import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { parseMatchSpec } from "../../lib/environments/match_spec.ts";
import { stackPaths } from "../stack/stack.ts";

const normal = (text: string) => parseMatchSpec(text).text;

/** Spellings of each line mean the same; no two lines do. */
const MEANINGS: string[][] = [
  ["numpy", "NumPy", "  numpy ", "numpy *", "numpy=*", "numpy =*", "numpy[version='*']", "numpy[]"],
  [
    "numpy=1.26",
    "numpy =1.26",
    "numpy = 1.26",
    "Numpy=1.26",
    "numpy 1.26.*",
    "numpy=1.26.*",
    "numpy[version='=1.26']",
    'numpy[version="1.26.*"]',
    "numpy[version=1.26.*]",
  ],
  ["numpy==1.26", "numpy 1.26", "numpy ==1.26", "numpy == 1.26", "numpy[version='1.26']"],
  ["numpy==1.26.4", "numpy 1.26.4"],
  ["numpy=1.26.4"],
  ["numpy>=1,<2", "numpy >=1,<2", "numpy <2,>=1", "numpy >= 1 , < 2", "numpy>=1,<2,>=1"],
  ["numpy>1,<2"],
  ["numpy>=1|<0.5"],
  ["numpy>=1.2,<2|>=3", "numpy>=3|<2,>=1.2"],
  ["numpy>=1.2,<2,>=3"],
  ["numpy!=1.26", "numpy != 1.26"],
  ["numpy!=1.26.*"],
  ["numpy~=1.26", "numpy ~= 1.26"],
  ["numpy=1.26=py_0"],
  ["numpy 1.26.* py_0"],
  ["numpy[version='1.26.*',build='mkl*']", "numpy[build=mkl*, version=1.26.*]"],
  ["numpy=*=mkl*"],
  ["numpy[build='mkl*']"],
  ["numpy[build_number='>=1']", "numpy[ build_number = >=1 ]"],
  ["numpy=1.2|1.3", "numpy 1.3|=1.2"],
  ["numpy 1.2|1.3", "numpy 1.3|1.2"],
  ["conda-forge::numpy", "conda-forge::NumPy", "numpy[channel=conda-forge]", "conda-forge:: numpy"],
  ["bioconda::numpy"],
  ["conda-forge/linux-64::numpy"],
  ["conda-forge/noarch::numpy"],
  ["conda-forge::numpy[subdir='noarch']"],
  ["https://example.org/a::numpy", "HTTPS://Example.org/a/::numpy"],
  ["https://example.org/b::numpy>=1", "numpy[channel='https://example.org/b',version='>=1']"],
  ["pytorch/label/nightly::numpy"],
  ["python=3.11"],
  ["python==3.11", "python 3.11"],
  ["numpy-base"],
  ["numpy>0.5,(1.2|1.3)", "numpy > 0.5, (1.2 | 1.3)"],
  ["numpy (1.2|1.3),>1", "numpy(1.2|1.3),>1"],
];

Deno.test("spellings that mean the same have one normal form, others have others", () => {
  const seen = new Map<string, string>();
  for (const [first, ...others] of MEANINGS) {
    const form = normal(first!);
    for (const other of others) assertEquals(normal(other), form, other);
    assertEquals(seen.get(form), undefined, `${first} means the same as ${seen.get(form)}`);
    seen.set(form, first!);
  }
});

Deno.test("a normal form is its own normal form", () => {
  for (const text of MEANINGS.flat()) assertEquals(normal(normal(text)), normal(text), text);
});

/** What rattler says that specs match. */
async function matches(specs: string[]): Promise<(string[] | null)[]> {
  const child = new Deno.Command(stackPaths.rattlerPython, {
    args: [join(stackPaths.root, "tests", "environments", "match_oracle.py")],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(specs)));
  await writer.close();
  const { stdout, success } = await child.output();
  assert(success);
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("a spec and its normal form match the same packages, as rattler reads both", async () => {
  const specs = [...MEANINGS.flat(), ...generated()].filter((text) => !text.includes("://"));
  const given = await matches(specs);
  const normalised = await matches(specs.map(normal));
  let understood = 0;
  for (const [index, spec] of specs.entries()) {
    // rattler does not know every spelling that conda knows.
    if (given[index] === null) continue;
    understood++;
    assertEquals(normalised[index], given[index], `${spec} became ${normal(spec)}`);
  }
  assert(understood > specs.length * 0.9, `rattler understood ${understood} of ${specs.length}`);
});

Deno.test("specs with one normal form match the same packages, as rattler reads them", async () => {
  const specs = generated();
  const given = await matches(specs);
  const forms = new Map<string, { spec: string; packages: string }>();
  for (const [index, spec] of specs.entries()) {
    if (given[index] === null) continue;
    const packages = JSON.stringify(given[index]);
    const known = forms.get(normal(spec));
    if (known === undefined) forms.set(normal(spec), { spec, packages });
    else assertEquals(packages, known.packages, `${spec} and ${known.spec}`);
  }
  assert(forms.size < specs.length, "no two specs had one normal form");
});

/** Every operator with every kind of version, alone, joined, and with a build. */
function generated(): string[] {
  const operators = ["", "=", "==", ">=", "<=", ">", "<", "!=", "~="];
  const versions = ["1.2", "1.26", "1.26.4", "2", "1.2rc1"];
  const single = operators.flatMap((operator) =>
    versions.flatMap((version) => [
      `${operator}${version}`,
      ...(["", "=", "==", "!="].includes(operator) ? [`${operator}${version}.*`] : []),
    ])
  );
  const joined = single.slice(0, 30).flatMap((one, index) => {
    const other = single[(index * 7 + 3) % single.length]!;
    return [`${one},${other}`, `${other},${one}`, `${one}|${other}`, `${other}|${one}`];
  });
  return [...single, ...joined].map((version) => `numpy ${version}`)
    .concat(versions.flatMap((version) => [`numpy ${version} py_0`, `numpy=${version}=py_0`]));
}

Deno.test("a spec tells its package and where it must come from", () => {
  const parts = (text: string) => {
    const { name, origin } = parseMatchSpec(text);
    return [name, origin];
  };
  assertEquals(parts("NumPy>=1"), ["numpy", undefined]);
  assertEquals(parts("conda-forge::NumPy>=1"), ["numpy", "conda-forge"]);
  assertEquals(parts("file:///srv/channel/::numpy"), ["numpy", "file:///srv/channel"]);
  assertEquals(parts("numpy[channel='file:///srv/channel']"), ["numpy", "file:///srv/channel"]);
  const url = "https://example.org/linux-64/x-y-1.0-0.conda";
  assertEquals(parts(url), ["x-y", url]);
});

Deno.test("what is no match spec is refused with the reason", () => {
  const refused: [text: string, reason: string][] = [
    ["numpy>1 <2", "version"],
    ["numpy 1 2 3", "version"],
    ["numpy>=", "version"],
    ["numpy=1,,2", "version"],
    ["numpy>=1,<", "version"],
    ["numpy(1.2", "version"],
    ["numpy 1.2)", "version"],
    ["numpy=1=b d", "version"],
    ["numpy 1 b|c", "build"],
    ["numpy[version='1'", "brackets"],
    ["numpy[version='1']x", "brackets"],
    ["numpy[version='1'][build='x']", "brackets"],
    ["numpy[version=]", "brackets"],
    ["numpy[url='https://example.org/x.conda']", '"url" cannot be asked for'],
    ["numpy[fn=x.conda]", '"fn" cannot be asked for'],
    ["numpy[__proto__=x]", '"__proto__" cannot be asked for'],
    ["numpy[constructor=x]", '"constructor" cannot be asked for'],
    ["numpy[md5=abc]", "its md5"],
    ["numpy[build='a b']", "its build"],
    ["numpy[build_number=x]", "its build_number"],
    ["numpy=1[version='2']", "given twice"],
    ["numpy[version=1,version=2]", "given twice"],
    ["a::numpy[channel=b]", "given twice"],
    ["numpy 1 b[build=b]", "given twice"],
    ["numpy[channel='https://u:p@example.org']", "credentials"],
    ["https://example.org/t/abc-1/x::numpy", "credentials"],
    ["local::numpy", "directory of the worker's machine"],
    ["./x::numpy", "files of the worker's machine"],
    ["../x::numpy", "files of the worker's machine"],
    ["a/../b::numpy", "neither a channel's name"],
    ["file://x/y::numpy", "no proper host"],
    ["ftp://example.org/x::numpy", "only http, https or file"],
    ["::numpy", "empty"],
    ["a::", "a package's name"],
    ["*", "a package's name"],
    ["nump*", "version"],
    ["numpy@1", "version"],
    ["numpy\u202e", "invisible"],
    ["num\u200bpy", "invisible"],
    ["https://example.org/x-1.0-0.conda", "below its platform"],
    ["https://example.org/linux-64/x-1.0-0.zip", "below its platform"],
    ["https://example.org/linux-64/x-1.0-0.conda#zz", "MD5"],
  ];
  for (const [text, reason] of refused) {
    const error = assertThrows(() => normal(text), Error, undefined, text);
    assertStringIncludes(error.message, reason, text);
  }
  assertNotEquals(normal("numpy"), "");
});
