import type { Signer } from '../../lib/gossip/gossip.js';
import { Latest } from '../../lib/latest.js';
import { type Head, headStatement, readHead } from '../../lib/wire/head.js';

/** FNV-1a over some bytes, on from where another ended. */
function fnv(bytes: Uint8Array, hash: number): number {
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash;
}

function mac(key: Uint8Array, statement: Uint8Array): Uint8Array {
  const sig = new Uint8Array(64);
  const view = new DataView(sig.buffer);
  view.setUint32(0, fnv(statement, fnv(key, 0x811c9dc5)));
  view.setUint32(4, fnv(key, fnv(statement, 0x811c9dc5)));
  return sig;
}

function isRight(key: Uint8Array, statement: Uint8Array, sig: Uint8Array): boolean {
  return Buffer.compare(mac(key, statement), sig) === 0;
}

const CHECKED = 50_000;

const NONE = new Uint32Array(0);

interface Entry {
  head: Head;
  sig: Uint8Array;
  /** Bit set of those who keep it, by their numbers. */
  keepers: Uint32Array;
}

/** Heads that one of many simulated peers has checked, for the others. */
export class Checked {
  readonly #byName = new Latest<string, Entry>(CHECKED);
  /** The same by the bytes themselves, which many are handed alike. */
  readonly #byBytes = new WeakMap<Uint8Array, Entry>();
  #peers = 0;

  /** One that is signed just now; where messages are decoded, others read it for themselves. */
  signed(packed: Uint8Array, sig: Uint8Array, head: Head): void {
    this.#byBytes.set(packed, { head: Object.freeze(head), sig, keepers: NONE });
  }

  /** A number for each peer. */
  number(): number {
    return this.#peers++;
  }

  known(packed: Uint8Array, sig: Uint8Array, peer: number): Head | undefined {
    const entry = this.#find(packed, sig);
    return entry && (entry.keepers[peer >> 5] ?? 0) & (1 << (peer & 31)) ? entry.head : undefined;
  }

  read(packed: Uint8Array, sig: Uint8Array, peer: number, keeps: boolean): Head | undefined {
    const entry = this.#find(packed, sig) ?? this.#check(packed, sig);
    if (!entry) return undefined;
    if (keeps) {
      if (entry.keepers.length <= peer >> 5) {
        const more = new Uint32Array((this.#peers >> 5) + 1);
        more.set(entry.keepers);
        entry.keepers = more;
      }
      entry.keepers[peer >> 5] |= 1 << (peer & 31);
    }
    return entry.head;
  }

  #find(packed: Uint8Array, sig: Uint8Array): Entry | undefined {
    let entry = this.#byBytes.get(packed);
    if (!entry) {
      entry = this.#byName.get(nameOf(packed));
      if (!entry) return undefined;
      this.#byBytes.set(packed, entry);
    }
    return entry.sig === sig || Buffer.compare(entry.sig, sig) === 0 ? entry : undefined;
  }

  #check(packed: Uint8Array, sig: Uint8Array): Entry | undefined {
    try {
      const head = readHead(packed);
      if (!isRight(head.key, headStatement(packed), sig)) return undefined;
      const entry = { head: Object.freeze(head), sig, keepers: NONE };
      this.#byName.set(nameOf(packed), entry);
      this.#byBytes.set(packed, entry);
      return entry;
    } catch {
      return undefined;
    }
  }
}

function nameOf(packed: Uint8Array): string {
  return Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString('latin1');
}

/**
 * Signatures that cost little and prove nothing to anyone who knows the key; simulated peers sign with their own only.
 * @param key the public key, which stands for the private one
 * @param checked what others have checked already, where that is shared
 */
export function fakeSigner(key: Uint8Array, checked?: Checked): Signer {
  const signer: Signer = { sign: (statement) => mac(key, statement), verify: isRight };
  if (!checked) return signer;
  // A new run knows nothing of what an earlier one has checked.
  const peer = checked.number();
  const known = (packed: Uint8Array, sig: Uint8Array) => checked.known(packed, sig, peer);
  const read = (packed: Uint8Array, sig: Uint8Array, keeps: boolean) => checked.read(packed, sig, peer, keeps);
  const signed = (packed: Uint8Array, sig: Uint8Array, head: Head) => checked.signed(packed, sig, head);
  signer.shared = { signed, known, read };
  return signer;
}
