/** Relative paths that come from outside. */

/** A path that is fine, or what is wrong with it. */
export type CheckedPath = { readonly path: string } | { readonly problem: string };

/** Longest path (UTF-16 units); the system's own limit is 4096 bytes. */
const MAX_PATH = 4000;

/**
 * Checks a relative path and removes `.` segments and a `/` at the end: nothing that could name a place outside of the
 * folder it is relative to gets through. The empty path is the folder itself.
 */
export function relativePath(path: string): CheckedPath {
  // deno-lint-ignore no-control-regex -- control characters are what is refused
  if (/[\x00-\x1f\x7f]/.test(path)) return { problem: "it contains a control character" };
  if (!path.isWellFormed()) return { problem: "it is not valid Unicode" };
  if (path.length > MAX_PATH) {
    return { problem: `the path is longer than ${MAX_PATH} characters` };
  }
  if (path.includes("\\")) {
    return { problem: 'it contains a backslash; paths are written with "/"' };
  }
  if (path.startsWith("/")) return { problem: "the path is absolute" };
  const segments = path.replace(/\/$/, "").split("/");
  if (segments.includes("..")) return { problem: 'the path contains ".."' };
  if (path !== "" && segments.includes("")) return { problem: "a part of the path is empty" };
  return { path: segments.filter((segment) => segment !== ".").join("/") };
}
