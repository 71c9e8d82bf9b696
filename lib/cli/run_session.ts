/** The session of a local run: everything but what is run in it. */
import { createFolderSource } from "../staging/folder.ts";
import type { Manifest } from "../worker/compile.ts";
import type { Session } from "../worker/session.ts";
import { limitsOf, NO_LIMITS } from "../worker/session_limits.ts";
import type { ManifestParts, StartRequest } from "../worker/start_request.ts";
import { assemble, type AssembleOptions } from "./assemble.ts";
import type { CommandContext } from "./command.ts";
import { ProgressLine } from "./terminal.ts";

/** What is asked of a session. */
export interface LocalRequest {
  readonly manifest: Manifest;
  readonly parts: ManifestParts;
  /** Name of what is run. */
  readonly name: string;
  /** Where files come from that the manifest names. */
  readonly folder: string;
  /** `sys.argv`. */
  readonly argv: readonly string[];
}

/** How a session is used. */
export interface LocalHooks {
  readonly context: CommandContext;
  /** Stops the start. */
  readonly signal: AbortSignal;
}

/** Starts a session, uses it, and ends everything. What is made on the way is shown on standard error. */
export async function withSession<T>(
  local: LocalRequest,
  options: AssembleOptions,
  { context, signal }: LocalHooks,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  await using assembly = await assemble(options);
  const line = new ProgressLine(context);
  let session;
  try {
    session = await assembly.worker.start(startRequest(local), {
      onProgress: (progress) => line.show(progress),
      signal,
    });
  } finally {
    line.clear();
  }
  return await use(session);
}

/** What is run is a cell of its own, so that its exit and its errors are its own and not those of the start. */
function startRequest({ manifest, parts, name, folder, argv }: LocalRequest): StartRequest {
  return {
    id: "local/run",
    workspace: "local",
    clientId: "run",
    appId: String(manifest.id ?? manifest.name ?? name),
    manifest,
    ...parts,
    entryPoint: undefined,
    save: [],
    entryPointOptional: false,
    source: createFolderSource(folder),
    serverUrl: "",
    token: undefined,
    disableSsl: false,
    limits: limitsOf(manifest, NO_LIMITS),
    argv,
    controlled: false,
    awaitedService: undefined,
    timeout: Infinity,
  };
}
