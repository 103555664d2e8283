/**
 * What trackers of one registry put into their store, as bytes, and what they read there.
 *
 * Owns nothing. Always true: what is read has the shape, sizes and names that are allowed, whoever wrote it; whether a head
 * is signed by the one it names is left to the caller. Called by the store.
 */
import { HearsayError } from '../errors.js';
import type { PeerId } from '../ids.js';
import { ADDRESSES_MAX, CHUNKS_MAX, COUNTER_MAX, OFFERS_PER_PAGE } from '../limits.js';
import type { Offer } from '../offer.js';
import { pack, unpack } from '../wire/codec.js';
import { bool, bytes, contentId, type Field, int, list, offer, path, peer, text, tuple } from '../wire/field.js';
import { readHead } from '../wire/head.js';
import type { Departure, Holding, Record, Registrant } from './events.js';

/** What stands in the log beside records. */
export type Notice =
  /** Nothing new: so that others see that the tracker lives, and whether they missed something. */
  | { kind: 'beat' }
  /** Everything that the tracker holds stands in the store again: read the whole. */
  | { kind: 'told' }
  /** All offers of a peer stand in the store: read them. */
  | { kind: 'reread'; peer: PeerId };

/** An entry of the log. */
export interface Entry {
  tracker: PeerId;
  /** 8 bytes of its connection to the store: numbers begin anew with another. */
  run: Uint8Array;
  /** Counts its entries of this run, from 1: a gap says that something was missed. */
  number: number;
  record: Record | Notice;
}

const id = peer('peer');
const address = text('an address', 64);
const head = bytes('head', 1, 512);
const sig = bytes('signature', 64, 64);
/** Those that a peer names, and the one that it was seen at. */
const MOST = ADDRESSES_MAX + 1;
const addresses = list('addresses', address, MOST);

/** Each cause as it is written, so that none can be left out. */
const CAUSES: { [Why in Departure]: Why } = {
  left: 'left',
  broken: 'broken',
  lease: 'lease',
  replaced: 'replaced',
  crowded: 'crowded',
};
const why: Field<Departure> = {
  doc: 'why',
  read: (v) => (typeof v === 'string' && Object.hasOwn(CAUSES, v) ? CAUSES[v as Departure] : undefined),
  write: (v) => v,
};

/** To its fraction, as two trackers that compare must come to one result. */
const time: Field<number> = {
  doc: 'a time, ms since 1970',
  read: (v) => (typeof v === 'number' && v >= 0 && v < COUNTER_MAX ? v : undefined),
  write: (v) => v,
};

const instance = bytes('instance', 8, 8);
const holding = {
  peer: id,
  id: contentId('content id'),
  chunks: int('chunks', 0, CHUNKS_MAX),
  bits: bytes('bit set', 0, CHUNKS_MAX / 8),
};

/** Fields of each kind, in their order. New kinds come last. */
const FIELDS = {
  held: tuple('held', { head, sig, instance, seen: address, reachable: addresses, since: time }),
  dropped: tuple('dropped', { peer: id, instance, why }),
  offers: tuple('offers', {
    peer: id,
    whole: bool('whole'),
    offers: list('offers', offer, OFFERS_PER_PAGE),
    removed: list('removed', path('a path'), OFFERS_PER_PAGE),
  }),
  holding: tuple('holding', holding),
  probe: tuple('probe', { peer: id, instance, number: int('number') }),
  alive: tuple('alive', { to: id, number: int('number'), alive: bool('alive') }),
  summon: tuple('summon', { peer: id, head, sig, addresses }),
  beat: tuple('beat', {}),
  told: tuple('told', {}),
  reread: tuple('reread', { peer: id }),
};
type Kind = keyof typeof FIELDS;
type Read<K extends Kind> = NonNullable<ReturnType<(typeof FIELDS)[K]['read']>>;
const KINDS = Object.keys(FIELDS) as Kind[];

/** Items in one entry: a page of offers, or of removed paths, and its envelope. */
const ITEMS_MAX = OFFERS_PER_PAGE * 8 + 64;

function bad(what: string): HearsayError {
  return new HearsayError('bad-message', `not ${what} of a tracker's store`);
}

/** The fields of a record as its kind has them. */
function fieldsOf(record: Record | Notice): unknown {
  switch (record.kind) {
    case 'held':
      return { ...record.peer, seen: record.seen, reachable: record.reachable.slice(0, MOST), since: record.since };
    case 'holding':
      return record.holding;
    case 'summon':
      return { peer: record.peer, ...record.from };
    default:
      return record;
  }
}

function body(record: Record | Notice): unknown[] {
  const field = FIELDS[record.kind] as Field<unknown>;
  return [KINDS.indexOf(record.kind), field.write(fieldsOf(record))];
}

export function packEntry({ tracker, run, number, record }: Entry): Buffer {
  return pack([tracker, run, number, ...body(record)]);
}

/** @throws HearsayError `bad-message` */
export function readEntry(data: Uint8Array): Entry {
  const values = unpack(data, ITEMS_MAX);
  if (!Array.isArray(values) || values.length !== 5) throw bad('an entry');
  const tracker = id.read(values[0]);
  const run = instance.read(values[1]);
  const number = int('number', 1).read(values[2]);
  if (tracker === undefined || run === undefined || number === undefined) throw bad('an entry');
  return { tracker, run, number, record: readBody(tracker, values[3], values[4]) };
}

/** A record as it stands by itself. */
export function packRecord(record: Record): Buffer {
  return pack(body(record));
}

/** @throws HearsayError `bad-message` */
export function readRecord(tracker: PeerId, data: Uint8Array): Record | Notice {
  const values = unpack(data, ITEMS_MAX);
  if (!Array.isArray(values) || values.length !== 2) throw bad('a record');
  return readBody(tracker, values[0], values[1]);
}

function readBody(tracker: PeerId, number: unknown, value: unknown): Record | Notice {
  const kind = typeof number === 'number' ? KINDS[number] : undefined;
  if (kind === undefined) throw bad('a record');
  const read = <K extends Kind>(of: K): Read<K> => {
    const fields = FIELDS[of].read(value);
    if (fields === undefined) throw bad(`a record "${of}"`);
    return fields as Read<K>;
  };
  switch (kind) {
    case 'held': {
      const { seen, reachable, since, ...rest } = read(kind);
      return { kind, tracker, peer: registrant(rest), seen, reachable, since };
    }
    case 'dropped':
      return { kind, tracker, ...read(kind) };
    case 'offers': {
      const { peer, whole, offers, removed } = read(kind);
      return { kind, tracker, peer, whole, offers: offers.filter(isLive).map((o) => ({ ...o, peer })), removed };
    }
    case 'holding':
      return { kind, tracker, holding: holdingOf(read(kind)) };
    case 'probe':
      return { kind, tracker, ...read(kind) };
    case 'alive':
      return { kind, tracker, ...read(kind) };
    case 'summon': {
      const { peer, ...from } = read(kind);
      return { kind, tracker, peer, from };
    }
    case 'reread':
      return { kind, ...read(kind) };
    default:
      read(kind);
      return { kind };
  }
}

function registrant(fields: { head: Uint8Array; sig: Uint8Array; instance: Uint8Array }): Registrant {
  const { id, key, name, epoch, version } = readHead(fields.head);
  return { id, key, name, epoch, version, ...fields };
}

function holdingOf({ id, ...rest }: Omit<Holding, 'id'> & { id: string | null }): Holding {
  if (id === null || rest.bits.length > Math.ceil(rest.chunks / 8)) throw bad('a holding');
  return { id, ...rest };
}

/** Tombstones are the business of those who keep shelves. */
function isLive({ kind }: Offer): boolean {
  return kind !== 'removed';
}

/** An offer as it stands by itself, in place of the path's former one. */
export function packOffer(one: Offer): Buffer {
  return pack(offer.write(one));
}

/** @throws HearsayError `bad-message` */
export function readOffer(data: Uint8Array): Offer {
  const one = offer.read(unpack(data, 8));
  if (!one || !isLive(one)) throw bad('an offer');
  return one;
}
