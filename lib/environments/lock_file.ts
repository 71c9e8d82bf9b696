/**
 * Explicit lock files: a list of packages, each with its hash, as `conda list --explicit --md5`, `micromamba env
 * export --explicit` and `conda-lock render --kind explicit` write it. With one the solver is not asked.
 */
import { cleanUrl, invalidEntry, refuseToken, refusing, showEntry, textProblem } from "./entry.ts";
import { parsePackageUrl } from "./package_url.ts";
import { parseRequirement } from "./requirement.ts";

/** What a lock file asks for. */
export interface LockFile {
  /** URLs of packages with their hashes, in the order of the file. */
  readonly packages: readonly string[];
  /** pip requirements: conda-lock writes them into comments. */
  readonly pip: readonly string[];
}

/** Longest text, in characters. */
const MAX_TEXT = 4 * 1024 * 1024;
const MAX_PACKAGES = 5000;

/** conda's name of the machine this program runs on, such as `linux-64`. */
export function condaPlatform(os: string = Deno.build.os, arch: string = Deno.build.arch): string {
  const system = os === "darwin" ? "osx" : os === "windows" ? "win" : os;
  const processor = arch === "x86_64"
    ? "64"
    : arch === "aarch64" && system !== "linux"
    ? "arm64"
    : arch;
  return `${system}-${processor}`;
}

/**
 * Reads a lock file.
 *
 * @throws WorkerError `invalid_spec` that names the line
 */
export function parseLockFile(
  text: string,
  entry: string,
  platform: string = condaPlatform(),
): LockFile {
  if (text.length > MAX_TEXT) {
    throw invalidEntry(entry, `it is longer than ${MAX_TEXT} characters`);
  }
  const packages = new Map<string, string>();
  const pip: string[] = [];
  let explicit = false;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    const where = `${entry} line ${index + 1} (${showEntry(line)})`;
    const requirement = /^# pip (.*)$/.exec(line)?.[1];
    if (requirement !== undefined) pip.push(refusing(where, () => parseLocked(requirement)));
    if (line === "" || line.startsWith("#")) continue;
    if (line === "@EXPLICIT") {
      explicit = true;
      continue;
    }
    if (!explicit) throw invalidEntry(where, "packages come behind a line @EXPLICIT");
    const { url, name } = refusing(where, () => parseLine(line, platform));
    if (packages.has(name) && packages.get(name) !== url) {
      throw invalidEntry(where, `the package ${name} is there twice`);
    }
    packages.set(name, url);
    if (packages.size > MAX_PACKAGES) {
      throw invalidEntry(entry, `it has more than ${MAX_PACKAGES} packages`);
    }
  }
  if (!explicit) {
    throw invalidEntry(entry, "it has no line @EXPLICIT, so it is no explicit lock file");
  }
  for (const name of ["python", ...(pip.length > 0 ? ["pip"] : [])]) {
    if (!packages.has(name)) throw invalidEntry(entry, `the package ${name} is not in it`);
  }
  return { packages: [...packages.values()], pip };
}

function parseLine(line: string, platform: string): { url: string; name: string } {
  const problem = textProblem(line);
  if (problem !== undefined) throw new Error(problem);
  const url = cleanUrl(line, ["https", "http", "file"]);
  refuseToken(url);
  const { name, subdir, hash } = parsePackageUrl(url);
  if (subdir !== platform && subdir !== "noarch") {
    throw new Error(`it is a package for ${subdir}, and this machine is ${platform}`);
  }
  if (hash === undefined) {
    throw new Error(
      "it has no hash; write the list anew with hashes (conda list --explicit --md5)",
    );
  }
  const digest = hash.toLowerCase();
  // mamba lists SHA-256 without saying so; installers take everything without a prefix for MD5.
  const normal = digest.length === 64 ? `sha256:${digest}` : digest;
  return { url: url.replace(/#.*$/, `#${normal}`), name };
}

/** A requirement as conda-lock writes it: what it says of the hash becomes part of the URL, as pip wants it. */
function parseLocked(text: string): string {
  const [, requirement = text, hash] = /^(.*?)\s+--hash=sha256:([0-9a-f]{64})$/.exec(text) ?? [];
  if (hash === undefined) return parseRequirement(requirement);
  if (!/ @ https?:\/\/[^#]+$/.test(requirement)) {
    throw new Error("a hash can be checked only of a requirement with a URL");
  }
  return parseRequirement(`${requirement}#sha256=${hash}`);
}
