/** What a block of YAML, TOML or JSON is, and whether it is a good one. */
import { parse as parseToml } from "@std/toml";
import { join } from "@std/path";
import { parse as parseYaml } from "@std/yaml";
import { parseSpec } from "../../lib/environments/spec.ts";
import { stackPaths } from "../stack/stack.ts";
import type { Block } from "./markdown.ts";
import { checkManifest, referenceRows } from "./manifest_fields.ts";
import { checkSettings } from "./program_options.ts";

type Mapping = Record<string, unknown>;

const ENVIRONMENT_FIELDS = ["name", "channels", "channel_priority", "dependencies", "variables"];

/** Checks a block. Throws with the reason, also when it cannot be seen what it is. */
export async function checkData(block: Block): Promise<void> {
  if (block.language === "json") {
    const value: unknown = JSON.parse(block.text);
    if (block.kind !== undefined) await checkKind(block.kind, value);
    return;
  }
  const values = block.language === "toml"
    ? [parseToml(block.text)]
    : block.text.split(/^---.*\n/m).filter((text) => text.trim() !== "").map(parseYaml);
  for (const value of values) {
    const kind = block.kind ?? await kindOf(value, block.language);
    if (kind === undefined) {
      throw new Error(
        "it cannot be seen what it is: say as=… behind the fence (as=fragment for none)",
      );
    }
    // The program itself knows what may be in its file, and on which line.
    if (kind === "config") await checkSettings(block.text, block.language as "toml" | "yaml");
    else await checkKind(kind, value);
  }
}

/** The kind of a value, from its fields. */
async function kindOf(value: unknown, language: string): Promise<string | undefined> {
  if (!isMapping(value)) return undefined;
  const names = Object.keys(value);
  if (language === "toml") return "config";
  if (names.includes("apiVersion") && names.includes("kind")) return "kubernetes";
  if (names.includes("condaWorker")) return "values";
  if (names.includes("services")) return "compose";
  if (names.every((name) => ENVIRONMENT_FIELDS.includes(name)) && names.includes("name")) {
    return "environment";
  }
  const fields = await manifestFields();
  if (names.every((name) => fields.has(name))) return "manifest";
  return undefined;
}

async function checkKind(kind: string, value: unknown): Promise<void> {
  if (kind === "fragment") return;
  if (!isMapping(value)) throw new Error(`a ${kind} is a mapping`);
  switch (kind) {
    case "manifest": {
      const fields = await manifestFields();
      const unknown = Object.keys(value).filter((name) => !fields.has(name));
      if (unknown.length > 0) throw new Error(`no field of a manifest: ${unknown.join(", ")}`);
      return checkManifest(value);
    }
    case "environment":
      parseSpec({ environment_yml: value });
      return;
    case "values":
      return await checkValues(value);
    case "compose":
      return checkCompose(value);
    case "kubernetes":
      for (const name of ["apiVersion", "kind"]) {
        if (typeof value[name] !== "string") throw new Error(`${name} is no text`);
      }
      if (!isMapping(value.metadata)) throw new Error("it has no metadata");
      return;
    default:
      throw new Error(`as=${kind} means nothing here`);
  }
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The names of all fields that the reference of manifests has. */
export async function manifestFields(): Promise<Set<string>> {
  const reference = await Deno.readTextFile(join(stackPaths.root, "docs", "manifest.md"));
  return new Set(referenceRows(reference).map((row) => row.name));
}

/** Values of the chart: each must be one that the chart has. */
async function checkValues(value: Mapping): Promise<void> {
  const path = join(stackPaths.root, "deploy", "helm", "hypha-conda-worker", "values.yaml");
  const known = parseYaml(await Deno.readTextFile(path)) as Mapping;
  const compare = (given: Mapping, among: Mapping, at: string) => {
    for (const [name, part] of Object.entries(given)) {
      if (!Object.hasOwn(among, name)) throw new Error(`the chart has no value ${at}${name}`);
      const below = among[name];
      // An empty mapping takes whatever is given.
      if (isMapping(part) && isMapping(below) && Object.keys(below).length > 0) {
        compare(part, below, `${at}${name}.`);
      }
    }
  };
  compare(value, known, "");
}

function checkCompose(value: Mapping): void {
  if (!isMapping(value.services)) throw new Error("services is no mapping");
  for (const [name, service] of Object.entries(value.services)) {
    if (!isMapping(service) || (service.image === undefined && service.build === undefined)) {
      throw new Error(`service ${name} has neither image nor build`);
    }
  }
}
