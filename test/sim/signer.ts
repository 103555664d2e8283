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

/** Heads that one of many simulated peers has checked, for the others. */
export class Checked {
  readonly #heads = new Latest<string, { head: Head; sig: Uint8Array }>(CHECKED);
  readonly #names = new WeakMap<Uint8Array, string>();

  nameOf(packed: Uint8Array): string {
    let name = this.#names.get(packed);
    if (name === undefined) {
      name = Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString('latin1');
      this.#names.set(packed, name);
    }
    return name;
  }

  read(packed: Uint8Array, sig: Uint8Array): Head | undefined {
    const name = this.nameOf(packed);
    const known = this.#heads.get(name);
    if (known && Buffer.compare(known.sig, sig) === 0) return known.head;
    try {
      const head = readHead(packed);
      if (!isRight(head.key, headStatement(packed), sig)) return undefined;
      this.#heads.set(name, { head: Object.freeze(head), sig });
      return head;
    } catch {
      return undefined;
    }
  }
}

/**
 * Signatures that cost little and prove nothing to anyone who knows the key; simulated peers sign with their own only.
 * @param key the public key, which stands for the private one
 * @param checked what others have checked already, where that is shared
 */
export function fakeSigner(key: Uint8Array, checked?: Checked): Signer {
  const signer: Signer = { sign: (statement) => mac(key, statement), verify: isRight };
  if (checked) signer.shared = checked;
  return signer;
}
