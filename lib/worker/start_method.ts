/** From the `config` of a call to a checked start: who the tenant is, where the app's files are. */
import { NOTHING_LOCAL, type SpecPolicy } from "../environments/policy.ts";
import { addTenantSecret } from "../log.ts";
import { createArtifactSource } from "../staging/artifact.ts";
import type { ArtifactName } from "../staging/artifact_address.ts";
import { ArtifactWriter } from "../staging/artifact_writer.ts";
import type { StageSource } from "../staging/source.ts";
import { type AccessRules, checkStart } from "./access.ts";
import type { Caller } from "./caller.ts";
import { limitsOf, type SessionLimits } from "./session_limits.ts";
import {
  awaitedServiceOf,
  DEFAULT_START_TIMEOUT,
  identityOf,
  parseStartConfig,
  type StartConfig,
  workspaceOf,
} from "./start_config.ts";
import { readManifest, type StartRequest } from "./start_request.ts";

/** What starts need to know of the worker. */
export interface StartContext {
  readonly rules: AccessRules;
  /** Address of the worker's own server. */
  readonly serverUrl: string;
  /** Token of the worker, used only for files of its own workspace. */
  readonly token: string | undefined;
  readonly disableSsl: boolean;
  /** The operator's limits of sessions. */
  readonly limits: SessionLimits;
  /** What manifests may use of this machine. @default nothing */
  readonly policy?: SpecPolicy;
}

/** The controller waits for the script's service itself, so a script that serves for ever may run on (ms). */
const SERVICE_PATIENCE = 10_000;

/** Checks a start. Throws `invalid_argument`, `invalid_spec`, `permission_denied` or `staging_failed`. */
export function prepareStart(
  config: Record<string, unknown>,
  caller: Caller,
  context: StartContext,
): StartRequest {
  const parsed = parseStartConfig(config);
  const workspace = workspaceOf(parsed, caller);
  checkStart(context.rules, caller, workspace);
  addTenantSecret(parsed.token);
  const { id, clientId } = identityOf(parsed, caller, workspace);
  const parts = readManifest(
    parsed.manifest,
    parsed.entryPoint,
    context.policy ?? NOTHING_LOCAL,
  );
  const appId = parsed.appId ?? (parsed.manifest.id as string | undefined) ?? clientId;
  const timeout = parsed.timeout ?? DEFAULT_START_TIMEOUT;
  const awaitedService = caller.kind === "controller" ? awaitedServiceOf(parsed) : undefined;
  return {
    id,
    workspace,
    clientId,
    appId: String(appId),
    manifest: parsed.manifest,
    ...parts,
    entryPointOptional: caller.kind === "direct" && parsed.artifactId === undefined,
    source: artifactOf(parsed, workspace, context),
    writer: (artifactId) => {
      const artifactConfig = { ...parsed, artifactId: artifactId ?? parsed.artifactId };
      // The worker's own token may write for those only who could do it themselves.
      const rights = caller.kind === "direct" && caller.admin
        ? context
        : { ...context, token: undefined };
      const place = placeOf(artifactConfig, workspace, rights);
      return place && new ArtifactWriter(place);
    },
    serverUrl: parsed.serverUrl ?? context.serverUrl,
    token: parsed.token,
    disableSsl: parsed.disableSsl || context.disableSsl,
    limits: limitsOf(parsed.manifest, context.limits),
    argv: [""],
    controlled: caller.kind === "controller",
    awaitedService,
    timeout: awaitedService === undefined ? timeout : Math.min(timeout, SERVICE_PATIENCE),
  };
}

/** Where the app's files are: the artifact of the app, read with the token of the start. */
export function artifactOf(
  config: ArtifactConfig,
  workspace: string,
  context: StartContext,
): StageSource | undefined {
  const place = placeOf(config, workspace, context);
  return place && createArtifactSource(place);
}

/** The fields of a start that say where its artifact is. */
type ArtifactConfig =
  & Pick<StartConfig, "artifactId" | "appId" | "token" | "serverUrl">
  & Partial<Pick<StartConfig, "version">>;

/** The artifact that is meant, and the token it is opened with. */
function placeOf(
  config: ArtifactConfig,
  workspace: string,
  context: StartContext,
): ArtifactName & { token: string | undefined; version: string | undefined } | undefined {
  const named = config.artifactId ?? config.appId;
  if (named === undefined) return undefined;
  const slash = named.indexOf("/");
  const owner = slash < 0 ? workspace : named.slice(0, slash);
  // "alias@version" names a version.
  const [alias = "", version = config.version] = named.slice(slash + 1).split("@", 2);
  // Another workspace's artifact is opened by the caller's rights only, and the worker's token stays at home.
  const own = owner === workspace && workspace === context.rules.workspace;
  const token = config.token ?? (own ? context.token : undefined);
  const serverUrl = config.token === undefined
    ? context.serverUrl
    : config.serverUrl ?? context.serverUrl;
  return { serverUrl, workspace: owner, alias, token, version };
}
