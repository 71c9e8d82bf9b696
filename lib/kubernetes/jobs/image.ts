/** Names of container images: `python:3.11`, `ghcr.io/acme/tool@sha256:…`. */

/** The parts of an image's name. */
export interface Image {
  /** Registry and path, as written. */
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const PATH = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const HOST =
  "(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*";
const IMAGE = new RegExp(
  `^((?:${HOST}(?::\\d{1,5})?/)?${PATH}(?:/${PATH})*)(?::(\\w[\\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$`,
);
const MAX_IMAGE = 512;

/** The parts of an image's name; `undefined` when it is none. */
export function parseImage(text: string): Image | undefined {
  if (text.length > MAX_IMAGE) return undefined;
  const match = IMAGE.exec(text);
  return match === null ? undefined : { name: match[1]!, tag: match[2], digest: match[3] };
}

/**
 * All ways to write the same image, for patterns. Where there is a digest the tag is left out, because nodes do not look
 * at it: a pattern for one tag must not let through any image of that name.
 */
export function spellings(image: Image): string[] {
  const version = image.digest === undefined ? `:${image.tag}` : `@${image.digest}`;
  const first = image.name.split("/")[0]!;
  const isHost = image.name.includes("/") && (/[.:]/.test(first) || first === "localhost");
  const full = isHost
    ? image.name
    : `docker.io/${image.name.includes("/") ? "" : "library/"}${image.name}`;
  const names = new Set([image.name, full]);
  if (full.startsWith("docker.io/")) {
    names.add(full.slice("docker.io/".length));
    if (full.startsWith("docker.io/library/")) names.add(full.slice("docker.io/library/".length));
  }
  return [...names].map((name) => `${name}${version}`);
}
