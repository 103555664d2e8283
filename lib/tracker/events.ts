/**
 * What goes into the registry and what comes out, as plain values. The driver turns links, clocks and a store into events,
 * and effects back into traffic; nothing in here does anything by itself.
 */
import type { Departure } from '../api.js';
import type { Millis } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import type { PeerOffer } from '../offer.js';
import type { Change } from '../shelf/staging.js';

/** A connection, as the driver calls it: never used again once it was `broken`. */
export type LinkNo = number;

/** Who registers, as its handshake proved. */
export interface Registrant {
  id: PeerId;
  /** Raw Ed25519 public key. */
  key: Uint8Array;
  name: string;
  /** 8 bytes of its process: two that run with copies of one key have different ones. */
  instance: Uint8Array;
  /** Its newest head, packed and signed by itself: what is handed on. */
  head: Uint8Array;
  sig: Uint8Array;
  epoch: number;
  /** State version: that of its newest offer. */
  version: number;
}

export type { Departure };

/** A registered peer, as others may see it. */
export interface Registered extends Registrant {
  /** Where the tracker, or another one of the same registry, could connect to it, "ip:port"; none: it has to be asked to dial. */
  reachable: readonly string[];
  /** The address that the tracker saw, with the port of its head. */
  seen: string;
  /** Its link here; undefined where another tracker of the same registry, or the tracker itself, holds it. */
  link: LinkNo | undefined;
  /** Trackers that hold it, by id; this one's own id too. */
  homes: readonly PeerId[];
  since: Millis;
}

/** A part of a content that somebody holds and does not offer. */
export interface Holding {
  peer: PeerId;
  /** Content id, 64 hexadecimal digits. */
  id: string;
  chunks: number;
  /** Bit set. */
  bits: Uint8Array;
}

/**
 * What a tracker tells the others of its registry through a store, as plain values. `held` is repeated while the peer is held
 * (a lease); everything of one peer comes in order.
 */
export type Record =
  | {
      kind: 'held';
      tracker: PeerId;
      peer: Registrant;
      seen: string;
      reachable: readonly string[];
      since: Millis;
    }
  /** The tracker holds it no more. */
  | { kind: 'dropped'; tracker: PeerId; peer: PeerId; instance: Uint8Array; why: Departure }
  /** Changes of a peer's offers; `whole`: these are all there are, and others are gone. */
  | {
      kind: 'offers';
      tracker: PeerId;
      peer: PeerId;
      whole: boolean;
      offers: readonly PeerOffer[];
      removed: readonly string[];
    }
  /** No bits: none of it any more. */
  | { kind: 'holding'; tracker: PeerId; holding: Holding }
  /** Asks the tracker that holds a peer whether it is alive; answered by `alive`. */
  | { kind: 'probe'; tracker: PeerId; peer: PeerId; instance: Uint8Array; number: number }
  | { kind: 'alive'; tracker: PeerId; to: PeerId; number: number; alive: boolean }
  /** To the trackers that hold a peer: `from` asks it to dial. */
  | {
      kind: 'summon';
      tracker: PeerId;
      peer: PeerId;
      from: { head: Uint8Array; sig: Uint8Array; addresses: readonly string[] };
    };

export type RegistryEvent =
  /** `claimed`: where it says it listens; `host`, `port`: the other end of its connection, and the port of its head. */
  | {
      kind: 'register';
      link: LinkNo;
      number: number;
      peer: Registrant;
      claimed: readonly string[];
      host: string;
      port: number;
    }
  /** The tracker itself, as it is now: registered without a link, and without an end. `addresses`: where it listens. */
  | { kind: 'self'; peer: Registrant; addresses: readonly string[] }
  /** Something came over a link: its lease runs anew. */
  | { kind: 'heard'; link: LinkNo }
  /** The connection ended. */
  | { kind: 'broken'; link: LinkNo }
  /** It said goodbye. */
  | { kind: 'left'; link: LinkNo }
  /** Its word on itself is newer. */
  | { kind: 'head'; peer: PeerId; head: Uint8Array; sig: Uint8Array; name: string; epoch: number; version: number }
  /** Its offers changed; the same objects as in the index of gossip, so that they are kept once. */
  | { kind: 'offers'; peer: PeerId; changes: readonly Change[] }
  /** It reports chunks: a stretch of the bit set from byte `at`; none: it gives none of it any more. */
  | { kind: 'hold'; link: LinkNo; id: string; chunks: number; at: number; bits: Uint8Array }
  /** The outcome of `dial-back`. */
  | { kind: 'dialled-back'; link: LinkNo; address: string; reached: boolean }
  /** The outcome of `probe`. */
  | { kind: 'probed'; link: LinkNo; alive: boolean }
  /** A registered peer asks that another dial it. */
  | {
      kind: 'summon';
      link: LinkNo;
      number: number;
      peer: PeerId;
      from: { head: Uint8Array; sig: Uint8Array; addresses: readonly string[] };
    }
  /** Another tracker of the same registry tells something, through the store. */
  | { kind: 'shared'; record: Record }
  /** The store is there (again), and may have lost everything: what this tracker holds has to be told anew. */
  | { kind: 'store-back' }
  | { kind: 'sweep' };

export type RegistryEffect =
  /** It is registered, or its lease was renewed: `Z`. */
  | {
      kind: 'registered';
      link: LinkNo;
      number: number;
      seen: string;
      reachable: readonly string[];
      lease: Millis;
      peers: number;
      offers: number;
    }
  /** `E` with a code: `id-taken`, `address-taken`, `limit`, `not-registered`, `unknown-peer`; "" is success. */
  | { kind: 'answer'; link: LinkNo; number: number; code: Code | ''; message: string }
  /** Find out whether the other end of a link is alive: `probed` within 2 s. */
  | { kind: 'probe'; link: LinkNo }
  /** Find out whether a peer can be reached at addresses, with a proof that it is this one: `dialled-back` for each. */
  | { kind: 'dial-back'; link: LinkNo; peer: PeerId; addresses: readonly string[] }
  /** End a link. */
  | { kind: 'cut'; link: LinkNo; code: Code; message: string }
  /** Ask a peer to dial somebody: `c`. */
  | {
      kind: 'summon';
      link: LinkNo;
      peer: PeerId;
      from: { head: Uint8Array; sig: Uint8Array; addresses: readonly string[] };
    }
  /** For people, and for those who follow. */
  | { kind: 'came'; peer: Registered }
  | { kind: 'changed'; peer: Registered }
  | { kind: 'departed'; peer: Registered; why: Departure }
  /** Offers of registered peers changed: for those who follow. */
  | { kind: 'offers'; changes: readonly Change[] }
  | { kind: 'holding'; holding: Holding }
  /** For the store. */
  | { kind: 'share'; record: Record }
  /** Give me a `sweep` then. */
  | { kind: 'timer'; at: Millis };

/** Kinds of a lookup, as on the wire. */
export const LOOKUP = { all: 0, what: 1, pattern: 2, words: 3, holders: 5, peers: 6, peer: 7, relay: 8 } as const;

/**
 * A piece of the answer to a lookup; the driver packs pieces into pages. `peers` are those that were asked for: whoever offers or
 * holds something of the answer is known by `Registry.get`. An empty piece is a moment in which others may have a turn.
 */
export interface Found {
  peers: readonly Registered[];
  offers: readonly PeerOffer[];
  have: readonly Holding[];
}
