/** `send` and `inbox` as they are typed, between processes, of which some are killed. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { InboxRow } from '../../lib/api.js';
import type { LabProcess } from '../lab/process.js';
import { CHILD_MS, errors, told } from './child.js';
import { Home, PROGRAM } from './daemon-child.js';
import { assertContent, assertOnlyPartial, begin, content, get, KIB, Lan, MIB, names, until, write } from './lan.js';
import { eventually, inInbox, send } from './sending.js';
import { disk } from './small-disk.js';
import { Terminal } from './terminal.js';
import { Wire } from './wire-between.js';

const BIG = content(8 * MIB, 61);

/** What lies in a folder, partials and all; nothing where there is none. */
const found = (folder: string) => names(folder).catch((): string[] => []);

/** A peer in the foreground with a state folder of its own, and its inbox folder. */
class Person {
  readonly home: Home;
  readonly inbox: string;
  readonly share: LabProcess;
  id = '';
  port = 0;

  private constructor(home: Home, args: string[]) {
    this.home = home;
    this.inbox = join(home.cwd, 'inbox');
    // It shares one file, so that it is no daemon without anything.
    this.share = home.begin('share', '--json', 'mine', '--inbox-folder', 'inbox', ...args, ...home.near);
  }

  static async make(lan: Lan, name: string, ...args: string[]): Promise<Person> {
    const home = await Home.make(lan);
    await write(home.cwd, { mine: name });
    const person = new Person(home, ['--name', name, ...args]);
    const line = await person.share.waitFor(/"event":"ready"/, CHILD_MS);
    Object.assign(person, JSON.parse(line));
    return person;
  }

  /** Waits until it sees others. */
  async sees(...others: Person[]): Promise<void> {
    for (const { id } of others) await this.share.waitFor(new RegExp(`"change":"came","id":"${id}"`), CHILD_MS);
  }

  /** Waits until its inbox says something. */
  async hears(state: InboxRow['state'], name: string): Promise<InboxRow> {
    const fits = (line: string) => {
      const { event, row } = JSON.parse(line) as { event: string; row?: InboxRow };
      return event === 'inbox' && row?.state === state && row.name === name;
    };
    return (JSON.parse(await this.share.waitFor(fits, CHILD_MS, 'stdout')) as { row: InboxRow }).row;
  }
}

test('send to several: a line each, the exit status, and the inbox on the other side', async (t) => {
  const lan = await Lan.make(t);
  const [ada, bob, cyd, dan] = await Promise.all([
    Person.make(lan, 'ada'),
    Person.make(lan, 'bob'),
    Person.make(lan, 'cyd', '--inbox', 'accept'),
    Person.make(lan, 'dan', '--inbox', 'refuse'),
  ]);
  await ada.sees(bob, cyd, dan);
  t.is((await bob.home.type('inbox')).err, 'nothing was sent here since this peer was started');
  const data = content(MIB, 62);
  await write(ada.home.cwd, { 'photo.jpg': data, 'trip/one.txt': '1', 'trip/two.txt': '22' });
  const sending = ada.home.begin('send', 'photo.jpg', '--to', 'bob,cyd', '--to', 'dan,eve');
  const row = await bob.hears('waiting', 'photo.jpg');
  const listed = await bob.home.type('inbox');
  t.regex(listed.out, new RegExp(`^${row.number} +ada +photo\\.jpg +1 file +1\\.0 MiB +waits for an answer$`, 'm'));
  t.deepEqual((await bob.home.type('inbox', '--json')).json(), { inbox: [row] });
  t.like(await bob.home.type('inbox', 'accept', '99'), { code: 3, out: '' });
  const accepted = await bob.home.type('inbox', 'accept', `${row.number}`);
  t.like(accepted, { code: 0, out: `accepted ${row.number}: photo.jpg from ada` });
  t.is((await sending.waitForExit(CHILD_MS)).code, 6);
  t.deepEqual(sending.stdout.map((line) => line.replace(/[\d.]+ s$/, 'S')).sort(), [
    'bob: received photo.jpg, 1.0 MiB in S',
    'cyd: received photo.jpg, 1.0 MiB in S',
  ]);
  const said = sending.stderr.join('\n');
  for (const line of [/^hearsay: dan: refused \(/m, /^hearsay: eve: not running \(/m, /^received by 2 of 4 peers$/m]) {
    t.regex(said, line);
  }
  for (const { inbox } of [bob, cyd]) await assertContent(t, join(inbox, 'photo.jpg'), data);
  t.deepEqual(await found(dan.inbox), []);

  const again = await ada.home.type('send', 'photo.jpg', 'trip', '--to', 'cyd', '--json');
  t.is(again.code, 6, again.out);
  t.regex(again.out, /"code":"exists"/);
  const folder = await ada.home.type('send', 'trip/', '--to', 'cyd');
  t.is(folder.code, 0, folder.err);
  t.deepEqual(await found(join(cyd.inbox, 'trip')), ['one.txt', 'two.txt']);
  t.is((await ada.home.type('send', 'photo.jpg', '--to', 'eve')).code, 5);
  t.is((await ada.home.type('send', 'photo.jpg', '--to', 'ada')).code, 2, 'oneself');
  const { out } = await ada.home.type('status');
  t.regex(out, /photo\.jpg +\d+ % .* failed: 2 of 4 have not taken it$/m);
  t.regex(out, /trip +100 % +2 of 2 files, of 3 B +to cyd +done$/m);
  t.regex(out, /photo\.jpg .* failed: eve is not here$/m);
  t.regex(out, /photo\.jpg .* failed: that is this peer itself$/m);
  t.regex((await cyd.home.type('status')).out, /trip +100 % +2 of 2 files, of 3 B +from ada +done$/m);
});

test('a missing FILE is named, and nobody is asked', async (t) => {
  const lan = await Lan.make(t);
  const [ada, bob] = await Promise.all([Person.make(lan, 'ada'), Person.make(lan, 'bob')]);
  await ada.sees(bob);
  await write(ada.home.cwd, { here: 'x' });
  const { code, err } = await ada.home.type('send', 'here', 'gone', 'lost', '--to', 'bob');
  t.is(code, 3);
  for (const name of ['gone', 'lost'])
    t.true(err.includes(`cannot send ${join(ada.home.cwd, name)}: there is no such`));
  // What is asked after it is the first that bob hears of.
  const second = ada.home.begin('send', 'here', '--to', 'bob');
  const row = await bob.hears('waiting', 'here');
  t.deepEqual((await bob.home.type('inbox', '--json')).json(), { inbox: [row] });
  second.kill('SIGINT');
  t.is((await second.waitForExit(CHILD_MS)).code, 130, second.tail());
  t.regex(second.stderr.join('\n'), /interrupted: it was taken back/);
  await bob.hears('failed', 'here');
  t.like(await bob.home.type('inbox', 'accept', 'all'), { code: 0, out: '', err: 'nothing waits' });
});

test('without a running peer: how to start one', async (t) => {
  const home = await Home.make(await Lan.make(t));
  await write(home.cwd, { here: 'x' });
  for (const words of [['send', 'here', '--to', 'bob'], ['inbox'], ['inbox', 'accept', 'all']]) {
    const { code, err } = await home.type(...words);
    t.is(code, 5);
    t.regex(err, /hearsay share PATH/);
  }
});

/** A folder of one's own for temporary files. */
async function temporary(home: Home): Promise<string> {
  const folder = join(home.cwd, 'tmp');
  await mkdir(folder);
  home.env = { TMPDIR: folder, TEMP: folder, TMP: folder };
  return folder;
}

test('standard input is sent under a name; nothing of it stays, interrupted or not', async (t) => {
  const lan = await Lan.make(t);
  const [ada, bob] = await Promise.all([Person.make(lan, 'ada'), Person.make(lan, 'bob', '--inbox', 'accept')]);
  await ada.sees(bob);
  const tmp = await temporary(ada.home);
  const words = ['send', '-', '--to', 'bob', '--as'];
  const piped = ada.home.begin(...words, 'notes.txt');
  piped.type('one');
  piped.type('two');
  piped.endInput();
  t.is((await piped.waitForExit(CHILD_MS)).code, 0, piped.tail());
  await assertContent(t, join(bob.inbox, 'notes.txt'), Buffer.from('one\ntwo\n'));
  const empty = ada.home.begin(...words, 'empty');
  empty.endInput();
  t.is((await empty.waitForExit(CHILD_MS)).code, 0, empty.tail());
  await assertContent(t, join(bob.inbox, 'empty'), Buffer.alloc(0));
  for (const signals of [1, 2]) {
    const cut = ada.home.begin(...words, 'cut');
    cut.type('half');
    await eventually(async () => (await readdir(tmp)).length > 0, 'it is being read');
    for (let i = 0; i < signals; i++) cut.kill('SIGINT');
    t.is((await cut.waitForExit(CHILD_MS)).code, 130, cut.tail());
    t.deepEqual(await readdir(tmp), []);
  }
  t.deepEqual(await found(bob.inbox), ['empty', 'notes.txt']);
});

test('standard input that does not fit is told of as a full disk', async (t) => {
  const lan = await Lan.make(t);
  const ada = await Person.make(lan, 'ada');
  const tmp = await temporary(ada.home);
  if (!(await disk(t, tmp, 'size=256k'))) return t.pass();
  const sending = ada.home.begin('send', '-', '--as', 'x', '--to', 'bob');
  for (let i = 0; i < 64; i++) sending.type('x'.repeat(8 * KIB));
  sending.endInput();
  t.is((await sending.waitForExit(CHILD_MS)).code, 8, sending.tail());
  t.regex(sending.stderr.join('\n'), /standard input cannot be kept in .*TMPDIR/);
  t.deepEqual(await readdir(tmp), []);
});

/** A process that sends to a peer of the test, over a wire that stands still in the middle. */
async function halfway(t: ExecutionContext) {
  const lan = await Lan.make(t);
  const ada = await Person.make(lan, 'ada', '--no-multicast');
  await write(ada.home.cwd, { 'big.bin': BIG });
  const wire = await Wire.to(t, ada.port);
  const folder = await lan.fresh('inbox');
  const to = await lan.peer('to', { inbox: 'accept', inboxFolder: folder, multicast: false, join: [wire.address] });
  await ada.share.waitFor(new RegExp(`"change":"came","id":"${to.id}"`), CHILD_MS);
  wire.stopAfter(3 * MIB);
  const sending = ada.home.begin('send', 'big.bin', '--to', 'to', '--json');
  await until(() => wire.still && told(sending, 'progress').some(({ bytes }) => Number(bytes) > 0), 'some is there');
  return { lan, ada, wire, folder, to, sending };
}

test('the send command killed in the middle takes it back, and nothing is left of it', async (t) => {
  const { wire, folder, to, sending } = await halfway(t);
  sending.kill('SIGKILL');
  t.is((await sending.waitForExit(CHILD_MS)).code, 137);
  wire.go();
  const row = await inInbox(to, { state: 'failed' });
  t.is(row.error?.code, 'cancelled');
  await eventually(async () => (await found(folder)).length === 0, 'the partial is removed');
  t.pass();
});

test('the sender killed in the middle: the receiver says so, and nothing is left of it', async (t) => {
  const { ada, wire, folder, to, sending } = await halfway(t);
  ada.share.kill('SIGKILL');
  wire.cut();
  t.not((await sending.waitForExit(CHILD_MS)).code, 0);
  t.deepEqual(errors(sending).length, 1, sending.tail());
  const row = await inInbox(to, { state: 'failed' });
  t.log(`after the sender was killed: ${row.error?.code}: ${row.error?.message}`);
  await eventually(async () => (await found(folder)).length === 0, 'the partial is removed');
});

test('a receiver killed in the middle is named, and the other completes', async (t) => {
  const lan = await Lan.make(t);
  // Some four seconds for both together.
  const from = await lan.peer('from', { limitUp: 4 * MIB });
  const folder = await lan.fresh('outside');
  await write(folder, { 'big.bin': BIG });
  const [bob, cyd] = await Promise.all(['bob', 'cyd'].map((name) => Person.make(lan, name, '--inbox', 'accept')));
  for (const { id } of [bob, cyd]) await until(() => from.told('peer').some((e) => e.id === id), 'both are here');
  const sending = send(from, join(folder, 'big.bin'), ['bob', 'cyd']);
  await until(() => sending.progress('bob') > 0 && sending.progress('cyd') > 0, 'both have some');
  bob.share.kill('SIGKILL');
  await sending.ended;
  t.is(sending.results.cyd, 'done');
  const [error] = sending.of('error');
  t.log(`the killed one: ${error.error.code}: ${error.error.message}`);
  t.is(error.to, 'bob');
  t.true(['no-peer', 'unreachable'].includes(error.error.code), error.error.code);
  await assertContent(t, join(cyd.inbox, 'big.bin'), BIG);
  t.deepEqual(sending.events.at(-1), { event: 'end', done: 1, failed: 1 });
});

test('the source of a get killed in the middle: it is told, what is there is kept, and another source gives the rest', async (t) => {
  const lan = await Lan.make(t);
  const home = await Home.make(lan);
  await write(home.cwd, { 'big.bin': BIG });
  const source = home.begin('share', 'big.bin', '--json', '--no-multicast', ...home.near);
  const { port } = JSON.parse(await source.waitFor(/"event":"ready"/, CHILD_MS)) as { port: number };
  const wire = await Wire.to(t, port);
  const getter = await lan.peer('getter', { multicast: false, join: [wire.address] });
  await getter.hashed('big.bin');
  wire.stopAfter(3 * MIB);
  const folder = await lan.fresh('in');
  const running = begin(getter, 'big.bin', `${folder}/`, { timeout: 5 });
  await until(() => wire.still && running.verified > 0, 'some is there');
  source.kill('SIGKILL');
  await source.exited;
  wire.cut();
  const { codes } = await running.ended;
  t.is(codes.length, 1);
  t.true(['no-peer', 'unreachable', 'timeout', 'cancelled'].includes(codes[0]), codes[0]);
  await assertOnlyPartial(t, folder);
  const { verified } = running;
  const near = `127.0.0.1:${getter.peer.port}`;
  const other = await lan.peer('other', { files: { 'big.bin': BIG }, multicast: false, join: [near] });
  await getter.hashed('big.bin', other);
  const again = await get(getter, 'big.bin', `${folder}/`);
  t.deepEqual(again.codes, []);
  t.true(again.received <= BIG.length - verified, `${again.received} with ${verified} there`);
  await assertContent(t, join(folder, 'big.bin'), BIG);
});

test('at a terminal share asks, and takes y for an answer; in the background it is not stopped by it', async (t) => {
  if (process.platform !== 'linux') {
    t.log('skipped: this terminal is made by script(1) of Linux');
    return t.pass();
  }
  const lan = await Lan.make(t);
  const from = await lan.peer('from');
  const files = await lan.fresh('outside');
  await write(files, { 'photo.jpg': 'a photo' });
  for (const name of ['before', 'behind']) {
    const home = await Home.make(lan);
    await write(home.cwd, { mine: name });
    const own = ['--state', home.state, '--config', home.config, ...home.near];
    const words = [process.execPath, PROGRAM, 'share', 'mine', '--name', name, '--inbox-folder', 'inbox', ...own];
    const typed = name === 'before' ? words : ['bash', '-c', `'set -m; ${words.join(' ')} & wait'`];
    const terminal = new Terminal(t, typed, { env: { ...process.env } as Record<string, string>, cwd: home.cwd });
    const shows = (text: RegExp) =>
      until(() => text.test(stripVTControlCharacters(terminal.shown)), `it shows ${text}`);
    await until(() => from.told('peer').some((e) => e.change === 'came' && e.name === name), `${name} is here`);
    const sending = send(from, join(files, 'photo.jpg'), [name]);
    if (name === 'before') {
      await shows(/from wants to send photo\.jpg \(7 B\): y\/n\? \[hearsay inbox accept 1\]/);
      terminal.type('y\r');
    } else {
      await shows(/from wants to send photo\.jpg \(7 B\); to take it: hearsay inbox accept 1/);
      terminal.type('y\r');
      t.like(await home.type('inbox', 'accept', '1'), { code: 0 });
    }
    await shows(/received photo\.jpg \(7 B\) from from: .*inbox.photo\.jpg/);
    await sending.ended;
    t.deepEqual(sending.results, { [name]: 'done' });
    await assertContent(t, join(home.cwd, 'inbox', 'photo.jpg'), Buffer.from('a photo'));
  }
});
