/** What the parts of a run tell the one that prints: plain data, by message from thread or process. */
import type { Sample } from './memory.js';

/** Something found. */
export interface Found {
  target: string;
  /** The number of its case, from which with the seed its input comes. */
  n: number;
  why: string;
  /** The saved input, where it is one that can be run by itself. */
  file?: string;
}

/** All that a part has to say in the end. */
export interface Report {
  inputs: number;
  /** Inputs by target. */
  cases: Record<string, number>;
  /** What was reached, and how often with which end. */
  reach: Record<string, Record<string, number>>;
  samples: Sample[];
  found: Found[];
  /** Facts worth a line. */
  notes: string[];
}

export type Told =
  | { kind: 'inputs'; inputs: number }
  | { kind: 'found'; found: Found }
  | { kind: 'report'; report: Report };

export function plainReach(counts: ReadonlyMap<string, ReadonlyMap<string, number>>): Report['reach'] {
  return Object.fromEntries([...counts].map(([what, ends]) => [what, Object.fromEntries(ends)]));
}
