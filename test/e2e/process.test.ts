/** The command as a process: killed, interrupted, and what it exits with. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CHILD_MS, errors, hearsay, told } from './child.js';
import { assertContent, assertOnlyPartial, content, corrupt, is, Lan, MIB, names, until } from './lan.js';
import { Wire } from './wire-between.js';

const SIZE = 16 * MIB;
const BIG = content(SIZE, 91);

/** A child in the middle of a get. */
async function middle(t: ExecutionContext, json: boolean) {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { files: { 'share/big.bin': BIG }, multicast: false });
  await from.hashed('share/big.bin');
  const wire = await Wire.to(t, from.peer.port);
  const inbox = await lan.fresh('in');
  wire.stopAfter(6 * MIB);
  const args = ['get', 'share/big.bin', '-o', `${inbox}/`, '--no-multicast', '--join', wire.address];
  const begin = () => hearsay(lan, ...args, json ? '--json' : '--verbose');
  const child = await begin();
  const chunks = () => [...child.stdout, ...child.stderr].filter((line) => line.includes('chunk')).length;
  await until(() => wire.still && chunks() > 8, 'some chunks are verified');
  return { lan, child, wire, inbox, begin };
}

test('kill -9 in the middle, then again: what was verified is not fetched anew', async (t) => {
  const { child, wire, inbox, begin } = await middle(t, true);
  child.kill('SIGKILL');
  t.is((await child.waitForExit(CHILD_MS)).code, 137);
  await assertOnlyPartial(t, inbox);
  const verified = told(child, 'chunk').reduce((sum, { bytes }) => sum + Number(bytes), 0);
  t.true(verified > 0);
  wire.go();
  const again = await begin();
  t.is((await again.waitForExit(CHILD_MS)).code, 0, again.tail());
  const [done] = told(again, 'done');
  t.true(Number(done.received) <= (SIZE - verified) * 1.01, `${done.received} for ${SIZE - verified}`);
  t.is(told(again, 'end').length, 1);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
  t.deepEqual(await names(inbox), ['big.bin']);
});

test('Ctrl-C in the middle: 130, what is kept is said, and only a hidden partial is left', async (t) => {
  const { child, inbox } = await middle(t, false);
  child.kill('SIGINT');
  t.is((await child.waitForExit(CHILD_MS)).code, 130, child.tail());
  await child.exited;
  t.true(
    child.stderr.some((line) => line.includes('interrupted') && line.includes('kept')),
    child.tail(),
  );
  await assertOnlyPartial(t, inbox);
  t.false(
    (await names(inbox)).some((name) => name.endsWith('.lock')),
    'nothing is in use',
  );
});

test('share: ready, serving, goodbye, exit 0', async (t) => {
  const lan = await Lan.make(t);
  const root = await lan.fresh('shared');
  await writeFile(join(root, 'x.txt'), 'x');
  const child = await hearsay(lan, 'share', join(root, 'x.txt'), '--json');
  const ready = JSON.parse(await child.waitFor(/"event":"ready"/, CHILD_MS)) as { id: string; port: number };
  const to = await lan.peer('receiver');
  await to.hashed('x.txt');
  child.kill('SIGINT');
  const at = performance.now();
  await until(
    () => to.told('peer').some(({ change, id }) => change === 'left' && id === ready.id),
    'its goodbye is heard',
  );
  t.true(performance.now() - at < 5000);
  t.is((await child.waitForExit(CHILD_MS)).code, 0, child.tail());
});

test('exit codes: 3 not found, 4 ambiguous, 5 no peer, 7 wrong content, 1 exists', async (t) => {
  const lan = await Lan.make(t);
  const liar = await lan.peer('liar', {
    files: { 'big.bin': BIG.subarray(0, 2 * MIB), 'x.txt': 'one' },
    filter: (message, direction) => (direction === 'out' && is(message, 'T') ? corrupt(message) : message),
  });
  const other = await lan.peer('other', { files: { 'x.txt': 'two' } });
  await other.hashed('big.bin', liar);
  for (const peer of [liar, other]) await other.hashed('x.txt', peer);
  const inbox = await lan.fresh('in');
  await writeFile(join(inbox, 'x.txt'), 'three');
  const cases: [string, string[], number][] = [
    ['not-found', ['nothing'], 3],
    ['ambiguous', ['x.txt'], 4],
    ['no-peer', ['x.txt', '--from', 'nobody'], 5],
    ['wrong-content', ['big.bin'], 7],
    ['exists', ['x.txt', '--from', 'other'], 1],
  ];
  await Promise.all(
    cases.map(async ([code, args, status]) => {
      const child = await hearsay(lan, 'get', ...args, '-o', `${inbox}/`, '--json');
      t.is((await child.waitForExit(CHILD_MS)).code, status, child.tail());
      await child.exited;
      t.is(errors(child)[0], code, child.tail());
    }),
  );
  t.deepEqual(
    (await names(inbox)).filter((name) => !name.startsWith('.hearsay-')),
    ['x.txt'],
  );
});
