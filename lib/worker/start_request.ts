/**
 * What `start` was asked to do, checked: everything in `config` comes from outside, also through the app
 * controller, which lets users override its own fields (facts of the Hypha contract).
 */
import { checkSpec, type SpecPolicy } from "../environments/policy.ts";
import { type EnvironmentSpec, parseSpec } from "../environments/spec.ts";
import { type ReadFile, readSpecFiles, specFiles } from "../environments/spec_files.ts";
import { WorkerError } from "../errors.ts";
import type { ArtifactWriter } from "../staging/artifact_writer.ts";
import { parseStageEntries, type StageEntry } from "../staging/entries.ts";
import { parseSaveEntries, type SaveEntry } from "../staging/save_entries.ts";
import type { StageSource } from "../staging/source.ts";
import type { SessionLimits } from "./session_limits.ts";
import type { Manifest } from "./compile.ts";
import { environmentOf } from "./environment.ts";

/** Types of apps this worker runs. */
export const SUPPORTED_TYPES = ["conda-jupyter-kernel", "python-conda"] as const;

/** Reads a spec that files of the app belong to. Throws `invalid_spec`, or what reading throws. */
export type SpecReader = (read: ReadFile) => Promise<EnvironmentSpec>;

/** A start, checked. */
export interface StartRequest {
  /** Session id, unique in this worker. */
  readonly id: string;
  readonly workspace: string;
  readonly clientId: string;
  readonly appId: string;
  readonly manifest: Manifest;
  /** The environment; what files of the app say of it comes in with {@linkcode completeRequest}. */
  readonly spec: EnvironmentSpec;
  /** Reads the environment anew with the files of the app that the manifest names; absent when it names none. */
  readonly readSpec?: SpecReader;
  readonly stage: readonly StageEntry[];
  /** Files of the session that go into the app's artifact when it ends. @default none */
  readonly save?: readonly SaveEntry[];
  /**
   * Opens an artifact for uploads of the session: the app's own, or another one (`workspace/alias` or an alias of the
   * session's workspace). `undefined` when none is known. @default there is none
   */
  readonly writer?: (artifactId?: string) => ArtifactWriter | undefined;
  /** Path of the entry script in the source, when there is one. */
  readonly entryPoint: string | undefined;
  /** Whether the session goes on when the entry script cannot be found, with a warning. */
  readonly entryPointOptional: boolean;
  /** Where the app's files are; without it none are staged. */
  readonly source: StageSource | undefined;
  /** Address sessions connect to. */
  readonly serverUrl: string;
  /** Token for the session's own connection. */
  readonly token: string | undefined;
  readonly disableSsl: boolean;
  readonly limits: SessionLimits;
  /** Variables the app asks for. */
  readonly env: Readonly<Record<string, string | null>>;
  /** Arguments of the entry script (`sys.argv[1:]`). */
  readonly argv: readonly string[];
  /**
   * Name of the service the starter waits for; the start is over when the code has registered it. Only of starts
   * by the app controller, which waits for the service itself.
   */
  readonly awaitedService: string | undefined;
  /** Whether the app controller started it, and knows of it only while the worker stays connected. */
  readonly controlled: boolean;
  /** How long the entry script is waited for before the session is given to its starter (milliseconds). */
  readonly timeout: number;
}

/** Fields of `config` as they were sent. */
export interface StartConfig {
  readonly id: string | undefined;
  readonly workspace: string | undefined;
  readonly clientId: string | undefined;
  readonly appId: string | undefined;
  readonly artifactId: string | undefined;
  /** Version of the artifact. */
  readonly version: string | undefined;
  readonly entryPoint: string | undefined;
  readonly serverUrl: string | undefined;
  readonly token: string | undefined;
  readonly disableSsl: boolean;
  readonly timeout: number | undefined;
  readonly manifest: Manifest;
}

/** Longest identifiers that are accepted (characters). */
const MAX_ID = 256;
const ID = /^[\w][\w.@:/-]*$/;
const WORKSPACE = /^[\w][\w.@-]*$/;
/** Default and greatest time the entry script is waited for (seconds). */
const DEFAULT_TIMEOUT = 60;
const MAX_TIMEOUT = 24 * 3600;

function bad(name: string, problem: string): WorkerError {
  return new WorkerError("invalid_argument", `Cannot start session: config.${name} ${problem}`, {
    context: { argument: `config.${name}` },
  });
}

/** The id of an artifact, checked. @throws {WorkerError} `invalid_argument` naming the argument */
export function checkArtifactId(id: string): string {
  if (id.length <= MAX_ID && ID.test(id) && !id.includes("..") && id.split("/").length <= 2) {
    return id;
  }
  throw new WorkerError(
    "invalid_argument",
    `Cannot use artifact ${
      JSON.stringify(id.slice(0, 80))
    }: its id must be "workspace/alias" or "alias"`,
    { context: { argument: "artifact_id" } },
  );
}

function text(config: Manifest, name: string, pattern?: RegExp): string | undefined {
  const value = config[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw bad(name, `must be text, received ${typeof value}`);
  if (
    pattern !== undefined && (value.length > MAX_ID || !pattern.test(value) || value.includes(".."))
  ) {
    throw bad(
      name,
      `must be at most ${MAX_ID} letters, digits and "_.@:/-" without "..", received ${
        JSON.stringify(value.slice(0, 80))
      }`,
    );
  }
  return value;
}

/** Reads `config` of `start`. Throws `invalid_argument` naming the field. */
export function parseStartConfig(config: Manifest): StartConfig {
  const manifest = config.manifest ?? {};
  if (typeof manifest !== "object" || Array.isArray(manifest)) {
    throw bad("manifest", "must be an object");
  }
  const serverUrl = text(config, "server_url");
  if (serverUrl !== undefined && !/^https?:\/\/[^\s@]+$/.test(serverUrl)) {
    throw bad("server_url", "must be an http or https address without credentials");
  }
  const timeout = config.timeout;
  if (timeout !== undefined && timeout !== null) {
    if (typeof timeout !== "number" || !(timeout > 0) || timeout > MAX_TIMEOUT) {
      throw bad("timeout", `must be a number of seconds between 0 and ${MAX_TIMEOUT}`);
    }
  }
  return {
    id: text(config, "id", ID),
    workspace: text(config, "workspace", WORKSPACE),
    clientId: text(config, "client_id", ID),
    appId: text(config, "app_id", ID),
    artifactId: text(config, "artifact_id", ID),
    version: text(config, "version", ID),
    entryPoint: text(config, "entry_point"),
    serverUrl,
    token: text(config, "token"),
    disableSsl: config.disable_ssl === true,
    timeout: typeof timeout === "number" ? timeout * 1000 : undefined,
    manifest: manifest as Manifest,
  };
}

/** What a manifest asks for. */
export type ManifestParts = Pick<
  StartRequest,
  "spec" | "readSpec" | "stage" | "save" | "entryPoint" | "env"
>;

/** What the manifest asks for: environment, files, entry script, variables. */
export function readManifest(
  manifest: Manifest,
  entryPoint: string | undefined,
  policy: SpecPolicy,
): ManifestParts {
  const type = manifest.type;
  if (type !== undefined && type !== null && !SUPPORTED_TYPES.some((known) => known === type)) {
    throw new WorkerError(
      "invalid_argument",
      `Cannot start session: apps of type ${JSON.stringify(type)} are not run by this worker`,
      { suggestion: `Use one of the types ${SUPPORTED_TYPES.join(", ")}.` },
    );
  }
  const named = entryPoint ?? manifest.entry_point;
  const script = Array.isArray(named) ? named[0] : named;
  if (script !== undefined && script !== null && typeof script !== "string") {
    throw bad("manifest.entry_point", "must be the path of a script");
  }
  const spec = parseSpec(manifest);
  checkSpec(spec, policy);
  const readSpec: SpecReader = async (read) => {
    const complete = parseSpec(manifest, { files: await readSpecFiles(manifest, read) });
    checkSpec(complete, policy);
    return complete;
  };
  return {
    spec,
    ...(specFiles(manifest) === undefined ? {} : { readSpec }),
    stage: parseStageEntries(manifest.files_to_stage),
    save: parseSaveEntries(manifest.files_to_save),
    entryPoint: script ? script : undefined,
    env: { ...spec.variables, ...environmentOf(manifest.env, "manifest.env") },
  };
}

/** A request with what the files of the app say of its environment. Throws as the reader does. */
export async function completeRequest<
  Request extends Pick<StartRequest, "source" | "spec" | "readSpec" | "env">,
>(request: Request, signal: AbortSignal): Promise<Request> {
  const { source, readSpec } = request;
  if (readSpec === undefined) return request;
  if (source === undefined) {
    throw new WorkerError(
      "staging_failed",
      "Cannot read the app's environment: the session has no artifact to fetch its file from",
      { suggestion: "Give artifact_id, or app_id of an installed app, in config." },
    );
  }
  const spec = await readSpec((path) => source.readText(path, { signal }));
  return { ...request, spec, env: { ...spec.variables, ...request.env } };
}

/** Time the entry script is waited for when nothing else is said (milliseconds). */
export const DEFAULT_START_TIMEOUT = DEFAULT_TIMEOUT * 1000;
