/**
 * Awaited: those that shares are for, looked for at trackers whose registry is too large to be copied here.
 *
 * Owns who of them was found last. Always true: nobody is looked for where nothing is shared with some only, or all registries
 * are copied. Called by the peer; asked by Asides, which dials those who are here.
 */
import type { PeerName } from '../api.js';
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { LOOKUP } from '../tracker/events.js';
import type { Trackers } from './trackers.js';
import type { View } from './view.js';

/** How often it is looked: so soon one is told of what is for him. */
const LOOK: Millis = 10_000;

export interface AwaitedOptions {
  /** This peer's own. */
  id: PeerId;
  trackers: Pick<Trackers, 'lookup' | 'asks'>;
  view: View;
  /** Names and ids that shares are for. */
  names(): readonly string[];
  came(peer: PeerName): void;
  left(peer: PeerName): void;
}

export class Awaited {
  readonly #options: AwaitedOptions;
  #found = new Map<PeerId, PeerName>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(options: AwaitedOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whoever is here, as far as anybody tells. */
  peer(id: PeerId): PeerName | undefined {
    return this.#options.view.peer(id) ?? this.#found.get(id);
  }

  *peers(): Generator<PeerName> {
    const { view } = this.#options;
    yield* view.peers();
    for (const peer of this.#found.values()) if (!view.peer(peer.id)) yield peer;
  }

  /** Looks for all of them; one look at a time. */
  async look(): Promise<void> {
    const { id: me, trackers, names, came, left } = this.#options;
    if (this.#isLooking || !trackers.asks) return;
    this.#isLooking = true;
    try {
      const found = new Map<PeerId, PeerName>();
      for (const name of names()) {
        const { peers } = await trackers.lookup(LOOKUP.peer, name);
        for (const peer of peers) if (peer.id !== me) found.set(peer.id, { id: peer.id, name: peer.name });
      }
      const before = this.#found;
      this.#found = found;
      for (const peer of before.values()) if (!this.peer(peer.id)) left(peer);
      for (const peer of found.values()) came(peer);
    } finally {
      this.#isLooking = false;
    }
  }
}
