/**
 * The `config` of a start as it was sent, checked field by field, and whose session it is to be: what workers of every
 * kind have in common.
 */
import { WorkerError } from "../errors.ts";
import type { Caller } from "./caller.ts";
import type { Manifest } from "./compile.ts";

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

/** What is wrong with a field of `config`. */
export function badConfig(name: string, problem: string): WorkerError {
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
  if (typeof value !== "string") throw badConfig(name, `must be text, received ${typeof value}`);
  if (
    pattern !== undefined && (value.length > MAX_ID || !pattern.test(value) || value.includes(".."))
  ) {
    throw badConfig(
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
    throw badConfig("manifest", "must be an object");
  }
  const serverUrl = text(config, "server_url");
  if (serverUrl !== undefined && !/^https?:\/\/[^\s@]+$/.test(serverUrl)) {
    throw badConfig("server_url", "must be an http or https address without credentials");
  }
  const timeout = config.timeout;
  if (timeout !== undefined && timeout !== null) {
    if (typeof timeout !== "number" || !(timeout > 0) || timeout > MAX_TIMEOUT) {
      throw badConfig("timeout", `must be a number of seconds between 0 and ${MAX_TIMEOUT}`);
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

/** Time the entry script is waited for when nothing else is said (milliseconds). */
export const DEFAULT_START_TIMEOUT = DEFAULT_TIMEOUT * 1000;

/** The workspace whose session it is to be: the one that is named, or the caller's own. Throws `invalid_argument`. */
export function workspaceOf(config: StartConfig, caller: Caller): string {
  return config.workspace ??
    (caller.kind === "controller" ? missing("workspace") : caller.workspace);
}

function missing(name: string): never {
  throw new WorkerError("invalid_argument", `Cannot start session: config.${name} is missing`, {
    context: { argument: `config.${name}` },
  });
}

/** The id of a session as the worker keeps it: `<workspace>/<name>`. */
export function fullSessionId(id: string, workspace: string): string {
  return id.includes("/") ? id : `${workspace}/${id}`;
}

/** The session's id. The controller knows it as `<workspace>/<client id>` and lets users override its fields. */
export function identityOf(
  config: StartConfig,
  caller: Caller,
  workspace: string,
): { id: string; clientId: string } {
  const clientId = config.clientId ?? config.id?.split("/").at(-1) ?? crypto.randomUUID();
  const id = fullSessionId(config.id ?? clientId, workspace);
  const expected = caller.kind === "controller" ? `${workspace}/${clientId}` : id;
  if (id !== expected || !id.startsWith(`${workspace}/`)) {
    throw new WorkerError(
      "invalid_argument",
      `Cannot start session: config.id ${JSON.stringify(id)} is not of workspace ${workspace}`,
      { context: { argument: "config.id" } },
    );
  }
  return { id, clientId };
}

/** Name of the service of the script that the controller waits for (Hypha contract); `undefined` for none. */
export function awaitedServiceOf(config: StartConfig): string | undefined {
  const startup = config.manifest.startup_config;
  if (typeof startup !== "object" || startup === null) return "default";
  const wanted = (startup as Record<string, unknown>).wait_for_service;
  if (wanted === false) return undefined;
  return typeof wanted === "string" ? wanted.slice(wanted.lastIndexOf(":") + 1) : "default";
}
