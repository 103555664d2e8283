/** Time and chance as values that are handed in, so that logic runs the same on a virtual clock and from a seed. */

/** Milliseconds since 1970 (virtual in tests). Never used to decide what is valid. */
export type Millis = number;

/** A number in [0, 1). */
export type Random = () => number;

/**
 * A seeded generator (mulberry32, Tommy Ettinger's public-domain design): same seed, same run.
 * @param seed any 32-bit integer
 */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
