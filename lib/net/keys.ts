import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import type { Millis } from '../clock.js';
import { HearsayError } from '../errors.js';
import { type PeerId, peerId } from '../ids.js';
import { Latest } from '../latest.js';
import { READY_MAX } from '../limits.js';

/** Who a peer is: its id, its raw public key, and the power to sign. */
export interface Identity {
  readonly id: PeerId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly key: Uint8Array;
  sign(statement: Uint8Array): Uint8Array;
}

/** A new private key, as PKCS#8 PEM. */
export function newPrivateKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return new Uint8Array(Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x as string, 'base64url'));
}

/**
 * The identity that a private key gives.
 * @param pem PKCS#8
 * @param born the time in the id, ms: a one-shot takes the present, so that two of one key are two peers
 * @throws HearsayError `state-damaged` where it is not an Ed25519 key
 */
export function identityOf(pem: string, born: Millis): Identity {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new HearsayError('state-damaged', 'the private key cannot be read', { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new HearsayError('state-damaged', 'the private key is not Ed25519');
  const raw = rawPublicKey(key);
  return { id: peerId(raw, born), key: raw, sign: (statement) => sign(null, statement, key) };
}

/** Public keys made ready for verifying. */
const ready = new Latest<string, KeyObject>(READY_MAX);

/** Whether `sig` is the signature of a statement by the holder of a raw Ed25519 public key. Never throws. */
export function verifySignature(key: Uint8Array, statement: Uint8Array, sig: Uint8Array): boolean {
  const x = Buffer.from(key).toString('base64url');
  try {
    let object = ready.get(x);
    if (!object) {
      object = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
      ready.set(x, object);
    }
    return verify(null, statement, object, sig);
  } catch {
    return false;
  }
}
