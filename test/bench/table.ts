/** Figures as people read them: tables in Markdown, medians, ratios. Pure; called by the benches. */

export interface Table {
  title: string;
  columns: readonly string[];
  rows: readonly (readonly string[])[];
  /** What is to be known about it. */
  notes?: readonly string[];
}

/** What a bench found: for people, and for programs. */
export interface Report {
  bench: string;
  tables: Table[];
  figures: unknown;
}

/** The middle one; of an even number the higher of both. NaN of none. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** `0.93`, and a dash where there is none. */
export function ratio(value: number, digits = 2): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

export function whole(value: number): string {
  return Number.isFinite(value) ? `${Math.round(value)}` : '–';
}

export function print({ title, columns, rows, notes = [] }: Table): void {
  const line = (cells: readonly string[]) => console.log(`| ${cells.join(' | ')} |`);
  console.log(`\n### ${title}\n`);
  line(columns);
  line(columns.map(() => '---'));
  for (const row of rows) line(row);
  for (const note of notes) console.log(`\n${note}`);
}
