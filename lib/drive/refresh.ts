/**
 * Refresh: peers and trackers are asked now, and what that changes is reported.
 *
 * Owns the look that is under way. Always true: there is one look at a time, which all who ask meanwhile share, so that nobody makes
 * this peer ask more often; it ends when nothing new came for a while, at most after the time for which others are waited for;
 * what it reports is bounded. Called by the peer.
 */
import type { FileRow, PeerName, RefreshReport } from '../api.js';
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { REFRESH_ROWS_MAX } from '../limits.js';
import { type Changes, type IndexChange, squeezed } from './changes.js';
import { followEvent } from './listing.js';

/** The answers to the first two questions have come by then, where few are here. */
const LEAST_MS: Millis = 700;
/** Nothing new for so long: whoever is here has answered. */
const QUIET_MS: Millis = 400;
const LOOK_MS: Millis = 20;

export interface RefresherOptions {
  changes: Changes;
  /** Other peers that are here. */
  peers(): PeerName[];
  nameOf(peer: PeerId): PeerName;
  /** Asks everybody, and tries again what waits for its time. */
  ask(): void;
  /** Whether something is still being fetched. */
  isBusy(): boolean;
  /** Ms at most. */
  wait(): Millis;
  /** Ends it early: the peer is stopping. */
  signal: AbortSignal;
}

export class Refresher {
  readonly #options: RefresherOptions;
  #looking: Promise<RefreshReport> | undefined;

  constructor(options: RefresherOptions) {
    this.#options = options;
  }

  refresh(): Promise<RefreshReport> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<RefreshReport> {
    const { changes, peers, ask, isBusy, wait, signal } = this.#options;
    const before = new Map(peers().map((peer) => [peer.id, peer]));
    const end = new AbortController();
    const gathered = changes.listen(end.signal);
    let newsAt = performance.now();
    const unhook = changes.hook(() => {
      newsAt = performance.now();
    });
    const began = newsAt;
    const most = wait();
    let here = before.size;
    try {
      ask();
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        const at = performance.now();
        const now = peers().length;
        if (now !== here) [here, newsAt] = [now, at];
        if (at - began >= most || signal.aborted) break;
        if (at - began >= LEAST_MS && at - newsAt >= QUIET_MS && !isBusy()) break;
      }
    } finally {
      unhook();
      end.abort();
    }
    const all: IndexChange[] = [];
    for await (const change of gathered) all.push(change);
    return this.#report(before, squeezed(all));
  }

  #report(before: ReadonlyMap<PeerId, PeerName>, changes: readonly IndexChange[]): RefreshReport {
    const { peers, nameOf } = this.#options;
    const after = new Map(peers().map(({ id, name }) => [id, { id, name }]));
    const came = [...after.values()].filter(({ id }) => !before.has(id));
    const left = [...before.values()].filter(({ id }) => !after.has(id)).map(({ id, name }) => ({ id, name }));
    const rows: Record<'added' | 'changed' | 'removed', FileRow[]> = { added: [], changed: [], removed: [] };
    const files = { added: 0, changed: 0, removed: 0 };
    for (const change of changes) {
      const shown = followEvent(change, nameOf);
      if (!shown) continue;
      const { event, ...row } = shown;
      if (files[event]++ < REFRESH_ROWS_MAX) rows[event].push(row);
    }
    return {
      came: came.slice(0, REFRESH_ROWS_MAX),
      left: left.slice(0, REFRESH_ROWS_MAX),
      ...rows,
      peers: { came: came.length, left: left.length },
      files,
    };
  }
}
