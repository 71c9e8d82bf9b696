import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseMatchSpec } from "../../lib/environments/match_spec.ts";
import { WorkerError } from "../../lib/errors.ts";
import {
  findBlocks,
  pythonSpec,
  readCodeMetadata,
  readNotebookMetadata,
} from "../../lib/cli/run_metadata.ts";
import { stackPaths } from "../stack/stack.ts";

/** The script of a block with some lines of TOML. */
function script(...lines: string[]): string {
  return ["# /// script", ...lines.map((line) => line === "" ? "#" : `# ${line}`), "# ///", ""]
    .join("\n");
}

Deno.test("dependencies of pip, of conda, channels and the version of Python are read", () => {
  const text = "#!/usr/bin/env python\n\n" + script(
    'requires-python = ">= 3.9, <4"',
    'dependencies = ["Rich", "httpx[http2]>=0.27 ; python_version > \'3.8\'"]',
    "",
    "[tool.other]",
    "x = 1",
    "[tool.hypha-conda-worker]",
    'channels = ["bioconda", "conda-forge"]',
    'dependencies = ["numpy>=2"]',
  );
  assertEquals(readCodeMetadata(text, "s.py"), {
    dependencies: [
      "python >=3.9,<4",
      "numpy>=2",
      { pip: ["Rich", "httpx[http2]>=0.27 ; python_version > '3.8'"] },
    ],
    channels: ["bioconda", "conda-forge"],
    warnings: [],
  });
  assertEquals(readCodeMetadata("print(1)\n", "s.py"), undefined);
  assertEquals(readCodeMetadata(script("", ""), "s.py")?.dependencies, []);
});

Deno.test("what is wrong is named with its line", () => {
  const cases: [string, string][] = [
    [script("x = 1") + "\n" + script("x = 1"), "line 1 and another one in line 5"],
    [`\n\n${script("dependencies = [", '  "a",', "  b]")}`, "s.py: it is not TOML: line 6"],
    [script("dependencies = 'a'"), "line 2: dependencies: it is not a list of texts"],
    [script("", 'dependencies = ["a", 3]'), "line 3: dependencies[1] (3): it is not a text"],
    [script("dependencies = [", '"six",', '"six=1",', "]"), 'line 4: dependencies[1] ("six=1")'],
    [script("requires-python = 3.11"), "line 2: requires-python: it is not a text"],
    [script("", 'requires-python = "3.11"'), 'line 3: requires-python ("3.11")'],
    [
      script("[tool]", "hypha-conda-worker = 1"),
      "line 3: tool.hypha-conda-worker: it is not a table",
    ],
    [
      script("[tool.hypha-conda-worker]", "chanels = []"),
      "line 3: tool.hypha-conda-worker.chanels",
    ],
    [script("[tool.hypha-conda-worker]", "chanels = []"), "did you mean channels?"],
    [
      script("[tool.hypha-conda-worker]", "channels = 'a'"),
      "line 3: tool.hypha-conda-worker.channels",
    ],
  ];
  for (const [text, expected] of cases) {
    const error = assertThrows(() => readCodeMetadata(text, "s.py"), WorkerError);
    assertStringIncludes(error.message, expected);
    assertStringIncludes(error.message, "s.py");
  }
});

Deno.test("a block without an end is ignored, as the specification wants, with a warning", () => {
  const open = "# /// script\n# dependencies = ['x']\nprint(1)\n";
  assertEquals(readCodeMetadata(open, "s.py"), {
    dependencies: [],
    channels: [],
    warnings: ['s.py, line 1: the block "# /// script" has no end "# ///", so it is ignored'],
  });
  const both = `${open}\n${script("dependencies = ['six']")}`;
  assertEquals(readCodeMetadata(both, "s.py")?.dependencies, [{ pip: ["six"] }]);
});

/** The reference implementation that stands in the specification, as far as it finds blocks. */
const REFERENCE = `
import json, re, sys
REGEX = r'(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\\s(?P<content>(^#(| .*)$\\s)+)^# ///$'
found = []
for text in json.load(sys.stdin):
    blocks = [m for m in re.finditer(REGEX, text) if m.group("type") == "script"]
    found.append([
        "".join(line[2:] if line.startswith("# ") else line[1:] for line in m.group("content").splitlines(keepends=True))
        for m in blocks
    ])
json.dump(found, sys.stdout)
`;

Deno.test("blocks are found where the reference implementation finds them", async () => {
  // Lines that mean something, often enough to make blocks.
  const often = ["# /// script", "# ///", "#", "# x = 1", ""];
  const pieces = [...often, ...often, ...often, "#x", "# /// other", " # ///", "# /// "];
  let state = 20_000;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  const texts = Array.from({ length: 4000 }, () => {
    const lines = Array.from({ length: 2 + random(20) }, () => pieces[random(pieces.length)]!);
    return lines.join("\n") + (random(2) === 0 ? "\n" : "");
  });
  const child = new Deno.Command(stackPaths.hyphaPython, {
    args: ["-c", REFERENCE],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.output();
  await new Response(JSON.stringify(texts)).body!.pipeTo(child.stdin);
  const expected: string[][] = JSON.parse(new TextDecoder().decode((await output).stdout));
  for (const [index, text] of texts.entries()) {
    const found = findBlocks(text).filter((block) => block.type === "script" && block.closed)
      .map((block) => block.content.map((line) => `${line}\n`).join(""));
    assertEquals(found, expected[index], JSON.stringify(text));
  }
  const count = (number: number) => expected.filter((blocks) => blocks.length === number).length;
  assert(count(1) > 300 && count(2) > 30, `${count(1)} texts with one block, ${count(2)} with two`);
});

Deno.test("versions of Python become specs of conda that mean the same", () => {
  const cases: [string, string][] = [
    [">=3.11", "python>=3.11"],
    ["== 3.11.*", "python=3.11"],
    ["===3.11.4", "python==3.11.4"],
    ["~=3.10,!=3.11.*", "python!=3.11.*,~=3.10"],
    [">3.8,<=3.13", "python<=3.13,>3.8"],
    ["", "python"],
  ];
  for (const [text, expected] of cases) {
    const spec = parseMatchSpec(pythonSpec(text)).text;
    // The order of what a comma joins means nothing.
    const parts = (one: string) => one.replace(/^python/, "").split(",").sort();
    assertEquals(parts(spec), parts(expected), spec);
  }
  for (const text of ["3.11", ">=3.*", ">=", "python>=3", ">=3.11 <4", "=>3"]) {
    assertThrows(() => pythonSpec(text), Error, "it is not a list of versions");
  }
});

Deno.test("a notebook says it in its metadata, or in a cell as a script does", () => {
  const own = {
    "hypha-conda-worker": { channels: ["a"], dependencies: ["numpy", { pip: ["rich"] }] },
  };
  const cell = script('dependencies = ["six"]');
  assertEquals(readNotebookMetadata(own, ["print(1)", cell], "nb"), {
    dependencies: ["numpy", { pip: ["rich"] }, { pip: ["six"] }],
    channels: ["a"],
    warnings: [],
  });
  const refused: [unknown, string[], string][] = [
    [1, [], "metadata.hypha-conda-worker of nb: it is not an object"],
    [{ dependencies: "numpy" }, [], "dependencies: it is not a list"],
    [{ channels: [1] }, [], "channels: it is not a list of texts"],
    [{ packages: [] }, [], "packages: there is no such key"],
    [{}, [cell, cell], "two cells have a block"],
  ];
  for (const [value, code, expected] of refused) {
    const metadata = { "hypha-conda-worker": value };
    assertThrows(() => readNotebookMetadata(metadata, code, "nb"), WorkerError, expected);
  }
});
