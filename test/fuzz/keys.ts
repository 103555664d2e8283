import { createPrivateKey } from 'node:crypto';
import { type Identity, identityOf } from '../../lib/net/keys.js';
import type { Chance } from './chance.js';

/** What stands before the 32 bytes of an Ed25519 key in PKCS#8. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** An identity from chance: the same seed, the same key. */
export function identityFrom(chance: Chance): Identity {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, chance.bytes(32)]), format: 'der', type: 'pkcs8' });
  return identityOf(
    key.export({ type: 'pkcs8', format: 'pem' }) as string,
    1_700_000_000_000 + chance.below(1_000_000),
  );
}
