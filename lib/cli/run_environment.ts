/** The environment a local run gets: what the code says of it, and what the command line adds or says instead. */
import { resolve } from "@std/path";
import type { ExistingEnvironment } from "../environments/existing.ts";
import { EVERYTHING_LOCAL } from "../environments/policy.ts";
import { type EnvironmentSpec, parseSpec } from "../environments/spec.ts";
import { type AppFiles, DESCRIPTIONS, type ReadFile } from "../environments/spec_files.ts";
import { messageOf } from "../errors.ts";
import type { Manifest } from "../worker/compile.ts";
import { DEVICE_VARIABLES } from "../worker/session_variables.ts";
import { type ManifestParts, readManifest } from "../worker/start_request.ts";
import { type ParsedOptions, usage } from "./option.ts";
import { pythonSpec } from "./run_metadata.ts";

/** What the command line says of the environment. */
export interface EnvironmentChoice {
  /** Packages beside the others, as manifests have them. */
  readonly packages: readonly unknown[];
  /** Channels instead of all others. */
  readonly channels: readonly string[] | undefined;
  /** Path of a file that describes the environment, instead of what the code says. */
  readonly spec: string | undefined;
  /** An environment that is used as it is. */
  readonly existing: ExistingEnvironment | undefined;
}

/** Fields of a manifest that say something of its environment. */
const FIELDS = ["dependencies", "dependency", "channels", "channel_priority", ...DESCRIPTIONS];

/** Reads what the options say of the environment. Throws `usage` that names the option. */
export function readChoice({ values, lists }: ParsedOptions): EnvironmentChoice {
  const text = (name: string) => values[name] as string | undefined;
  const given = (lists.with ?? []).flatMap(splitPackages);
  const conda = given.filter((one) => !one.startsWith("pip:"));
  const pip = given.filter((one) => one.startsWith("pip:")).map((one) => one.slice(4));
  const python = text("python");
  const env = text("env");
  if (env !== undefined) {
    for (const name of ["with", "python", "spec", "channel"]) {
      if ((name === "with" ? given.length > 0 : values[name] !== undefined)) {
        throw usage(`--env names an environment that is used as it is: it goes without --${name}`);
      }
    }
  }
  const channels = text("channel")?.split(",").map((name) => name.trim())
    .filter((name) => name !== "");
  return {
    packages: [
      ...(python === undefined ? [] : [pythonOption(python)]),
      ...conda,
      ...(pip.length === 0 ? [] : [{ pip }]),
    ],
    channels: channels?.length === 0 ? undefined : channels,
    spec: text("spec"),
    existing: env === undefined ? undefined : existingOption(env),
  };
}

/** `--python 3.11`, or a list of versions such as `>=3.10,<3.13`. */
function pythonOption(value: string): string {
  if (/^\d+(?:\.\d+){0,2}$/.test(value)) return `python=${value}`;
  try {
    return pythonSpec(value);
  } catch {
    throw usage(`--python must be a version such as 3.11, or >=3.10,<3.13, received ${value}`);
  }
}

function existingOption(value: string): ExistingEnvironment {
  return /^[./]/.test(value) || value.includes("/") ? { prefix: resolve(value) } : { name: value };
}

/**
 * The packages of one `--with`: a comma separates them where a name follows, not inside versions, brackets, URLs or
 * markers.
 */
export function splitPackages(text: string): string[] {
  if (/:\/\/|;/.test(text)) return [text.trim()];
  const packages: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if ("[(".includes(text[at]!)) depth++;
    else if ("])".includes(text[at]!)) depth--;
    else if (text[at] === "," && depth === 0 && /^\s*(?:[A-Za-z_,]|$)/.test(text.slice(at + 1))) {
      packages.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...packages, text.slice(start)].map((one) => one.trim()).filter((one) => one !== "");
}

/**
 * What a manifest asks for, with what the command line says.
 *
 * @param script the script to run, instead of the manifest's
 * @throws WorkerError `usage` that names the option, `invalid_spec` that names the entry
 */
export async function readParts(
  manifest: Manifest,
  script: string | undefined,
  choice: EnvironmentChoice,
): Promise<{ manifest: Manifest; parts: ManifestParts }> {
  const { existing, spec: file, channels, packages } = choice;
  const replaced = existing !== undefined || file !== undefined;
  const base = replaced ? without(manifest, FIELDS) : manifest;
  const files = file === undefined ? undefined : await readSpecFile(file);
  const chosen: Manifest = {
    ...base,
    ...(channels === undefined ? {} : { channels }),
    ...(packages.length === 0 ? {} : { dependencies: [...listOf(base.dependencies), ...packages] }),
    ...(existing === undefined ? {} : { environment: existing }),
    ...(files?.lock === undefined ? {} : { lock: files.lock.text }),
  };
  const read = readManifest(chosen, script, EVERYTHING_LOCAL);
  const parts = files?.environment === undefined ? read : withFile(chosen, read, files);
  return { manifest: chosen, parts: withChannels(parts, channels) };
}

function withFile(manifest: Manifest, parts: ManifestParts, files: AppFiles): ManifestParts {
  const spec = parseSpec(manifest, { files });
  return { ...parts, spec, env: { ...spec.variables, ...parts.env } };
}

/** Variables that belong to this program, to the environment it was started from, or to the session. */
const NOT_PASSED =
  /^(?:HYPHA|CONDA|MAMBA|XDG|PYTHON|LD|DYLD|_CE)_|^(?:PYTHON.*|MAMBARC|PATH|HOME|PWD|OLDPWD|TMPDIR|SHLVL|_|VIRTUAL_ENV|MPLBACKEND)$/;

/** Variables of the user that their scripts and notebooks get, as from a shell. */
export function userVariables(all: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(all).filter(([name]) =>
      /^[A-Za-z_]\w*$/.test(name) && !NOT_PASSED.test(name) && !DEVICE_VARIABLES.includes(name)
    ),
  );
}

/** What a manifest has may be wrong; the reader of manifests says so. */
function listOf(value: unknown): unknown[] {
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}

function without(manifest: Manifest, names: readonly string[]): Manifest {
  return Object.fromEntries(Object.entries(manifest).filter(([name]) => !names.includes(name)));
}

/** A file of `--spec`: an environment.yml or a lock file. */
async function readSpecFile(path: string): Promise<AppFiles> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw usage(`Cannot read --spec ${path}: ${messageOf(error)}`);
  }
  if (/^\s*@EXPLICIT\s*$/m.test(text)) return { lock: { path, text } };
  if (/\.ya?ml$/i.test(path)) return { environment: { path, text } };
  throw usage(
    `Cannot read --spec ${path}: it is no environment.yml, and no lock file (it has no line @EXPLICIT)`,
  );
}

/** What a manifest asks for with other channels than all that it and its files name. */
function withChannels(
  parts: ManifestParts,
  channels: readonly string[] | undefined,
): ManifestParts {
  if (channels === undefined) return parts;
  const named = parseSpec({ channels }).channels;
  const exchange = (spec: EnvironmentSpec) =>
    spec.channels.length === 0 ? spec : { ...spec, channels: named };
  const { spec, readSpec } = parts;
  return {
    ...parts,
    spec: exchange(spec),
    ...(readSpec === undefined
      ? {}
      : { readSpec: async (read: ReadFile) => exchange(await readSpec(read)) }),
  };
}
