/**
 * Happenings: what a peer tells, to everyone who listens from now on.
 *
 * Owns the listeners, and what changed of others' files since it was told last. Always true: nothing is gathered while nobody
 * listens; changes of one peer's files are told together, once in FILES_MS; for one who does not take them in time at most
 * BEHIND_MAX events wait, and how many were left out is said with the next. Called by the peer.
 */
import type { PeerName, ShareEvent } from '../api.js';
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { BEHIND_MAX } from '../limits.js';
import type { IndexChange } from './changes.js';
import { followEvent } from './listing.js';
import { Stream } from './stream.js';

/** How long changes of files are gathered. */
export const FILES_MS: Millis = 1000;

type Files = Extract<ShareEvent, { event: 'files' }>;

export interface HappeningsOptions {
  /** This peer's own, of whose files it tells by other events. */
  id(): PeerId;
  nameOf(peer: PeerId): PeerName;
  /** Whether a peer is here. */
  isHere(peer: PeerId): boolean;
  /** Calls back later; the returned function prevents it. Left out: by the clock. */
  later?(run: () => void, ms: Millis): () => void;
}

interface Listener {
  stream: Stream<ShareEvent>;
  /** Events that it was not told. */
  left: number;
}

function byTheClock(run: () => void, ms: Millis): () => void {
  const timer = setTimeout(run, ms);
  timer.unref();
  return () => clearTimeout(timer);
}

export class Happenings {
  readonly #options: HappeningsOptions;
  readonly #listeners = new Set<Listener>();
  /** By peer. */
  readonly #files = new Map<PeerId, Files>();
  #prevent: (() => void) | undefined;

  constructor(options: HappeningsOptions) {
    this.#options = options;
  }

  /** Every event from now on, until the signal. */
  listen(signal: AbortSignal): AsyncIterable<ShareEvent> {
    const listener: Listener = { stream: new Stream(() => this.#ends(listener)), left: 0 };
    const end = () => {
      listener.stream.end();
      this.#ends(listener);
    };
    this.#listeners.add(listener);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    return listener.stream;
  }

  tell(event: ShareEvent): void {
    for (const listener of this.#listeners) {
      const { stream, left } = listener;
      if (stream.waiting >= BEHIND_MAX) {
        listener.left++;
        continue;
      }
      if (left > 0) {
        stream.push({ event: 'warning', message: `${left} events were left out, because nobody took them in time` });
        listener.left = 0;
      }
      stream.push(event);
    }
  }

  /** A file of the network changed. */
  change(change: IndexChange): void {
    const { peer } = change.offer;
    if (this.#listeners.size === 0 || peer === this.#options.id()) return;
    const shown = followEvent(change, this.#options.nameOf);
    if (!shown) return;
    let files = this.#files.get(peer);
    if (!files) {
      files = { event: 'files', peer: shown.peers[0], added: 0, changed: 0, removed: 0, path: shown.path };
      this.#files.set(peer, files);
    }
    files[shown.event]++;
    const later = this.#options.later ?? byTheClock;
    this.#prevent ??= later(() => this.#tellFiles(), FILES_MS);
  }

  #tellFiles(): void {
    this.#prevent = undefined;
    const all = [...this.#files.values()];
    this.#files.clear();
    // That the files of one who left are gone is said by its leaving.
    for (const files of all) if (this.#options.isHere(files.peer.id)) this.tell(files);
  }

  #ends(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#prevent?.();
    this.#prevent = undefined;
    this.#files.clear();
  }
}
