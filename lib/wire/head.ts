/**
 * The head: who a peer is and what it has, signed as packed, so that anyone may hand it on and nobody can change it.
 * `[id, key, name, port, flags, epoch, version, beat, files, bytes, count, floor, root, echo]`.
 */
import { HearsayError } from '../errors.js';
import { idFitsKey, type PeerId } from '../ids.js';
import { COUNTER_MAX } from '../limits.js';
import { pack, unpack } from './codec.js';
import { bytes, int, name, peer, tuple } from './field.js';

/** Bytes of a nonce. */
const ECHO = 16;

const FIELD = tuple('head', {
  id: peer('peer id'),
  key: bytes('raw Ed25519 public key', 32, 32),
  name: name('what people call it'),
  port: int('TCP port where it listens, 0 if it does not', 0, 65535),
  flags: int('1 passive (a one-shot), 2 tracker, 4 passes on between peers that cannot reach each other', 0, 255),
  epoch: int('raised at every start', 1, COUNTER_MAX),
  version: int('version of the newest change', 0, COUNTER_MAX),
  beat: int('raised at every heartbeat, so that an old one can be told from a new one', 0, COUNTER_MAX),
  files: int('files offered'),
  bytes: int('bytes offered'),
  count: int('live offers, folders too'),
  floor: int('tombstones up to this version are gone'),
  root: bytes('root of the bucket tree', 32, 32),
  echo: bytes('the nonce of the query that this answers, or how another’s heartbeat was signed, or none', 0, ECHO),
});

export type Head = NonNullable<ReturnType<typeof FIELD.read>>;

export const PASSIVE = 1;
export const TRACKER = 2;
export const RELAY = 4;

/** What a signature of a head covers, so that it can be taken for nothing else. */
const DOMAIN = Buffer.from('hearsay head 1\0');

export function packHead(head: Head): Buffer {
  return pack(FIELD.write(head));
}

/**
 * Reads a head. Does not check its signature.
 * @throws HearsayError `bad-message`, also where the id does not belong to the key
 */
export function readHead(packed: Uint8Array): Head {
  const head = FIELD.read(unpack(packed, 16));
  if (!head) throw new HearsayError('bad-message', 'not a head');
  if (!idFitsKey(head.id, head.key)) throw new HearsayError('bad-message', 'an id that does not belong to its key');
  return head;
}

/**
 * Whose head it says it is, read from the first bytes alone, so that a flood can be turned away before it costs more.
 * @returns the id, or any text where it is no head
 */
export function peekId(packed: Uint8Array): PeerId {
  // An array of less than 16, then a text of 26 bytes.
  return Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString('latin1', 2, 28);
}

/** The bytes that a head's signature is over. */
export function headStatement(packed: Uint8Array): Buffer {
  return Buffer.concat([DOMAIN, packed]);
}

/** The bytes that a goodbye's signature is over. */
export function leaveStatement(id: PeerId, epoch: number): Buffer {
  return Buffer.from(`hearsay leave 1\0${id} ${epoch}`);
}

/** The bytes that the signature of a word about a missing peer is over. */
export function missingStatement(id: PeerId, epoch: number, beat: number, from: PeerId): Buffer {
  return Buffer.from(`hearsay missing 1\0${id} ${epoch} ${beat} ${from}`);
}

/**
 * The bytes that a proof of the key is over: the connection's own exporter, so that it holds for this connection alone, and both
 * ids, so that it is for us two.
 */
export function proofStatement(mine: PeerId, yours: PeerId, binding: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`hearsay proof 1\0${mine} ${yours} `), binding]);
}
