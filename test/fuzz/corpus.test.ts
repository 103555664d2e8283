/** Past findings and tricky inputs, each through its target; and a short burst of every target, from one seed. */
import test from 'ava';
import { corpus } from './corpus.js';
import { describe, inputOf, runOne, settle, watchRejections } from './run.js';
import { Reach } from './target.js';
import { TARGETS, targetNamed } from './targets/all.js';
import { forgetStored } from './targets/stored.js';

const SEED = 1;
/** Milliseconds that a target's burst takes at most, and its cases: so many on a machine that is not busy. */
const BURST_MS = 150;
const BURST_CASES = 200;

watchRejections();
test.after.always(() => forgetStored());

test.serial('every input of the corpus passes', async (t) => {
  const entries = await corpus();
  t.true(entries.length > 10);
  for (const [name, { target: wanted, note, input }] of entries) {
    const target = targetNamed(wanted);
    if (!target) {
      t.fail(`${name} is for ${wanted}, which there is not`);
      continue;
    }
    try {
      await runOne(target, input, new Reach());
      await settle();
    } catch (thrown) {
      t.fail(`${name} (${note}): ${describe(thrown)}`);
    }
  }
});

for (const target of TARGETS) {
  test.serial(`a burst at ${target.name}`, async (t) => {
    const end = performance.now() + BURST_MS;
    let n = 0;
    // At least a few, however slow the machine: the same ones every time.
    for (; n < BURST_CASES && (n < 5 || performance.now() < end); n++) {
      try {
        await runOne(target, inputOf(target, SEED, n), new Reach());
        if (n % 50 === 0) await settle();
      } catch (thrown) {
        t.fail(
          `case ${n} of seed ${SEED}: ${describe(thrown)}; npm run fuzz -- --seed ${SEED} --only "${target.name}"`,
        );
        return;
      }
    }
    await settle();
    t.true(n >= 5);
  });
}

test('the same seed makes the same inputs, another seed others', (t) => {
  for (const target of TARGETS) {
    const of = (seed: number) => Array.from({ length: 5 }, (_, n) => inputOf(target, seed, n));
    t.deepEqual(of(7), of(7), target.name);
    t.notDeepEqual(of(7), of(8), target.name);
  }
});
