import { setImmediate as turn } from 'node:timers/promises';
import { Chance } from './chance.js';
import { saveEntry } from './corpus.js';
import type { Found } from './report.js';
import { shrink } from './shrink.js';
import { Finding, Reach, type Target } from './target.js';

/** One input may take so long, ms; where it took longer it is run again, as the machine may have been busy. */
export const SLOW_MS = 1000;
const SHRINK_MS = 10_000;

/** The input of a case: of the seed, the target and the number alone. */
export function inputOf(target: Target, seed: number, n: number): unknown {
  return target.make(new Chance(seed, target.name, n), seed, n);
}

/** Promises that were rejected and that nobody looked at. */
const unhandled: unknown[] = [];

/** From now on a rejection that nobody handles is a finding of the case that runs, not the end of the process. */
export function watchRejections(): void {
  process.on('unhandledRejection', (reason) => unhandled.push(reason));
}

/** @throws whatever is wrong with an input */
export async function runOne(target: Target, input: unknown, reach: Reach): Promise<void> {
  const begun = performance.now();
  const running = target.run(input, reach);
  // A target without waiting is not made to wait: there are many of them a second.
  if (running) await running;
  const took = performance.now() - begun;
  if (took > SLOW_MS) {
    const again = performance.now();
    await target.run(input, reach);
    const second = performance.now() - again;
    if (second > SLOW_MS) throw new Finding(`took ${Math.round(Math.min(took, second))} ms`);
  }
  if (unhandled.length > 0) throw rejection();
}

function rejection(): Finding {
  const [cause] = unhandled.splice(0);
  return new Finding(`a rejection that nobody handled: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}

/** Lets rejections come up of what ran without waiting. @throws Finding */
export async function settle(): Promise<void> {
  await turn();
  if (unhandled.length > 0) throw rejection();
}

/** What was thrown, in a line or two: the message and where. */
export function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const inner = thrown.cause instanceof Error ? thrown.cause : thrown;
  const [place] = (inner.stack ?? '').split('\n').filter((line) => line.includes('/lib/'));
  return `${thrown.message}${place ? ` ${place.trim().replace(/file:\/\/\S*\/(?=lib\/)/, '')}` : ''}`;
}

/** Makes a failing input small and saves it. */
export async function record(target: Target, seed: number, n: number, thrown: unknown): Promise<Found> {
  const why = describe(thrown);
  const isSame = async (input: unknown): Promise<boolean> => {
    try {
      await runOne(target, input, new Reach());
      await settle();
      return false;
    } catch (other) {
      // The same kind of fault: numbers in the message may differ.
      return describe(other).replace(/\d+/g, '') === why.replace(/\d+/g, '');
    }
  };
  const small = await shrink(inputOf(target, seed, n), isSame, SHRINK_MS);
  const note = `found by fuzzing: ${why}`;
  const file = await saveEntry(`${target.name}-${seed}-${n}`, { target: target.name, note, input: small });
  return { target: target.name, n, why, file };
}
