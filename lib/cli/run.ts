/** `run`: runs an app on this machine, with no server. */
import { basename, dirname, extname, join, resolve } from "@std/path";
import { ensureDir } from "@std/fs";
import { parse as parseYaml } from "@std/yaml";
import { EVERYTHING_LOCAL } from "../environments/policy.ts";
import type { EnvironmentSpec } from "../environments/spec.ts";
import { isDescribedElsewhere, type ReadFile } from "../environments/spec_files.ts";
import { messageOf } from "../errors.ts";
import type { LiveOutput } from "../interpreter/outputs.ts";
import { createLogger } from "../log.ts";
import { createFolderSource } from "../staging/folder.ts";
import { createFolderTarget } from "../staging/folder_target.ts";
import { uploadFiles, type UploadSource } from "../staging/upload.ts";
import type { Manifest } from "../worker/compile.ts";
import { limitsOf, NO_LIMITS } from "../worker/session_limits.ts";
import { type ManifestParts, readManifest, type StartRequest } from "../worker/start_request.ts";
import { assemble, type AssembleOptions, defaultCacheDir, directoryOption } from "./assemble.ts";
import { readCacheLimits } from "./cache_limits.ts";
import { type CommandContext, interruptible } from "./command.ts";
import { readManagerSettings } from "./manager_settings.ts";
import { readOptions, usage } from "./option.ts";
import { isolationOption, RUN_OPTIONS } from "./options.ts";
import { ProgressLine } from "./terminal.ts";

/** An app on this machine. */
export interface LocalApp {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Script to run, relative to the folder. */
  readonly script: string | undefined;
}

const MANIFESTS = ["manifest.yaml", "manifest.yml", "manifest.json"];
const IMAGES: Readonly<Record<string, string>> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/svg+xml": "svg",
  "application/pdf": "pdf",
};

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
  if (![".yaml", ".yml", ".json"].includes(extname(file))) {
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

/** Runs the command. Returns the exit code: the script's own, 1 when it failed, 130 or 143 when it was interrupted. */
export async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const options = readOptions(RUN_OPTIONS, args, context.environment);
  const text = (name: string) => options.values[name] as string | undefined;
  const [path, script, ...more] = options.rest;
  if (path === undefined) throw usage("run needs an app folder or a manifest");
  if (more[0] !== undefined) {
    throw usage(`Unexpected argument ${more[0]}; give the script's after --`);
  }
  const app = await readApp(path, script);
  const log = createLogger({ level: options.values.verbose === true ? "debug" : "warning" });
  const request = localRequest(app, options.passed, text("channel"), text("timeout"));
  const cacheDir = text("cache-dir");
  const cacheLimits = readCacheLimits(text);
  const manager = readManagerSettings(options.values);
  const workingDir = text("working-dir");
  const outputDir = resolve(text("output-dir") ?? ".");
  const mode = isolationOption(text("isolation"));
  return await interruptible(context, async (signal, interrupted) => {
    const code = await runApp(request, {
      cacheDir: cacheDir
        ? directoryOption(cacheDir, context.environment)
        : defaultCacheDir(context.environment),
      cacheLimits,
      manager,
      workingDir: workingDir ? directoryOption(workingDir, context.environment) : undefined,
      environment: context.environment,
      // The script is the user's own: where they work it may, too.
      isolation: { mode, writable: [Deno.cwd(), outputDir, app.folder] },
      log,
    }, { outputDir, signal, context });
    // A script may answer an interruption by ending well.
    return code === 0 ? code : interrupted() ?? code;
  });
}

interface RunHooks {
  outputDir: string;
  signal: AbortSignal;
  context: CommandContext;
}

async function runApp(
  request: StartRequest,
  options: AssembleOptions,
  { outputDir, signal, context }: RunHooks,
): Promise<number> {
  await using assembly = await assemble(options);
  // The script is a cell of its own, so that its exit and its errors are its own and not those of the start.
  const code = request.entryPoint === undefined
    ? undefined
    : await request.source!.readText(request.entryPoint);
  const line = new ProgressLine(context);
  let session;
  try {
    session = await assembly.worker.start({ ...request, entryPoint: undefined, save: [] }, {
      onProgress: (progress) => line.show(progress),
      signal,
    });
  } finally {
    line.clear();
  }
  if (code === undefined) {
    context.print("The manifest names no entry_point and no script was given: nothing to run.");
    return 0;
  }
  const images = new ImageSaver(outputDir, basename(request.entryPoint!, ".py"));
  const shown: Promise<void>[] = [];
  const result = await session.execute({
    code,
    filename: request.entryPoint!,
    timeout: request.timeout === Infinity ? undefined : request.timeout,
    signal,
    onOutput: (output) => {
      const text = liveText(output);
      if (text !== undefined) context.write(text.stream, text.text);
      else if (output.type === "display_data") {
        // The value of the last expression is not shown: this is a script, not a cell.
        shown.push(images.show(output.data, context));
      }
    },
  });
  await Promise.all(shown);
  await saveOutputs(request, session.files, outputDir, context);
  if (result.error === undefined) return 0;
  if (result.error.ename === "SystemExit") return exitStatus(result.error.evalue, context);
  context.write("stderr", result.error.traceback.join("\n") + "\n");
  return 1;
}

/** Copies what the manifest wants to keep, also after a failure, and says what became of it. */
async function saveOutputs(
  { save = [] }: StartRequest,
  source: UploadSource,
  outputDir: string,
  context: CommandContext,
): Promise<void> {
  if (save.length === 0) return;
  const { files } = await uploadFiles(save, source, createFolderTarget(outputDir), {
    missing: "skip",
    onProgress: ({ type, message }) => {
      if (type === "warning") context.write("stderr", `${message}\n`);
    },
  });
  for (const { path } of files) context.write("stdout", `[saved to ${join(outputDir, path)}]\n`);
}

/** Exit status of `sys.exit(...)`: a number, nothing, or a message. */
function exitStatus(value: string, context: CommandContext): number {
  if (value === "" || value === "None") return 0;
  if (/^-?\d+$/.test(value)) return Number(value) & 0xff;
  context.write("stderr", value + "\n");
  return 1;
}

function localRequest(
  app: LocalApp,
  passed: readonly string[],
  channel: string | undefined,
  timeout: string | undefined,
): StartRequest {
  const manifest = channel === undefined ? app.manifest : { ...app.manifest, channels: [channel] };
  const seconds = timeout === undefined ? undefined : Number(timeout);
  if (seconds !== undefined && !(seconds > 0)) {
    throw usage(`--timeout must be a number of seconds, received ${timeout}`);
  }
  const parts = withChannel(readManifest(manifest, app.script, EVERYTHING_LOCAL), channel);
  return {
    id: "local/run",
    workspace: "local",
    clientId: "run",
    appId: String(manifest.id ?? manifest.name ?? basename(app.folder)),
    manifest,
    ...parts,
    entryPointOptional: false,
    source: createFolderSource(app.folder),
    serverUrl: "",
    token: undefined,
    disableSsl: false,
    limits: limitsOf(manifest, NO_LIMITS),
    argv: [parts.entryPoint ?? "", ...passed],
    controlled: false,
    awaitedService: undefined,
    timeout: seconds === undefined ? Infinity : seconds * 1000,
  };
}

/** The parts of a manifest with one channel instead of all that it and its files name. */
function withChannel(parts: ManifestParts, channel: string | undefined): ManifestParts {
  if (channel === undefined) return parts;
  const exchange = (spec: EnvironmentSpec) =>
    spec.channels.length === 0 ? spec : { ...spec, channels: spec.channels.slice(0, 1) };
  const { spec, readSpec } = parts;
  return {
    ...parts,
    // The manifest's own channels are that one already, and they are the first.
    spec: exchange(spec),
    ...(readSpec === undefined
      ? {}
      : { readSpec: async (read: ReadFile) => exchange(await readSpec(read)) }),
  };
}

function liveText(output: LiveOutput): { stream: "stdout" | "stderr"; text: string } | undefined {
  return output.type === "stream" ? { stream: output.name, text: output.text } : undefined;
}

/** Saves pictures among the output and names them in their place. */
class ImageSaver {
  readonly #directory: string;
  readonly #stem: string;
  #count = 0;

  constructor(directory: string, stem: string) {
    this.#directory = directory;
    this.#stem = stem;
  }

  /** Shows a bundle: pictures as files, everything else as text. */
  async show(data: Record<string, unknown>, context: CommandContext): Promise<void> {
    const mime = Object.keys(IMAGES).find((type) => typeof data[type] === "string");
    if (mime === undefined) {
      context.write("stdout", `${data["text/plain"] ?? ""}\n`);
      return;
    }
    const content = data[mime] as string;
    const path = join(this.#directory, `${this.#stem}-${++this.#count}.${IMAGES[mime]}`);
    context.write("stdout", `[${mime} saved to ${path}]\n`);
    await ensureDir(this.#directory);
    const bytes = mime === "image/svg+xml"
      ? new TextEncoder().encode(content)
      : Uint8Array.fromBase64(content.replace(/\s/g, ""));
    await Deno.writeFile(path, bytes);
  }
}
