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
import { badConfig } from "./start_config.ts";
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
    throw badConfig("manifest.entry_point", "must be the path of a script");
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
