/** What an outsider sees of a group, with a secret and without. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Capture } from './capture.js';
import { got, ls, peers, type Sharing, shareHashed } from './commands.js';
import type { Lab } from './lab.js';
import { captureTest } from './lab-test.js';

const MIB = 2 ** 20;

/** Text of which every frame of a content holds a copy. */
const MARK = 'what-is-in-the-file ';

interface Exchange {
  path: string;
  sharing: Sharing;
  other: Sharing;
  size: number;
}

/** Two peers share, one lists and fetches, as a one-shot and through its running peer; then one says goodbye. */
async function exchange(t: ExecutionContext, lab: Lab, options: string[]): Promise<Exchange> {
  const [one, two, three] = lab.hosts;
  const folder = join(one.folder, 'treasure-share');
  await mkdir(join(folder, 'hidden-folder'), { recursive: true });
  const body = Buffer.from(MARK.repeat(Math.ceil((3 * MIB) / MARK.length)));
  await writeFile(join(folder, 'hidden-folder', 'plan-nine.txt'), body);
  await writeFile(join(folder, 'note-nine.txt'), MARK);
  await mkdir(join(two.folder, 'own-share'));
  await writeFile(join(two.folder, 'own-share', 'other-nine.txt'), MARK.repeat(100));
  const sharing = await shareHashed(one, [folder, '--name', 'zaphod-peer', ...options]);
  const other = await shareHashed(two, [join(two.folder, 'own-share'), '--name', 'trillian-peer', ...options]);
  const path = 'treasure-share/hidden-folder/plan-nine.txt';
  const paths = (await ls(three, options)).map((row) => row.path);
  t.deepEqual(paths.sort(), ['own-share/other-nine.txt', 'treasure-share/note-nine.txt', path].sort());
  t.is((await peers(three, options)).length, 2);
  await got(three, ['treasure-share/', 'own-share/', '-o', `${three.folder}/`, ...options]);
  t.deepEqual(await readFile(join(three.folder, path)), body);
  await got(two, [path, '-o', `${two.folder}/`]);
  // A change is told of in datagrams.
  await writeFile(join(folder, 'late-nine.txt'), MARK.repeat(10));
  while (!(await ls(two)).some((row) => row.path === 'treasure-share/late-nine.txt'));
  sharing.process.kill('SIGINT');
  t.is((await sharing.process.waitForExit(10_000)).code, 0);
  return { path, sharing, other, size: body.length };
}

/** Everything about a group that a stranger could want to read. */
function told({ sharing, other }: Exchange): string[] {
  const { id, name } = sharing.ready;
  const words = ['treasure-share', 'hidden-folder', 'plan-nine', 'note-nine', 'late-nine', 'own-share', 'other-nine'];
  return [...words, id, name, other.ready.id, other.ready.name];
}

captureTest('with a secret, a capture of everything holds no name, no peer and no content', 4, async (t, lab) => {
  const secret = join(lab.folder, 'secret');
  await writeFile(secret, 'correct-horse-battery-staple-9471-quux\n', { mode: 0o600 });
  const capture = await Capture.begin(lab);
  const all = await exchange(t, lab, ['--secret-file', secret]);
  // Somebody without the secret, with another, by multicast and by address: exit 5, and why.
  const outsider = lab.hosts[3];
  const [, two] = lab.hosts;
  const wrong = join(lab.folder, 'wrong');
  await writeFile(wrong, 'another-secret-entirely-0815-xyzzy\n', { mode: 0o600 });
  const outside = [[], ['--secret-file', wrong]].map(async (options) => {
    const tries = [[], ['--join', two.address]].map(async (by) => {
      const { code, stderr } = await outsider.runHearsay(['get', all.path, ...by, ...options]);
      t.is(code, 5, stderr.join('\n'));
      t.regex(stderr.join('\n'), /secret/, stderr.join('\n'));
      t.log(`outsider, ${options.length ? 'another secret' : 'no secret'} ${by.join(' ')}: ${stderr.join(' ')}`);
    });
    t.deepEqual(await ls(outsider, options), []);
    t.deepEqual(await peers(outsider, options), []);
    await Promise.all(tries);
  });
  await Promise.all(outside);
  await capture.end();
  t.true((await capture.tcpBytes()) > 2 * all.size, 'the capture has what was fetched');
  t.true((await capture.count('udp.port == 47748')) > 10, 'and the datagrams');
  const found: string[] = [];
  for (const word of [...told(all), MARK]) if ((await capture.holding(word)) > 0) found.push(word);
  t.deepEqual(found, []);
  // What the outsider says of itself, without a secret, is in the open.
  t.is(await capture.count(`frame contains "hearsay1" and not ip.src == ${outsider.address} and not ipv6`), 0);
});

captureTest('without a secret, a capture holds names, and no content', 3, async (t, lab) => {
  const capture = await Capture.begin(lab);
  const all = await exchange(t, lab, []);
  await capture.end();
  t.true((await capture.tcpBytes()) > 2 * all.size, 'the capture has what was fetched');
  // This is what the search finds where there is something to find.
  t.true((await capture.holding('late-nine')) > 0, 'changes are told in the open');
  t.true((await capture.holding('zaphod-peer')) > 0, 'and names of peers');
  t.is(await capture.holding(MARK), 0);
});
