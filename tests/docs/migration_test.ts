/** docs/migration.md against the tests that it names, and against the Python worker itself. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { environmentNames, readOptions } from "../../lib/cli/option.ts";
import { START_OPTIONS } from "../../lib/cli/options.ts";
import { runPythonClient } from "../stack/python_client.ts";
import { stackPaths } from "../stack/stack.ts";

const document = await Deno.readTextFile(join(stackPaths.root, "docs", "migration.md"));

/** Cells of the rows of the table below a heading, without its head. */
function tableBelow(heading: string): string[][] {
  const section = document.split(/^## /m).find((part) => part.startsWith(heading));
  assert(section !== undefined, `there is no section ${heading}`);
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** Texts in backquotes. */
const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

/** String literals of a test file, what is filled in left out: names of tests are among them. */
function literals(source: string): Set<string> {
  const found = new Set<string>();
  for (const match of source.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g)) {
    const text = (match[1] ?? match[2]!).replaceAll('\\"', '"');
    found.add(text.replace(/\$\{[^}]*\}[:,]?/g, "").replace(/\s+/g, " ").trim());
  }
  return found;
}

Deno.test("each difference from the Python worker is held by tests that there are", async () => {
  const rows = tableBelow("What is different, and why");
  assert(rows.length > 30, `${rows.length} rows`);
  const missing: string[] = [];
  const sources = new Map<string, Set<string>>();
  for (const [theirs, ours, held] of rows) {
    assert(theirs !== "" && ours !== "", JSON.stringify(theirs));
    const tests = [...held!.matchAll(/`(tests\/[\w/]+_test\.ts)`: (.+?)(?=<br>|$)/g)];
    if (tests.length === 0) missing.push(`${theirs}: no test`);
    for (const [, file, name] of tests) {
      if (!sources.has(file!)) {
        const text = await Deno.readTextFile(join(stackPaths.root, file!)).catch(() => "");
        sources.set(file!, literals(text));
      }
      if (!sources.get(file!)!.has(name!.trim())) missing.push(`${file}: ${name}`);
    }
  }
  assertEquals(missing, []);
});

/** The source of the Python worker, as it is installed beside the server. */
async function pythonWorker(): Promise<string> {
  const { code, stdout, stderr } = await runPythonClient(`
import importlib.util, os
[package] = importlib.util.find_spec("hypha").submodule_search_locations
print(open(os.path.join(package, "workers", "conda.py")).read())`);
  assertEquals(code, 0, stderr);
  return stdout;
}

/** What an option is when only a variable is set. */
function fromVariable(name: string, variable: string): unknown {
  const environment = (asked: string) => asked === variable ? "some-value" : undefined;
  return readOptions(START_OPTIONS, [], environment).values[name];
}

Deno.test("every flag and variable of the Python worker counts here, in each spelling", async () => {
  const source = await pythonWorker();
  const flags = [...source.matchAll(/add_argument\(\s*"--([a-z-]+)"/g)].map((match) => match[1]!);
  assert(flags.length >= 12, flags.join());
  const table = new Map(
    tableBelow("Flags and variables").map(([flag, variables]) =>
      [quoted(flag!)[0]!.slice(2), quoted(variables!)] as const
    ),
  );
  assertEquals([...table.keys()].sort(), [...new Set(flags)].sort());
  const known = new Set(START_OPTIONS.flatMap(environmentNames));
  for (const [name, variables] of table) {
    const option = START_OPTIONS.find((one) => one.name === name);
    assert(option !== undefined, `--${name} is no option`);
    for (const variable of variables) {
      const value = fromVariable(name, variable);
      assertEquals(value, option.type === "flag" ? true : "some-value", variable);
    }
  }
  // Those that its code reads, by either way.
  const read = [
    ...[...source.matchAll(/get_env_var\("(\w+)"/g)].map((match) => `HYPHA_${match[1]}`),
    ...[...source.matchAll(/environ\.get\("(\w+)"/g)].map((match) => match[1]!),
  ];
  assert(read.length > 15, read.join());
  const others = new Set(read.filter((name) => !known.has(name)));
  // What they are for is said in words.
  for (const name of others) assert(document.includes(`\`${name}\``), `${name} is not told`);
  assertEquals([...others].sort(), ["HYPHA_LOGLEVEL", "HYPHA_RUN_FROM_ENV"]);
});
