/** Sources that do not send what they said. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BLOCK } from '../../lib/limits.js';
import type { MessageOf } from '../../lib/wire/table.js';
import { assertContent, content, corrupt, type GetOutcome, get, Lan, MIB, names } from './lan.js';
import { blockOf, idOf, type RawFile, RawPeer, serveHonestly, type Talk } from './raw.js';

const BIG = content(2 * MIB + 1000, 51);
const NONE = new Uint8Array(0);
type Serve = (talk: Talk, file: RawFile, request: MessageOf<'R'>) => void;
type Manifest = (file: RawFile, ask: MessageOf<'G'>) => Partial<MessageOf<'M'>> | undefined;

/** A one-shot gets a file from a source made by hand. */
async function from(
  t: ExecutionContext,
  serve: Serve,
  manifest?: Manifest,
  timeout = 20,
  file: RawFile = { data: BIG },
) {
  const lan = await Lan.make(t);
  const raw = await RawPeer.source(t, 'raw', { 'big.bin': file }, serve, manifest);
  const to = await lan.peer('one-shot', { passive: true, multicast: false, join: [raw.address] });
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'big.bin', inbox, { timeout });
  return { outcome, raw, inbox };
}

/** Asserts that nothing has come, and that whoever is at fault is named. */
async function assertRefused(t: ExecutionContext, outcome: GetOutcome, raw: RawPeer, inbox: string, code: string) {
  t.deepEqual(outcome.codes, [code]);
  t.deepEqual(
    outcome.of('dropped').map(({ source, error }) => [source.id, error.code]),
    [[raw.id, code]],
  );
  t.deepEqual(
    (await names(inbox)).filter((name) => !name.startsWith('.hearsay-')),
    [],
  );
}

test('a source made by hand that is honest gives the file', async (t) => {
  const { outcome, raw, inbox } = await from(t, serveHonestly);
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done[0].sources[0].id, raw.id);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

/** Blocks of another length than they should have. */
const cut: Serve = (talk, file, { number, block, count }) => {
  for (let i = 0; i < count; i++) {
    const right = blockOf(number, file, block + i);
    talk.send({ ...right, data: right.data.subarray(0, 100) });
  }
};

test('too few bytes in every block: no file', async (t) => {
  const { outcome, raw, inbox } = await from(t, cut);
  await assertRefused(t, outcome, raw, inbox, 'wrong-content');
});

test('too many bytes in a block: no file', async (t) => {
  // The last block is short; it comes longer than it is.
  const serve: Serve = (talk, file, request) => {
    for (let i = 0; i < request.count; i++) {
      const block = blockOf(request.number, file, request.block + i);
      talk.send(block.data.length < BLOCK ? { ...block, data: Buffer.concat([block.data, Buffer.alloc(5)]) } : block);
    }
  };
  const { outcome, raw, inbox } = await from(t, serve);
  await assertRefused(t, outcome, raw, inbox, 'wrong-content');
});

test('one whose blocks have another length beside one that is honest', async (t) => {
  const lan = await Lan.make(t);
  const files = { 'big.bin': { data: content(8 * MIB, 53) } };
  const liar = await RawPeer.source(t, 'liar', files, cut);
  const good = await RawPeer.source(t, 'good', files);
  const to = await lan.peer('one-shot', { passive: true, multicast: false, join: [liar.address, good.address] });
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  await assertContent(t, join(inbox, 'big.bin'), files['big.bin'].data);
});

test('a block over the limit of its type ends the connection', async (t) => {
  const serve: Serve = (talk, _, { number, block }) =>
    talk.values('T', number, block, NONE, Buffer.alloc(BLOCK + 1000));
  const { outcome } = await from(t, serve, undefined, 5);
  t.deepEqual(outcome.done, []);
  t.true(['bad-message', 'unreachable', 'timeout'].includes(outcome.codes[0]), `${outcome.codes}`);
});

test('blocks that were not asked for, or are beyond the end, change nothing', async (t) => {
  const serve: Serve = (talk, file, request) => {
    const wrong = { ...blockOf(request.number, file, 0), data: Buffer.alloc(BLOCK), hash: Buffer.alloc(32) };
    for (const block of [9, 10, 1000, 2 ** 32 - 1]) talk.send({ ...wrong, block });
    // Those that came come again, and wrong, when all are here.
    if (request.count === 0) for (let block = 0; block < 9; block++) talk.send({ ...wrong, block });
    serveHonestly(talk, file, request);
  };
  const { outcome, inbox } = await from(t, serve);
  t.deepEqual(outcome.codes, []);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('a source that sends nothing: timeout', async (t) => {
  const { outcome } = await from(t, () => {}, undefined, 1);
  t.deepEqual(outcome.codes, ['timeout']);
});

test('a source that does not even answer: timeout', async (t) => {
  const { outcome, inbox } = await from(
    t,
    () => {},
    () => undefined,
    1,
  );
  t.deepEqual(outcome.codes, ['timeout']);
  t.deepEqual(await names(inbox), [], 'a partial that holds nothing is not kept');
});

test('a source that chatters but sends nothing: timeout all the same', async (t) => {
  let timer: NodeJS.Timeout | undefined;
  t.teardown(() => clearInterval(timer));
  const { outcome } = await from(
    t,
    (talk, _, { number }) => {
      timer ??= setInterval(() => {
        talk.send({ type: 'K', number, chunks: [0, 1, 5000] });
        talk.send({ type: 'W', number, peers: [] });
        talk.send({ type: 'T', number, block: 7000, hash: NONE, data: Buffer.alloc(10) });
      }, 100);
    },
    undefined,
    2,
  );
  t.deepEqual(outcome.codes, ['timeout']);
});

test('a source that sends large blocks of which none was asked for: timeout, some time later', async (t) => {
  let timer: NodeJS.Timeout | undefined;
  t.teardown(() => clearInterval(timer));
  const { outcome } = await from(
    t,
    (talk, _, { number }) => {
      const useless = { type: 'T' as const, number, block: 7000, hash: NONE, data: Buffer.alloc(BLOCK) };
      timer ??= setInterval(() => talk.send(useless), 100);
    },
    undefined,
    1,
  );
  t.deepEqual(outcome.codes, ['timeout']);
});

test('a manifest that does not fit the id', async (t) => {
  const { outcome, raw, inbox } = await from(t, serveHonestly, () => ({ hashes: Buffer.alloc(32 * 9) }));
  await assertRefused(t, outcome, raw, inbox, 'wrong-content');
});

test('a manifest of too many hashes, of too few, of half a hash', async (t) => {
  for (const bytes of [32 * 10, 32 * 9 + 1, 31, 0]) {
    const { outcome, raw, inbox } = await from(t, serveHonestly, () => ({ hashes: Buffer.alloc(bytes) }));
    await assertRefused(t, outcome, raw, inbox, 'wrong-content');
  }
});

test('a manifest that has another size, another chunk size, another id', async (t) => {
  for (const differs of [{ size: BIG.length + 1 }, { size: 0 }, { chunk: MIB }, { id: 'ab'.repeat(32) }]) {
    const { outcome, raw, inbox } = await from(t, serveHonestly, () => differs);
    await assertRefused(t, outcome, raw, inbox, 'changed');
  }
});

test('an offer whose size is not that of its id', async (t) => {
  const { outcome, raw, inbox } = await from(t, serveHonestly, undefined, 20, {
    data: BIG,
    offer: { size: BIG.length + 4096 },
  });
  await assertRefused(t, outcome, raw, inbox, 'changed');
});

test('a chunk hash that is wrong, where the source tells them one by one', async (t) => {
  const serve: Serve = (talk, file, request) => {
    if (request.count === 0) return serveHonestly(talk, file, request);
    for (let i = 0; i < request.count; i++) {
      talk.send({ ...blockOf(request.number, file, request.block + i), hash: Buffer.alloc(32, 7) });
    }
  };
  const unhashed: Manifest = () => ({ id: null, hashes: NONE });
  const { outcome, raw, inbox } = await from(t, serve, unhashed, 20, { data: BIG, offer: { id: null } });
  await assertRefused(t, outcome, raw, inbox, 'wrong-content');
});

test('hashes left out, where there is no manifest', async (t) => {
  const unhashed: Manifest = () => ({ id: null, hashes: NONE });
  const { outcome, raw, inbox } = await from(t, serveHonestly, unhashed, 20, { data: BIG, offer: { id: null } });
  await assertRefused(t, outcome, raw, inbox, 'wrong-content');
});

test('an id that comes with the manifest of a file without one is held to', async (t) => {
  const { outcome, inbox } = await from(t, serveHonestly, undefined, 20, { data: BIG, offer: { id: null } });
  t.deepEqual(outcome.codes, []);
  t.is(outcome.done[0].id, idOf(BIG));
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('more bits of what is there than there are chunks, and chunks there are none of', async (t) => {
  const serve: Serve = (talk, file, request) => {
    talk.send({ type: 'K', number: request.number, chunks: [9, 10, 2 ** 31] });
    serveHonestly(talk, file, request);
  };
  const { outcome, inbox } = await from(t, serve, () => ({ have: Buffer.alloc(5000, 255) }));
  t.deepEqual(outcome.codes, []);
  await assertContent(t, join(inbox, 'big.bin'), BIG);
});

test('one lies in every block, one is honest', async (t) => {
  const lan = await Lan.make(t);
  const lie: Serve = (talk, file, { number, block, count }) => {
    for (let i = 0; i < count; i++) talk.send(corrupt(blockOf(number, file, block + i)));
  };
  const files = { 'big.bin': { data: content(8 * MIB, 52) } };
  const liar = await RawPeer.source(t, 'liar', files, lie);
  const good = await RawPeer.source(t, 'good', files);
  const to = await lan.peer('one-shot', { passive: true, multicast: false, join: [liar.address, good.address] });
  const inbox = await lan.fresh('in');
  const outcome = await get(to, 'big.bin', inbox);
  t.deepEqual(outcome.codes, []);
  t.deepEqual(
    outcome.of('dropped').map(({ source }) => source.id),
    [liar.id],
  );
  await assertContent(t, join(inbox, 'big.bin'), files['big.bin'].data);
});

/** Names that nobody may have: a message that holds one is no message. */
const HOSTILE = [
  '../x',
  '/x',
  'a/../../x',
  'a//x',
  './x',
  '.',
  '..',
  '',
  'a\0b',
  'x'.repeat(300),
  `${'d/'.repeat(200)}x`,
];

test('hostile names: nothing lands outside, and nothing breaks', async (t) => {
  const lan = await Lan.make(t);
  const good = await lan.peer('good', { files: { 'fine.txt': 'fine' }, multicast: false });
  const raws: RawPeer[] = [];
  for (const name of HOSTILE) {
    const raw = new RawPeer(t, 'hostile', false);
    raw.onTalk = (talk) => {
      talk.onMessage = (message) => {
        if (message.type !== 'F') return;
        const data = Buffer.from('evil');
        const offer = [name, 0, data.length, 1_700_000_000_000, Buffer.from(idOf(data), 'hex'), 1];
        talk.values('I', message.number, [offer], true);
      };
    };
    await raw.listen();
    raws.push(raw);
  }
  const join_ = [`127.0.0.1:${good.peer.port}`, ...raws.map(({ address }) => address)];
  const to = await lan.peer('one-shot', { passive: true, multicast: false, join: join_ });
  const outer = await lan.fresh('outer');
  await mkdir(join(outer, 'in'));
  const outcome = await get(to, ['**', '*'], `${outer}/in/`);
  t.deepEqual(
    outcome.done.map(({ path }) => path),
    ['fine.txt'],
  );
  t.deepEqual(await names(outer), ['in']);
  t.deepEqual(await names(join(outer, 'in')), ['fine.txt']);
  for (const { talks } of raws) await talks[0].ended();
});

test('names that are legal on the wire land where they belong, whatever they look like', async (t) => {
  const lan = await Lan.make(t);
  const data = Buffer.from('odd');
  const odd = [
    '..\\x',
    'a b',
    ' ',
    '-rf',
    '~',
    '$HOME',
    '%2e%2e',
    'é',
    'e\u0301',
    '\u202etxt',
    'x'.repeat(255),
    'a\nb',
  ];
  const files = Object.fromEntries(odd.map((name) => [`share/${name}`, { data }]));
  const raw = await RawPeer.source(t, 'raw', files);
  raw.onTalk = ((honest) => (talk: Talk) => {
    honest(talk);
    const answer = talk.onMessage;
    talk.onMessage = (message) => {
      if (message.type !== 'S') return answer(message);
      const { number } = message;
      const entries = message.files.map((_, place) => {
        return { place, code: '', id: idOf(data), size: data.length, mtime: 1_700_000_000_000, executable: false };
      });
      talk.send({ type: 'U', number, files: entries, data: Buffer.concat(entries.map(() => data)) });
    };
  })(raw.onTalk);
  const to = await lan.peer('one-shot', { passive: true, multicast: false, join: [raw.address] });
  const outer = await lan.fresh('outer');
  const outcome = await get(to, 'share/', `${outer}/`);
  t.deepEqual(await names(outer), ['share']);
  const there = await names(join(outer, 'share'));
  t.is(there.length, outcome.done.length);
  // Whatever the disk of this machine cannot hold fails alone, with its reason.
  t.true(outcome.codes.every((code) => code === 'bad-name'));
  if (process.platform === 'linux') t.deepEqual(there, odd.sort());
});
