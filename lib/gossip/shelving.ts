/**
 * Shelving: what is worked out over shelves, as a port, so that many simulated peers may share what each would work out alike.
 * Always true of any: the results are those of the functions of lib/shelf; a shelf that was given out may be another object
 * than the one that was handed in. Called by hearing, pulls and gossip.
 */
import { answerPull } from '../shelf/answers.js';
import type { Proof, Shelf } from '../shelf/shelf.js';
import type { Stage } from '../shelf/stage.js';
import { type Applied, applyBuckets, applyDelta, applyWhole, type Change, saysTheSame } from '../shelf/staging.js';
import type { Head } from '../wire/head.js';
import type { Effect } from './events.js';

type Telling = Extract<Effect, { kind: 'change' }>;

export interface Shelving {
  readonly applyDelta: typeof applyDelta;
  readonly applyWhole: typeof applyWhole;
  readonly applyBuckets: typeof applyBuckets;
  /** What was put together page by page, in place of a shelf. */
  applyStage(stage: Stage, shelf: Shelf | undefined, head: Head, proof: Proof): Applied | undefined;
  readonly answerPull: typeof answerPull;
  /** What is told of changes that are all worked out already. */
  tellings(changes: readonly Change[]): Telling[];
}

const applyStage: Shelving['applyStage'] = (stage, shelf, head, proof) => stage.apply(shelf, head, proof);

/** What is told of a change; undefined where it says the same as before. */
export function tellingOf({ before, after }: Change): Telling | undefined {
  if (!after) return before && { kind: 'change', change: 'removed', offer: before, before };
  if (!before) return { kind: 'change', change: 'added', offer: after };
  return saysTheSame(before, after) ? undefined : { kind: 'change', change: 'changed', offer: after, before };
}

function tellings(changes: readonly Change[]): Telling[] {
  return changes.map(tellingOf).filter((telling) => telling !== undefined);
}

/** The functions themselves. */
export const SHELVING: Shelving = { applyDelta, applyWhole, applyBuckets, applyStage, answerPull, tellings };
