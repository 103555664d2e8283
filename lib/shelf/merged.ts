/**
 * Offers of many shelves in the order of their paths, made as they are taken: folders are sorted first, and what was found in some of
 * them when their turn has come, so that the first is told long before the last is known. Pure; called by the listing. An undefined is
 * a moment in which others may have a turn.
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

/** Rows or folders that are sorted in one go: some milliseconds. */
const RUN = 2048;
/** Rows for which folders are opened together. */
const FEW = 256;
/** Rows of which the paths are kept for when they are taken, where there are no more: of more it would take much memory. */
const KEPT = 65_536;

/** A sorted part, at one of its items. */
interface Cursor {
  /** Where it is: none of what it still gives comes before. */
  path: string;
  /** Goes on; false at the end. */
  next(): boolean;
}

/** Offers in their order. */
interface Offers extends Cursor {
  offer(): PeerOffer;
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
  const kept = { paths: 0 };
  for (const part of parts) {
    const byFolder = yield* grouped(part);
    const { folders } = byFolder;
    for (let from = 0; from < folders.length; from += RUN) {
      push(heap, new FolderRun(part, byFolder, folders.subarray(from, from + RUN)));
      if (folders.length > RUN) yield undefined;
    }
  }
  for (let from = 0; from < others.length; from += RUN) {
    push(heap, new OfferRun(others.slice(from, from + RUN)));
    if (from + RUN < others.length) yield undefined;
  }
  for (let first = heap[0]; first; first = heap[0]) {
    if (first instanceof FolderRun) {
      const runs = first.open();
      goOn(heap, first.next());
      for (const some of runs) {
        push(heap, new RowRun(first.part, some, kept));
        if (some.length === RUN) yield undefined;
      }
      continue;
    }
    const offers = first as Offers;
    const bound = second(heap);
    let isMore = true;
    do {
      yield offers.offer();
      isMore = offers.next();
    } while (isMore && (bound === undefined || offers.path < bound));
    goOn(heap, isMore);
  }
}

/** Found rows by their folders. */
interface ByFolder {
  /** The folders in which something was found. */
  folders: Uint32Array;
  /** The rows, and by the number of a folder where its rows end; they begin where those of the folder before end. */
  rows: Uint32Array;
  ends: Uint32Array;
}

function* grouped({ rows: { folder, folders }, found }: Found): Generator<undefined, ByFolder, undefined> {
  const isLarge = found.length > RUN;
  const ends = new Uint32Array(folders.length);
  let count = 0;
  for (const row of found) if (ends[folder[row]]++ === 0) count++;
  const some = new Uint32Array(count);
  let end = 0;
  for (let number = 0, at = 0; number < ends.length; number++) {
    if (ends[number] > 0) some[at++] = number;
    // Where its rows begin, until they are put there.
    const here = ends[number];
    ends[number] = end;
    end += here;
  }
  if (isLarge) yield undefined;
  const rows = new Uint32Array(found.length);
  for (const row of found) rows[ends[folder[row]]++] = row;
  if (isLarge) yield undefined;
  return { folders: some, rows, ends };
}

function beginOf(ends: Uint32Array, number: number): number {
  return number === 0 ? 0 : ends[number - 1];
}

/** Some folders of one shelf: at one that is still to be opened. */
class FolderRun implements Cursor {
  path: string;
  readonly part: Found;
  readonly #byFolder: ByFolder;
  readonly #folders: Uint32Array;
  #at = 0;

  /** @param folders is sorted */
  constructor(part: Found, byFolder: ByFolder, folders: Uint32Array) {
    const names = part.rows.folders;
    this.part = part;
    this.#byFolder = byFolder;
    this.#folders = folders.sort((a, b) => compare(names[a], names[b]));
    this.path = names[folders[0]];
  }

  /**
   * Opens the folder where it is, and with it some of those that follow.
   * @returns what was found there, by folders, in parts of RUN rows at the most
   */
  open(): Uint32Array[] {
    const { ends, rows } = this.#byFolder;
    const folders = this.#folders;
    const names = this.part.rows.folders;
    const begin = this.#at;
    let count = 0;
    for (;;) {
      const number = folders[this.#at];
      count += ends[number] - beginOf(ends, number);
      // Among what is in a folder are those within it.
      const next = this.#at + 1;
      if (count >= FEW || next === folders.length || names[folders[next]].startsWith(names[number])) break;
      this.#at = next;
    }
    const all = new Uint32Array(count);
    let at = 0;
    for (let i = begin; i <= this.#at; i++) {
      for (let j = beginOf(ends, folders[i]); j < ends[folders[i]]; j++) all[at++] = rows[j];
    }
    if (count <= RUN) return [all];
    const runs: Uint32Array[] = [];
    for (let from = 0; from < count; from += RUN) runs.push(all.subarray(from, from + RUN));
    return runs;
  }

  next(): boolean {
    if (++this.#at === this.#folders.length) return false;
    this.path = this.part.rows.folders[this.#folders[this.#at]];
    return true;
  }
}

/** What was found in some folders of one shelf. */
class RowRun implements Offers {
  path: string;
  readonly #part: Found;
  readonly #found: Uint32Array;
  readonly #kept: { paths: number };
  #paths: readonly string[] | undefined;
  #at = 0;

  /** @param found by folders in their order; is sorted within them @param kept paths that are kept of all */
  constructor(part: Found, found: Uint32Array, kept: { paths: number }) {
    this.#part = part;
    this.#found = found;
    this.#kept = kept;
    const paths = sorted(part.rows, found);
    if (kept.paths + paths.length <= KEPT) {
      this.#paths = paths;
      kept.paths += paths.length;
    }
    this.path = paths[0];
  }

  offer(): PeerOffer {
    const { rows, peer } = this.#part;
    return rows.offer(this.#found[this.#at], peer, this.path);
  }

  next(): boolean {
    const found = this.#found;
    if (++this.#at === found.length) {
      if (this.#paths) this.#kept.paths -= found.length;
      return false;
    }
    this.path = this.#paths?.[this.#at] ?? this.#part.rows.path(found[this.#at]);
    return true;
  }
}

/** Sorts rows that stand by folders in their order. @returns their paths */
function sorted(rows: Rows, found: Uint32Array): string[] {
  const paths: string[] = [];
  let isSorted = true;
  let before = -1;
  let last = '';
  for (let i = 0; i < found.length; i++) {
    const folder = rows.folder[found[i]];
    const name = rows.name(found[i]);
    if (folder === before && last > name) isSorted = false;
    before = folder;
    last = name;
    paths.push(rows.folders[folder] + name);
  }
  // As they were written they mostly stand so already.
  if (isSorted) return paths;
  const order = Array.from(found.keys()).sort((a, b) => compare(paths[a], paths[b]));
  found.set(order.map((place) => found[place]));
  return order.map((place) => paths[place]);
}

/** Offers that are on no shelf. */
class OfferRun implements Offers {
  path: string;
  readonly #offers: PeerOffer[];
  #at = 0;

  /** @param offers is sorted */
  constructor(offers: PeerOffer[]) {
    this.#offers = offers.sort((a, b) => compare(a.path, b.path));
    this.path = offers[0].path;
  }

  offer(): PeerOffer {
    return this.#offers[this.#at];
  }

  next(): boolean {
    if (++this.#at === this.#offers.length) return false;
    this.path = this.#offers[this.#at].path;
    return true;
  }
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

/** Where the least but the first is. */
function second(heap: readonly Cursor[]): string | undefined {
  const [, left, right] = heap;
  return right && right.path < left.path ? right.path : left?.path;
}

/** The first one has gone on, or is at its end. */
function goOn(heap: Cursor[], isMore: boolean): void {
  if (!isMore) {
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    heap[0] = last;
  }
  sink(heap);
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
