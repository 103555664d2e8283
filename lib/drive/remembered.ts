/**
 * Remembered: peers that were here, with where they were, for the times when nothing else finds them.
 *
 * Owns who is remembered, and has it stored. Always true: only peers are kept that have proved their keys to us, no one-shots, at
 * most REMEMBERED_MAX of them, none longer than KEPT without having been here; where there is no room the host with most of them
 * gives up the one that has been away longest; one that a person forgets is not kept again before it comes anew. Called by the
 * peer, with what gossip tells.
 */
import type { ForgottenRow, PeerName } from '../api.js';
import type { Millis } from '../clock.js';
import { isLoopback } from '../endpoint.js';
import { HearsayError } from '../errors.js';
import { keyPart, type PeerId } from '../ids.js';
import { REMEMBERED_MAX } from '../limits.js';
import { printable } from '../names.js';
import type { Known } from '../share/known.js';
import type { RememberedPeer } from '../share/state.js';
import { onePeer } from '../shelf/query.js';
import { Keeper } from './keeper.js';

/** One that was not here for so long is forgotten. */
const KEPT: Millis = 30 * 24 * 60 * 60_000;
/** How often it is noted who is here, so that also after a crash nobody is taken to have been away for long. */
const NOTE: Millis = 60 * 60_000;
/** Addresses kept of each, the most useful first. */
const ADDRESSES = 8;

type Here = PeerName & { addresses: readonly string[] };

export interface RememberedOptions {
  /** What was stored. */
  peers: readonly RememberedPeer[];
  save(peers: RememberedPeer[]): Promise<void>;
  /** A one-shot remembers nobody new. */
  keeps: boolean;
  /** Live peers that have proved their keys, without oneself. */
  here(): readonly Here[];
  known: Known;
  onWarning(message: string): void;
}

export class Remembered {
  readonly #options: RememberedOptions;
  /** By id; who was here last is last. */
  readonly #peers = new Map<PeerId, RememberedPeer>();
  readonly #keeper: Keeper;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RememberedOptions) {
    this.#options = options;
    const fresh = options.peers.filter(({ seen }) => Date.now() - seen < KEPT).sort((a, b) => a.seen - b.seen);
    for (const peer of fresh.slice(-REMEMBERED_MAX)) this.#peers.set(peer.id, peer);
    this.#keeper = new Keeper(
      () => options.save([...this.#peers.values()]),
      (thrown) => options.onWarning(`who was here is not remembered: ${(thrown as Error).message}`),
    );
    if (options.keeps) this.#timer = setInterval(() => this.#note(), NOTE).unref();
  }

  /** Those who are not here, who was here last first. */
  absent(): { id: PeerId; name: string; addresses: string[] }[] {
    const here = new Set(this.#options.here().map(({ id }) => id));
    const absent = [...this.#peers.values()].filter(({ id }) => !here.has(id)).reverse();
    return absent.map(({ id, name, addresses }) => ({ id, name, addresses }));
  }

  came(peer: Here): void {
    if (!this.#options.keeps || peer.addresses.length === 0) return;
    this.#put(peer);
    this.#keeper.soon();
  }

  /** @returns what is remembered of it; undefined where it is not */
  left({ id, addresses }: Here): RememberedPeer | undefined {
    const known = this.#peers.get(id);
    if (known && this.#options.keeps) {
      this.#put({ ...known, addresses });
      this.#keeper.soon();
    }
    return this.#peers.get(id);
  }

  /**
   * Forgets a peer, and the names that are tied to its key.
   * @param text its name, its id, or the beginning of its id
   * @throws HearsayError `not-found`, `ambiguous`; why it could not be stored
   */
  async forget(text: string): Promise<ForgottenRow> {
    const { known } = this.#options;
    const all: PeerName[] = [...this.#peers.values()].map(({ id, name }) => ({ id, name }));
    const ids = new Set(all.map(({ id }) => id));
    for (const [name, id] of known.all()) if (!ids.has(id)) all.push({ id, name });
    // By a name that it is tied to it is meant as well as by its own.
    const tied = known.get(text)?.id;
    const found = onePeer(text, all) ?? all.find(({ id }) => tied !== undefined && keyPart(id) === keyPart(tied));
    if (!found) {
      throw new HearsayError(
        'not-found',
        `no peer ${printable(text)} is remembered here, nor is that name tied to one`,
      );
    }
    const addresses = this.#peers.get(found.id)?.addresses ?? [];
    const names = known.forget(found.id);
    if (this.#peers.delete(found.id)) await this.#keeper.now();
    await known.stored();
    return { id: found.id, name: found.name, addresses, names };
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#options.keeps) return;
    this.#note();
    await this.#keeper.stop();
  }

  /** Those who are here were here now. Who was forgotten meanwhile stays forgotten. */
  #note(): void {
    for (const peer of this.#options.here()) if (this.#peers.has(peer.id)) this.#put(peer);
    this.#keeper.soon();
  }

  #put({ id, name, addresses }: Here): void {
    const all = [...new Set([...addresses, ...(this.#peers.get(id)?.addresses ?? [])])];
    all.sort((a, b) => usefulness(a) - usefulness(b));
    this.#peers.delete(id);
    this.#peers.set(id, { id, name, addresses: all.slice(0, ADDRESSES), seen: Date.now() });
    if (this.#peers.size > REMEMBERED_MAX) this.#makeRoom();
  }

  /** One who invents many peers pushes out its own. */
  #makeRoom(): void {
    const byHost = new Map<string, PeerId[]>();
    for (const { id, addresses } of this.#peers.values()) {
      const host = addresses[0].slice(0, addresses[0].lastIndexOf(':'));
      const there = byHost.get(host);
      if (there) there.push(id);
      else byHost.set(host, [id]);
    }
    let most: PeerId[] = [];
    for (const ids of byHost.values()) if (ids.length > most.length) most = ids;
    this.#peers.delete(most[0]);
  }
}

/** What means something on other machines and cards too comes first. */
function usefulness(address: string): number {
  if (isLoopback(address)) return 2;
  return address.includes('%') ? 1 : 0;
}
