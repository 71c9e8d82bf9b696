/**
 * The variables managers and pip get. Everything else of the worker's environment is left out: the worker's
 * token, variables that change what a manager does (`CONDA_CHANNELS`, `PYTHONPATH`, …), and `LD_*`, with
 * which a program may not be started at all under scoped permissions. How the network is reached is no matter
 * of taste, so proxies, certificates, mirrors of pip and timeouts always count.
 */
import { join } from "@std/path";
import { pipNetworkSettings } from "./pip_configuration.ts";

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

/** What of the managers' own settings is about the network. */
const PASSED_TO_MANAGERS = [
  "CONDA_SSL_VERIFY",
  "CONDA_CLIENT_SSL_CERT",
  "CONDA_CLIENT_SSL_CERT_KEY",
  "CONDA_REMOTE_CONNECT_TIMEOUT_SECS",
  "CONDA_REMOTE_READ_TIMEOUT_SECS",
  "CONDA_REMOTE_MAX_RETRIES",
  "CONDA_REMOTE_BACKOFF_FACTOR",
  "MAMBA_SSL_VERIFY",
  "MAMBA_SSL_NO_REVOKE",
  "MAMBA_CACERT_PATH",
  "MAMBA_REMOTE_CONNECT_TIMEOUT_SECS",
  "MAMBA_REMOTE_READ_TIMEOUT_SECS",
  "MAMBA_REMOTE_MAX_RETRIES",
  "MAMBA_REMOTE_BACKOFF_FACTOR",
];

/** What of pip's own settings is about the network. */
const PASSED_TO_PIP = [
  "PIP_INDEX_URL",
  "PIP_EXTRA_INDEX_URL",
  "PIP_TRUSTED_HOST",
  "PIP_CERT",
  "PIP_CLIENT_CERT",
  "PIP_FIND_LINKS",
  "PIP_NO_INDEX",
  "PIP_DEFAULT_TIMEOUT",
  "PIP_TIMEOUT",
  "PIP_RETRIES",
  "PIP_PROXY",
];

/** Variables that are configuration, and reach the managers when the operator's configuration counts. */
const CONFIGURATION = /^(?:CONDA|MAMBA|PIP|PYTHON)_?[A-Z0-9_]+$|^(?:CONDA|MAMBA)RC$/;
/** The environment that is active where the worker was started is none of the new one's business. */
const ACTIVATION =
  /^CONDA_(?:PREFIX(?:_\d+)?|SHLVL|DEFAULT_ENV|PROMPT_MODIFIER|EXE|PYTHON_EXE|STACKED_\d+)$|^MAMBA_EXE$/;
/** Places that the worker chooses, so that nobody else writes there. */
const PLACES = /^CONDA_PKGS_DIRS$|^MAMBA_TARGET_PREFIX$|^PIP_CACHE_DIR$/;

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
    ...pick(env, PASSED_TO_MANAGERS),
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

/**
 * The operator's own configuration, for calls in which it counts: variables, and the home directory with its
 * files. Goes on top of {@linkcode managerVariables}. `withheld` are variables of the worker that are spelled
 * like conda's, its token among them.
 */
export function configurationVariables(
  env: Variables,
  withheld: readonly string[],
): Record<string, string> {
  const names = Object.keys(env).filter((name) =>
    CONFIGURATION.test(name) && !ACTIVATION.test(name) && !PLACES.test(name) &&
    !withheld.includes(name)
  );
  const home = env.HOME;
  if (home === undefined) return pick(env, names);
  return {
    ...pick(env, names),
    HOME: home,
    XDG_CONFIG_HOME: env.XDG_CONFIG_HOME ?? join(home, ".config"),
    XDG_CACHE_HOME: env.XDG_CACHE_HOME ?? join(home, ".cache"),
    XDG_DATA_HOME: env.XDG_DATA_HOME ?? join(home, ".local", "share"),
  };
}

/** The further variables of a create. */
export function createVariables(packageCache: string, rootPrefix: string): Record<string, string> {
  return { CONDA_PKGS_DIRS: packageCache, MAMBA_ROOT_PREFIX: rootPrefix };
}

/**
 * The further variables of the pip step. Of the operator's configuration files only what they say about the
 * network counts: mirrors and certificates are often set there, and so are habits such as `user = true`.
 */
export async function pipVariables(
  env: Variables,
  cacheDirectory: string,
): Promise<Record<string, string>> {
  return {
    ...await pipNetworkSettings(env, PASSED_TO_PIP),
    ...pick(env, PASSED_TO_PIP),
    PIP_CACHE_DIR: cacheDirectory,
    // Names no file, by pip's own convention.
    PIP_CONFIG_FILE: "/dev/null",
  };
}
