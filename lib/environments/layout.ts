/** Where things are below the cache directory. The states they can be in are described in store.ts. */
import { isAbsolute, join } from "@std/path";
import { WorkerError } from "../errors.ts";

/** conda packages reserve 255 bytes for the path of an environment; longer ones damage binaries silently. */
const MAX_PREFIX_BYTES = 200;

/** How many places an environment may have; more are needed only while damaged ones are still in use. */
const PLACES = 5;

const PLACE = /^[0-9a-f]{16}(?:-[1-9])?$/;

/** Paths below the cache directory. */
export class CacheLayout {
  /** The cache directory. */
  readonly directory: string;
  readonly environments: string;
  readonly packages: string;
  readonly packagesLock: string;
  readonly pip: string;
  readonly pipLock: string;
  readonly trash: string;
  /** Where processes note which environments they use. */
  readonly users: string;
  /** Directory of the managers' own files; see `runtimeDirectory` of `detectManager`. */
  readonly runtime: string;

  /**
   * Paths below an absolute directory.
   *
   * @throws WorkerError `usage` when environments cannot live there
   */
  constructor(directory: string) {
    this.directory = directory;
    this.environments = join(directory, "envs");
    this.packages = join(directory, "pkgs");
    this.packagesLock = join(directory, "pkgs.lock");
    this.pip = join(directory, "pip");
    this.pipLock = join(directory, "pip.lock");
    this.trash = join(directory, "trash");
    this.users = join(directory, "users");
    this.runtime = join(directory, "runtime");
    const prefix = this.prefix("0".repeat(16) + "-9");
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

  /** Whether the name of something beside the environments is one's place. */
  static isPlace(name: string): boolean {
    return PLACE.test(name);
  }

  /** Where the environment of a key may be: usually in the first place, `<key>`; `<key>-1` and so on follow. */
  places(key: string): string[] {
    return Array.from({ length: PLACES }, (_, index) => index === 0 ? key : `${key}-${index}`);
  }

  /** The environment itself. */
  prefix(place: string): string {
    return join(this.environments, place);
  }
  /** The file whose lock says who uses or builds the environment. */
  lock(place: string): string {
    return join(this.environments, `${place}.lock`);
  }
  /** Facts about the environment. */
  meta(place: string): string {
    return join(this.environments, `${place}.json`);
  }
  /** Its exact packages, as a file that managers can build it from. */
  explicit(place: string): string {
    return join(this.environments, `${place}.explicit.txt`);
  }
  /** What was printed when it was last built, also when that failed. */
  log(place: string): string {
    return join(this.environments, `${place}.log`);
  }
  /** The file whose presence says that the environment is complete. */
  ready(place: string): string {
    return join(this.prefix(place), ".ready");
  }
}
