/**
 * Resting: long work in steps, with turns of the event loop for others between them.
 *
 * Owns nothing but the time that all such work has in one turn. Called by what lists and looks up.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Breath } from '../net/breath.js';

/** All of them together have so much of each turn: who asks again and again, a little each time, holds up nobody either. */
const BREATH = new Breath();

/** Takes what is made step by step, with turns for others; an undefined is a step that made nothing. */
export async function* resting<T extends object>(steps: Iterable<T | undefined>): AsyncGenerator<T, void, undefined> {
  for (const made of steps) {
    if (made) yield made;
    if (BREATH.isSpent) await turn();
  }
}

/** Takes the steps of something that is worked out, with turns for others. @returns what comes of it */
export async function rested<T>(steps: Generator<undefined, T, undefined>): Promise<T> {
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    if (BREATH.isSpent) await turn();
  }
}
