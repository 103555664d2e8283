/**
 * Puts into the registry what gossip's index has of the offers of those who are registered here.
 *
 * Owns what waits to be put in. Always true: only what is offered to everyone gets in, as its writer's signed state has it when
 * its turn comes; what changes often waits once; a large share is put in a little at a time, so that others have their turns.
 * Called by the tracker.
 */
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import type { Index } from '../shelf/live-index.js';
import type { Change } from '../shelf/staging.js';

/** Changes put in in one go: some 10 ms. */
const AT_ONCE = 2000;

export class Feed {
  readonly #index: Index;
  readonly #put: (peer: PeerId, changes: Change[]) => void;
  /** Paths whose offers changed, by their writers, with what they were. */
  readonly #waiting = new Map<PeerId, Map<string, PeerOffer | undefined>>();
  /** Peers everything of whom is new to the registry, as far as they were gone through. */
  readonly #walks = new Map<PeerId, Iterator<PeerOffer>>();
  #isDue = false;
  #stopped = false;

  constructor(index: Index, put: (peer: PeerId, changes: Change[]) => void) {
    this.#index = index;
    this.#put = put;
  }

  /** A peer's offer of a path changed. @param before what it was */
  changed(peer: PeerId, path: string, before: PeerOffer | undefined): void {
    this.#add(peer, path, before);
    this.#soon();
  }

  /** Everything that a peer offers is new to the registry. */
  all(peer: PeerId): void {
    this.#walks.set(peer, this.#index.of(peer)[Symbol.iterator]());
    this.#soon();
  }

  /** A peer is not registered any more. */
  drop(peer: PeerId): void {
    this.#waiting.delete(peer);
    this.#walks.delete(peer);
  }

  stop(): void {
    this.#stopped = true;
    this.#walks.clear();
    this.#waiting.clear();
  }

  #add(peer: PeerId, path: string, before: PeerOffer | undefined): void {
    let paths = this.#waiting.get(peer);
    if (!paths) {
      paths = new Map();
      this.#waiting.set(peer, paths);
    }
    if (!paths.has(path)) paths.set(path, before);
  }

  #walk(): void {
    let left = AT_ONCE;
    for (const [peer, offers] of this.#walks) {
      for (; left > 0; left--) {
        const { value, done } = offers.next();
        if (done) {
          this.#walks.delete(peer);
          break;
        }
        this.#add(peer, value.path, undefined);
      }
    }
  }

  #soon(): void {
    if (this.#isDue || this.#stopped) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#some();
    });
  }

  #some(): void {
    this.#walk();
    let left = AT_ONCE;
    for (const [peer, paths] of this.#waiting) {
      if (left <= 0) break;
      const changes: Change[] = [];
      for (const [path, before] of paths) {
        if (left <= 0) break;
        left--;
        paths.delete(path);
        const offer = this.#index.get(peer, path);
        // What is told to some only is not for the registry.
        const after = offer && !this.#index.isToldAside(peer, path) ? offer : undefined;
        if (before || after) changes.push({ before, after });
      }
      if (paths.size === 0) this.#waiting.delete(peer);
      if (changes.length > 0) this.#put(peer, changes);
    }
    if (this.#waiting.size > 0 || this.#walks.size > 0) this.#soon();
  }
}
