/** What somebody meant who typed a word that is no command. */

/**
 * The nearest of some names, where one is near enough.
 * @param meant what other tools, and people, call the commands
 */
export function nearest(
  word: string,
  names: readonly string[],
  meant: Readonly<Record<string, string>>,
): string | undefined {
  const lower = word.toLowerCase();
  if (Object.hasOwn(meant, lower)) return meant[lower];
  return names.find((name) => distance(name, lower) <= Math.ceil(name.length / 3));
}

/** Edits that turn one word into another: insert, delete, replace, swap neighbours (optimal string alignment). */
function distance(a: string, b: string): number {
  // Far apart, whatever the letters are; and a word may be as long as a line.
  if (Math.abs(a.length - b.length) > a.length) return Number.POSITIVE_INFINITY;
  const rows: number[][] = [[...Array(b.length + 1).keys()]];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2][j - 2] + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
