/**
 * The directory: what trackers told of peers, their offers and what they hold.
 * Owns the tellings, one for each lookup at one tracker, and what they come to together. Always true: of one path of one
 * peer the newest word counts; a peer is here as long as one telling says so; every head in it bears its writer's signature,
 * and no address in it makes this machine ask a name server, or knock on itself for a tracker that is elsewhere; a tracker that
 * invents much uses up its own part of what may be checked and kept, not that of others. All of it is hearsay: what a peer says
 * itself counts more.
 * Filled by the driver with pages as they come; read through the view.
 */
import type { Millis } from '../clock.js';
import { isAddress, isThisHost } from '../endpoint.js';
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { Latest } from '../latest.js';
import {
  ADDRESSES_MAX,
  HITS_MAX,
  PEERS_MAX,
  REPORTS_MAX,
  TOLD_BITS_MAX,
  TOLD_HEADS_MAX,
  TRACKERS_KNOWN_MAX,
} from '../limits.js';
import { loadOf, type Offer, type PeerOffer } from '../offer.js';
import { type Head, headStatement, PASSIVE, readHead } from '../wire/head.js';
import type { MessageOf, Neighbour } from '../wire/table.js';
import type { Holding } from './events.js';
import { type DirectoryPeer, describe, type Entry, Telling, type Told, type Word } from './tellings.js';

export { type DirectoryPeer, Telling, type Told } from './tellings.js';

/** Checks of signatures that are made up for in a second. */
const CHECKS_PER_SECOND = 250;

export interface DirectorySettings {
  /** This peer's own, which is never taken from a tracker. */
  id: PeerId;
  /** Whether `sig` is the signature of `statement` by the holder of `key`. */
  verify(key: Uint8Array, statement: Uint8Array, sig: Uint8Array): boolean;
  /** The room that offers may take in all, see `loadOf`. */
  most?: number;
  /** Peers in all. */
  mostPeers?: number;
  /** Signatures of one tracker checked at once. */
  mostChecks?: number;
  /** Bytes of bit sets in all. */
  mostBits?: number;
}

export class Directory {
  readonly #settings: Required<DirectorySettings>;
  readonly #entries = new Map<PeerId, Entry>();
  readonly #tellings = new Set<Telling>();
  readonly #ids = new Map<string, Set<PeerOffer>>();
  #size = 0;
  #load = 0;
  /** The room that the words take, of which one path may be in several. */
  #told = 0;
  #bits = 0;
  /** Checks that each tracker may still cause. */
  readonly #checks = new Latest<PeerId, { left: number; at: Millis }>(TRACKERS_KNOWN_MAX);
  #now: Millis = 0;
  #news: Told = { came: [], changes: [], left: [], held: [] };
  /** Heads that were malformed, wrongly signed or too many. */
  refused = 0;

  constructor(settings: DirectorySettings) {
    const most = { most: HITS_MAX, mostPeers: PEERS_MAX, mostChecks: TOLD_HEADS_MAX, mostBits: TOLD_BITS_MAX };
    this.#settings = { ...most, ...settings };
  }

  /** Offers in all, folders too. */
  get size(): number {
    return this.#size;
  }

  /** The room that they take: see `loadOf`. */
  get load(): number {
    return this.#load;
  }

  begin(tracker: PeerId, isNear: boolean): Telling {
    const telling = new Telling(tracker, isNear);
    this.#tellings.add(telling);
    return telling;
  }

  /**
   * A page of the answer, or changes that followed it.
   * @throws HearsayError `limit` where it tells more than there may be; what came until then is kept
   */
  page(telling: Telling, page: MessageOf<'f'>, now: Millis): Told {
    this.#now = now;
    this.#news = { came: [], changes: [], left: [], held: [] };
    if (!this.#tellings.has(telling)) return this.#news;
    if (telling.isSpent) {
      telling.isSpent = false;
      throw new HearsayError('limit', 'more was told than there may be');
    }
    if (page.reset) this.#setAside(telling, undefined);
    for (const peer of page.gone) this.#forget(telling, peer);
    for (const neighbour of page.peers) this.#peer(telling, neighbour);
    for (const { peer, offers } of page.offers) this.#offers(telling, peer, offers);
    for (const { id, ...rest } of page.have) if (id !== null) this.#holding(telling, { ...rest, id });
    if (page.last) telling.isWhole = true;
    this.#supersede(telling);
    return this.#news;
  }

  /** Its tracker is lost: what it said counts until a moment, or until it is said anew. */
  lose(telling: Telling, until: Millis): Told {
    this.#news = { came: [], changes: [], left: [], held: [] };
    this.#setAside(telling, until);
    for (const word of telling.prior.values()) word.until ??= until;
    // Whether the tracker itself is still there is for gossip to say, which has the broken connection.
    this.#forget(telling, telling.tracker);
    return this.#news;
  }

  /** Nothing of a telling counts any more. */
  end(telling: Telling): Told {
    this.#news = { came: [], changes: [], left: [], held: [] };
    if (!this.#tellings.delete(telling)) return this.#news;
    for (const id of [...telling.said.keys(), ...telling.prior.keys()]) this.#forget(telling, id);
    return this.#news;
  }

  /** What was lost counts no more once its time is over. */
  sweep(now: Millis): Told {
    this.#news = { came: [], changes: [], left: [], held: [] };
    for (const telling of this.#tellings) {
      for (const [id, { until }] of telling.prior)
        if (until !== undefined && until <= now) this.#dropPrior(telling, id);
    }
    return this.#news;
  }

  *[Symbol.iterator](): Iterator<PeerOffer> {
    for (const { shown } of this.#entries.values()) yield* shown.values();
  }

  /** Every peer. */
  *peers(): Iterable<DirectoryPeer> {
    for (const entry of this.#entries.values()) yield describe(entry);
  }

  peer(id: PeerId): DirectoryPeer | undefined {
    const entry = this.#entries.get(id);
    return entry && describe(entry);
  }

  has(id: PeerId): boolean {
    return this.#entries.has(id);
  }

  ids(): Iterable<PeerId> {
    return this.#entries.keys();
  }

  get(peer: PeerId, path: string): PeerOffer | undefined {
    return this.#entries.get(peer)?.shown.get(path);
  }

  /** One peer's offers. */
  of(peer: PeerId): Iterable<PeerOffer> {
    return this.#entries.get(peer)?.shown.values() ?? [];
  }

  /** How many one peer has. */
  countOf(peer: PeerId): number {
    return this.#entries.get(peer)?.shown.size ?? 0;
  }

  byPath(path: string): PeerOffer[] {
    const out: PeerOffer[] = [];
    for (const { shown } of this.#entries.values()) {
      const offer = shown.get(path);
      if (offer) out.push(offer);
    }
    return out;
  }

  byId(id: string): PeerOffer[] {
    return [...(this.#ids.get(id) ?? [])];
  }

  /** Who holds a part of a content that it does not offer. @param id content id */
  holdings(id: string): Holding[] {
    const out = new Map<PeerId, Holding>();
    for (const { words } of this.#entries.values()) {
      for (const { held } of words) {
        const holding = held.get(id);
        if (holding) out.set(holding.peer, holding);
      }
    }
    return [...out.values()];
  }

  /** What was said so far becomes what was said before. */
  #setAside(telling: Telling, until: Millis | undefined): void {
    const { said } = telling;
    telling.said = new Map();
    telling.isWhole = false;
    for (const [id, word] of said) {
      this.#dropPrior(telling, id);
      word.until = until;
      telling.prior.set(id, word);
    }
  }

  /** What was said before goes as far as it was said anew. */
  #supersede(telling: Telling): void {
    if (telling.prior.size === 0) return;
    for (const [id, { until }] of telling.prior) {
      const word = telling.said.get(id);
      if (until === undefined ? telling.isWhole : word && word.offers.size >= word.head.count)
        this.#dropPrior(telling, id);
    }
  }

  #dropPrior(telling: Telling, id: PeerId): void {
    const word = telling.prior.get(id);
    if (!word) return;
    telling.prior.delete(id);
    this.#drop(telling, id, word);
  }

  /** A peer is registered no more. */
  #forget(telling: Telling, id: PeerId): void {
    const word = telling.said.get(id);
    telling.said.delete(id);
    if (word) this.#drop(telling, id, word);
    this.#dropPrior(telling, id);
  }

  #drop(telling: Telling, id: PeerId, word: Word): void {
    const entry = this.#entries.get(id);
    if (!entry?.words.has(word)) return;
    const last = describe(entry);
    entry.words.delete(word);
    for (const offer of word.offers.values()) {
      this.#told -= loadOf(offer);
      telling.load -= loadOf(offer);
      this.#refresh(entry, offer.path);
    }
    for (const { bits } of word.held.values()) {
      this.#bits -= bits.length;
      telling.bits -= bits.length;
    }
    if (entry.words.size > 0) return;
    this.#entries.delete(id);
    this.#news.left.push(last);
  }

  #peer(telling: Telling, neighbour: Neighbour): void {
    const head = this.#check(telling, neighbour);
    if (!head || head.id === this.#settings.id || head.flags & PASSIVE) return;
    const { sig } = neighbour;
    // One from elsewhere cannot know who listens on this machine alone; a zone means something on one host only.
    const isUsable = (address: string) =>
      isAddress(address) && (telling.isNear || !(isThisHost(address) || address.includes('%')));
    const addresses = neighbour.addresses.filter(isUsable).slice(0, ADDRESSES_MAX);
    const proof = { head: neighbour.head, sig };
    const known = telling.said.get(head.id);
    if (known) {
      known.head = head;
      known.proof = proof;
      known.addresses = addresses;
      return;
    }
    const isFull = () => !this.#entries.has(head.id) && this.#entries.size >= this.#settings.mostPeers;
    if (!this.#makeRoom(telling, isFull, ({ said, prior }) => said.size + prior.size)) {
      throw new HearsayError('limit', 'too many peers are told of');
    }
    let entry = this.#entries.get(head.id);
    if (!entry) {
      entry = { id: head.id, words: new Set(), shown: new Map() };
      this.#entries.set(head.id, entry);
    }
    const word: Word = { head, proof, addresses, offers: new Map(), held: new Map(), until: undefined };
    const isNew = entry.words.size === 0;
    entry.words.add(word);
    telling.said.set(head.id, word);
    if (isNew) this.#news.came.push(describe(entry));
  }

  /** The head, where it is well formed and its signature right; what was checked before is not checked again. */
  #check({ tracker }: Telling, { head: packed, sig }: Neighbour): Head | undefined {
    let head: Head;
    try {
      head = readHead(packed);
    } catch {
      this.refused++;
      return undefined;
    }
    for (const { proof, head: known } of this.#entries.get(head.id)?.words ?? []) {
      if (Buffer.compare(proof.head, packed) === 0 && Buffer.compare(proof.sig, sig) === 0) return known;
    }
    if (!this.#mayCheck(tracker) || !this.#settings.verify(head.key, headStatement(packed), sig)) {
      this.refused++;
      return undefined;
    }
    return head;
  }

  #mayCheck(tracker: PeerId): boolean {
    const { mostChecks } = this.#settings;
    const { left, at } = this.#checks.get(tracker) ?? { left: mostChecks, at: this.#now };
    const passed = Math.max(0, this.#now - at);
    const all = Math.min(mostChecks, left + (passed * CHECKS_PER_SECOND) / 1000);
    const may = all >= 1;
    this.#checks.set(tracker, { left: may ? all - 1 : all, at: this.#now });
    return may;
  }

  /**
   * Where there is too much of something, the tracker that told most of it gives way, if it has more than its part.
   * @param telling the one for which there is to be room
   * @param size how much of it a telling has
   * @returns false where that one itself has too much
   */
  #makeRoom({ tracker }: Telling, isFull: () => boolean, size: (telling: Telling) => number): boolean {
    while (isFull()) {
      const sizes = new Map<PeerId, number>([[tracker, 0]]);
      let all = 0;
      for (const one of this.#tellings) {
        all += size(one);
        sizes.set(one.tracker, (sizes.get(one.tracker) ?? 0) + size(one));
      }
      const [largest, most] = [...sizes].reduce((best, one) => (one[1] > best[1] ? one : best));
      if (largest === tracker || most <= all / sizes.size) return false;
      for (const one of this.#tellings) if (one.tracker === largest) this.#spend(one);
    }
    return true;
  }

  /** Forgets what was said, but not that it has to be asked for again. */
  #spend(telling: Telling): void {
    for (const id of [...telling.said.keys(), ...telling.prior.keys()]) this.#forget(telling, id);
    telling.isWhole = false;
    telling.isSpent = true;
  }

  #offers(telling: Telling, peer: PeerId, offers: readonly Offer[]): void {
    const word = telling.said.get(peer);
    const entry = this.#entries.get(peer);
    if (!word || !entry) return;
    const earlier = telling.prior.get(peer);
    for (const offer of offers) {
      this.#put(telling, word, offer.path, offer.kind === 'removed' ? undefined : { ...offer, peer });
      // What it said before is older.
      if (earlier) this.#put(telling, earlier, offer.path, undefined);
      this.#refresh(entry, offer.path);
      const isFull = () => this.#told > this.#settings.most;
      if (!this.#makeRoom(telling, isFull, ({ load }) => load)) {
        throw new HearsayError('limit', `over ${this.#settings.most} offers`);
      }
    }
  }

  #put(telling: Telling, { offers }: Word, path: string, offer: PeerOffer | undefined): void {
    const before = offers.get(path);
    const more = (offer ? loadOf(offer) : 0) - (before ? loadOf(before) : 0);
    this.#told += more;
    telling.load += more;
    if (offer) offers.set(path, offer);
    else offers.delete(path);
  }

  #holding(telling: Telling, holding: Holding): void {
    const held = telling.said.get(holding.peer)?.held;
    if (!held) return;
    const { id } = holding;
    const before = held.get(id)?.bits.length ?? 0;
    this.#bits -= before;
    telling.bits -= before;
    held.delete(id);
    // The frame's bytes are lent.
    const bits = Uint8Array.from(holding.bits);
    const isFull = () => this.#bits + bits.length > this.#settings.mostBits;
    const isOne = bits.length > 0 && held.size < REPORTS_MAX;
    const isKept = isOne && this.#makeRoom(telling, isFull, (one) => one.bits);
    if (isKept) {
      held.set(id, { ...holding, bits });
      this.#bits += bits.length;
      telling.bits += bits.length;
    }
    if (isKept || bits.length === 0) this.#news.held.push({ ...holding, bits });
  }

  /** What counts of one path, after a word changed. */
  #refresh(entry: Entry, path: string): void {
    const before = entry.shown.get(path);
    let after: PeerOffer | undefined;
    let epoch = 0;
    for (const { head, offers } of entry.words) {
      const offer = offers.get(path);
      if (!offer) continue;
      if (after && (head.epoch < epoch || (head.epoch === epoch && offer.version <= after.version))) continue;
      after = offer;
      epoch = head.epoch;
    }
    if (before === after) return;
    if (before) {
      this.#size--;
      this.#load -= loadOf(before);
      const same = before.id === null ? undefined : this.#ids.get(before.id);
      same?.delete(before);
      if (before.id !== null && same?.size === 0) this.#ids.delete(before.id);
    }
    if (after) {
      this.#size++;
      this.#load += loadOf(after);
      entry.shown.set(path, after);
      if (after.id !== null) {
        const same = this.#ids.get(after.id);
        if (same) same.add(after);
        else this.#ids.set(after.id, new Set([after]));
      }
    } else entry.shown.delete(path);
    this.#news.changes.push({ before, after });
  }
}
