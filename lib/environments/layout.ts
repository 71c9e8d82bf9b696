/** Where things are below the cache directory. The states they can be in are described in store.ts. */
import { isAbsolute, join } from "@std/path";
import { WorkerError } from "../errors.ts";

/** conda packages reserve 255 bytes for the path of an environment; longer ones damage binaries silently. */
const MAX_PREFIX_BYTES = 200;

/** Paths below the cache directory. */
export class CacheLayout {
  readonly environments: string;
  readonly packages: string;
  readonly packagesLock: string;
  readonly pip: string;
  readonly trash: string;
  /** Directory of the managers' own files; see `runtimeDirectory` of `detectManager`. */
  readonly runtime: string;

  /**
   * Paths below an absolute directory.
   *
   * @throws WorkerError `usage` when environments cannot live there
   */
  constructor(directory: string) {
    this.environments = join(directory, "envs");
    this.packages = join(directory, "pkgs");
    this.packagesLock = join(directory, "pkgs.lock");
    this.pip = join(directory, "pip");
    this.trash = join(directory, "trash");
    this.runtime = join(directory, "runtime");
    const prefix = this.prefix("0".repeat(16));
    const reason = !isAbsolute(directory)
      ? "its path is not absolute"
      : new TextEncoder().encode(prefix).length > MAX_PREFIX_BYTES
      ? "its path is too long for conda packages"
      : /[\s:#]/.test(prefix)
      ? "conda environments need a path without spaces, colons and hashes"
      : undefined;
    if (reason !== undefined) {
      throw new WorkerError("usage", `Cannot use the cache directory ${directory}: ${reason}`, {
        suggestion: "Choose another place with --cache-dir.",
      });
    }
  }

  /** The environment itself. */
  prefix(key: string): string {
    return join(this.environments, key);
  }
  /** The file whose lock says who uses or builds the environment. */
  lock(key: string): string {
    return join(this.environments, `${key}.lock`);
  }
  /** Facts about the environment. */
  meta(key: string): string {
    return join(this.environments, `${key}.json`);
  }
  /** The file whose presence says that the environment is complete. */
  ready(key: string): string {
    return join(this.prefix(key), ".ready");
  }
}
