/** What `ls`, `find` and `refresh` print at the console. Pure. */
import type { FileRow, Listing, PeerName, PeerRow, RefreshReport, StatusReport } from '../api.js';
import type { PeerId } from '../ids.js';
import { printable } from '../names.js';
import type { Numbers } from './console-numbers.js';
import { count, formatSize, peerLabel, peerList } from './format.js';
import { fileJson } from './listing.js';
import type { Output } from './output.js';
import { padStart } from './text.js';

/** What a word of `ls` is: a path has a slash or a wildcard in it, a peer's name mostly not. */
export function isPath(word: string): boolean {
  return /[/*]/.test(word);
}

/** The files of each peer, those of this one last. */
export function* numberedLines(
  { files }: Listing,
  peers: readonly PeerRow[],
  numbers: Numbers,
  out: Output,
): Generator<string> {
  const { dim, bold } = out.style;
  const byPeer = new Map<PeerId, { label: string; files: FileRow[]; bytes: number }>();
  for (const file of files) {
    for (const peer of file.peers) {
      const theirs = byPeer.get(peer.id) ?? { label: peerLabel(peer), files: [], bytes: 0 };
      theirs.files.push(file);
      theirs.bytes += file.size;
      byPeer.set(peer.id, theirs);
    }
  }
  const own = peers.find(({ self }) => self)?.id;
  const isAmbiguous = (label: string) => [...byPeer.values()].filter((one) => one.label === label).length > 1;
  const order = [...byPeer].sort(
    ([a, { label: one }], [b, { label: other }]) =>
      Number(a === own) - Number(b === own) || (one < other ? -1 : one > other ? 1 : a < b ? -1 : 1),
  );
  for (const [peer, { label, files: theirs, bytes }] of order) {
    const who = isAmbiguous(label) ? `${label} ${peer}` : label;
    const here = peer === own ? ' (this one)' : '';
    yield `${bold(who)}${here}: ${count(theirs.length, 'file')}, ${formatSize(bytes)}`;
    const shown = theirs.map((file) => `${numbers.of(peer, file.path) ?? '-'}`);
    const most = shown.reduce((so, text) => Math.max(so, text.length), 3);
    for (const [i, { path, size, id }] of theirs.entries()) {
      const mark = id === null ? dim(' (no id yet)') : '';
      yield `  ${padStart(shown[i], most)}  ${dim(padStart(formatSize(size), 8))}  ${printable(path)}${mark}`;
    }
  }
}

/** The same for programs: each peer of a file with the number that the file has there. */
export function numberedJson({ files, away }: Listing, numbers: Numbers): object {
  const rows = files.map((file) => ({
    ...fileJson(file),
    peers: file.peers.map(({ id, name }) => ({ id, name, number: numbers.of(id, file.path) ?? null })),
  }));
  return { files: rows, ...(away.length > 0 ? { away } : {}) };
}

const SIGNS = { added: '+', changed: '~', removed: '-' } as const;

/** Who came and left, which files are new, others or gone, and how many there are now. */
export function refreshLines(report: RefreshReport, { peers: here, offers }: StatusReport): string[] {
  const { came, left, peers, files } = report;
  const lines: string[] = [];
  if (peers.came > 0) lines.push(`came: ${named(came, peers.came)}`);
  if (peers.left > 0) lines.push(`left: ${named(left, peers.left)}`);
  for (const kind of ['added', 'changed', 'removed'] as const) {
    for (const { path, peers: who } of report[kind]) lines.push(`${SIGNS[kind]} ${peerList(who)}: ${printable(path)}`);
    const more = files[kind] - report[kind].length;
    if (more > 0) lines.push(`${SIGNS[kind]} ${count(more, 'more file')}`);
  }
  const now = `${count(here, 'other peer')}, ${count(offers, 'offer')}`;
  return [...lines, lines.length === 0 ? `nothing has changed: ${now}` : now];
}

function named(peers: readonly PeerName[], all: number): string {
  const more = all > peers.length ? ` and ${all - peers.length} more` : '';
  return `${peers.map(peerLabel).join(', ')}${more}`;
}
