import { isValid, ulid } from 'ulid';
import type { Millis, Random } from './clock.js';
import { blake3 } from './hash.js';

/** A ULID: 48 bits of time, 80 bits of the truncated hash of the peer's public key; 26 characters of base 32. */
export type PeerId = string;

/** How the key's hash is told from any other hash of the same bytes. */
const DOMAIN = 'hearsay peer key 1\0';

/** The first 80 bits of the key's hash, five to a character, as ulid's own random source. */
function keyBits(key: Uint8Array): Random {
  const hash = blake3(Buffer.concat([Buffer.from(DOMAIN), key]));
  // ulid draws the last of the 16 characters first.
  let character = 16;
  return () => {
    character--;
    let five = 0;
    for (let bit = character * 5; bit < character * 5 + 5; bit++)
      five = (five << 1) | ((hash[bit >> 3] >> (7 - (bit & 7))) & 1);
    // ulid takes floor(random * 32); the half keeps it clear of rounding.
    return (five + 0.5) / 32;
  };
}

/**
 * The id of the peer that holds this key.
 * @param key the raw Ed25519 public key, 32 bytes
 * @param born when the id is made, milliseconds
 */
export function peerId(key: Uint8Array, born: Millis): PeerId {
  return ulid(born, keyBits(key));
}

/** Whether an id belongs to a key: an id that comes with another key is invalid, not a rival. */
export function idFitsKey(id: PeerId, key: Uint8Array): boolean {
  return isPeerId(id) && key.length === 32 && peerId(key, 1).slice(10) === id.slice(10);
}

/**
 * The part of an id that its key decides: the same for a peer and all its one-shots, and nobody else's. What comes before
 * it, anyone can choose.
 */
export function keyPart(id: PeerId): string {
  return id.slice(10);
}

/** Whether a string is a peer id in its one canonical form: upper case. */
export function isPeerId(text: string): boolean {
  return text.length === 26 && text === text.toUpperCase() && isValid(text);
}
