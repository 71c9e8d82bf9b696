/** URLs of conda packages. */

/** A package's URL, taken apart. */
export interface PackageUrl {
  /** Name of the package, in lower case. */
  readonly name: string;
  readonly version: string;
  readonly build: string;
  /** The platform it is for, such as `linux-64` or `noarch`. */
  readonly subdir: string;
  /** What follows `#`: an MD5, or a SHA-256, which most write with `sha256:` in front. */
  readonly hash: string | undefined;
}

/** A platform's directory in a channel. */
const PLATFORM = "(?:linux|osx|win|freebsd|emscripten|wasi|zos)-[a-z0-9_]+|noarch";
/** A text that is a platform's directory in a channel. */
export const SUBDIR: RegExp = new RegExp(`^(?:${PLATFORM})$`);

const PACKAGE = new RegExp(
  `/(${PLATFORM})/` +
    String.raw`([A-Za-z0-9_][\w.-]*)-([\w.+!%]+)-([\w.+%]+)\.(?:conda|tar\.bz2)(?:#(.*))?$`,
);
const HASH = /^(?:[0-9a-f]{32}|(?:sha256:)?[0-9a-f]{64})$/i;

/**
 * Takes the URL of a package apart.
 *
 * @throws Error with the reason
 */
export function parsePackageUrl(url: string): PackageUrl {
  const [, subdir, name, version, build, hash] = PACKAGE.exec(url) ?? [];
  if (
    subdir === undefined || name === undefined || version === undefined || build === undefined
  ) {
    throw new Error(
      "only the URL of a .conda or .tar.bz2 package below its platform can be installed",
    );
  }
  if (hash !== undefined && !HASH.test(hash)) {
    throw new Error("what follows # is neither an MD5 nor sha256: with a SHA-256");
  }
  return { name: name.toLowerCase(), version, build, subdir, hash };
}
