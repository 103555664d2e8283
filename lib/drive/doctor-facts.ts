/** What the doctor looks at, as plain values: gathered by doctor-look.ts, judged by doctor.ts and doctor-network.ts. */
import type { InterfaceRow, PeerName, TrackerRow } from '../api.js';
import type { Millis } from '../clock.js';
import type { HearsayError } from '../errors.js';
import type { StrangerCount } from '../net/strangers.js';

/** A way to others that was tried. */
export interface Tried extends PeerName {
  /** Why it led nowhere. */
  unreachable?: string | undefined;
}

/** What became of what was sent to everyone to see whether it comes back, in datagrams. */
export interface Echo {
  sent: number;
  echoed: number;
  /** The system's word for why it could not be sent; "" where it could. */
  failure: string;
}

/** A network card that is spoken from. */
export interface CardFacts extends InterfaceRow {
  /** Whether it reaches this machine only. */
  internal: boolean;
  /** By family; only those in which it is spoken to everyone. */
  echo: { 4?: Echo; 6?: Echo };
  /** Whether something that others sent to everyone came by it lately; undefined where it was not listened long enough. */
  loud: { multicast: boolean; broadcast: boolean } | undefined;
  /** Peers of its network with whom something went to and fro, just between the two. */
  spoken: string[];
  /** Hosts of its network that are heard, and are no peers that answer. */
  mute: string[];
}

/** A card that is left out, as no LAN is behind such. */
export interface LeftOut {
  name: string;
  address: string;
  /** Whether it looks like the way into a VPN, not like a bridge of containers or of machines in this one. */
  tunnel: boolean;
}

/** What came of connecting to an address of somebody with whom there is no link. */
export interface Knock {
  /** The TCP port. */
  port: number;
  /** The system's word for what was in the way; "" where something listens. */
  code: string;
  /** The card in whose network it is; undefined where it is in none. */
  card: string | undefined;
  /** Whether its network card answers when it is asked for; undefined where the system does not say. */
  answers: boolean | undefined;
  /** Whether others of that network answer. */
  others: boolean;
}

export interface Firewall {
  name: string;
  /** What opens our ports in it. */
  command: string;
}

/** A port that another program has. */
export interface Taken {
  port: number;
  /** "nc (process 4321)", where the system says. */
  holder: string | undefined;
}

export interface Facts {
  platform: NodeJS.Platform;
  /** Cards that are spoken from. */
  cards: CardFacts[];
  leftOut: LeftOut[];
  multicast: boolean;
  /** The UDP port of the group, and who has taken it. */
  groupPort: number;
  udpTaken: Taken | undefined;
  /** 0 where it does not listen. */
  port: number;
  /** The port where it should have listened; `chosen`: by the person. */
  tcpTaken: (Taken & { chosen: boolean }) | undefined;
  /** How many who do not hold a connection were asked to make one, and how many did, or had. */
  callers: { asked: number; came: number };
  firewallIn: Firewall | undefined;
  firewallOut: Firewall | undefined;
  /** Hosts that the person named, and why those that could not be reached could not. */
  joins: string[];
  unjoined: ReadonlyMap<string, HearsayError>;
  trackers: TrackerRow[];
  /** Where trackers could connect back to this peer; undefined where it is registered nowhere. */
  reachable: readonly string[] | undefined;
  /** Other peers; of those that were not tried nothing more is known. */
  others: number;
  tried: Tried[];
  /** Peers of before that are not here now. */
  remembered: PeerName[];
  /** What came of connecting to joined hosts by their addresses, to peers by their ids. */
  knocks: ReadonlyMap<string, Knock>;
  /** How long it was listened to who is here, ms. */
  listened: Millis;
  /** Why nobody is found, as far as can be told. */
  whyNobody: string;
  strangers: StrangerCount;
  clock: ClockFacts;
}

export interface ClockFacts {
  /** What the system says, ms since 1970. */
  now: Millis;
  /** How far the system's clock was set forward since this peer started, ms; negative where back. */
  set: Millis;
  /** Of the peers whose files are known, how many there are, and how many have some that are dated in the future. */
  dated: number;
  ahead: number;
}
