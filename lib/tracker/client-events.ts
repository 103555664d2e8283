/**
 * What goes into the client of trackers and what comes out, as plain values. The driver turns links and answers into events, and
 * effects back into traffic.
 */
import type { Millis } from '../clock.js';
import type { Code } from '../errors.js';
import type { PeerId } from '../ids.js';
import type { LinkNo } from './events.js';

/** How a tracker is known: named by the person, heard by multicast, or told of by another tracker of the same registry. */
export type Origin = 'joined' | 'heard' | 'told';

export interface ToldTracker {
  id: PeerId;
  name: string;
  /** "ip:port". */
  addresses: readonly string[];
}

/** What a tracker says when this peer is registered. */
export interface Registration {
  /** The address that it sees, and those where it could connect back. */
  seen: string;
  reachable: readonly string[];
  lease: Millis;
  peers: number;
  offers: number;
}

export type ClientEvent =
  /** A connection to a peer that is a tracker. `address`: where it listens. */
  | { kind: 'linked'; tracker: PeerId; link: LinkNo; name: string; address: string }
  /** That connection was made because the person named this host. */
  | { kind: 'joined'; link: LinkNo; endpoint: string }
  | { kind: 'unlinked'; link: LinkNo; code: Code; message: string }
  /** A tracker is here by multicast, or by what a tracker tells (`told`). */
  | { kind: 'known'; tracker: ToldTracker; origin: 'heard' | 'told' }
  /** It is not heard any more. */
  | { kind: 'unheard'; tracker: PeerId }
  | { kind: 'registered'; link: LinkNo; number: number; said: Registration }
  | { kind: 'refused'; link: LinkNo; number: number; code: Code; message: string }
  | { kind: 'dial-failed'; tracker: PeerId; code: Code; message: string }
  /** Where this peer listens has changed. */
  | { kind: 'listening'; addresses: readonly string[] }
  /** A person wants to know how things are: speak to each now. */
  | { kind: 'refresh' }
  | { kind: 'timer' };

export type ClientEffect =
  | { kind: 'dial'; tracker: PeerId; addresses: readonly string[] }
  /** `J`. */
  | { kind: 'join'; link: LinkNo; number: number; addresses: readonly string[] }
  | { kind: 'cut'; link: LinkNo; code: Code; message: string }
  /** It answered: for the first time over this connection (`fresh`), or once more. */
  | { kind: 'renewed'; tracker: PeerId; link: LinkNo; fresh: boolean; said: Registration }
  | { kind: 'lost'; tracker: PeerId; code: Code; message: string }
  /** For the person. `again`: at the latest tried again then; an address that was given up stands in the message. */
  | { kind: 'refused'; tracker: PeerId; code: Code; message: string }
  /** Give me a `timer` then. */
  | { kind: 'timer'; at: Millis };
