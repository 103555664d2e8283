/**
 * Sixteen bytes that somebody repeats, to show that he speaks after they were said: a nonce of ours, or the beginning of a signature.
 * Pure functions. Called by nonces and pulses.
 */

/** How many there are. */
export const REPEATED = 16;

/**
 * What they are looked up by, in a number that takes no memory of its own; that two have it in common is all but impossible by chance,
 * so that the later one may have the place.
 * @param at where in the bytes they begin
 */
export function keyAt(bytes: Uint8Array, at = 0): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >> 1;
}

/** Whether some bytes, from a place on, are those with which others begin. */
export function isRepeated(bytes: Uint8Array, of: Uint8Array, at = 0): boolean {
  for (let i = 0; i < REPEATED; i++) if (of[i] !== bytes[at + i]) return false;
  return true;
}
