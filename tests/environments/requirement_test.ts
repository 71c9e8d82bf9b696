import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parsePipOptions } from "../../lib/environments/pip_option.ts";
import { parseRequirement } from "../../lib/environments/requirement.ts";
import { parseSpec } from "../../lib/environments/spec.ts";

/** Spellings of each line mean the same; no two lines do. */
const MEANINGS: string[][] = [
  ["foo-bar>=1.0", "Foo_Bar >= 1.0", "foo.bar (>=1.0)", "FOO--BAR>=1.0,>=1.0"],
  ["foo-bar>1.0"],
  ["foo>=1,<2", "foo <2, >=1"],
  ["foo===1.0", "foo === 1.0"],
  ["foo==1.0"],
  ["foo==1.*"],
  ["foo[a,b]", "foo [ B , A ]", "foo[a,b,a]"],
  ["foo", "foo[]"],
  [
    "foo ; python_version < '3.12'",
    'foo;python_version<"3.12"',
    "foo ;  python_version  <  '3.12' ",
  ],
  ["foo ; python_version <= '3.12'"],
  ["foo ; sys_platform == 'a  b'"],
  ["foo ; sys_platform == 'a b'"],
  ["foo ; os_name == 'a' and extra == 'b'"],
  ["foo @ https://example.org/foo-1.0.zip", "Foo@HTTPS://Example.org/foo-1.0.zip"],
  ["foo @ https://example.org/foo-1.0.zip ; os_name == 'x'"],
  ["foo @ git+https://example.org/a/foo.git@v1"],
];

Deno.test("requirements that mean the same have one normal form, others have others", () => {
  const seen = new Map<string, string>();
  for (const [first, ...others] of MEANINGS) {
    const form = parseRequirement(first!);
    for (const other of others) assertEquals(parseRequirement(other), form, other);
    assertEquals(parseRequirement(form), form);
    assertEquals(seen.get(form), undefined, `${first} means the same as ${seen.get(form)}`);
    seen.set(form, first!);
  }
});

Deno.test("what pip would take for an option, a file or a variable is refused", () => {
  const refused: [text: string, reason: string][] = [
    ["-e .", "dash"],
    ["six --config-settings=a=b", "an option"],
    ["six # comment", "comment"],
    ["# comment", "comment"],
    ["six==${VERSION}", "no $"],
    ["https://example.org/${TOKEN}/x.zip", "no $"],
    ["six @ https://example.org/`id`", "no $, `"],
    ["local.tar.gz", "files of the worker's machine"],
    ["LOCAL.WHL", "files of the worker's machine"],
    ["local.tgz[extra]", "files of the worker's machine"],
    ["local.zip ; os_name == 'posix'", "files of the worker's machine"],
    ["..", "files of the worker's machine"],
    ["~/x", "files of the worker's machine"],
    ["sub/dir", "version"],
    ["C:/x", "not a URL"],
    ["file:x", "not a URL"],
    ["six @ file:///x", "only"],
    ["git+file:///srv/x", "only"],
    ["git+git://example.org/x", "only"],
    ["git+https://user:secret@example.org/x", "credentials"],
    ["git+ssh://git@example.org/x", "the worker's own keys"],
    ["x @ GIT+SSH://git@example.org/x", "the worker's own keys"],
    ["git+https://-oProxyCommand=x/y", "no proper host"],
    ["hg+https://example.org/x@--config=a", "no dash first"],
    ["git+https://example.org/x@%2D-upload-pack=a", "no dash first"],
    ["https://example.org/ü.zip", "special characters"],
    ["six\u202e", "invisible"],
    ["six ; os_name == 'a' ; x", "not a requirement"],
    ["six ; $(id)", "no $"],
    ["six ; {}", "marker"],
  ];
  for (const [text, reason] of refused) {
    const error = assertThrows(() => parseRequirement(text), Error, undefined, text);
    assertStringIncludes(error.message, reason, text);
  }
});

Deno.test("options of a pip section become words of their own, in their order", () => {
  const lines: [line: string, options: string[]][] = [
    ["-i https://example.org/simple/", ["--index-url", "https://example.org/simple"]],
    ["--index-url https://Example.org/simple", ["--index-url", "https://example.org/simple"]],
    ["--index-url=https://example.org/simple", ["--index-url", "https://example.org/simple"]],
    ["--extra-index-url=http://a.example", ["--extra-index-url", "http://a.example"]],
    ["-f https://example.org/wheels.html", ["--find-links", "https://example.org/wheels.html"]],
    ["--pre", ["--pre"]],
    [" --pre  --no-deps ", ["--pre", "--no-deps"]],
    ["--prefer-binary", ["--prefer-binary"]],
    ["--no-index -f https://a.example/x", ["--no-index", "--find-links", "https://a.example/x"]],
    ["--only-binary :all:", ["--only-binary", ":all:"]],
    ["--no-binary=Foo_Bar,six", ["--no-binary", "foo-bar,six"]],
  ];
  for (const [line, options] of lines) assertEquals(parsePipOptions(line), options, line);
  const spec = parseSpec({
    dependencies: [{ pip: ["--pre", "six", "-i https://example.org/simple"] }],
  });
  assertEquals(spec.pip, ["six"]);
  assertEquals(spec.pipOptions, ["--pre", "--index-url", "https://example.org/simple"]);
  // Without requirements pip is not run, and options say nothing.
  assertEquals(parseSpec({ dependencies: [{ pip: ["--pre"] }] }), parseSpec({}));
});

Deno.test("options that name files, run something or lower a guard are refused by name", () => {
  const refused = [
    "-r /etc/passwd",
    "-r/etc/passwd",
    "--requirement x",
    "--requirement=x",
    "-e .",
    "--editable=.",
    "-c x",
    "--constraint x",
    "--target /x",
    "-t /x",
    "--prefix=/x",
    "--root /x",
    "--user",
    "--config-settings a=b",
    "--global-option=x",
    "--build-option x",
    "--trusted-host example.org",
    "--cert /x",
    "--client-cert=/x",
    "--proxy http://x",
    "--log /x",
    "--cache-dir /x",
    "--python /x",
    "--src /x",
    "--report /x",
    "--index",
    "--index-ur=https://example.org",
    "--constructor",
    "--__proto__=x",
    "--",
    "-",
    "--pre=1",
  ];
  for (const line of refused) {
    const error = assertThrows(() => parsePipOptions(line), Error, undefined, line);
    const option = line.startsWith("--") ? line.replace(/[ =].*/, "") : line.slice(0, 2);
    assertStringIncludes(error.message, `pip's option ${option} is not allowed`, line);
  }
  const wrong: [line: string, reason: string][] = [
    ["--index-url", "not a URL"],
    ["--index-url file:///srv", "only https or http"],
    ["--find-links /srv", "not a URL"],
    ["--find-links=file:///srv", "only https or http"],
    ["-i https://u:p@example.org", "credentials"],
    ["-i https://example.org/${T}", "no $"],
    ["-i 'https://example.org'", "quotes"],
    ["--pre\n-r x", "line break"],
    ["--pre --target /x", "--target is not allowed"],
    ["--pre six", "it is not an option"],
    ["--only-binary --pre", "names of packages"],
    ["--only-binary", "names of packages"],
    ["--no-binary ../x", "names of packages"],
  ];
  for (const [line, reason] of wrong) {
    const error = assertThrows(() => parsePipOptions(line), Error, undefined, line);
    assertStringIncludes(error.message, reason, line);
  }
});
