/**
 * From a manifest to the environment it asks for.
 *
 * Manifests come from tenants: nothing in them may become an option, a shell word, or a path on this machine.
 * So entries are matched against what specs can be, not searched for what is known to be harmful.
 */
import { parse as parseYaml } from "@std/yaml";
import { messageOf, WorkerError } from "../errors.ts";
import { hasCredentials, parseMatchSpec, textProblem } from "./match_spec.ts";
import { parseRequirement } from "./requirement.ts";

/** An environment in normal form. */
export interface EnvironmentSpec {
  /** Channel names and URLs, the most important first. */
  readonly channels: readonly string[];
  /** Match specs, with `python`, and with `pip` when there are requirements; sorted. */
  readonly packages: readonly string[];
  /** pip requirements, in the order given. */
  readonly pip: readonly string[];
}

/** Where packages come from when the manifest does not say. */
export const DEFAULT_CHANNELS: readonly string[] = ["conda-forge"];

/** More entries than this are a mistake or an attack. */
const MAX_ENTRIES = 500;

function invalid(entry: string, reason: string): WorkerError {
  return new WorkerError("invalid_spec", `Cannot use ${entry}: ${reason}`, { context: { entry } });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  // A refused entry may hold the very credentials it was refused for.
  return (text.length > 120 ? `${text.slice(0, 120)}…` : text).replace(
    /:\/\/[^/\s@]+@/g,
    "://***@",
  );
}

/** A list from what a manifest has: a list, one thing, or nothing. */
function listOf(value: unknown, name: string): unknown[] {
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length > MAX_ENTRIES) throw invalid(name, `it has more than ${MAX_ENTRIES} entries`);
  return list;
}

function apply<T>(entry: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw invalid(entry, messageOf(error));
  }
}

class Collector {
  readonly channels: string[] = [];
  readonly packages = new Map<string, string>();
  readonly pip = new Set<string>();

  addDependencies(value: unknown, name: string): void {
    for (const [index, entry] of listOf(value, name).entries()) {
      const where = `${name}[${index}] (${show(entry)})`;
      if (typeof entry === "string") {
        const spec = apply(where, () => parseMatchSpec(entry));
        this.packages.set(spec.text, spec.name);
      } else if (isRecord(entry)) {
        for (const [key, requirements] of Object.entries(entry)) {
          if (key !== "pip") throw invalid(where, `only "pip" may have a list of its own`);
          this.#addRequirements(requirements, `${name}[${index}].pip`);
        }
      } else throw invalid(where, "it is neither a package spec nor a list of pip requirements");
    }
  }

  addChannels(value: unknown, name: string): void {
    for (const [index, entry] of listOf(value, name).entries()) {
      const where = `${name}[${index}] (${show(entry)})`;
      if (typeof entry !== "string") throw invalid(where, "a channel is a text");
      const channel = apply(where, () => parseChannel(entry));
      // Channels are always exactly those of the spec, which is all that "nodefaults" asks for.
      if (channel !== "nodefaults" && !this.channels.includes(channel)) this.channels.push(channel);
    }
  }

  /** The content of an environment.yml, as an object or as text. */
  addEnvironment(value: unknown, name: string): void {
    if (value === undefined || value === null) return;
    const content = typeof value === "string" ? apply(name, () => parseYaml(value)) : value;
    if (!isRecord(content)) throw invalid(name, "it is not the content of an environment.yml");
    this.addChannels(content.channels, `${name}.channels`);
    this.addDependencies(content.dependencies, `${name}.dependencies`);
  }

  #addRequirements(value: unknown, name: string): void {
    for (const [index, entry] of listOf(value, name).entries()) {
      const where = `${name}[${index}] (${show(entry)})`;
      if (typeof entry !== "string") throw invalid(where, "a pip requirement is a text");
      this.pip.add(apply(where, () => parseRequirement(entry)));
    }
  }

  finish(): EnvironmentSpec {
    const names = new Set(this.packages.values());
    if (!names.has("python")) this.packages.set("python", "python");
    if (this.pip.size > 0 && !names.has("pip")) this.packages.set("pip", "pip");
    return {
      channels: this.channels.length > 0 ? this.channels : [...DEFAULT_CHANNELS],
      packages: [...this.packages.keys()].sort(),
      pip: [...this.pip],
    };
  }
}

function parseChannel(text: string): string {
  const problem = textProblem(text);
  if (problem !== undefined) throw new Error(problem);
  const channel = text.trim();
  if (/^\w+:/.test(channel)) {
    if (!/^(?:https?:\/\/[^/]|file:\/\/\/)[^\s"'`$\\<>|;&{}]*$/.test(channel)) {
      throw new Error("a channel's URL is an http, https or file URL without special characters");
    }
    if (hasCredentials(channel) || /\/t\/[\w-]+\//.test(channel)) {
      throw new Error("the URL contains credentials");
    }
    return channel.replace(/\/+$/, "");
  }
  if (!/^[A-Za-z0-9_][\w.-]*(?:\/[\w.-]+)*$/.test(channel) || channel.includes("..")) {
    throw new Error("it is neither a channel's name nor a URL");
  }
  return channel;
}

/**
 * Reads the environment from a manifest: `dependencies` (or `dependency`) and `channels`, and the same two
 * in `conda` or in an `environment` or `environment_yml`, as an object or as YAML.
 *
 * @throws WorkerError `invalid_spec` that names the entry
 */
export function parseSpec(manifest: Readonly<Record<string, unknown>>): EnvironmentSpec {
  const collector = new Collector();
  collector.addChannels(manifest.channels, "channels");
  for (const name of ["dependencies", "dependency"]) {
    collector.addDependencies(manifest[name], name);
  }
  for (const name of ["conda", "environment", "environment_yml"]) {
    collector.addEnvironment(manifest[name], name);
  }
  return collector.finish();
}

/** Names of the packages a spec asks for, in lower case. */
export function packageNames(spec: EnvironmentSpec): string[] {
  return spec.packages.map((text) => parseMatchSpec(text).name);
}
