/** Checking the archives of a lock file where the manager cannot. */
import { join } from "@std/path";
import { sha256Of } from "../sha256.ts";
import { checksumError } from "./errors.ts";

/** The parts of a line of a lock file. */
interface ExplicitPackage {
  readonly url: string;
  /** File name of the archive. */
  readonly file: string;
  readonly sha256: string | undefined;
}

function parse(line: string): ExplicitPackage {
  const [url = "", hash = ""] = line.split("#");
  const sha256 = hash.startsWith("sha256:") ? hash.slice("sha256:".length) : undefined;
  return { url, file: url.slice(url.lastIndexOf("/") + 1), sha256 };
}

/** The text of a lock file. Without SHA-256 where the manager takes those for a mistake. */
export function lockFileText(lines: readonly string[], withSha256: boolean): string {
  const shown = lines.map((line) => {
    const { url, sha256 } = parse(line);
    return sha256 === undefined || withSha256 ? line : url;
  });
  return ["@EXPLICIT", ...shown].join("\n") + "\n";
}

/**
 * Checks the SHA-256 of archives in a package cache where they all lie side by side, as in that of conda and of
 * mamba before 2.6. `command` is the manager's name.
 *
 * @throws WorkerError `package_cache` when an archive is another one, or is not there
 */
export async function checkArchives(
  command: string,
  packageCache: string,
  lines: readonly string[],
): Promise<void> {
  for (const line of lines) {
    const { file, sha256 } = parse(line);
    if (sha256 === undefined) continue;
    const path = join(packageCache, file);
    let actual: string;
    try {
      actual = await sha256Of(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw checksumError(command, `the archive ${path} is missing, so it cannot be checked`);
    }
    if (actual !== sha256) {
      throw checksumError(command, `the archive ${path} has SHA-256 ${actual}, not ${sha256}`);
    }
  }
}
