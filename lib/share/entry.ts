import { join, sep } from 'node:path';
import type { Signature } from './signature.js';

/** Something to share, and how it is called. */
export interface ShareSpec {
  /** Absolute; a folder or a file. */
  path: string;
  /** The first segment of its files' paths. */
  name: string;
  /** Names or ids of the only peers that may see it; undefined where everyone may. */
  for?: readonly string[];
  /** Patterns of the only files that are offered, see Chosen; undefined where all are. */
  only?: readonly string[];
  /** Patterns of files and folders that are not. */
  exclude?: readonly string[];
  /** Not listed among the shares, and offered at once, however young: what is being sent. */
  hidden?: true;
}

/** A share and what is offered of it. */
export interface ShareState extends ShareSpec {
  files: number;
  bytes: number;
  /** Files whose content id is known. */
  hashed: number;
  /** Why nothing of it is offered: it is not there now. Not set while it is. */
  away?: string;
}

/** One offered file. Small: there may be a million. Changed by the tree alone. */
export class Entry {
  readonly share: ShareState;
  /** On the wire: `SHARE/relative/path`. */
  readonly path: string;
  kind: 'file' | 'executable';
  /** Bytes. */
  size: number;
  /** Whole milliseconds. */
  mtime: number;
  signature: Signature;
  /** Content id, null while it is not known. */
  id: string | null = null;
  /** BLAKE3 of each chunk as one-byte characters: a fraction of what a Buffer costs. Null while it is not known. */
  hashes: string | null = null;
  /** Whether the content has to be read again although its id is known: it was very young then, or is doubted. */
  unsure = false;
  /** The number of the last scan that saw it. */
  seen = 0;
  /** Whether it is offered still, with this object. */
  live = true;

  constructor(
    share: ShareState,
    path: string,
    kind: 'file' | 'executable',
    size: number,
    mtime: number,
    sig: Signature,
  ) {
    this.share = share;
    this.path = path;
    this.kind = kind;
    this.size = size;
    this.mtime = mtime;
    this.signature = sig;
  }

  /** Where it is on this machine, absolute. */
  get file(): string {
    return fileOf(this.share, this.path);
  }

  get executable(): boolean {
    return this.kind === 'executable';
  }
}

/** Where a path on the wire is on this machine, absolute. */
export function fileOf(share: ShareSpec, path: string): string {
  if (path.length === share.name.length) return share.path;
  const relative = path.slice(share.name.length + 1);
  return join(share.path, sep === '/' ? relative : relative.replaceAll('/', sep));
}
