import type { Signer } from '../../lib/gossip/gossip.js';
import { blake3 } from '../../lib/hash.js';

function mac(key: Uint8Array, statement: Uint8Array): Uint8Array {
  const half = blake3(Buffer.concat([key, statement]));
  return Uint8Array.from([...half, ...half]);
}

/**
 * Signatures that cost little and prove nothing to anyone who knows the key; simulated peers sign with their own only.
 * @param key the public key, which stands for the private one
 */
export function fakeSigner(key: Uint8Array): Signer {
  return {
    sign: (statement) => mac(key, statement),
    verify: (of, statement, sig) => Buffer.compare(mac(of, statement), sig) === 0,
  };
}
