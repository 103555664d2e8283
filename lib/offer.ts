import type { PeerId } from './ids.js';

/** What an offer offers. `removed` is a tombstone. */
export type Kind = 'file' | 'executable' | 'folder' | 'removed';

/** "This peer has this file." Written by one peer only; of two with the same path, the higher version is newer. */
export interface Offer {
  /** `SHARE/relative/path`, segments joined by `/`. */
  path: string;
  kind: Kind;
  /** Bytes; 0 for a folder or a tombstone. */
  size: number;
  /** Modification time, whole milliseconds since 1970. */
  mtime: number;
  /** Content id, 64 hexadecimal digits, or null while it is not known. */
  id: string | null;
  /** The writer's version at which it wrote this. */
  version: number;
}

/** An offer and who makes it. */
export interface PeerOffer extends Offer {
  peer: PeerId;
}

/** Characters of a path that are taken for an ordinary one; with its own, an offer takes some 200 bytes. */
export const ORDINARY = 128;

/**
 * How much room an offer takes, so that bounds hold in bytes too: 1 where its path is an ordinary one, one more for each further
 * ORDINARY characters. A million paths as long as they may be are 4 GB, as much as the program has.
 */
export function loadOf({ path }: { path: string }): number {
  return Math.ceil(path.length / ORDINARY);
}

/** The room that some offers take. */
export function sumOfLoads(offers: readonly Offer[]): number {
  return offers.reduce((sum, offer) => sum + loadOf(offer), 0);
}

/** Whether an offer is of something that has content. */
export function isFile(offer: { kind: Kind }): boolean {
  return offer.kind === 'file' || offer.kind === 'executable';
}
