/** What somebody may have meant who mistyped a word. */

/** Number of letters to insert, remove, change or swap with a neighbour to get from one word to the other. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(change, row[j]! + 1, next[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, before[j - 2]! + 1);
      }
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/**
 * The known word that is nearest to one that is not known; `undefined` when none is near: a third of the letters may
 * differ, or the word may be the beginning of only one.
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const given = word.toLowerCase();
  if (given === "") return undefined;
  const ranked = known
    .map((name) => ({ name, distance: editDistance(given, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(given.length / 3))) {
    return best.name;
  }
  const longer = known.filter((name) => name.toLowerCase().startsWith(given));
  return longer.length === 1 ? longer[0] : undefined;
}
