/** Environment variables of a session's Python. */
import { join } from "@std/path";
import type { StartRequest } from "./start_request.ts";

/** Settings of the package managers, which would make a session write into the worker's cache. */
const MANAGER_VARIABLES = [
  "CONDA_PKGS_DIRS",
  "CONDA_ENVS_DIRS",
  "CONDA_ENVS_PATH",
  "MAMBA_ROOT_PREFIX",
  "XDG_CACHE_HOME",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_STATE_HOME",
  "CONDARC",
  "MAMBARC",
];

/** Variables of the worker that decide which graphics processors its sessions see. */
export const DEVICE_VARIABLES: readonly string[] = [
  "CUDA_VISIBLE_DEVICES",
  "NVIDIA_VISIBLE_DEVICES",
  "HIP_VISIBLE_DEVICES",
  "ROCR_VISIBLE_DEVICES",
];

/**
 * Changes to the variables of the activated environment; `null` removes one.
 *
 * The names of the `HYPHA_*` variables are Hypha's contract for scripts. Home and temporary directory are the
 * session's own, so that sessions do not find each other's files and everything goes when the session ends.
 */
export function sessionVariables(
  request: StartRequest,
  directory: string,
  passed: Readonly<Record<string, string>>,
): Record<string, string | null> {
  const variables: Record<string, string | null> = {};
  for (const name of MANAGER_VARIABLES) variables[name] = null;
  return {
    ...variables,
    ...passed,
    ...request.env,
    HOME: join(directory, "home"),
    TMPDIR: join(directory, "tmp"),
    PWD: join(directory, "work"),
    OLDPWD: null,
    PYTHONNOUSERSITE: "1",
    // Nobody is there to press a key.
    PAGER: "cat",
    GIT_PAGER: "cat",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    HYPHA_SERVER_URL: request.serverUrl,
    HYPHA_WORKSPACE: request.workspace,
    HYPHA_CLIENT_ID: request.clientId,
    HYPHA_TOKEN: request.token ?? null,
    HYPHA_APP_ID: request.appId,
    ...(request.disableSsl ? { HYPHA_DISABLE_SSL: "1" } : {}),
  };
}

/** `hypha_config` of scripts (Hypha's contract): how to reach the server. */
export function hyphaConfig(request: StartRequest): Record<string, unknown> {
  return {
    server_url: request.serverUrl,
    workspace: request.workspace,
    client_id: request.clientId,
    token: request.token ?? "",
    app_id: request.appId,
    disable_ssl: request.disableSsl,
  };
}
