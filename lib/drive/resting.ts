import { setImmediate as turn } from 'node:timers/promises';

/** How long is worked in one go, ms. */
const SLICE = 8;

/** Takes what is made step by step, with turns for others; an undefined is a step that made nothing. */
export async function* resting<T extends object>(steps: Iterable<T | undefined>): AsyncGenerator<T, void, undefined> {
  let since = performance.now();
  for (const made of steps) {
    if (made) yield made;
    if (performance.now() - since < SLICE) continue;
    await turn();
    since = performance.now();
  }
}

/** Takes the steps of something that is worked out, with turns for others. @returns what comes of it */
export async function rested<T>(steps: Generator<undefined, T, undefined>): Promise<T> {
  let since = performance.now();
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return step.value;
    if (performance.now() - since < SLICE) continue;
    await turn();
    since = performance.now();
  }
}
