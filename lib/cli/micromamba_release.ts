/** The release of micromamba that `setup` fetches, and where it is. */

/** The release whose files' hashes are known here. */
export const MICROMAMBA_RELEASE = "2.8.1-0";

/** Where the project publishes its releases. */
export const RELEASES_URL = "https://github.com/mamba-org/micromamba-releases/releases/download";

/** SHA-256 of the program, by platform, for {@linkcode MICROMAMBA_RELEASE}. */
const SHA256: Readonly<Record<string, string>> = {
  "linux-64": "9689782d863c05a1bf5d2d371ba527104e7a4eb4310c1637d8653b751aed9c82",
  "linux-aarch64": "e5ba23b5945aa49dfd11022e592a510d2686a8feee810e00140b73c9fdf0ba2a",
  "osx-64": "b2bd613791c0a524883d7cb66505d630bf15badd1f492bc93ba78550a3a1a94b",
  "osx-arm64": "de71a646b73af92dd663e6ddc78993a6a4d47ea28b5d8908c3cc2b9c3077e528",
};

/** The name conda has for a platform; `undefined` where there is no micromamba that a worker can use. */
export function micromambaPlatform(os: string, architecture: string): string | undefined {
  const system = ({ linux: "linux", darwin: "osx" } as Record<string, string>)[os];
  const machine = ({
    linux: { x86_64: "64", aarch64: "aarch64" },
    darwin: { x86_64: "64", aarch64: "arm64" },
  } as Record<string, Record<string, string>>)[os]?.[architecture];
  return system === undefined || machine === undefined ? undefined : `${system}-${machine}`;
}

/** The known hash of a release's program; `undefined` when it is not known here. */
export function knownSha256(release: string, platform: string): string | undefined {
  return release === MICROMAMBA_RELEASE ? SHA256[platform] : undefined;
}

/**
 * Address of a release's program. An address may say with `{release}` and `{platform}` where the two belong; otherwise
 * it is that of a copy of the project's own directory.
 *
 * @throws TypeError when it is no address
 */
export function programUrl(base: string, release: string, platform: string): URL {
  const own = /\{(release|platform)\}/.test(base)
    ? base
    : `${base.replace(/\/+$/, "")}/{release}/micromamba-{platform}`;
  return new URL(own.replaceAll("{release}", release).replaceAll("{platform}", platform));
}
