import type { Bits } from '../bits.js';
import type { PeerId } from '../ids.js';

/** Something that can be served: a shared file, or a file that is being received itself. */
export interface Offered {
  readonly path: string;
  readonly size: number;
  readonly mtime: number;
  readonly executable: boolean;
  readonly id: string | null;
  /**
   * @param into where the bytes are put, of the chunk's length; left out: in a buffer of its own
   * @throws HearsayError `changed`, `not-found`, `not-readable`
   */
  readChunk(chunk: number, into?: Buffer): Promise<Buffer>;
  /** Takes the hash of a chunk that was served before the file had an id. */
  noteHash?(chunk: number, hash: Uint8Array): void;
  close(): Promise<void>;
}

/** What a request for a file finds. */
export interface Found {
  source: Offered;
  /** Chunk hashes one after another, or undefined while the file is not hashed. */
  manifest: Uint8Array | undefined;
  /** Chunks that are here, or undefined for all. */
  have: Bits | undefined;
  /** Of what is being received: whether another who receives it has told of a chunk. */
  hasFellow?: (peer: PeerId, chunk: number) => boolean;
  /** Whether it is for some only, so that nobody is told who else receives it. */
  aside?: boolean;
  /** Where those who may have it are all meant to receive it: the one name under which they are told of each other. */
  circle?: string;
}

/** A small file, whole. */
export interface Small {
  /** Where it is, which need not be where it was asked for. */
  path: string;
  data: Buffer;
  id: string;
  mtime: number;
  executable: boolean;
}

/** The places where things to serve are found. What is not for the peer that asks is not there. */
export interface Shelf {
  /** @throws HearsayError `not-found`, `changed`, `not-readable` */
  open(id: string | null, path: string, peer: PeerId): Promise<Found>;
  /** A small file whole. @param into where its bytes may be put, at the beginning, where there is room; at once where it can be @throws as `open` */
  readSmall(id: string | null, path: string, peer: PeerId, into?: Buffer): Small | Promise<Small>;
  /** A receiver says that a chunk does not fit: whether the file is still what was offered. */
  recheck(path: string): Promise<'same' | 'changed' | 'gone'>;
  /** The content id, hashed first where it is not known. */
  idOf(source: Offered): Promise<string>;
}
