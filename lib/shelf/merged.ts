/**
 * Offers of many shelves in the order of their paths, made as they are taken: what is found is sorted a little at a time, and
 * merged. Pure; called by the listing. An undefined is a moment in which others may have a turn.
 */
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import type { Rows } from './rows.js';

/** Found rows of one shelf. */
export interface Found {
  peer: PeerId;
  rows: Rows;
  found: Uint32Array;
}

/** Rows that are sorted in one go: some milliseconds. */
const RUN = 2048;
/** Rows of which the paths are kept for when they are taken, where there are no more: of more it would take much memory. */
const KEPT = 65_536;

/** One sorted part, at one of its items. */
interface Cursor {
  path: string;
  offer(): PeerOffer;
  /** Goes on; false at the end. */
  next(): boolean;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @param others offers that are on no shelf */
export function* merged(
  parts: Iterable<Found>,
  others: readonly PeerOffer[] = [],
): Generator<PeerOffer | undefined, void, undefined> {
  const heap: Cursor[] = [];
  let kept = 0;
  for (const { peer, rows, found } of parts) {
    for (let from = 0; from < found.length; from += RUN) {
      const run = found.slice(from, from + RUN);
      const paths = sortRun(rows, run);
      kept += run.length;
      push(heap, ofRows(rows, run, peer, kept <= KEPT ? paths : undefined));
      if (run.length === RUN) yield undefined;
    }
  }
  for (let from = 0; from < others.length; from += RUN) {
    push(heap, ofOffers(others.slice(from, from + RUN).sort((a, b) => compare(a.path, b.path))));
    if (from + RUN < others.length) yield undefined;
  }
  for (let first = heap[0]; first; first = heap[0]) {
    yield first.offer();
    if (first.next()) sink(heap);
    else {
      const last = heap.pop();
      if (!last || last === first) continue;
      heap[0] = last;
      sink(heap);
    }
  }
}

/** @returns the paths, in their order */
function sortRun(rows: Rows, run: Uint32Array): string[] {
  const paths = Array.from(run, (row) => rows.path(row));
  const order = Array.from(run.keys()).sort((a, b) => compare(paths[a], paths[b]));
  run.set(order.map((place) => run[place]));
  return order.map((place) => paths[place]);
}

function ofRows(rows: Rows, run: Uint32Array, peer: PeerId, paths: readonly string[] | undefined): Cursor {
  let at = 0;
  const pathAt = () => paths?.[at] ?? rows.path(run[at]);
  const cursor: Cursor = {
    path: pathAt(),
    offer: () => rows.offer(run[at], peer, cursor.path),
    next: () => {
      if (++at === run.length) return false;
      cursor.path = pathAt();
      return true;
    },
  };
  return cursor;
}

function ofOffers(run: readonly PeerOffer[]): Cursor {
  let at = 0;
  const cursor: Cursor = {
    path: run[0].path,
    offer: () => run[at],
    next: () => {
      if (++at === run.length) return false;
      cursor.path = run[at].path;
      return true;
    },
  };
  return cursor;
}

/** A heap by the paths: the first is the least. */
function push(heap: Cursor[], one: Cursor): void {
  let at = heap.length;
  heap.push(one);
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (heap[above].path <= one.path) break;
    heap[at] = heap[above];
    at = above;
  }
  heap[at] = one;
}

/** Puts the first one at its place. */
function sink(heap: Cursor[]): void {
  const one = heap[0];
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    if (below + 1 < heap.length && heap[below + 1].path < heap[below].path) below++;
    if (heap[below].path >= one.path) break;
    heap[at] = heap[below];
    at = below;
  }
  heap[at] = one;
}
