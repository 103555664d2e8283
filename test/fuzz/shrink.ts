/** Making an input that fails as small as it goes, whatever it is: bytes, text, numbers, lists and records of these. */

/** Smaller inputs of the same kind, the boldest first. */
export function* smaller(value: unknown): Generator<unknown> {
  if (value instanceof Uint8Array) {
    for (const [from, to] of cuts(value.length)) yield Buffer.concat([value.subarray(0, from), value.subarray(to)]);
    for (let i = 0; i < Math.min(value.length, 64); i++) {
      if (value[i] === 0) continue;
      const less = Buffer.from(value);
      less[i] = 0;
      yield less;
    }
  } else if (typeof value === 'string') {
    for (const [from, to] of cuts(value.length)) yield value.slice(0, from) + value.slice(to);
  } else if (typeof value === 'number') {
    if (value !== 0 && Number.isFinite(value)) yield* [0, Math.trunc(value / 2)].filter((n) => n !== value);
  } else if (Array.isArray(value)) {
    for (const [from, to] of cuts(value.length)) yield [...value.slice(0, from), ...value.slice(to)];
    for (let i = 0; i < value.length; i++) {
      for (const less of smaller(value[i])) yield [...value.slice(0, i), less, ...value.slice(i + 1)];
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      for (const less of smaller(item)) yield { ...value, [key]: less };
    }
  }
}

/** Parts to leave out: all, halves, quarters, down to single ones. */
function* cuts(length: number): Generator<[number, number]> {
  for (let size = length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at + size <= length; at += size) yield [at, at + size];
  }
}

/**
 * The smallest input found that still fails.
 * @param fails runs one
 * @param most milliseconds to spend
 */
export async function shrink<I>(input: I, fails: (input: I) => Promise<boolean>, most: number): Promise<I> {
  const end = performance.now() + most;
  let best = input;
  for (let found = true; found && performance.now() < end; ) {
    found = false;
    for (const less of smaller(best)) {
      if (performance.now() > end) break;
      if (!(await fails(less as I))) continue;
      best = less as I;
      found = true;
      break;
    }
  }
  return best;
}
