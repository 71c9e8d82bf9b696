/**
 * Writes the tables of values in the READMEs of the charts from the comments in their values.yaml.
 *
 *     deno run --allow-read --allow-write --allow-run deploy/helm/readme.ts
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { parse } from "@std/yaml";
import { format } from "../../scripts/markdown.ts";

const charts = dirname(fromFileUrl(import.meta.url));
const START = "<!-- values: written by deploy/helm/readme.ts -->";
const END = "<!-- end of values -->";

/** Descriptions by dotted path: the lines above a key that begin with `# -- `. */
function descriptions(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const path: string[] = [];
  let comment = "";
  for (const line of text.split("\n")) {
    const [, indent = "", rest = ""] = /^( *)(.*)$/.exec(line)!;
    if (rest.startsWith("# -- ")) comment = rest.slice(5);
    else if (rest.startsWith("# ") && comment !== "") comment += ` ${rest.slice(2)}`;
    else {
      const key = /^([A-Za-z]+):/.exec(rest)?.[1];
      if (key !== undefined) {
        path.length = indent.length / 2;
        path.push(key);
        if (comment !== "") found.set(path.join("."), comment);
      }
      comment = "";
    }
  }
  return found;
}

/** Rows of a value and those below: what is described as a whole is one row. */
function rows(path: string, value: unknown, described: Map<string, string>): string[][] {
  const description = described.get(path);
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isMap || description !== undefined || Object.keys(value).length === 0) {
    return [[`\`${path}\``, description ?? "", `\`${JSON.stringify(value)}\``]];
  }
  return Object.entries(value).flatMap(([key, one]) => rows(`${path}.${key}`, one, described));
}

/** The README of the chart in a directory, as it should be. */
export async function chartReadme(chart: string): Promise<string> {
  const text = await Deno.readTextFile(join(chart, "values.yaml"));
  const values = parse(text) as Record<string, unknown>;
  const described = descriptions(text);
  const cells = Object.entries(values).flatMap(([key, value]) => rows(key, value, described));
  const table = [["Value", "Meaning", "Default"], ["---", "---", "---"], ...cells]
    .map((row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
  const readme = await Deno.readTextFile(join(chart, "README.md"));
  const [from, to] = [readme.indexOf(START), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error("Cannot find the marks of the table");
  return await format(`${readme.slice(0, from)}${START}\n\n${table}\n\n${readme.slice(to)}`, chart);
}

if (import.meta.main) {
  for (const name of ["hypha-conda-worker", "hypha-k8s-worker"]) {
    const chart = join(charts, name);
    await Deno.writeTextFile(join(chart, "README.md"), await chartReadme(chart));
  }
}
