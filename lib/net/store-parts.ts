/** Offers and paths in parts, of which each fits one command to a store, and one entry of its log. */
import { OFFERS_PER_PAGE, PAGE_BYTES } from '../limits.js';
import type { PeerOffer } from '../offer.js';
import { packOffer } from '../tracker/records.js';

/** Offers, and bytes of them, in one part. */
export const OFFERS_AT_ONCE = Math.min(256, OFFERS_PER_PAGE);
const BYTES_AT_ONCE = PAGE_BYTES / 3;

function* inParts<T>(all: Iterable<T>, bytesOf: (one: T) => number): Generator<T[]> {
  let part: T[] = [];
  let bytes = 0;
  for (const one of all) {
    const more = bytesOf(one);
    if (part.length > 0 && (part.length >= OFFERS_AT_ONCE || bytes + more > BYTES_AT_ONCE)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(one);
    bytes += more;
  }
  if (part.length > 0) yield part;
}

/** `words`: path and packed offer by turns. */
export function* offersInParts(
  all: readonly PeerOffer[],
): Generator<{ offers: PeerOffer[]; words: (string | Uint8Array)[] }> {
  const packed = function* () {
    for (const offer of all) yield { offer, value: packOffer(offer) };
  };
  for (const part of inParts(packed(), ({ value }) => value.length)) {
    yield {
      offers: part.map(({ offer }) => offer),
      words: part.flatMap(({ offer, value }) => [offer.path, value]),
    };
  }
}

export function pathsInParts(all: readonly string[]): Generator<string[]> {
  return inParts(all, Buffer.byteLength);
}
