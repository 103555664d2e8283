/** Private groups: who has the secret sees and fetches, nobody else sees anything, and each is told what can be told. */
import { createSocket } from 'node:dgram';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isOfOther } from '../../lib/drive/open.js';
import { looksSealed } from '../../lib/net/seal.js';
import { newSecret } from '../../lib/share/secret.js';
import { CHILD_MS, errors, hearsay } from './child.js';
import { assertContent, codeOf, content, get, Lan, type LanPeer, MIB, until } from './lan.js';

const SECRET = newSecret();
const OTHER = newSecret();
const BIG = content(2 * MIB, 61);

/** Everything that passes in the group, as anyone on the network hears it. */
async function listen(t: ExecutionContext, lan: Lan): Promise<Buffer[]> {
  const [host, port] = lan.group.split(':');
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  t.teardown(() => socket.close());
  const heard: Buffer[] = [];
  socket.on('message', (data) => heard.push(data));
  await new Promise<void>((resolve) => socket.bind(Number(port), host, resolve));
  socket.addMembership(host, '127.0.0.1');
  return heard;
}

/** Names of the others that a peer sees. */
async function others(peer: LanPeer): Promise<string[]> {
  const all = await peer.peer.peers();
  return all.flatMap(({ self, name }) => (self ? [] : [name])).sort();
}

async function paths(peer: LanPeer): Promise<string[]> {
  return (await peer.peer.list({})).files.map(({ path }) => path).sort();
}

test('who has the secret sees and fetches; on the wire nothing can be read', async (t) => {
  const lan = await Lan.make(t);
  const heard = await listen(t, lan);
  const secret = SECRET;
  const from = await lan.peer('the-source', { secret, files: { 'letters/big.bin': BIG, 'letters/dear.txt': 'dear' } });
  const to = await lan.peer('the-reader', { secret });
  await to.hashed('letters/big.bin');
  t.deepEqual(await others(to), ['the-source']);
  const inbox = await lan.fresh('in');
  t.deepEqual((await get(to, 'letters/', `${inbox}/`)).codes, []);
  await assertContent(t, join(inbox, 'letters/big.bin'), BIG);
  // The same words with another form of white space and Unicode are the same secret.
  const shot = await lan.peer('shot', { secret: ` ${secret}\n`, passive: true });
  t.deepEqual(await paths(shot), ['letters/big.bin', 'letters/dear.txt']);
  t.true((await from.peer.status()).private);
  t.true(from.told('ready')[0].private);
  t.true(heard.length > 5, `${heard.length}`);
  const readable = ['hearsay', 'the-source', 'the-reader', 'shot', 'letters', 'dear', from.id, to.id];
  for (const data of heard) {
    t.true(looksSealed(data));
    for (const word of readable) t.false(data.includes(word), word);
  }
});

test('three groups side by side do not see each other, and each is told of the others', async (t) => {
  const lan = await Lan.make(t);
  const groups: [string, string | undefined][] = [
    ['one', SECRET],
    ['two', OTHER],
    ['open', undefined],
  ];
  const all = new Map<string, LanPeer[]>();
  for (const [name, secret] of groups) {
    const more = secret === undefined ? {} : { secret };
    const a = await lan.peer(`${name}-a`, { ...more, files: { [`${name}.txt`]: name } });
    all.set(name, [a, await lan.peer(`${name}-b`, more)]);
  }
  for (const [name] of groups) {
    const [, b] = all.get(name) as LanPeer[];
    await b.hashed(`${name}.txt`);
    t.deepEqual((await get(b, `${name}.txt`, `${await lan.fresh('in')}/`)).codes, []);
  }
  for (const [name] of groups) {
    const [a, b] = all.get(name) as LanPeer[];
    const strangers = async () => (await b.peer.status()).strangers;
    const expected = name === 'open' ? { sealed: 1, open: 0 } : { sealed: 1, open: 1 };
    let last = await strangers();
    // A change, so that everyone speaks.
    for (const [other] of groups)
      await writeFile((all.get(other) as LanPeer[])[0].file(`${other}.txt`), `${other} ${name}`);
    await until(() => {
      void strangers().then((now) => {
        last = now;
      });
      return last.sealed === expected.sealed && last.open === expected.open;
    }, `${name} hears of the others`);
    t.deepEqual(await others(b), [`${name}-a`]);
    t.deepEqual(await others(a), [`${name}-b`]);
    t.deepEqual(await paths(b), [`${name}.txt`]);
  }
});

test('an outsider is told that there is a group whose secret it lacks', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { secret: SECRET, files: { 'x.txt': 'x' } });
  const outsiders = [
    [
      await lan.peer('open', {}),
      /nobody offers "x\.txt": no peer answered in the open group, but 1 host speaks with a/,
    ],
    [await lan.peer('wrong', { secret: OTHER }), /no peer answered with this secret, but 1 host speaks with another/],
  ] as const;
  for (const [i, [peer, expected]] of outsiders.entries()) {
    let heard = 0;
    await writeFile(from.file('x.txt'), `changed ${i}`);
    await until(() => {
      void peer.peer.status().then(({ strangers }) => {
        heard = strangers.sealed;
      });
      return heard > 0;
    }, 'it hears that somebody is there');
    const { outcome, message } = await tried(peer, 'x.txt', await lan.fresh('in'));
    t.deepEqual(outcome.codes, ['no-peer']);
    t.regex(message, expected);
    t.deepEqual(await paths(peer), []);
    t.is(await codeOf(peer.peer.list({ from: ['source'] })), 'no-peer');
  }
});

async function tried(peer: LanPeer, what: string, inbox: string) {
  const outcome = await get(peer, what, `${inbox}/`);
  return { outcome, message: outcome.of('error')[0].error.message };
}

test('--join to a peer of another group: exit 5, and the reason is told', async (t) => {
  const lan = await Lan.make(t);
  const from = await lan.peer('source', { secret: SECRET, files: { 'x.txt': 'x' }, multicast: false });
  const open = await lan.peer('open', { files: { 'y.txt': 'y' }, multicast: false });
  const cases = [
    [from, undefined, /in a private group, and wants its secret/],
    [from, OTHER, /another secret/],
    [open, OTHER, /in the open group, without a secret/],
  ] as const;
  for (const [to, secret, expected] of cases) {
    const address = `127.0.0.1:${to.peer.port}`;
    const more = secret === undefined ? {} : { secret };
    const shot = await lan.peer('shot', { ...more, multicast: false, join: [address], passive: true, wait: 1 });
    const { outcome, message } = await tried(shot, 'x.txt', await lan.fresh('in'));
    t.deepEqual(outcome.codes, ['no-peer']);
    t.regex(message, expected);
    t.is(shot.peer.unjoined.get(address)?.code, 'other-group');
  }
  t.deepEqual(await others(from), []);
  const friend = await lan.peer('friend', {
    secret: SECRET,
    multicast: false,
    join: [`127.0.0.1:${from.peer.port}`],
    passive: true,
  });
  t.deepEqual(await paths(friend), ['x.txt']);
});

test('the commands: --secret-file and HEARSAY_SECRET; without them exit 5 and why', async (t) => {
  const lan = await Lan.make(t);
  const folder = await lan.fresh('secret');
  const file = join(folder, 'group');
  await writeFile(file, `${SECRET}\na note\n`, { mode: 0o600 });
  await writeFile(join(folder, 'x.txt'), 'x');
  const share = await hearsay(lan, 'share', join(folder, 'x.txt'), '--secret-file', file);
  t.regex(await share.waitFor(/^ready /, CHILD_MS), /only who has the secret can read: x\.txt$/);
  const inbox = await lan.fresh('in');
  const args = ['get', 'x.txt', '-o', `${inbox}/`, '--json'];
  const outsider = await hearsay(lan, ...args);
  t.is((await outsider.waitForExit(CHILD_MS)).code, 5, outsider.tail());
  t.deepEqual(errors(outsider), ['no-peer']);
  t.true(outsider.stdout.some((line) => line.includes('--secret-file')));
  const ls = await hearsay(lan, 'ls');
  t.is((await ls.waitForExit(CHILD_MS)).code, 0);
  await ls.exited;
  t.true(
    ls.stderr.some((line) => line.includes('--secret-file')),
    ls.tail(),
  );
  const member = await hearsay(lan, ...args, '--secret-file', file);
  t.is((await member.waitForExit(CHILD_MS)).code, 0, member.tail());
  await assertContent(t, join(inbox, 'x.txt'), Buffer.from('x'));
  const none = await hearsay(lan, 'ls', '--secret-file', join(folder, 'none'));
  t.is((await none.waitForExit(CHILD_MS)).code, 2);
});

test('the key of the group is derived once for a state folder; a weak secret is warned of', async (t) => {
  const lan = await Lan.make(t);
  const state = await lan.fresh('state');
  const file = join(state, 'group.json');
  const first = await lan.peer('first', { secret: 'swordfish', state, files: { 'x.txt': 'x' } });
  t.true(first.told('warning').some(({ message }) => message.includes('hearsay secret new')));
  await first.peer.stop();
  const before = await stat(file);
  // A key that the secret does not give: who uses it has read it, not derived it.
  const kept = JSON.parse(await readFile(file, 'utf8')) as { check: string; master: string };
  await writeFile(file, JSON.stringify({ ...kept, master: 'ab'.repeat(32) }));
  const member = await lan.peer('member', { secret: 'swordfish', files: { 'y.txt': 'y' } });
  const again = await lan.peer('again', { secret: 'swordfish', state, files: { 'x.txt': 'x' } });
  const shot = await lan.peer('shot', { secret: 'swordfish', state, passive: true });
  t.deepEqual(await paths(shot), ['x.txt'], 'both read the kept key');
  t.true(shot.told('warning').some(({ message }) => message.includes('hearsay secret new')));
  t.deepEqual(await others(member), []);
  await again.peer.stop();
  const written = await readFile(file, 'utf8');
  // Without a secret it is left alone; with another it is replaced.
  const open = await lan.peer('open', { state });
  t.false((await open.peer.status()).private);
  await open.peer.stop();
  t.is(await readFile(file, 'utf8'), written);
  const other = await lan.peer('other', { secret: SECRET, state });
  t.deepEqual(
    other.told('warning').filter(({ message }) => message.includes('secret')),
    [],
  );
  t.not(await readFile(file, 'utf8'), written);
  // What a command beside a running peer asks, to say that it was given another secret.
  t.deepEqual([await isOfOther(state, SECRET), await isOfOther(state, 'swordfish')], [false, true]);
  t.false(await isOfOther(await lan.fresh('none'), SECRET));
  t.is((await stat(file)).mode, before.mode);
});
