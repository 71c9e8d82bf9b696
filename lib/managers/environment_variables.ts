/**
 * The variables managers and pip get. Everything else of the worker's environment is left out: the worker's
 * token, variables that change what a manager does (`CONDA_CHANNELS`, `PYTHONPATH`, …), and `LD_*`, with
 * which a program may not be started at all under scoped permissions.
 */
import { join } from "@std/path";
import { exists } from "@std/fs";

/** Variables by name. */
export type Variables = Readonly<Record<string, string>>;

/** What the operator may set and what then reaches managers and pip. */
const PASSED = [
  "PATH",
  "TMPDIR",
  "USER",
  "LOGNAME",
  "TZ",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
  "NODE_EXTRA_CA_CERTS",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "ALL_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
];

/** What of pip's own settings reaches the pip step. */
const PASSED_TO_PIP = [
  "PIP_INDEX_URL",
  "PIP_EXTRA_INDEX_URL",
  "PIP_TRUSTED_HOST",
  "PIP_CERT",
  "PIP_CLIENT_CERT",
  "PIP_CONFIG_FILE",
  "PIP_FIND_LINKS",
  "PIP_NO_INDEX",
  "PIP_DEFAULT_TIMEOUT",
  "PIP_RETRIES",
  "PIP_PROXY",
];

function pick(env: Variables, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = env[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/** Removes the variables with which a program may not be started. */
export function withoutLoaderVariables(env: Variables): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(LD|DYLD)_/i.test(name)),
  );
}

/**
 * The variables of every manager call. The home directory is private and empty, because conda has no other
 * way to leave the user's configuration out, and both families write into it.
 */
export function managerVariables(env: Variables, home: string): Record<string, string> {
  return {
    ...pick(env, PASSED),
    HOME: home,
    XDG_CONFIG_HOME: join(home, ".config"),
    XDG_CACHE_HOME: join(home, ".cache"),
    XDG_DATA_HOME: join(home, ".local", "share"),
    LANG: "C.UTF-8",
    LC_ALL: "C.UTF-8",
    PYTHONNOUSERSITE: "1",
    CONDA_NUMBER_CHANNEL_NOTICES: "0",
    CONDA_REPORT_ERRORS: "false",
    CONDA_NOTIFY_OUTDATED_CONDA: "false",
    CONDA_AUTO_UPDATE_CONDA: "false",
    MAMBA_NO_BANNER: "1",
  };
}

/** The further variables of a create. */
export function createVariables(packageCache: string, rootPrefix: string): Record<string, string> {
  return { CONDA_PKGS_DIRS: packageCache, MAMBA_ROOT_PREFIX: rootPrefix };
}

/**
 * The further variables of the pip step. The operator's pip configuration still applies although the home
 * directory is private: mirrors and indexes are often set there.
 */
export async function pipVariables(
  env: Variables,
  cacheDirectory: string,
): Promise<Record<string, string>> {
  const variables = { ...pick(env, PASSED_TO_PIP), PIP_CACHE_DIR: cacheDirectory };
  if ("PIP_CONFIG_FILE" in variables || env.HOME === undefined) return variables;
  const config = env.XDG_CONFIG_HOME ?? join(env.HOME, ".config");
  for (const path of [join(config, "pip", "pip.conf"), join(env.HOME, ".pip", "pip.conf")]) {
    if (await exists(path)) return { ...variables, PIP_CONFIG_FILE: path };
  }
  return variables;
}
