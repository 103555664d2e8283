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

/** Whether an offer is of something that has content. */
export function isFile(offer: { kind: Kind }): boolean {
  return offer.kind === 'file' || offer.kind === 'executable';
}
