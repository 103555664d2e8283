/** What `ls --sources` prints: who holds which chunks of a file. */
import type { SourceRow, SourcesRow } from '../api.js';
import { HearsayError } from '../errors.js';
import { printable } from '../names.js';
import type { Context } from './context.js';
import { count, formatSize, peerLabel } from './format.js';
import type { Output } from './output.js';
import { padEnd, width } from './text.js';

/** Runs of chunks that a line names. */
const RUNS_SHOWN = 8;

/** Asks and prints. */
export async function printSources(context: Context, what: string, from: string[] | undefined): Promise<void> {
  const { out } = context;
  const { api } = await context.session('any');
  const files = await context.within(api.sources(what, from));
  if (files.length === 0) throw new HearsayError('not-found', `nobody offers a file that ${what} means`);
  if (out.manner.json) return out.data({ files });
  await out.lines(lines(files, out));
}

function* lines(files: readonly SourcesRow[], out: Output): Generator<string> {
  const { dim, cyan } = out.style;
  for (const { path, size, id, chunks, sources } of files) {
    const mark = id === null ? '(no id yet)' : `#${id.slice(0, 12)}`;
    yield `${printable(path)}  ${dim(`${formatSize(size)}, ${count(chunks, 'chunk')}, ${mark}`)}`;
    const labels = sources.map(peerLabel);
    const most = labels.reduce((so, label) => Math.max(so, width(label)), 0);
    for (const [i, source] of sources.entries()) yield `  ${cyan(padEnd(labels[i], most))}  ${held(source, chunks)}`;
  }
}

function held({ have, ranges }: SourceRow, chunks: number): string {
  if (have === chunks) return 'all';
  // People count from 1.
  const runs = ranges.slice(0, RUNS_SHOWN).map(([a, b]) => (a === b ? `${a + 1}` : `${a + 1}-${b + 1}`));
  const more = ranges.length > RUNS_SHOWN ? `, and ${ranges.length - RUNS_SHOWN} more runs` : '';
  return `${have} of ${chunks}${runs.length > 0 ? `: ${runs.join(', ')}${more}` : ''}`;
}
