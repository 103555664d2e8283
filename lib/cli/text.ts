/** Text in columns of a terminal: wide characters take two, marks take none. */

/** Columns below which lines are left to the terminal. */
const WRAP_LEAST = 20;
const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const PLAIN = /^[\x20-\x7e]*$/;
const ZERO = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;
// East Asian wide and full-width forms by script and block, and what is drawn as an emoji.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|[\p{Script=Han}\p{Script=Yi}]|\p{Emoji_Presentation}|\ufe0f/u;

function graphemeWidth(grapheme: string): number {
  if (ZERO.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}

/** Columns that a text without control characters takes. */
export function width(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of segmenter.segment(text)) columns += graphemeWidth(segment);
  return columns;
}

/** The beginning of a text that fits, ending in `…` where something was cut off. */
export function clip(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let kept = '';
  let left = columns - 1;
  for (const { segment } of segmenter.segment(text)) {
    left -= graphemeWidth(segment);
    if (left < 0) break;
    kept += segment;
  }
  return columns < 1 ? '' : `${kept}…`;
}

/** The end of a text that fits, beginning with `…`: of a path, the end says most. */
export function clipStart(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  const segments = [...segmenter.segment(text)];
  let kept = '';
  let left = columns - 1;
  for (const { segment } of segments.reverse()) {
    left -= graphemeWidth(segment);
    if (left < 0) break;
    kept = segment + kept;
  }
  return columns < 1 ? '' : `…${kept}`;
}

/** Columns that a text with colours in it takes. */
function seen(text: string): number {
  const [first, ...more] = text.split('\x1b[');
  return width(first + more.map((part) => part.replace(/^[\d;]*m/, '')).join(''));
}

/** A line broken between words where a terminal would break it within them; what follows is indented as it is. */
export function wrap(text: string, columns: number): string {
  if (columns < WRAP_LEAST || seen(text) <= columns) return text;
  const indent = text.slice(0, text.length - text.trimStart().length);
  const lines: string[] = [];
  let line = '';
  for (const word of text.trimStart().split(' ')) {
    if (line !== '' && seen(`${line} ${word}`) <= columns) {
      line += ` ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    line = indent + word;
  }
  return [...lines, line].join('\n');
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)));
}

export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - width(text))) + text;
}

/** Rows as lines of a table: two spaces between columns, the last one not padded. `right` are the numbers' columns. */
export function table(rows: string[][], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell));
  }
  return rows.map((row) =>
    row
      .map((cell, column) => {
        if (right.includes(column)) return padStart(cell, widths[column]);
        return column === row.length - 1 ? cell : padEnd(cell, widths[column]);
      })
      .join('  '),
  );
}
