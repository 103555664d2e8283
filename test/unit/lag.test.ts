import test from 'ava';
import { type Clocks, Lag } from '../../lib/drive/lag.js';

/** A lag with clocks of its own, looked at by hand. */
function lag(): { one: Lag; told: number[]; pass(ms: number, wall?: number): void } {
  let [now, wall] = [5000, 1_700_000_000_000];
  const clocks: Clocks = { now: () => now, wall: () => wall };
  const told: number[] = [];
  const one = new Lag((ms) => told.push(ms), clocks);
  one.start();
  const pass = (ms: number, more = ms) => {
    now += ms;
    wall += more;
    one.look();
  };
  return { one, told, pass };
}

test('what is late is told once, and not what is a little late', (t) => {
  const { one, told, pass } = lag();
  for (let i = 0; i < 10; i++) pass(500);
  pass(700);
  t.deepEqual(told, []);
  // Three seconds, of which half a second was to pass until the next tick.
  pass(3500);
  t.deepEqual(told, [3000]);
  // Timers that were due meanwhile are handled one after another.
  pass(10);
  pass(10);
  t.deepEqual(told, [3000]);
  // Handling them took long too.
  pass(1000);
  t.is(told.length, 2);
  t.true(told[1] >= 500 && told[1] <= 1000, `${told[1]}`);
  one.stop();
  pass(9000);
  t.is(told.length, 2);
});

test('sleep, in which the clock of timers stands still, is known by the time of day; a clock that is set back is none', (t) => {
  const { one, told, pass } = lag();
  pass(500, 7_200_500);
  t.deepEqual(told, [7_200_000]);
  pass(500);
  pass(500, -3_600_000);
  pass(500, 3500);
  t.is(told.length, 1);
  one.stop();
});
