/** A machine that is busy is not gone, and thinks of nobody that he is. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { PeerOptions } from '../../lib/peer.js';
import { LabProcess } from '../lab/process.js';
import { CHILD_MS, told } from './child.js';
import { Lan, until, write } from './lan.js';

const CHILD = fileURLToPath(new URL('./busy-child.js', import.meta.url));

test('a peer that does nothing else for four seconds is here all the while, and so are the others for it', async (t) => {
  const lan = await Lan.make(t);
  const a = await lan.peer('a', { files: { 'a/one.txt': 'one' } });
  const b = await lan.peer('b');
  const root = await lan.fresh('busy');
  const options: PeerOptions = { ...lan.options, name: 'busy', share: [], state: join(root, 'state') };
  const child = new LabProcess(
    process.execPath,
    [CHILD, JSON.stringify(options)],
    { env: process.env as never },
    'busy',
  );
  t.teardown(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  await child.waitFor(/"started"/, CHILD_MS);
  const left = (): object[] => [
    ...told(child, 'peer').filter(({ change }) => change === 'left'),
    ...[a, b].flatMap((peer) => peer.told('peer').filter(({ change }) => change === 'left')),
  ];
  await until(() => told(child, 'peer').filter(({ change }) => change === 'came').length === 2, 'it knows the others');
  await until(() => a.told('peer').length === 2, 'it is known');
  child.type('4000');
  // What is said meanwhile it hears after that.
  await write(a.root, { 'a/two.txt': 'two' });
  await child.waitFor(/"busy"/, CHILD_MS);
  const c = await lan.peer('c');
  await until(() => told(child, 'peer').some(({ id }) => id === c.id), 'it meets a newcomer');
  t.deepEqual(left(), []);
  child.endInput();
  await until(() => a.told('peer').some(({ change, name }) => change === 'left' && name === 'busy'), 'its goodbye');
});
