/** Apps on this machine: a folder with a manifest, or a manifest. */
import { dirname, extname, join, resolve } from "@std/path";
import { parse as parseYaml } from "@std/yaml";
import { isDescribedElsewhere } from "../environments/spec_files.ts";
import { messageOf } from "../errors.ts";
import type { Manifest } from "../worker/compile.ts";
import { usage } from "./option.ts";
import { MANIFESTS } from "./run_arguments.ts";

/** An app on this machine. */
export interface LocalApp {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Script to run, relative to the folder. */
  readonly script: string | undefined;
}

/** Finds and reads an app. Throws `usage` naming the file. */
export async function readApp(path: string, script: string | undefined): Promise<LocalApp> {
  const target = resolve(path);
  const info = await stat(target);
  if (info === undefined) throw usage(`Cannot run ${path}: there is no such file or folder`);
  let file: string | undefined = info.isDirectory ? undefined : target;
  for (const name of info.isDirectory ? MANIFESTS : []) {
    if (file === undefined && await stat(join(target, name))) file = join(target, name);
  }
  if (file === undefined) throw usage(`Cannot run ${path}: it has no ${MANIFESTS.join(" or ")}`);
  if (![".yaml", ".yml", ".json"].includes(extname(file).toLowerCase())) {
    throw usage(`Cannot run ${path}: expected an app folder or a manifest (.yaml, .yml, .json)`);
  }
  let manifest: unknown;
  try {
    // JSON is YAML.
    manifest = parseYaml(await Deno.readTextFile(file));
  } catch (error) {
    throw usage(`Cannot read ${file}: ${messageOf(error)}`);
  }
  if (typeof manifest !== "object" || manifest === null || Array.isArray(manifest)) {
    throw usage(`Cannot read ${file}: a manifest is a mapping of names to values`);
  }
  const folder = dirname(file);
  return { folder, manifest: await withEnvironment(folder, manifest as Manifest), script };
}

/** A manifest that says nothing of its environment means the environment.yml beside it, if there is one. */
async function withEnvironment(folder: string, manifest: Manifest): Promise<Manifest> {
  if (isDescribedElsewhere(manifest) || manifest.dependencies || manifest.dependency) {
    return manifest;
  }
  for (const name of ["environment.yml", "environment.yaml"]) {
    if ((await stat(join(folder, name)))?.isFile) return { ...manifest, environment_file: name };
  }
  return manifest;
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch {
    return undefined;
  }
}
