/**
 * My own offers and my own word on them.
 * Owns my shelf, its signed head, and the changes not told yet. Always true: the head that is given out describes the shelf
 * as it is; every message that `take` gives carries the head of the state at its own end, so that each can be checked alone.
 * Called by gossip and by the announcer.
 */
import { COUNTER_MAX, DATAGRAM_MESSAGE_MAX, OFFERS_PER_PEER_MAX } from '../limits.js';
import { isFile, type Offer } from '../offer.js';
import { type Proof, Shelf } from '../shelf/shelf.js';
import { type Change, saysTheSame } from '../shelf/staging.js';
import { encode, pack } from '../wire/codec.js';
import { offer as offerField } from '../wire/field.js';
import { type Head, headStatement, leaveStatement, PASSIVE, packHead, RELAY, TRACKER } from '../wire/head.js';
import type { MessageOf } from '../wire/table.js';
import type { Settings, Signer } from './events.js';

/** Datagrams that one batch of changes may take; beyond it a heartbeat goes out and others pull. */
export const BATCH_DATAGRAMS = 4;
/** Offers in one datagram, as its type allows. */
const DATAGRAM_OFFERS = 64;
/** What a head's numbers may grow by between its measuring and its signing, and the list's own header. */
const SLACK = 48;

const NONE = new Uint8Array(0);
const NOTHING = { size: 0, mtime: 0, id: null };

/** Bytes that an offer takes in a message. */
export function offerSize(offer: Offer): number {
  return pack(offerField.write(offer)).length;
}

export class Own {
  readonly shelf: Shelf;
  readonly #settings: Settings;
  readonly #signer: Signer;
  #head: Proof | undefined;
  /** Bytes of a heartbeat with it. */
  #size: number | undefined;
  #beat = 0;
  /** Whole datagrams of the batch that is being gathered. */
  #closed: MessageOf<'O'>[] = [];
  /** The version that the unfinished datagram follows on. */
  #from = 0;
  /** Offers and bytes of the unfinished datagram. */
  #gathered = 0;
  #bytes = 0;
  /** The batch is more than its datagrams hold. */
  #tooMuch = false;
  #untold = false;

  constructor(settings: Settings, signer: Signer) {
    this.#settings = settings;
    this.#signer = signer;
    // An epoch that no head can carry would make this peer invisible: what is stored may be damaged.
    this.shelf = new Shelf(settings.id, Math.min(settings.epoch, COUNTER_MAX));
  }

  /** Another self was heard of with an epoch as high: go above it. */
  raise(epoch: number): void {
    this.shelf.epoch = epoch;
    this.#changed();
    this.forget();
    this.#untold = true;
    this.#tooMuch = true;
  }

  /**
   * My signed head as things are, without an echo. Its beat is that of the last heartbeat: whoever asks for heads, one after
   * another, gets none that could pass for a later sign of life.
   */
  head(): Proof {
    this.#head ??= this.#sign(NONE);
    return this.#head;
  }

  /** My signed head with an answer to a nonce. */
  answer(nonce: Uint8Array): MessageOf<'O'> {
    return this.#message(this.#sign(nonce), this.shelf.version, []);
  }

  /**
   * A new heartbeat: a sign of life to everyone, as no head before it has its beat.
   * @param echo a nonce that it answers, or another's pulse; empty for none
   */
  beat(echo: Uint8Array = NONE): MessageOf<'O'> {
    this.#beat++;
    this.#changed();
    return echo.length === 0 ? this.heartbeat() : this.answer(echo);
  }

  /** My head as a message, with the beat of the last heartbeat. */
  heartbeat(): MessageOf<'O'> {
    return this.#message(this.head(), this.shelf.version, []);
  }

  /** Bytes of my heartbeat as a datagram, measured without signing it. */
  heartbeatSize(): number {
    if (this.#size === undefined) {
      const proof = this.#head ?? { head: packHead(this.#describe(NONE)), sig: new Uint8Array(64) };
      this.#size = encode(this.#message(proof, this.shelf.version, [])).length;
    }
    return this.#size;
  }

  /** What the head says is no longer so. */
  #changed(): void {
    this.#head = undefined;
    this.#size = undefined;
  }

  leave(): MessageOf<'L'> {
    const { id } = this.#settings;
    const sig = this.#signer.sign(leaveStatement(id, this.shelf.epoch));
    return { type: 'L', id, epoch: this.shelf.epoch, sig };
  }

  /**
   * Applies changes of my share, each under a version of its own, and gathers them for the next telling.
   * @returns what really changed, and how many offers were left out because there are too many
   */
  change(offers: readonly Omit<Offer, 'version'>[]): { changes: Change[]; refused: number } {
    const changes: Change[] = [];
    let refused = 0;
    for (const offer of offers) {
      const { path, kind } = offer;
      const before = this.shelf.get(path);
      const next: Offer = { ...NOTHING, path, kind, version: this.shelf.version + 1 };
      // A tombstone says nothing of what was there, and a folder has no content.
      if (kind !== 'removed') next.mtime = offer.mtime;
      if (isFile(offer)) Object.assign(next, { size: offer.size, id: offer.id });
      if (before ? saysTheSame(before, next) : kind === 'removed') continue;
      if (!before && this.shelf.count >= OFFERS_PER_PEER_MAX) {
        refused++;
        continue;
      }
      this.#gather(next);
      this.shelf.put(next);
      this.shelf.version = next.version;
      this.#changed();
      changes.push({ before, after: kind === 'removed' ? undefined : { ...next, peer: this.shelf.writer } });
    }
    if (changes.length > 0) this.shelf.trim();
    return { changes, refused };
  }

  /** What to tell of the changes gathered since the last time: their datagrams, or a heartbeat that makes others pull. */
  take(): MessageOf<'O'>[] {
    if (!this.#untold) return [];
    if (!this.#tooMuch) this.#close();
    const out = this.#tooMuch ? [this.heartbeat()] : this.#closed;
    this.forget();
    return out;
  }

  /** Drops what was gathered: a heartbeat is about to tell it all the same. */
  forget(): void {
    this.#closed = [];
    this.#gathered = 0;
    this.#tooMuch = false;
    this.#untold = false;
  }

  /**
   * The changes after a version in one datagram as things are now, what was superseded left out.
   * @returns undefined where one datagram does not hold them
   */
  since(version: number): MessageOf<'O'> | undefined {
    if (version < this.shelf.floor) return undefined;
    const offers = this.shelf.since(version, DATAGRAM_OFFERS);
    if (!offers) return undefined;
    const message = this.#message(this.head(), version, offers);
    return encode(message).length <= DATAGRAM_MESSAGE_MAX ? message : undefined;
  }

  #gather(offer: Offer): void {
    const first = !this.#untold;
    this.#untold = true;
    if (this.#tooMuch) return;
    if (first) this.#from = this.shelf.version;
    const size = offerSize(offer);
    if (this.#gathered > 0 && (this.#gathered === DATAGRAM_OFFERS || this.#bytes + size > DATAGRAM_MESSAGE_MAX)) {
      this.#close();
      if (this.#tooMuch) return;
    }
    if (this.#gathered === 0) this.#bytes = this.heartbeatSize() + SLACK;
    this.#bytes += size;
    this.#gathered++;
    if (this.#bytes > DATAGRAM_MESSAGE_MAX) this.#tooMuch = true;
  }

  /** Ends the unfinished datagram at the shelf's version. */
  #close(): void {
    const { version } = this.shelf;
    const message = this.#message(this.head(), this.#from, this.shelf.since(this.#from) ?? []);
    if (this.#closed.length === BATCH_DATAGRAMS || encode(message).length > DATAGRAM_MESSAGE_MAX) {
      this.#tooMuch = true;
      return;
    }
    this.#closed.push(message);
    this.#from = version;
    this.#gathered = 0;
  }

  #message({ head, sig }: Proof, from: number, offers: Offer[]): MessageOf<'O'> {
    return { type: 'O', head, sig, from, offers };
  }

  #describe(echo: Uint8Array): Head {
    const { id, key, name, port, passive, tracker, relays } = this.#settings;
    const { epoch, version, files, bytes, count, floor } = this.shelf;
    const flags = (passive ? PASSIVE : 0) | (tracker ? TRACKER : 0) | (relays ? RELAY : 0);
    return {
      id,
      key,
      name,
      port,
      flags,
      epoch,
      version,
      beat: this.#beat,
      files,
      bytes,
      count,
      floor,
      root: this.shelf.tree.root(),
      echo,
    };
  }

  #sign(echo: Uint8Array): Proof {
    const said = this.#describe(echo);
    const head = packHead(said);
    const sig = this.#signer.sign(headStatement(head));
    this.#signer.shared?.signed(head, sig, said);
    return { head, sig };
  }
}
