/**
 * Tellings: what one tracker told in answer to one lookup, and a peer as all of them have it.
 * Plain values. Owned by the directory.
 */
import type { Millis } from '../clock.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import type { Proof } from '../shelf/shelf.js';
import type { Change } from '../shelf/staging.js';
import { type Head, RELAY, TRACKER } from '../wire/head.js';
import type { Holding } from './events.js';

/** A peer as trackers tell of it. */
export interface DirectoryPeer extends Proof {
  id: PeerId;
  key: Uint8Array;
  name: string;
  /** Where trackers could connect to it, "ip:port"; none: it has to be asked to dial. */
  addresses: string[];
  files: number;
  bytes: number;
  tracker: boolean;
  relay: boolean;
}

/** What a page, or an end, comes to. */
export interface Told {
  came: DirectoryPeer[];
  changes: Change[];
  left: DirectoryPeer[];
  held: Holding[];
}

/** One peer, as one telling has it. */
export interface Word {
  head: Head;
  proof: Proof;
  addresses: readonly string[];
  readonly offers: Map<string, PeerOffer>;
  readonly held: Map<string, Holding>;
  /** Of an earlier telling: until when it still counts; undefined where only until the new one is whole. */
  until: Millis | undefined;
}

/** One peer, as all tellings together have it. */
export interface Entry {
  readonly id: PeerId;
  readonly words: Set<Word>;
  readonly shown: Map<string, PeerOffer>;
}

/** The answer to one lookup at one tracker, and what followed. Made by `begin`. */
export class Telling {
  readonly tracker: PeerId;
  /** Whether the tracker is on this host, so that loopback means the same to it. */
  readonly isNear: boolean;
  /** Whether the answer has come to its end. */
  isWhole = false;
  said = new Map<PeerId, Word>();
  /** What it said before it began anew, of those of whom the new one has not said all yet. */
  readonly prior = new Map<PeerId, Word>();
  /** The room that the offers in it take, and the bytes of bit sets. */
  load = 0;
  bits = 0;
  /** Whether all that it said was forgotten, for the sake of others; its tracker has to be asked anew. */
  isSpent = false;

  constructor(tracker: PeerId, isNear: boolean) {
    this.tracker = tracker;
    this.isNear = isNear;
  }
}

/** A peer by the newest word on it, with the addresses of all. */
export function describe({ words }: Entry): DirectoryPeer {
  const all = [...words].sort((a, b) => newness(b.head, a.head));
  const [{ head, proof }] = all;
  const { id, key, name, files, bytes, flags } = head;
  const addresses = [...new Set(all.flatMap((word) => word.addresses))].slice(0, ADDRESSES_MAX);
  return { id, key, name, addresses, files, bytes, tracker: !!(flags & TRACKER), relay: !!(flags & RELAY), ...proof };
}

function newness(a: Head, b: Head): number {
  return a.epoch - b.epoch || a.version - b.version || a.beat - b.beat;
}
