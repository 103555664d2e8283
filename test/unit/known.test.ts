/** Names tied to keys, and who is let in by them: on a clock of the test's own. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Allowed, SETTLE } from '../../lib/drive/allowed.js';
import { HearsayError } from '../../lib/errors.js';
import { keyPart, peerId } from '../../lib/ids.js';
import { ALLOWED_MAX, BEARERS_MAX, KNOWN_MAX } from '../../lib/limits.js';
import { Known, type Tie } from '../../lib/share/known.js';
import { resolveShares } from '../../lib/share/resolve.js';
import { StateFolder } from '../../lib/share/state.js';

const key = (seed: number) => {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, seed);
  return bytes;
};
const BORN = 1_700_000_000_000;
const idOf = (seed: number, born = BORN) => peerId(key(seed), born);
const named = (seed: number, name: string, born = BORN) => ({ id: idOf(seed, born), name });
const ME = idOf(0);
const SHARES = [
  { name: 'Letters', for: ['bob'] },
  { name: 'Songs', for: ['bob', 'carol'] },
];

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hearsay-known-'));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

test('a name is tied to the first key that bears it alone for a while, and all its one-shots have it too', (t) => {
  const known = new Known();
  const allowed = new Allowed(SHARES, known, ME);
  const bob = named(1, 'bob');
  t.deepEqual(allowed.waiting(), ['bob', 'carol']);
  allowed.seen(bob, 100);
  t.true(allowed.isUndecided(bob.id));
  t.is(allowed.decide(100).next, 100 + SETTLE);
  t.is(allowed.shares(bob.id).size, 0);
  const { tied, warnings, next } = allowed.decide(100 + SETTLE);
  t.deepEqual(tied, [{ name: 'bob', peer: bob, shares: ['Letters', 'Songs'] }]);
  t.deepEqual(warnings, []);
  t.is(next, undefined);
  t.deepEqual([...allowed.shares(bob.id)], ['Letters', 'Songs']);
  t.deepEqual([...allowed.shares(idOf(1, BORN + 5000))], ['Letters', 'Songs']);
  t.is(allowed.shares(idOf(2)).size, 0);
  t.deepEqual(allowed.waiting(), ['carol']);
  t.deepEqual(known.get('bob'), { id: bob.id, since: 100 + SETTLE });
});

test('two that bear an awaited name at a time are both named, and neither is let in, then or later', (t) => {
  const allowed = new Allowed(SHARES, new Known(), ME);
  const [one, two] = [named(1, 'bob'), named(2, 'bob')];
  allowed.seen(one, 0);
  allowed.decide(0);
  allowed.seen(two, SETTLE - 1);
  const { tied, warnings } = allowed.decide(SETTLE);
  t.deepEqual(tied, []);
  t.is(warnings.length, 1);
  t.true(warnings[0].includes(one.id) && warnings[0].includes(two.id), warnings[0]);
  allowed.gone(two.id);
  t.deepEqual(allowed.decide(100 * SETTLE), { tied: [], warnings: [], next: undefined });
  t.is(allowed.shares(one.id).size, 0);
});

test('a one-shot and its peer are one; who left before it was clear is not let in', (t) => {
  const allowed = new Allowed(SHARES, new Known(), ME);
  const peer = named(1, 'bob');
  const shot = named(1, 'bob', BORN + 1000);
  allowed.seen(peer, 0);
  allowed.seen(shot, 0);
  allowed.gone(shot.id);
  t.is(allowed.decide(SETTLE - 1).next, SETTLE);
  allowed.gone(peer.id);
  t.deepEqual(allowed.decide(SETTLE).tied, []);
  allowed.seen(peer, 2 * SETTLE);
  t.is(allowed.decide(3 * SETTLE).tied.length, 1);
});

test('another key under a name that is tied sees nothing, and is told of once', (t) => {
  const known = new Known({ ties: [['bob', { id: idOf(1), since: BORN }]] });
  const allowed = new Allowed(SHARES, known, ME);
  t.deepEqual([...allowed.shares(idOf(1))], ['Letters', 'Songs'], 'although it is not here yet');
  const stranger = named(2, 'bob');
  allowed.seen(stranger, 0);
  const { tied, warnings } = allowed.decide(10 * SETTLE);
  t.deepEqual(tied, []);
  t.is(warnings.length, 1);
  t.true(warnings[0].includes(stranger.id) && warnings[0].includes(idOf(1)), warnings[0]);
  allowed.seen(stranger, 0);
  allowed.seen(named(1, 'bob'), 0);
  t.deepEqual(allowed.decide(20 * SETTLE).warnings, []);
  t.is(allowed.shares(stranger.id).size, 0);
});

test('a whole id lets its key in at once, and nobody can take it for a name', (t) => {
  const id = idOf(1);
  const allowed = new Allowed([{ name: 'Letters', for: [id.toLowerCase()] }], new Known(), ME);
  t.deepEqual(allowed.waiting(), []);
  t.is(allowed.shares(id).size, 1);
  const liar = named(2, id.toLowerCase());
  allowed.seen(liar, 0);
  t.deepEqual(allowed.decide(SETTLE).tied, []);
  t.is(allowed.shares(liar.id).size, 0);
  t.deepEqual([...allowed.shares(ME)], ['Letters'], 'my own key always');
});

test('the beginning of an id is tied like a name, since anyone can choose the first ten characters', (t) => {
  const bob = named(1, 'bob');
  const prefix = bob.id.slice(0, 10);
  const shares = [{ name: 'Letters', for: [prefix] }];
  const alone = new Allowed(shares, new Known(), ME);
  alone.seen(bob, 0);
  t.is(alone.decide(SETTLE).tied.length, 1);
  t.is(alone.shares(bob.id).size, 1);
  // Born in the same millisecond, so that the beginnings are the same; and one that has it for a name.
  for (const rival of [named(2, 'eve'), named(3, prefix)]) {
    const allowed = new Allowed(shares, new Known(), ME);
    allowed.seen(bob, 0);
    allowed.seen(rival, 0);
    t.is(allowed.decide(SETTLE).warnings.length, 1);
    t.is(allowed.shares(bob.id).size + allowed.shares(rival.id).size, 0);
  }
  const known = new Known({ ties: [['bob', { id: bob.id, since: 0 }]] });
  t.is(
    new Allowed([{ name: 'Letters', for: [bob.id.slice(0, 14)] }], known, ME).shares(bob.id).size,
    1,
    'one that is known',
  );
  const short = new Allowed([{ name: 'Letters', for: [bob.id.slice(0, 5)] }], new Known(), ME);
  short.seen(bob, 0);
  t.deepEqual(short.decide(SETTLE).tied, [], 'too little to mean anyone');
});

test('names are the same however their letters are put together', (t) => {
  const allowed = new Allowed([{ name: 'Letters', for: ['Zoe\u0308'] }], new Known(), ME);
  const zoe = named(1, 'Zo\u00eb');
  allowed.seen(zoe, 0);
  t.is(allowed.decide(SETTLE).tied.length, 1);
  t.is(allowed.shares(zoe.id).size, 1);
});

test('a crowd under one name is ambiguous, and no more of it is kept than a few', (t) => {
  const allowed = new Allowed(SHARES, new Known(), ME);
  for (let i = 1; i < 10_000; i++) allowed.seen(named(i, 'bob'), i);
  const { tied, warnings } = allowed.decide(10 * SETTLE);
  t.deepEqual(tied, []);
  t.is(warnings[0].match(/\(bob\)/g)?.length, BEARERS_MAX);
});

test('no more names are tied than there is room for, and none is given up for it', (t) => {
  const known = new Known();
  for (let i = 0; i < KNOWN_MAX; i++) t.true(known.tie(`n${i}`, idOf(i), 0));
  t.false(known.tie('one more', idOf(1), 0));
  t.is(known.get('n0')?.id, idOf(0));
  t.true(known.tie('n0', idOf(0), 5));
  t.false(known.tie('n0', idOf(1), 5));
  const allowed = new Allowed(SHARES, known, ME);
  allowed.seen(named(1, 'bob'), 0);
  t.is(allowed.decide(SETTLE).warnings.length, 1);
  t.is(allowed.shares(idOf(1)).size, 0);
});

test('known.json is for its owner only, comes back, and is set aside where it is damaged', async (t) => {
  const path = await folder(t);
  const state = await StateFolder.open(path);
  t.deepEqual(await state.known(), []);
  const known = new Known({ save: (ties: ReadonlyMap<string, Tie>) => state.saveKnown(ties) });
  known.tie('bob', idOf(1), 1234.5);
  known.tie('Zo\u00eb', idOf(2), 7);
  known.tie('__proto__', idOf(3), 8);
  await known.stored();
  const file = join(path, 'known.json');
  t.deepEqual(JSON.parse(await readFile(file, 'utf8')), {
    names: [
      ['bob', { id: idOf(1), since: 1234 }],
      ['Zo\u00eb', { id: idOf(2), since: 7 }],
      ['__proto__', { id: idOf(3), since: 8 }],
    ],
  });
  if (process.platform !== 'win32') t.is((await stat(file)).mode & 0o777, 0o600);
  t.is(new Known({ ties: await state.known() }).get('Zoe\u0308')?.id, idOf(2));
  t.is(new Known({ ties: await state.known() }).get('__proto__')?.id, idOf(3));
  for (const damaged of ['{"names":', '{"names":[["bob",{"id":"nobody","since":1}]]}', '[]']) {
    await writeFile(file, damaged);
    t.deepEqual(await state.known(), []);
  }
  t.is(state.warnings.length, 3);
  t.is((await readdir(path)).filter((name) => name.startsWith('known.json.damaged-')).length > 0, true);
});

test('what cannot be remembered is said, and holds for this run', async (t) => {
  const warnings: string[] = [];
  const save = async () => {
    throw new HearsayError('disk-full', 'no room');
  };
  const known = new Known({ save, onWarning: (message) => warnings.push(message) });
  t.true(known.tie('bob', idOf(1), 0));
  await known.stored();
  t.is(warnings.length, 1);
  t.is(keyPart(known.get('bob')?.id ?? ''), keyPart(idOf(1)));
});

test('a share is for somebody, and for no more than can be looked at', async (t) => {
  const path = await folder(t);
  const codeOf = (whose: string[]) =>
    resolveShares([{ path, for: whose }], '/').then(
      ([{ for: names }]) => names,
      ({ code }) => code,
    );
  t.is(await codeOf([]), 'usage');
  t.is(await codeOf(['']), 'usage');
  t.is(await codeOf(Array.from({ length: ALLOWED_MAX + 1 }, (_, i) => `${i}`)), 'usage');
  t.deepEqual(await codeOf(['Zoe\u0308', 'Zo\u00eb', 'bob']), ['Zo\u00eb', 'bob']);
});
