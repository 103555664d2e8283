/** How a path that is being typed may go on. */
import test from 'ava';
import { below } from '../../lib/drive/below.js';
import { COMPLETIONS_MAX } from '../../lib/limits.js';
import type { Kind, PeerOffer } from '../../lib/offer.js';

function offer(path: string, peer = 'ada', kind: Kind = 'file'): PeerOffer {
  return { path, peer, kind, size: 1, mtime: 0, id: null, version: 1 };
}

const OFFERS = [
  offer('photos', 'ada', 'folder'),
  offer('photos/2026/b.jpg'),
  offer('photos/2026/a.jpg'),
  offer('photos/cat.jpg'),
  offer('photos/cat.jpg', 'bob'),
  offer('photos', 'cy'),
  offer('phone.txt', 'bob'),
  offer('music/empty', 'bob', 'folder'),
];

const names = async (prefix: string, from?: string[]) =>
  (await below(OFFERS, prefix, from && new Set(from))).map(({ path, folder }) => (folder ? `${path}/` : path));

test('a path goes on to the end of its next segment, each once, in order', async (t) => {
  t.deepEqual(await names(''), ['music/', 'phone.txt', 'photos', 'photos/']);
  t.deepEqual(await names('pho'), ['phone.txt', 'photos', 'photos/']);
  t.deepEqual(await names('photos'), ['photos', 'photos/'], 'a file and a folder of one name');
  t.deepEqual(await names('photos/'), ['photos/2026/', 'photos/cat.jpg']);
  t.deepEqual(await names('photos/2026/a'), ['photos/2026/a.jpg']);
  t.deepEqual(await names('music/'), ['music/empty/']);
  t.deepEqual(await names('x'), []);
  t.deepEqual(await names('', ['bob']), ['music/', 'phone.txt', 'photos/']);
});

test('of many the first are given, whatever order they are met in', async (t) => {
  const all = Array.from({ length: 10 * COMPLETIONS_MAX }, (_, i) => `many/${String(i).padStart(6, '0')}`);
  const mixed = all.map((_, i) => offer(all[(i * 7919) % all.length]));
  t.is(new Set(mixed.map(({ path }) => path)).size, all.length);
  const rows = await below(mixed, 'many/', undefined);
  t.deepEqual(
    rows.map(({ path }) => path),
    all.slice(0, COMPLETIONS_MAX),
  );
});

test('others have their turns while much is looked at', async (t) => {
  let turns = 0;
  const counting = setInterval(() => turns++, 0);
  t.teardown(() => clearInterval(counting));
  let seen = 0;
  function* much() {
    for (let i = 0; i < 1_000_000; i++) yield offer('a/b');
    seen = turns;
  }
  await below(much(), 'a', undefined);
  t.true(seen > 0);
});
