/** What the thread that writes small files is told and tells: few and flat things, as each is copied on its way. */
import type { Code } from '../errors.js';
import type { FinishOptions } from './partial.js';
import type { Lent } from './place-folder.js';

/** A bundle of small files. */
export interface WriteTask {
  number: number;
  /** The folders they go to, held until the answer. */
  folders: Lent[];
  /** Their names in them. */
  names: string[];
  /** Their content ids, one after another. */
  ids: string;
  /** Of each FIELDS numbers: the folder's place, bytes, modification time in ms, flags. */
  fields: Float64Array<ArrayBuffer>;
  /** Their bytes, one after another; comes back to be used again. */
  buffer: ArrayBuffer;
}

export interface Written {
  number: number;
  /** Those that were not written, by their places in the bundle. */
  failed: { place: number; code: Code; message: string }[];
  /** Places of folders that are not where they were any more. */
  replaced: number[];
  buffer: ArrayBuffer;
}

/** Numbers of one file. */
export const FIELDS = 4;

const EXECUTABLE = 1;
const OVERWRITE = 2;
const SYNC = 4;

type Flags = Pick<FinishOptions, 'executable' | 'overwrite' | 'sync'>;

export function flagsOf({ executable, overwrite, sync }: Flags): number {
  return (executable ? EXECUTABLE : 0) | (overwrite ? OVERWRITE : 0) | (sync ? SYNC : 0);
}

export function readFlags(flags: number): Required<Flags> {
  return { executable: (flags & EXECUTABLE) > 0, overwrite: (flags & OVERWRITE) > 0, sync: (flags & SYNC) > 0 };
}
