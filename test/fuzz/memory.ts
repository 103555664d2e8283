import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A look at memory after everything that can go has gone: milliseconds and bytes. */
export interface Sample {
  at: number;
  /** Of this thread: objects, buffers. */
  heap: number;
  /** Of the whole process. */
  rss: number;
}

export function sample(at: number): Sample {
  collect();
  collect();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { at, heap: heapUsed + arrayBuffers, rss };
}

/**
 * What may be added over the second half of a run without counting as growth. Of targets: compiled code. Of a live peer: its
 * tables of strangers, which are full (some 50 MiB in all) after a few minutes of being lied to.
 */
export const MAY_ADD = { targets: 12 << 20, live: 40 << 20 };
const RSS_ADDED = 64 << 20;
/** With fewer looks a line through them says little. */
const LEAST = 10;

/** Bytes that a straight line through the second half of the samples rises by (least squares). */
export function rise(samples: readonly Sample[], of: 'heap' | 'rss'): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const n = half.length;
  if (n < 2) return 0;
  const x = half.reduce((sum, s) => sum + s.at, 0) / n;
  const y = half.reduce((sum, s) => sum + s[of], 0) / n;
  let above = 0;
  let below = 0;
  for (const s of half) {
    above += (s.at - x) * (s[of] - y);
    below += (s.at - x) ** 2;
  }
  return below === 0 ? 0 : (above / below) * (half[n - 1].at - half[0].at);
}

/**
 * Why the samples show that memory grows, or undefined.
 * @param mayAdd bytes of heap
 */
export function growth(samples: readonly Sample[], mayAdd: number): string | undefined {
  if (samples.length < LEAST) return undefined;
  const heap = rise(samples, 'heap');
  const rss = rise(samples, 'rss');
  if (heap > mayAdd) return `${inMiB(heap)} of heap added over the second half`;
  return rss > mayAdd + RSS_ADDED && heap > mayAdd / 4
    ? `${inMiB(rss)} of memory added over the second half`
    : undefined;
}

export function inMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
