/**
 * What goes into gossip and what comes out, as plain values. The driver turns sockets, clocks and the disk into events,
 * and effects back into traffic; nothing in here does anything by itself.
 */
import type { Via } from '../api.js';
import type { Millis } from '../clock.js';
import type { Endpoint } from '../endpoint.js';
import type { PeerId } from '../ids.js';
import type { Offer, PeerOffer } from '../offer.js';
import type { Shelf } from '../shelf/shelf.js';
import type { Message, MessageOf } from '../wire/table.js';

/** The port for signatures: Ed25519 in the program, something cheap in large simulations. */
export interface Signer {
  /** Signs with my own key; 64 bytes. */
  sign(statement: Uint8Array): Uint8Array;
  /** Whether `sig` is the signature of `statement` by the holder of `key`. Never throws. */
  verify(key: Uint8Array, statement: Uint8Array, sig: Uint8Array): boolean;
}

export interface Settings {
  id: PeerId;
  /** Raw Ed25519 public key, 32 bytes; the id belongs to it. */
  key: Uint8Array;
  name: string;
  /** TCP port where I listen, 0 if I do not. */
  port: number;
  /** The stored epoch plus 1. */
  epoch: number;
  /** A one-shot: asks, and is never listed. */
  passive: boolean;
  /** A one-shot that pulls what changes, as a listed peer does. */
  follow?: boolean;
  tracker: boolean;
  /** Whether it passes on between peers that cannot reach each other. */
  relays?: boolean;
}

/** Where a datagram came from, or where a TCP listener can be dialled. IPv6 hosts without brackets. */
export type Address = Endpoint;

/** A live peer as others may see it. */
export interface PeerInfo {
  id: PeerId;
  name: string;
  /** Of its TCP listener: "ip:port" or "[v6]:port", the latest heard first. Empty for oneself. */
  addresses: string[];
  /** Files and bytes offered, as its head says. */
  files: number;
  bytes: number;
  tracker: boolean;
  self: boolean;
  via: Via;
  key: Uint8Array;
  /** Its newest signed head, packed, and the signature. */
  head: Uint8Array;
  sig: Uint8Array;
}

/** Timers are values; one that comes too late, or twice, does nothing. */
export type Timer =
  | { kind: 'heartbeat' }
  | { kind: 'query'; round: number }
  | { kind: 'flush' }
  | { kind: 'repeat' }
  | { kind: 'expire'; peer: PeerId }
  | { kind: 'ask'; peer: PeerId }
  | { kind: 'answer'; number: number }
  | { kind: 'pull'; writer: PeerId }
  | { kind: 'pull-timeout'; writer: PeerId }
  | { kind: 'dial'; peer: PeerId }
  | { kind: 'sweep' }
  | { kind: 'aside'; peer: PeerId };

export type Event =
  | { kind: 'start' }
  | { kind: 'stop' }
  /** My own share changed; kind `removed` withdraws; what is unchanged is ignored. */
  | { kind: 'offers'; changes: Omit<Offer, 'version'>[] }
  /** The same of what I share with some only. */
  | { kind: 'asides'; changes: Omit<Offer, 'version'>[] }
  /** Offers that a peer told us aside, over its own link. */
  | { kind: 'aside'; peer: PeerId; message: MessageOf<'Y'> }
  | { kind: 'datagram'; from: Address; multicast: boolean; message: Message }
  /**
   * A handshake succeeded: fresh proof of the peer's key. `address`: where its listener can be dialled, host from the
   * socket and port from the head; undefined where another peer passes the connection on. `dialled`: by us.
   */
  | {
      kind: 'connected';
      peer: PeerId;
      head: Uint8Array;
      sig: Uint8Array;
      address: Address | undefined;
      dialled: boolean;
    }
  | { kind: 'disconnected'; peer: PeerId }
  /** Its connection to somebody who keeps one to it, a tracker, has broken. */
  | { kind: 'departed'; peer: PeerId }
  /** O, L or N over TCP. */
  | { kind: 'message'; peer: PeerId; message: Message }
  /** A page of the answer to a `pull` effect. */
  | { kind: 'delta'; from: PeerId; writer: PeerId; message: MessageOf<'D'> }
  | { kind: 'pull-failed'; from: PeerId; writer: PeerId; code: string }
  /** `refused`: wherever it was dialled, its machine said that nobody listens there. */
  | { kind: 'dial-failed'; peer: PeerId | undefined; address: Address | undefined; refused?: boolean }
  /** A page of what a peer answered to a find: hints, for a one-shot's index. */
  | { kind: 'found'; peer: PeerId; offers: Offer[]; last: boolean; aside?: boolean }
  | { kind: 'timer'; timer: Timer }
  /** Announce again at once. */
  | { kind: 'interfaces-changed' }
  /** A person wants to know how things are: ask everybody now, and try again at once what waits for its time. */
  | { kind: 'refresh' };

/** A pull as the driver sends it: the number of the request is the driver's own. */
export type Pull = Omit<MessageOf<'P'>, 'number'>;

export type Effect =
  /** On every interface. */
  | { kind: 'multicast'; message: Message }
  /** One datagram to one address. */
  | { kind: 'reply'; to: Address; message: Message }
  /** Over the TCP link, if there is one; else dropped. */
  | { kind: 'tell'; peer: PeerId; message: Message }
  /** Connect; ignored while connected. */
  | { kind: 'dial'; peer: PeerId; addresses: string[] }
  /** Dial if needed, send it, feed the pages back as `delta` events, or `pull-failed`. */
  | { kind: 'pull'; from: PeerId; message: Pull }
  | { kind: 'timer'; at: Millis; timer: Timer }
  | { kind: 'peer'; change: 'came' | 'left'; peer: PeerInfo }
  /**
   * All that a peer offers to everyone is known from now on (`after`), or is not any more (`before`); a `change` for each of
   * its offers follows, and of those that it told aside, where these come or go with them.
   */
  | { kind: 'shelf'; peer: PeerId; before?: Shelf; after?: Shelf; aside?: Shelf | undefined }
  /** Of other live peers, and of oneself. `before` is set for `changed` and `removed`. */
  | { kind: 'change'; change: 'added' | 'changed' | 'removed'; offer: PeerOffer; before?: Offer }
  | { kind: 'warning'; code: string; message: string };
