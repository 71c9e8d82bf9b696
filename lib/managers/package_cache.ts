/** Taking damaged things out of a package cache. The caller makes sure that nobody else writes to it. */
import { basename, join } from "@std/path";

const ARCHIVE = /\.(?:conda|tar\.bz2)(?:\.part)?$/;
/** `<name>-<version>-<build>`, of an archive or of what was unpacked from one. */
const PACKAGE = /^.+-[^-]+-[^-]+$/;
/** Names of packages that a manager gives without their place. */
const NAMED = [
  /Found incorrect download: ([\w.-]+?)\. /g,
  /Cannot find a valid extracted directory cache for '([\w.-]+)'/g,
];

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function remove(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** The package a path in the cache belongs to, without the suffix of its archive. */
async function packageOf(packageCache: string, relative: string): Promise<string | undefined> {
  let path = packageCache;
  for (const part of relative.split("/")) {
    if (part === "" || part === "." || part === "..") return undefined;
    path = join(path, part);
    const stem = path.replace(ARCHIVE, "");
    if (!PACKAGE.test(basename(stem))) continue;
    if (stem !== path) return stem;
    // A folder of a channel may look the same, but has neither of these.
    const signs = [join(path, "info"), `${path}.conda`, `${path}.tar.bz2`];
    if ((await Promise.all(signs.map(isThere))).includes(true)) return stem;
  }
  return undefined;
}

async function packagesNamed(packageCache: string, text: string): Promise<Set<string>> {
  const found = new Set<string>();
  const places = new RegExp(`${RegExp.escape(packageCache)}/([^\\s"'<>\\]:;,()]+)`, "g");
  for (const match of text.matchAll(places)) {
    const stem = await packageOf(packageCache, match[1]!.replace(/\.$/, ""));
    if (stem !== undefined) found.add(stem);
  }
  const names = NAMED.flatMap((pattern) => [...text.matchAll(pattern)])
    .map((match) => match[1]!.replace(ARCHIVE, ""));
  const pending = names.length === 0 ? [] : [packageCache];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for await (const entry of Deno.readDir(folder)) {
      const stem = entry.name.replace(ARCHIVE, "");
      const name = /^(.+)-[^-]+-[^-]+$/.exec(stem)?.[1];
      if (names.includes(stem) || (name !== undefined && names.includes(name))) {
        found.add(join(folder, stem));
      } else if (entry.isDirectory && !await isThere(join(folder, entry.name, "info"))) {
        pending.push(join(folder, entry.name));
      }
    }
  }
  return found;
}

/**
 * Removes the packages that an output names as damaged; when it names none, everything, because one of them must
 * be. Environments keep their files. Returns what was removed.
 */
export async function removeDamagedPackages(
  packageCache: string,
  output: string,
): Promise<string[]> {
  const stems = await packagesNamed(packageCache, output);
  for (const stem of stems) {
    for (const suffix of ["", ".conda", ".tar.bz2", ".conda.part", ".tar.bz2.part"]) {
      await remove(stem + suffix);
    }
  }
  if (stems.size > 0) return [...stems].map((stem) => basename(stem));
  const everything: string[] = [];
  for await (const entry of Deno.readDir(packageCache)) everything.push(entry.name);
  for (const name of everything) await remove(join(packageCache, name));
  return everything;
}

/** Removes what is remembered of the channels' indexes; all managers keep it in the same place. */
export async function removeIndexes(packageCache: string): Promise<void> {
  await remove(join(packageCache, "cache"));
}
