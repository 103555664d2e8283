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
import type { Head } from '../wire/head.js';
import type { Message, MessageOf } from '../wire/table.js';

/** The port for signatures: Ed25519 in the program, something cheap in large simulations. */
export interface Signer {
  /** Signs with my own key; 64 bytes. */
  sign(statement: Uint8Array): Uint8Array;
  /** Whether `sig` is the signature of `statement` by the holder of `key`. Never throws. */
  verify(key: Uint8Array, statement: Uint8Array, sig: Uint8Array): boolean;
  /** For simulated peers that share what one of them has checked. */
  shared?: {
    /** My own, which reads as it was written. */
    signed(packed: Uint8Array, sig: Uint8Array, head: Head): void;
    /** The head, where this peer has kept it. */
    known(packed: Uint8Array, sig: Uint8Array): Head | undefined;
    /**
     * Reads it and checks its signature in one.
     * @param keeps whether this peer knows it from now on
     * @returns undefined where either fails
     */
    read(packed: Uint8Array, sig: Uint8Array, keeps: boolean): Head | undefined;
  };
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

/**
 * Where a datagram came from, or where a TCP listener can be dialled. IPv6 hosts without brackets. `at`: at which of this
 * machine's addresses it came, so that an answer shows that its writer is there.
 */
export type Address = Endpoint & { readonly at?: string };

/** A live peer as others may see it. */
export interface PeerInfo {
  id: PeerId;
  name: string;
  /** See PeerName: set by those who know the config file. */
  listed?: string;
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

/** Somebody who was here before, and where. */
export interface Remembered {
  id: PeerId;
  /** TCP, as in PeerInfo. */
  addresses: readonly string[];
}

/** How something came that was broadcast. */
export interface Broadcast {
  /** Whether its sender hears somebody by broadcast alone, and is to be told so itself. */
  deaf: boolean;
}

/**
 * What something that goes to everyone is about: finding others, which no way is spared for; something new; or only that I am
 * still here.
 */
export type Occasion = 'finding' | 'news' | 'idle';

/** What may be left out where those who are near are known: what comes double, by two cards of one LAN, and IPv6 beside IPv4. */
export interface Sparing {
  /** Whom IPv6 alone reaches, by their hosts: there it is used beside IPv4. `all`: on every card. */
  six: readonly string[] | 'all';
}

/** Timers are values; one that comes too late, or twice, does nothing. */
export type Timer =
  | { kind: 'heartbeat' }
  | { kind: 'query'; round: number }
  | { kind: 'flush' }
  | { kind: 'repeat' }
  | { kind: 'expire'; peer: PeerId }
  | { kind: 'ask'; peer: PeerId }
  | { kind: 'missing'; peer: PeerId }
  | { kind: 'answer'; number: number }
  | { kind: 'pull'; writer: PeerId }
  | { kind: 'pull-timeout'; writer: PeerId }
  | { kind: 'round' }
  | { kind: 'roll-call' }
  | { kind: 'digest-timeout'; batch: number }
  | { kind: 'dial'; peer: PeerId }
  | { kind: 'neighbours'; peer: PeerId }
  | { kind: 'recall' }
  | { kind: 'sweep' }
  | { kind: 'aside'; peer: PeerId }
  | { kind: 'stage'; writer: PeerId }
  | { kind: 'report' };

export type Event =
  | { kind: 'start' }
  | { kind: 'stop' }
  /** My own share changed; kind `removed` withdraws; what is unchanged is ignored. */
  | { kind: 'offers'; changes: Omit<Offer, 'version'>[] }
  /** The same of what I share with some only. */
  | { kind: 'asides'; changes: Omit<Offer, 'version'>[] }
  /** Offers that a peer told us aside, over its own link. */
  | { kind: 'aside'; peer: PeerId; message: MessageOf<'Y'> }
  /** `multicast`: to everyone; `broadcast` is set where it was a subnet's broadcast. */
  | { kind: 'datagram'; from: Address; multicast: boolean; broadcast?: Broadcast | undefined; message: Message }
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
  /** A page of the answer to a `digest` effect. */
  | { kind: 'newer'; batch: number; message: MessageOf<'r'> }
  /** That answer has ended. `ok`: as it should. */
  | { kind: 'digest-over'; batch: number; ok: boolean }
  /** `refused`: wherever it was dialled, its machine said that nobody listens there. */
  | { kind: 'dial-failed'; peer: PeerId | undefined; address: Address | undefined; refused?: boolean }
  /** A page of what a peer answered to a find: hints, for a one-shot's index. */
  | { kind: 'found'; peer: PeerId; offers: Offer[]; last: boolean; aside?: boolean }
  | { kind: 'timer'; timer: Timer }
  /** These were here before, those seen last first. */
  | { kind: 'remembered'; peers: readonly Remembered[] }
  | { kind: 'forgotten'; peer: PeerId }
  /** This machine was too busy for so long to hear what was said, or asleep. */
  | { kind: 'lag'; ms: Millis }
  /** Announce again at once. */
  | { kind: 'interfaces-changed' }
  /** A person wants to know how things are: ask everybody now, and try again at once what waits for its time. */
  | { kind: 'refresh' };

/** A pull as the driver sends it: the number of the request is the driver's own. */
export type Pull = Omit<MessageOf<'P'>, 'number'>;

export type Effect =
  /** On every interface, but for what may be spared. */
  | { kind: 'multicast'; message: Message; sparing?: Sparing }
  /** To the broadcast address of each IPv4 network, or of those only in which these hosts are. `deaf`: see Broadcast. */
  | { kind: 'broadcast'; message: Message; near?: readonly string[]; deaf: boolean }
  /** One datagram to one address; `everywhere`: one by each card on whose LAN it is. */
  | { kind: 'reply'; to: Address; message: Message; everywhere?: boolean }
  /** Over the TCP link, if there is one; else dropped. */
  | { kind: 'tell'; peer: PeerId; message: Message }
  /** Connect; ignored while connected. */
  | { kind: 'dial'; peer: PeerId; addresses: string[] }
  /** Dial if needed, send it, feed the pages back as `delta` events, or `pull-failed`. */
  | { kind: 'pull'; from: PeerId; message: Pull }
  /** The same with `newer` events, and `digest-over` in the end. */
  | { kind: 'digest'; batch: number; from: PeerId; message: Omit<MessageOf<'b'>, 'number'> }
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
