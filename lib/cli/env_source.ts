/** What `env create` is asked for: an app, a file that describes an environment, or package specs. */
import { dirname, extname, join, resolve } from "@std/path";
import { EVERYTHING_LOCAL } from "../environments/policy.ts";
import { type EnvironmentSpec, parseSpec } from "../environments/spec.ts";
import { createFolderSource } from "../staging/folder.ts";
import { compileManifest, type Manifest } from "../worker/compile.ts";
import { completeRequest, readManifest } from "../worker/start_request.ts";
import { usage } from "./option.ts";
import { readApp } from "./run_app.ts";

/** Options of {@linkcode readSource}. */
export interface SourceOptions {
  /** Channels instead of those that are named. @default those */
  readonly channels?: readonly string[];
  /** Whether the manifest is completed as a server completes those of the apps it installs. @default false */
  readonly asInstalled?: boolean;
  readonly signal: AbortSignal;
}

const MANIFESTS = ["manifest.yaml", "manifest.yml", "manifest.json"];
const ENVIRONMENTS = ["environment.yml", "environment.yaml"];

/**
 * The environment that arguments ask for.
 *
 * @throws WorkerError `usage` that names the argument; `invalid_spec` that names the entry
 */
export async function readSource(
  args: readonly string[],
  { channels, asInstalled = false, signal }: SourceOptions,
): Promise<EnvironmentSpec> {
  const found = await findSource(args);
  const named = channels === undefined ? found.manifest : { ...found.manifest, channels };
  const manifest = asInstalled ? compileManifest(named, EVERYTHING_LOCAL) : named;
  const parts = readManifest(manifest, undefined, EVERYTHING_LOCAL);
  const source = createFolderSource(found.folder);
  const { spec } = await completeRequest({ ...parts, source }, signal);
  if (spec.existing !== undefined) {
    throw usage("The manifest names an environment that exists already: there is nothing to make");
  }
  if (channels === undefined || spec.channels.length === 0) return spec;
  return { ...spec, channels: parseSpec({ channels }).channels };
}

interface Found {
  readonly folder: string;
  readonly manifest: Manifest;
}

async function findSource(args: readonly string[]): Promise<Found> {
  const [first, ...more] = args;
  if (first === undefined) {
    throw usage(
      "env create needs an app folder, a manifest, an environment.yml, a lock file or package specs",
    );
  }
  const path = await pathOf(first);
  if (path === undefined) {
    for (const other of more) if (looksLikePath(other)) throw alone(other);
    return { folder: Deno.cwd(), manifest: { dependencies: [...args] } };
  }
  if (more.length > 0) throw alone(first);
  return await readPath(first, path);
}

function alone(path: string): Error {
  return usage(`${path} is a file or folder, which says everything: nothing may stand beside it`);
}

/** Words that no package spec can be. `channel/linux-64::name` has a slash, too. */
function looksLikePath(word: string): boolean {
  return !word.includes("::") &&
    (word === "." || word.includes("/") || /\.(?:ya?ml|json|txt|lock)$/i.test(word));
}

/** The absolute path a word means; `undefined` when it is a package spec. A folder counts when it is an app. */
async function pathOf(word: string): Promise<string | undefined> {
  const path = resolve(word);
  if (looksLikePath(word)) return path;
  for (const name of MANIFESTS) if (await isFile(join(path, name))) return path;
  return undefined;
}

async function readPath(name: string, path: string): Promise<Found> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined) throw usage(`Cannot read ${name}: there is no such file or folder`);
  if (info.isDirectory) {
    for (const file of [...MANIFESTS, ...ENVIRONMENTS]) {
      if (await isFile(join(path, file))) return await readApp(join(path, file), undefined);
    }
    throw usage(
      `Cannot read ${name}: it has no ${[...MANIFESTS, ENVIRONMENTS[0]].join(" or ")}`,
    );
  }
  if ([".yaml", ".yml", ".json"].includes(extname(path).toLowerCase())) {
    return await readApp(path, undefined);
  }
  const text = await Deno.readTextFile(path);
  if (/^\s*@EXPLICIT\s*$/m.test(text)) return { folder: dirname(path), manifest: { lock: text } };
  throw usage(
    `Cannot read ${name}: it is no manifest, no environment.yml, and no lock file (it has no line @EXPLICIT)`,
  );
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}
