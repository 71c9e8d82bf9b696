/**
 * From a manifest to the environment it asks for.
 *
 * Manifests come from tenants: nothing in them may become an option, a shell word, or a path on this machine.
 * So entries are matched against what specs can be, not searched for what is known to be harmful. What a spec
 * may use of this machine is checked apart, in `policy.ts`.
 */
import type { ChannelPriority } from "../managers/manager.ts";
import { parseChannel } from "./channel.ts";
import {
  fieldsOf,
  invalidEntry,
  isRecord,
  listOf,
  refusing,
  showEntry,
  typeProblem,
} from "./entry.ts";
import { readEnvironmentFile } from "./environment_file.ts";
import { type ExistingEnvironment, parseExisting } from "./existing.ts";
import { parseLockFile } from "./lock_file.ts";
import { parseMatchSpec } from "./match_spec.ts";
import { parsePackageUrl } from "./package_url.ts";
import { isPipOption, parsePipOptions } from "./pip_option.ts";
import { parseRequirement } from "./requirement.ts";
import { type AppFiles, environmentPath, lockPath, specFiles } from "./spec_files.ts";
import { parseVariables } from "./variables.ts";

export type { ExistingEnvironment } from "./existing.ts";

/** An environment in normal form. A field that says nothing is absent. */
export interface EnvironmentSpec {
  /** Channel names and URLs, the most important first. */
  readonly channels: readonly string[];
  /** Match specs, with `python`, and with `pip` when there are requirements; sorted. */
  readonly packages: readonly string[];
  /** pip requirements, in the order given. */
  readonly pip: readonly string[];
  /** Options of pip for all requirements, such as `["--index-url", "https://…"]`: only allowed ones. */
  readonly pipOptions?: readonly string[];
  /**
   * URLs of packages with their hashes, in the order of the lock file. The solver is not asked then, and there
   * are no channels and no packages.
   */
  readonly explicit?: readonly string[];
  /** Variables that are set in sessions. They do not change what is installed. */
  readonly variables?: Readonly<Record<string, string>>;
  /** How the solver treats packages that several channels have. @default the manager's own */
  readonly channelPriority?: ChannelPriority;
  /** An environment that is used as it is. There are no channels, packages and requirements then. */
  readonly existing?: ExistingEnvironment;
}

/** Options of {@linkcode parseSpec}. */
export interface ParseOptions {
  /** Content of the files the manifest names (`spec_files.ts`). @default they are taken for empty */
  readonly files?: AppFiles;
  /** conda's name of the platform lock files must be for. @default this machine's */
  readonly platform?: string;
}

/** Where packages come from when the manifest does not say. */
export const DEFAULT_CHANNELS: readonly string[] = ["conda-forge"];

const PRIORITIES: readonly ChannelPriority[] = ["strict", "flexible", "disabled"];

class Collector {
  readonly #channels: string[] = [];
  readonly #packages = new Map<string, string>();
  readonly #pip = new Set<string>();
  readonly #pipOptions: string[] = [];
  readonly #variables = new Map<string, string>();
  #explicit: readonly string[] | undefined;
  #existing: ExistingEnvironment | undefined;
  #priority: ChannelPriority | undefined;

  addDependencies(value: unknown, name: string): void {
    for (const [index, entry] of listOf(value, name).entries()) {
      const where = `${name}[${index}] (${showEntry(entry)})`;
      if (typeof entry === "string") {
        const spec = refusing(where, () => parseMatchSpec(entry));
        this.#packages.set(spec.text, spec.name);
      } else if (isRecord(entry)) {
        for (const [key, requirements] of fieldsOf(entry, where)) {
          if (key !== "pip") {
            const reason = `only "pip" may have a list of its own; ` +
              `a package with its version is one text, such as "python=3.10"`;
            throw invalidEntry(`${where}.${showEntry(key)}`, reason);
          }
          this.#addRequirements(requirements, `${name}[${index}].pip`);
        }
      } else {
        const hint = typeof entry === "number" ? `; ${typeProblem(entry, "a package spec")}` : "";
        const reason = "it is neither a package spec nor a list of pip requirements";
        throw invalidEntry(where, reason + hint);
      }
    }
  }

  addChannels(value: unknown, name: string): void {
    for (const [index, entry] of listOf(value, name).entries()) {
      const where = `${name}[${index}] (${showEntry(entry)})`;
      if (typeof entry !== "string") throw invalidEntry(where, typeProblem(entry, "a channel"));
      const channel = refusing(where, () => parseChannel(entry));
      // Channels are always exactly those of the spec, which is all that "nodefaults" asks for.
      if (channel !== "nodefaults" && !this.#channels.includes(channel)) {
        this.#channels.push(channel);
      }
    }
  }

  setPriority(value: unknown, name: string): void {
    if (value === undefined || value === null) return;
    const priority = PRIORITIES.find((known) => known === value);
    if (priority === undefined) {
      throw invalidEntry(`${name} (${showEntry(value)})`, `it is none of ${PRIORITIES.join(", ")}`);
    }
    this.#priority = priority;
  }

  addVariables(value: unknown, name: string): void {
    for (const [key, text] of parseVariables(value, name)) this.#variables.set(key, text);
  }

  /** The content of an environment.yml, as an object or as text. */
  addEnvironment(value: unknown, name: string): void {
    const fields = readEnvironmentFile(value, name);
    this.addChannels(fields.get("channels"), `${name}.channels`);
    this.setPriority(fields.get("channel_priority"), `${name}.channel_priority`);
    this.addDependencies(fields.get("dependencies"), `${name}.dependencies`);
    this.addVariables(fields.get("variables"), `${name}.variables`);
  }

  /** An existing environment, when that is what an object of a manifest is about; returns whether it is. */
  addExisting(value: unknown, name: string): boolean {
    if (!isRecord(value)) return false;
    const fields = fieldsOf(value, name);
    if (!fields.has("name") && !fields.has("prefix")) return false;
    // With packages it is the content of an environment.yml, in which both say where its author keeps it.
    if (fields.has("dependencies") || fields.has("channels")) return false;
    this.#existing = parseExisting(fields, name);
    this.addVariables(fields.get("variables"), `${name}.variables`);
    return true;
  }

  addLock(text: string, name: string, platform: string | undefined): void {
    const lock = parseLockFile(text, name, platform);
    this.#explicit = lock.packages;
    for (const requirement of lock.pip) this.#pip.add(requirement);
  }

  #addRequirements(value: unknown, name: string): void {
    for (const [index, entry] of listOf(value, name).entries()) {
      const where = `${name}[${index}] (${showEntry(entry)})`;
      if (typeof entry !== "string") {
        throw invalidEntry(where, typeProblem(entry, "a pip requirement"));
      }
      if (isPipOption(entry)) {
        this.#pipOptions.push(...refusing(where, () => parsePipOptions(entry)));
      } else this.#pip.add(refusing(where, () => parseRequirement(entry)));
    }
  }

  finish(): EnvironmentSpec {
    const common = {
      ...(this.#pipOptions.length > 0 && this.#pip.size > 0
        ? { pipOptions: this.#pipOptions }
        : {}),
      ...(this.#variables.size > 0 ? { variables: Object.fromEntries(this.#variables) } : {}),
    };
    if (this.#existing !== undefined) return this.#finishExisting(this.#existing);
    if (this.#explicit !== undefined) return { ...this.#finishExplicit(this.#explicit), ...common };
    const names = new Set(this.#packages.values());
    if (!names.has("python")) this.#packages.set("python", "python");
    if (this.#pip.size > 0 && !names.has("pip")) this.#packages.set("pip", "pip");
    return {
      channels: this.#channels.length > 0 ? this.#channels : [...DEFAULT_CHANNELS],
      packages: [...this.#packages.keys()].sort(),
      pip: [...this.#pip],
      ...common,
      ...(this.#priority === undefined ? {} : { channelPriority: this.#priority }),
    };
  }

  #finishExisting(existing: ExistingEnvironment): EnvironmentSpec {
    if (this.#packages.size > 0 || this.#pip.size > 0 || this.#explicit !== undefined) {
      throw invalidEntry(
        "environment",
        "an existing environment is used as it is, so packages cannot be asked for beside it",
      );
    }
    return {
      channels: [],
      packages: [],
      pip: [],
      existing,
      ...(this.#variables.size > 0 ? { variables: Object.fromEntries(this.#variables) } : {}),
    };
  }

  #finishExplicit(explicit: readonly string[]): EnvironmentSpec {
    const names = new Set(explicit.map((url) => parsePackageUrl(url).name));
    for (const [text, name] of this.#packages) {
      // A bare name that the lock file has asks for nothing more.
      if (text === name && names.has(name)) continue;
      throw invalidEntry(
        `the package ${text} beside the lock file`,
        "a lock file says which packages there are; only pip requirements may be added",
      );
    }
    if (this.#pip.size > 0 && !names.has("pip")) {
      throw invalidEntry("the pip requirements", "the package pip is not in the lock file");
    }
    return { channels: [], packages: [], pip: [...this.#pip], explicit };
  }
}

/**
 * Reads the environment from a manifest.
 *
 * - `dependencies` (or `dependency`), `channels`, `channel_priority` and `variables`;
 * - the same in `conda`, `environment` or `environment_yml`, as an object or as YAML, or in a file of the app that
 *   `environment_file` (or `environment`, with a name that ends in `.yml`) names;
 * - `lock` (or `explicit`): an explicit lock file, as text, as a list of its lines, or the name of a file;
 * - `environment: {name: …}` or `{prefix: …}`: an environment of this machine.
 *
 * The caller checks with `checkSpec` whether the spec may be used.
 *
 * @throws WorkerError `invalid_spec` that names the entry
 */
export function parseSpec(
  manifest: Readonly<Record<string, unknown>>,
  options: ParseOptions = {},
): EnvironmentSpec {
  const { files = {}, platform } = options;
  const field = (name: string) => Object.hasOwn(manifest, name) ? manifest[name] : undefined;
  // Names of files are checked also when the files are read later.
  specFiles(manifest);
  const collector = new Collector();
  collector.addChannels(field("channels"), "channels");
  collector.setPriority(field("channel_priority"), "channel_priority");
  for (const name of ["dependencies", "dependency"]) {
    collector.addDependencies(field(name), name);
  }
  for (const name of ["conda", "environment", "environment_yml"]) {
    if (environmentPath(manifest, name) !== undefined) continue;
    if (name === "environment" && collector.addExisting(field(name), name)) continue;
    collector.addEnvironment(field(name), name);
  }
  if (files.environment !== undefined) {
    collector.addEnvironment(files.environment.text, files.environment.path);
  }
  collector.addVariables(field("variables"), "variables");
  const lock = lockText(manifest, files);
  if (lock !== undefined) collector.addLock(lock.text, lock.path, platform);
  return collector.finish();
}

function lockText(
  manifest: Readonly<Record<string, unknown>>,
  files: AppFiles,
): { path: string; text: string } | undefined {
  const given = ["lock", "explicit"].filter((name) => (manifest[name] ?? undefined) !== undefined);
  if (given.length > 1) throw invalidEntry("explicit", "the manifest has a lock too");
  if (lockPath(manifest) !== undefined) return files.lock;
  const name = Object.hasOwn(manifest, "lock") ? "lock" : "explicit";
  const value = Object.hasOwn(manifest, name) ? manifest[name] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return { path: name, text: value };
  if (Array.isArray(value) && value.every((line) => typeof line === "string")) {
    const lines = value.includes("@EXPLICIT") ? value : ["@EXPLICIT", ...value];
    return { path: name, text: lines.join("\n") };
  }
  throw invalidEntry(name, "it is neither the text of a lock file nor the name of one");
}

/** Names of the packages a spec asks for, in lower case; virtual ones, which nobody installs, are not among them. */
export function packageNames(spec: EnvironmentSpec): string[] {
  const locked = (spec.explicit ?? []).map((url) => parsePackageUrl(url).name);
  return [...spec.packages.map((text) => parseMatchSpec(text).name), ...locked]
    .filter((name) => !name.startsWith("__"));
}
