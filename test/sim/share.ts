import { blake3 } from '../../lib/hash.js';
import type { Offer } from '../../lib/offer.js';

/** A file to offer. @param content what its content id is made of, none for one not hashed yet */
export function file(path: string, content?: string): Omit<Offer, 'version'> {
  const id = content === undefined ? null : blake3(content).toString('hex');
  return { path, kind: 'file', size: 1000 + path.length, mtime: 1_700_000_000_000, id };
}

export function removed(path: string): Omit<Offer, 'version'> {
  return { path, kind: 'removed', size: 0, mtime: 0, id: null };
}

/** Many files. @param hashed whether they have content ids */
export function files(folder: string, count: number, hashed = true): Omit<Offer, 'version'>[] {
  return Array.from({ length: count }, (_, i) =>
    file(`${folder}/file ${i}.txt`, hashed ? `${folder} ${i}` : undefined),
  );
}
