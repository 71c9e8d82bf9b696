/** Channels: which are accepted, and which are directories of this machine. */
import { isAbsolute, join } from "@std/path";
import { cleanUrl, refuseToken, textProblem } from "./entry.ts";

/** The channel of whatever was built on this machine. */
const LOCAL = "local";

/**
 * The normal form of a channel: a name, or a URL without a slash at its end.
 *
 * @throws Error with the reason
 */
export function parseChannel(text: string): string {
  const problem = textProblem(text);
  if (problem !== undefined) throw new Error(problem);
  const channel = text.trim().replace(/\/+$/, "");
  if (/^[A-Za-z][\w+.-]*:/.test(channel)) {
    const url = cleanUrl(channel, ["http", "https", "file"]);
    refuseToken(url);
    if (url.startsWith("file:")) checkPath(url);
    else if (/[?#*[\]]/.test(url)) throw new Error("its URL has more than a host and a path");
    return url;
  }
  if (!/^[A-Za-z0-9_][\w.-]*(?:\/[\w.-]+)*$/.test(channel) || channel.includes("..")) {
    throw new Error("it is neither a channel's name nor a URL");
  }
  if (channel === LOCAL || channel.startsWith(`${LOCAL}/`)) {
    throw new Error("it stands for a directory of the worker's machine");
  }
  return channel;
}

function checkPath(url: string): void {
  const path = decodePath(url);
  // Deciding by its beginning is safe only for a path that goes nowhere else later.
  if (
    path === undefined || !isAbsolute(path) || path !== join(path) || /[\p{Cc}?#*[\]]/u.test(path)
  ) {
    throw new Error("its path is not absolute and plain");
  }
}

function decodePath(url: string): string | undefined {
  try {
    return decodeURIComponent(url.slice("file://".length));
  } catch {
    return undefined;
  }
}

/** The directory (or file) of this machine that a URL names; `undefined` for everything else. */
export function localPath(url: string): string | undefined {
  return url.startsWith("file://") ? decodePath(url) : undefined;
}
