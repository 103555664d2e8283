/** `add`, `remove` and `status` as processes, on a `share` that runs. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { LabProcess } from '../lab/process.js';
import { CHILD_MS, errors, told } from './child.js';
import { Lan, LOOPBACK, NO_CONFIG, until, write } from './lan.js';

const PROGRAM = fileURLToPath(new URL('../../bin/hearsay.js', import.meta.url));

/** Commands on one state folder, in a folder of their own. */
async function setting(lan: Lan) {
  const cwd = await lan.fresh('files');
  await write(cwd, { 'pics/cat.jpg': 'cat', 'pics/notes.txt': 'notes', 'music/a.ogg': 'a' });
  const state = await lan.fresh('state');
  const near = ['--port', '0', '--multicast', lan.group, '--interface', LOOPBACK];
  const run = (...args: string[]) => {
    const own = ['--state', state, '--config', NO_CONFIG, ...(args[0] === 'share' ? near : [])];
    const child = new LabProcess(
      process.execPath,
      [PROGRAM, ...args, ...own],
      { env: { ...process.env } as Record<string, string>, cwd },
      args.join(' '),
    );
    lan.context.teardown(async () => {
      child.kill('SIGKILL');
      await child.exited;
    });
    return child;
  };
  /** Runs a command to its end. */
  const say = async (...args: string[]) => {
    const child = run(...args);
    const { code } = await child.waitForExit(CHILD_MS);
    await child.exited;
    return { code, child, out: child.stdout, err: child.stderr };
  };
  return { cwd, state, run, say };
}

test('add, status and remove speak to the share that runs; relative paths are the caller’s', async (t) => {
  const lan = await Lan.make(t);
  const { cwd, run, say } = await setting(lan);
  const bob = await lan.peer('bob');
  const none = await say('add', 'pics', '--json');
  t.is(none.code, 5, none.child.tail());
  t.deepEqual(errors(none.child), ['not-running']);
  t.is((await say('share')).code, 2, 'nothing to share yet');

  const share = run('share', 'music', '--json');
  await share.waitFor(/"event":"ready"/, CHILD_MS);
  const added = await say('add', 'pics', './nothing', '--exclude', '*.txt');
  t.is(added.code, 3, added.child.tail());
  t.deepEqual(added.out, [`shares pics (${join(cwd, 'pics')}); some of its files`]);
  t.true(added.err.some((line) => line.includes(`${join(cwd, 'nothing')}: there is no such file or folder`)));
  await bob.knows('pics/cat.jpg');
  t.deepEqual(bob.offers('pics/notes.txt'), []);
  t.like(told(share, 'share')[0], { change: 'added', name: 'pics' });
  const { out } = await say('status', '--json');
  t.deepEqual(
    JSON.parse(out[0]).shares.map((one: { name: string; from: string }) => [one.name, one.from]),
    [
      ['music', 'started'],
      ['pics', 'added'],
    ],
  );
  const removed = await say('remove', 'music', 'pics');
  t.is(removed.code, 0, removed.child.tail());
  t.deepEqual(removed.out, [
    `no longer shares music (${join(cwd, 'music')}) until the next start, as it was named when this peer was started`,
    `no longer shares pics (${join(cwd, 'pics')})`,
  ]);
  await until(() => bob.offers('pics/cat.jpg').length + bob.offers('music/a.ogg').length === 0, 'bob sees them go');
  await say('add', 'pics', '--as', 'kept');
  share.kill('SIGINT');
  t.is((await share.waitForExit(CHILD_MS)).code, 0);

  // What was added is enough to share.
  const again = run('share', '--json');
  const ready = JSON.parse(await again.waitFor(/"event":"ready"/, CHILD_MS));
  t.deepEqual(
    ready.shares.map(({ name }: { name: string }) => name),
    ['kept'],
  );
  await bob.knows('kept/notes.txt');
});

test('a share that only serves: get through it exits 6, and status --watch goes on until Ctrl-C', async (t) => {
  const lan = await Lan.make(t);
  const { cwd, run, say } = await setting(lan);
  await writeFile(join(cwd, 'x.txt'), 'x');
  await lan.peer('bob', { files: { 'y.txt': 'y' } });
  const share = run('share', 'x.txt', '--seed-only', '--json');
  await share.waitFor(/"event":"ready"/, CHILD_MS);
  const refused = await say('get', 'y.txt', '-o', 'in/', '--json');
  t.is(refused.code, 6, refused.child.tail());
  t.deepEqual(errors(refused.child), ['refused']);
  t.false((await readdir(cwd)).includes('in'));
  const watch = run('status', '--watch', '--json');
  await until(() => watch.stdout.length >= 3, 'it tells three times');
  for (const line of watch.stdout) t.like(JSON.parse(line), { running: true, seedOnly: true });
  watch.kill('SIGINT');
  t.is((await watch.waitForExit(CHILD_MS)).code, 130, watch.tail());
});
