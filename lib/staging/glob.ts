/**
 * File name patterns, as shells have them: `*` and `?` within a name, `**` for any number of folders. A name that
 * begins with a dot is matched only by a pattern that does too.
 *
 * Patterns come from outside, so they are not made into regular expressions: the time of a match is bounded by the
 * product of both lengths.
 */

/** Whether a text has one of the characters that make it a pattern. */
export function isPattern(text: string): boolean {
  return /[*?]/.test(text);
}

/** Whether a path matches a pattern; both relative, with `/` between segments. */
export function matchesPattern(pattern: string, path: string): boolean {
  const parts = pattern.split("/");
  const names = path.split("/");
  // reached[j]: whether the parts so far can stand for the first j names.
  let reached = names.map(() => false);
  reached.unshift(true);
  for (const [index, part] of parts.entries()) {
    const next = reached.map(() => false);
    if (part === "**") {
      // At the end of a pattern it stands for at least the file itself.
      const last = index === parts.length - 1;
      let possible = false;
      for (let j = 0; j <= names.length; j++) {
        if (j > 0 && possible && !isHidden(names[j - 1]!)) next[j] = true;
        else possible = false;
        if (reached[j]) {
          possible = true;
          if (!last) next[j] = true;
        }
      }
    } else {
      for (let j = 1; j <= names.length; j++) {
        if (reached[j - 1]) next[j] = matchesName(part, names[j - 1]!);
      }
    }
    reached = next;
  }
  return reached[names.length]!;
}

function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/** Goes back to the last `*` only, which is enough, since an earlier one could match nothing more. */
function matchesName(pattern: string, name: string): boolean {
  if (isHidden(name) && !isHidden(pattern)) return false;
  const wanted = [...pattern];
  const given = [...name];
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < given.length;) {
    if (at < wanted.length && wanted[at] === "*") {
      star = at++;
      resume = i;
    } else if (at < wanted.length && (wanted[at] === "?" || wanted[at] === given[i])) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else {
      return false;
    }
  }
  while (wanted[at] === "*") at++;
  return at === wanted.length;
}
