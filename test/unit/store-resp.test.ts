import { createServer } from 'node:net';
import test from 'ava';
import { STORE_REPLY_ITEMS_MAX, STORE_REPLY_MAX, STORE_VALUE_MAX } from '../../lib/limits.js';
import { formatRedis, Redis, redisPlace } from '../../lib/net/redis.js';
import { Refusal, type Reply, ReplyReader, request, TOO_LARGE } from '../../lib/net/resp.js';

/** What is read of some bytes that come in pieces of a size. */
function read(text: string | Buffer, size = Number.POSITIVE_INFINITY): Reply[] {
  const replies: Reply[] = [];
  const reader = new ReplyReader((reply) => replies.push(reply));
  const data = Buffer.from(text as string);
  for (let at = 0; at < data.length; at += size) reader.push(data.subarray(at, at + size));
  return replies;
}

const value = (length: number) =>
  Buffer.concat([Buffer.from(`$${length}\r\n`), Buffer.alloc(length), Buffer.from('\r\n')]);

const ALL =
  '+OK\r\n:42\r\n:-3\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n-WRONGTYPE no\r\n' +
  '*2\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n+x\r\n';

test('replies are read, in whatever pieces they come', (t) => {
  const whole = read(ALL);
  t.deepEqual(whole, [
    'OK',
    42,
    -3,
    Buffer.from('a\r\nbc'),
    Buffer.alloc(0),
    null,
    null,
    [],
    new Refusal('WRONGTYPE no'),
    [[Buffer.from('a'), [1]], 'x'],
  ]);
  for (let size = 1; size < 20; size++) t.deepEqual(read(ALL, size), whole, `${size}`);
});

test('a request is an array of bytes', (t) => {
  t.is(request(['SET', 'é', Buffer.from([1])]).toString(), '*3\r\n$3\r\nSET\r\n$2\r\né\r\n$1\r\n\x01\r\n');
});

test('a value over STORE_VALUE_MAX is passed over, and what follows is read', (t) => {
  const [largest, next] = read(Buffer.concat([value(STORE_VALUE_MAX), value(STORE_VALUE_MAX + 1)]), 65_536);
  t.is((largest as Buffer).length, STORE_VALUE_MAX);
  t.is(next, TOO_LARGE);
  const parts = [Buffer.from('*3\r\n'), value(3), value(STORE_VALUE_MAX + 1), value(2), Buffer.from('+OK\r\n')];
  t.deepEqual(read(Buffer.concat(parts), 65_536), [[Buffer.alloc(3), TOO_LARGE, Buffer.alloc(2)], 'OK']);
});

test('a value of a length that never comes takes no memory', (t) => {
  const reader = new ReplyReader(() => t.fail());
  reader.push(Buffer.from('$9007199254740000\r\n'));
  const piece = Buffer.alloc(1 << 20);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 512; i++) reader.push(piece);
  t.true(process.memoryUsage().arrayBuffers - before < 64 << 20);
});

test('what a reply has beyond STORE_REPLY_MAX is passed over, and the next has its own', (t) => {
  const count = Math.floor(STORE_REPLY_MAX / STORE_VALUE_MAX);
  const one = value(STORE_VALUE_MAX);
  const list = [Buffer.from(`*${count + 1}\r\n`), ...Array.from({ length: count + 1 }, () => one)];
  const [reply, next] = read(Buffer.concat([...list, one]), 1 << 20);
  t.true(Array.isArray(reply));
  const items = reply as Reply[];
  t.is(items.length, count + 1);
  t.is(items.filter((item) => item === TOO_LARGE).length, 1);
  t.is(items.at(-1), TOO_LARGE);
  t.is((next as Buffer).length, STORE_VALUE_MAX);
});

test('a reply of more than STORE_REPLY_ITEMS_MAX items is none, whatever length it names', (t) => {
  const list = (items: number) => `*${items}\r\n${':1\r\n'.repeat(items)}`;
  t.is((read(list(STORE_REPLY_ITEMS_MAX))[0] as Reply[]).length, STORE_REPLY_ITEMS_MAX);
  t.throws(() => read(list(STORE_REPLY_ITEMS_MAX + 1)), { code: 'bad-message' });
  t.deepEqual(read('*9007199254740000\r\n:1\r\n'), []);
});

for (const [what, text] of [
  ['an unknown type', '%1\r\n'],
  ['a line without its start', '\r\n'],
  ['a line feed alone', '+OK\n'],
  ['a line without an end', `+${'x'.repeat(5000)}`],
  ['a length that is none', '$x\r\n'],
  ['a length below 0', '$-2\r\n'],
  ['a number of too many digits', `:${'9'.repeat(17)}\r\n`],
  ['a value longer than it says', '$1\r\nabc\r\n'],
  ['lists within lists', '*1\r\n'.repeat(100)],
] as const) {
  test(`not a reply: ${what}`, (t) => {
    t.throws(() => read(text), { code: 'bad-message' });
    t.throws(() => read(text, 1), { code: 'bad-message' });
  });
}

test('a place is read from its URL, and shown without user and password', (t) => {
  const shown = (url: string) => formatRedis(redisPlace(url));
  t.is(shown('redis://cache'), 'redis://cache:6379');
  t.is(shown('redis://:p%40ss@10.0.0.1:7000/3'), 'redis://10.0.0.1:7000/3');
  t.is(shown('rediss://me:secret@[fe80::1]:7000/'), 'rediss://[fe80::1]:7000');
  const place = redisPlace('rediss://me:p%40ss@cache/2');
  t.deepEqual(place, { host: 'cache', port: 6379, tls: true, user: 'me', password: 'p@ss', database: 2 });
  for (const url of [
    'http://x',
    'redis://',
    'redis://:hush@',
    'redis://x:hush/y',
    'redis://:%zz@x',
    'redis://x/12345',
  ]) {
    const error = t.throws(() => redisPlace(url), { code: 'usage' }, url);
    t.false(error?.message.includes('hush'));
  }
});

/** A server that answers whatever it is sent with the same. */
async function answering(answer: string): Promise<{ url: string; close(): void }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  return { url: `redis://:hush@127.0.0.1:${address.port}`, close: () => server.close() };
}

for (const [what, answer, code] of [
  ['refuses the password', '-WRONGPASS invalid\r\n', 'refused'],
  ['is no Redis', 'HTTP/1.1 400 Bad Request\r\n', 'bad-message'],
  ['says more than it was asked', '+OK\r\n+OK\r\n+OK\r\n+OK\r\n', 'bad-message'],
] as const) {
  test(`connecting to what ${what}`, async (t) => {
    const { url, close } = await answering(answer);
    t.teardown(close);
    const connecting = Redis.connect(redisPlace(url), new AbortController().signal, () => {});
    const error = await t.throwsAsync(connecting.then((redis) => redis.command(['PING'])));
    t.is((error as { code?: string }).code, code);
    t.false(error.message.includes('hush'));
  });
}

test('connecting can be given up', async (t) => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const abort = new AbortController();
  const connecting = Redis.connect(redisPlace(`redis://127.0.0.1:${port}`), abort.signal, () => {});
  setTimeout(() => abort.abort(), 20);
  await t.throwsAsync(connecting);
});
