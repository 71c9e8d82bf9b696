/** The operator's patterns: `*` is any text, `{workspace}` the workspace of whoever starts a job. */

/** Whether a pattern has a part that stands for something else. */
export function hasWildcard(pattern: string): boolean {
  return pattern.includes("*") || pattern.includes("{workspace}");
}

/** Whether a text matches a pattern. Linear in both, since the text comes from outside. */
export function matches(pattern: string, text: string, workspace: string): boolean {
  // What stands in for a workspace is no pattern, whatever its name is.
  const parts = pattern.split("*").map((part) => part.replaceAll("{workspace}", () => workspace));
  const first = parts.shift()!;
  if (parts.length === 0) return text === first;
  const last = parts.pop()!;
  if (!text.startsWith(first) || text.length < first.length + last.length) return false;
  if (!text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/** Whether a text matches one of some patterns. */
export function matchesAny(patterns: readonly string[], text: string, workspace: string): boolean {
  return patterns.some((pattern) => matches(pattern, text, workspace));
}
