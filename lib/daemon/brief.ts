/**
 * What a process that lives for a second does not do: V8 spends more on optimizing the code of a short command, in threads that take
 * the cores from the command itself, than that command gets back.
 *
 * Owns V8's flag for it, for the whole process. Always true: whoever lives longer has its code optimized as ever; a version of Node
 * whose flags are not known is left alone. Called for a one-shot.
 */
import { setFlagsFromString } from 'node:v8';

/** By how much less eager it is. */
const LESS = 6;
/** From when on it pays, ms. */
const BRIEF_MS = 10_000;

/** How V8 is told when to optimize, and its own default, by the versions of Node. */
const FLAGS: readonly { from: number; to: number; flag: string; usual: number }[] = [
  { from: 20, to: 20, flag: '--interrupt-budget', usual: 67_584 },
  { from: 22, to: 24, flag: '--invocation-count-for-turbofan', usual: 3000 },
];

/** Begins to be thrifty. @returns the flag as it is set, undefined where there is none */
export function beBrief(node = process.versions.node): string | undefined {
  const major = Number.parseInt(node, 10);
  const known = FLAGS.find(({ from, to }) => major >= from && major <= to);
  if (!known) return undefined;
  const { flag, usual } = known;
  setFlagsFromString(`${flag}=${LESS * usual}`);
  setTimeout(() => setFlagsFromString(`${flag}=${usual}`), BRIEF_MS).unref();
  return `${flag}=${LESS * usual}`;
}
