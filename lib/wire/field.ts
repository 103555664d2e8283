/**
 * What a field of a message may hold. A field reads an unpacked MessagePack value, checks it, and gives the value that
 * the program works with; it never trusts a length, a range or a name.
 */
import { isPeerId, type PeerId } from '../ids.js';
import { FILE_SIZE_MAX, NAME_MAX } from '../limits.js';
import { isSafePath } from '../names.js';
import type { Kind, Offer } from '../offer.js';

export interface Field<T> {
  /** For the protocol chapter: what the field is, in words. */
  readonly doc: string;
  /** The value, or undefined where it is not what the field may hold. */
  read(value: unknown): T | undefined;
  /** The value as MessagePack should carry it. */
  write(value: T): unknown;
}

const asIs = <T>(value: T): unknown => value;

/** An integer from `min` to `max`. A float's negative zero is read as zero, so that one value has one form. */
export function int(doc: string, min = 0, max = Number.MAX_SAFE_INTEGER): Field<number> {
  return {
    doc,
    read: (v) => (typeof v === 'number' && Number.isInteger(v) && v >= min && v <= max ? v + 0 : undefined),
    write: asIs,
  };
}

export function bool(doc: string): Field<boolean> {
  return { doc, read: (v) => (typeof v === 'boolean' ? v : undefined), write: asIs };
}

/** Well-formed text of at most `max` bytes. */
export function text(doc: string, max: number): Field<string> {
  return {
    doc,
    read: (v) => (typeof v === 'string' && v.length <= max && Buffer.byteLength(v) <= max ? v : undefined),
    write: asIs,
  };
}

/** A person's name for a peer. */
export function name(doc: string): Field<string> {
  return text(doc, NAME_MAX);
}

/** Bytes, copied out of the datagram or frame, so that keeping them does not pin it. */
export function bytes(doc: string, min: number, max: number): Field<Uint8Array> {
  return {
    doc,
    read: (v) => (v instanceof Uint8Array && v.length >= min && v.length <= max ? Uint8Array.from(v) : undefined),
    write: asIs,
  };
}

/** Bytes not copied: valid only until the handler of the frame returns. */
export function payload(doc: string, max: number): Field<Uint8Array> {
  return { doc, read: (v) => (v instanceof Uint8Array && v.length <= max ? v : undefined), write: asIs };
}

export function peer(doc: string): Field<PeerId> {
  return { doc, read: (v) => (typeof v === 'string' && isPeerId(v) ? v : undefined), write: asIs };
}

/** A peer id, or the empty string for anyone. */
export function peerOrAll(doc: string): Field<PeerId> {
  return { doc, read: (v) => (v === '' || (typeof v === 'string' && isPeerId(v)) ? v : undefined), write: asIs };
}

export function path(doc: string): Field<string> {
  return { doc, read: (v) => (typeof v === 'string' && isSafePath(v) ? v : undefined), write: asIs };
}

function readId(v: unknown): string | null | undefined {
  if (!(v instanceof Uint8Array)) return undefined;
  if (v.length === 0) return null;
  if (v.length !== 32) return undefined;
  return (Buffer.isBuffer(v) ? v : Buffer.from(v.buffer, v.byteOffset, 32)).toString('hex');
}

const NO_ID = new Uint8Array(0);

/** A content id: 32 bytes on the wire, 64 hexadecimal digits in the program; no bytes is null, none known yet. */
export function contentId(doc: string): Field<string | null> {
  return { doc, read: readId, write: (id) => (id === null ? NO_ID : Buffer.from(id, 'hex')) };
}

const KINDS: readonly Kind[] = ['file', 'executable', 'folder', 'removed'];

/** One offer: `[path, kind, size, mtime, content id, version]`; kind 0 file, 1 executable, 2 folder, 3 removed. */
export const offer: Field<Offer> = {
  doc: '[path, kind (0 file, 1 executable, 2 folder, 3 removed), size, mtime, content id, version]',
  read(v) {
    if (!Array.isArray(v) || v.length !== 6) return undefined;
    const [path, kind, size, mtime, cid, version] = v;
    const id = readId(cid);
    if (typeof path !== 'string' || !isSafePath(path)) return undefined;
    if (!Number.isSafeInteger(kind) || kind < 0 || kind >= KINDS.length) return undefined;
    if (!Number.isSafeInteger(size) || size < 0 || size > FILE_SIZE_MAX) return undefined;
    if (!Number.isSafeInteger(mtime)) return undefined;
    if (!Number.isSafeInteger(version) || version < 1 || id === undefined) return undefined;
    if (kind >= 2 && (size !== 0 || id !== null)) return undefined;
    return { path, kind: KINDS[kind], size: size + 0, mtime: mtime + 0, id, version };
  },
  write(o) {
    const id = o.id === null ? NO_ID : Buffer.from(o.id, 'hex');
    return [o.path, KINDS.indexOf(o.kind), o.size, o.mtime, id, o.version];
  },
};

/** A list of at most `max`, all of one kind. */
export function list<T>(doc: string, of: Field<T>, max: number): Field<T[]> {
  return {
    doc,
    read(v) {
      if (!Array.isArray(v) || v.length > max) return undefined;
      const out: T[] = new Array(v.length);
      for (let i = 0; i < v.length; i++) {
        const item = of.read(v[i]);
        if (item === undefined) return undefined;
        out[i] = item;
      }
      return out;
    },
    write(v) {
      const out: unknown[] = new Array(v.length);
      for (let i = 0; i < v.length; i++) out[i] = of.write(v[i]);
      return out;
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: the one place where fields of every type meet.
export type Fields = Record<string, Field<any>>;
/** The object that a set of fields reads to. */
export type Values<F> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** An array with a fixed place for each of some fields; an object in the program. */
export function tuple<F extends Fields>(doc: string, fields: F): Field<Values<F>> {
  const keys = Object.keys(fields);
  const each = Object.values(fields);
  return {
    doc,
    read(v) {
      if (!Array.isArray(v) || v.length !== keys.length) return undefined;
      const out: Record<string, unknown> = {};
      for (let i = 0; i < keys.length; i++) {
        const value = each[i].read(v[i]);
        if (value === undefined) return undefined;
        out[keys[i]] = value;
      }
      return out as Values<F>;
    },
    // By plain loops, here and there: what is written in crowds by a short command runs before V8 has made it fast.
    write(v) {
      const out: unknown[] = new Array(keys.length);
      for (let i = 0; i < keys.length; i++) out[i] = each[i].write(v[keys[i] as keyof Values<F>]);
      return out;
    },
  };
}
