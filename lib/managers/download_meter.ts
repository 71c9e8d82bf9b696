/**
 * How much of the packages is fetched, from the sizes of archives in the package cache: none of the managers
 * tells when nobody sits at a terminal.
 */
import { join } from "@std/path";

const ARCHIVE = /\.(?:conda|tar\.bz2)(?:\.part)?$/;
/** What an archive was unpacked to; in it are no archives. */
const UNPACKED = /^.+-[^-]+-[^-]+$/;

/** Archives below a directory, as paths. */
async function archives(directory: string): Promise<string[]> {
  const found: string[] = [];
  const pending = [directory];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    try {
      for await (const { name, isDirectory } of Deno.readDir(path)) {
        if (!isDirectory && ARCHIVE.test(name)) found.push(join(path, name));
        // mamba has folders for channels since 2.6.
        if (isDirectory && name !== "cache" && !UNPACKED.test(name)) pending.push(join(path, name));
      }
    } catch {
      // Folders come and go while the manager works.
    }
  }
  return found;
}

/** Measures one create, whose package cache nobody else writes to. */
export class DownloadMeter {
  readonly #packageCache: string;
  readonly #before: ReadonlySet<string>;

  private constructor(packageCache: string, before: ReadonlySet<string>) {
    this.#packageCache = packageCache;
    this.#before = before;
  }

  /** Notes what is there already. */
  static async begin(packageCache: string): Promise<DownloadMeter> {
    return new DownloadMeter(packageCache, new Set(await archives(packageCache)));
  }

  /** Bytes that have come since. */
  async bytes(): Promise<number> {
    const fresh = (await archives(this.#packageCache)).filter((path) => !this.#before.has(path));
    const sizes = fresh.map((path) => Deno.stat(path).then(({ size }) => size, () => 0));
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }
}
