/** Answers to a digest: of the writers that somebody asks for, what is newer here. Pure functions over shelves. Called by gossip. */
import type { PeerId } from '../ids.js';
import { OFFERS_PER_PAGE } from '../limits.js';
import type { Proof, Shelf } from '../shelf/shelf.js';
import type { MessageOf } from '../wire/table.js';
import type { Shelving } from './shelving.js';

const NONE = new Uint8Array(0);

/** A shelf and the signed head of exactly its state. */
export interface Held {
  shelf: Shelf;
  proof: Proof;
}

/**
 * One page for each writer of whom something newer is here, then the end. What one page does not hold is only named: it is asked
 * for by a pull.
 * @param heldOf what is here of a writer, looked up when its turn comes
 */
export function* answerDigest(
  { number, known }: MessageOf<'b'>,
  heldOf: (writer: PeerId) => Held | undefined,
  shelving: Shelving,
): Generator<MessageOf<'r'> | MessageOf<'E'>, void, undefined> {
  const told = new Set<PeerId>();
  for (const asked of known) {
    const { writer } = asked;
    const held = told.has(writer) ? undefined : heldOf(writer);
    if (!held || !isNewer(held.shelf, asked)) continue;
    told.add(writer);
    yield newer(number, asked, held, shelving);
  }
  yield { type: 'E', number, code: '', id: null, message: '' };
}

type Asked = MessageOf<'b'>['known'][number];

function isNewer(shelf: Shelf, { epoch, version, least }: Asked): boolean {
  if (shelf.epoch !== epoch) return shelf.epoch > epoch;
  return shelf.version >= least && (version === 0 || shelf.version > version);
}

function newer(number: number, asked: Asked, { shelf, proof }: Held, shelving: Shelving): MessageOf<'r'> {
  const { writer, epoch } = asked;
  const named: MessageOf<'r'> = { type: 'r', number, writer, replaced: NONE, offers: [], head: NONE, sig: NONE };
  const version = shelf.epoch === epoch && asked.version >= shelf.floor ? asked.version : 0;
  // Looked at before a list of a million is made.
  if (shelf.count > OFFERS_PER_PAGE && (version === 0 || shelf.version - version > OFFERS_PER_PAGE)) return named;
  const pull: MessageOf<'P'> = { type: 'P', number, writer, epoch, version, buckets: NONE };
  for (const { replaced, offers, last, head, sig } of shelving.answerPull(shelf, proof, pull)) {
    return last ? { ...named, replaced, offers, head, sig } : named;
  }
  return named;
}
