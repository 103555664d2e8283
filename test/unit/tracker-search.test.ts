/** Search over offers gives what the matchers give, whatever was put in and taken out; and it goes on over changes. */
import test from 'ava';
import fc from 'fast-check';
import { seeded } from '../../lib/clock.js';
import { HearsayError } from '../../lib/errors.js';
import { PATTERN_MAX, WORDS_MAX } from '../../lib/limits.js';
import { loadOf, type PeerOffer } from '../../lib/offer.js';
import { patternMatcher, whatMatcher, wordMatcher } from '../../lib/shelf/query.js';
import { Search } from '../../lib/shelf/search.js';
import { Sorted } from '../../lib/shelf/sorted.js';

const PEERS = ['01ARZ3NDEKTSV4RRFFQ69G5FAA', '01ARZ3NDEKTSV4RRFFQ69G5FBB', '01BRZ3NDEKTSV4RRFFQ69G5FCC'];
const idOf = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);

function offer(peer: string, path: string, more: Partial<PeerOffer> = {}): PeerOffer {
  return { peer, path, kind: 'file', size: 5, mtime: 7, id: null, version: 1, ...more };
}

const name = ({ peer, path, version }: PeerOffer): string => `${path}@${peer.slice(-2)}.${version}`;
const found = (hits: Iterable<PeerOffer | undefined>): string[] =>
  [...hits].flatMap((hit) => (hit ? [name(hit)] : [])).sort();

// Segments that make pieces of each other, in letters that fold in their own ways.
const segment = fc.constantFrom(
  'a',
  'ab',
  'abc',
  'É',
  'e\u0301x',
  'Straße',
  'ΟΔΟΣ',
  'οδοσα',
  '猫',
  'ﬁle.TXT',
  'x:y',
  'a*b',
  '½',
  'abc℀x',
  '#01',
  '00',
  'İ',
);
const path = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('abc', 'ab', 'a/abc', 'a/ab/abc', 'É/abc', '猫/x:y', 'a/abc℀x') },
  { weight: 1, arbitrary: fc.array(segment, { minLength: 1, maxLength: 4 }).map((all) => all.join('/')) },
);
const anOffer = fc.record({
  peer: fc.constantFrom(...PEERS),
  path,
  kind: fc.constantFrom('file' as const, 'file' as const, 'executable' as const, 'folder' as const),
  size: fc.constant(1),
  mtime: fc.constant(1),
  id: fc.option(fc.integer({ min: 0, max: 3 }).map(idOf)),
  version: fc.nat(9),
});
const step = fc.oneof(
  { weight: 6, arbitrary: anOffer.map((it) => ({ kind: 'put' as const, it })) },
  { weight: 3, arbitrary: fc.nat().map((at) => ({ kind: 'remove' as const, at })) },
  { weight: 1, arbitrary: fc.constantFrom(...PEERS).map((peer) => ({ kind: 'hide' as const, peer })) },
  { weight: 1, arbitrary: fc.nat(5).map((most) => ({ kind: 'purge' as const, most })) },
);
const wild = fc
  .array(fc.oneof(segment, fc.constantFrom('*', '**', '/', '**/', '*.TXT', 'b', 'le')), { minLength: 1, maxLength: 5 })
  .map((all) => all.join(''));
const asked = fc.oneof(
  path,
  path.map((it) => `${it}/`),
  segment,
  wild,
  fc.constantFrom(
    '**/abc',
    '**/abc*',
    'a/**/abc',
    '**/b*',
    '#0',
    '#00',
    '#01',
    '#01010',
    `#${idOf(2)}`,
    '#F',
    'x:y',
    'bob:abc',
    'bob:x:y',
    '',
  ),
);

test('what is found is what the matchers let through, by path where it says so', (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: 'max' }),
      fc.array(asked, { maxLength: 8 }),
      (steps, questions) => {
        const search = new Search();
        const naive = new Map<string, PeerOffer>();
        for (const one of steps) {
          if (one.kind === 'put') {
            const key = `${one.it.peer} ${one.it.path}`;
            t.is(search.put(one.it), naive.get(key));
            naive.set(key, one.it);
          } else if (one.kind === 'remove') {
            const it = [...naive.values()][one.at % Math.max(1, naive.size)];
            if (!it) continue;
            t.is(search.remove(it.peer, it.path), it);
            naive.delete(`${it.peer} ${it.path}`);
          } else if (one.kind === 'hide') {
            search.hide(one.peer);
            for (const [key, it] of naive) if (it.peer === one.peer) naive.delete(key);
          } else search.purge(one.most);
        }
        const all = [...naive.values()];
        const expected = (fits: (it: PeerOffer) => boolean): string[] => all.filter(fits).map(name).sort();
        t.is(search.size, all.length);
        t.is(
          search.load,
          all.reduce((sum, it) => sum + loadOf(it), 0),
        );
        t.deepEqual(
          found(search.all()),
          expected(() => true),
        );
        for (const peer of PEERS)
          t.deepEqual(
            found(search.of(peer)),
            expected((it) => it.peer === peer),
          );
        for (const it of all) t.is(search.get(it.peer, it.path), it);
        for (const text of questions) {
          const matches = patternMatcher(text);
          if (text !== '')
            t.deepEqual(
              found(search.pattern(text)),
              expected((it) => matches(it.path)),
              `pattern ${text}`,
            );
          t.deepEqual(found(search.what(text)), expected(whatMatcher(text)), `what ${text}`);
          const all = text.split(/[\s/]+/).filter((word) => word !== '');
          const hasWords = wordMatcher(all);
          t.deepEqual(
            found(search.words(all)),
            expected((it) => hasWords(it.path)),
            `words ${all.join(' ')}`,
          );
        }
        for (const hits of [search.all(), search.words(['a']), search.pattern('*/*')]) {
          const paths = [...hits].flatMap((hit) => (hit ? [hit.path] : []));
          t.deepEqual(
            paths,
            [...paths].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)),
          );
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('with many blocks too, and after most of it went', (t) => {
  const random = seeded(7);
  const search = new Search();
  const naive = new Map<string, PeerOffer>();
  const words = Array.from({ length: 300 }, (_, i) => `w${Math.floor(random() * 1e9).toString(36)}${i}`);
  const some = (): string => words[Math.floor(random() * words.length)];
  for (let i = 0; i < 20_000; i++) {
    const it = offer(PEERS[i % 3], `${some()}/${some()}/${some()}.jpg`, { id: idOf(i % 251), version: i });
    naive.set(`${it.peer} ${it.path}`, it);
    search.put(it);
  }
  const check = () => {
    const all = [...naive.values()];
    for (let i = 0; i < 20; i++) {
      const two = [some().slice(0, 4), some().slice(2)];
      const hasWords = wordMatcher(two);
      t.deepEqual(
        found(search.words(two)),
        all
          .filter((it) => hasWords(it.path))
          .map(name)
          .sort(),
      );
      const pattern = `**/${some()}*.jpg`;
      const matches = patternMatcher(pattern);
      t.deepEqual(
        found(search.pattern(pattern)),
        all
          .filter((it) => matches(it.path))
          .map(name)
          .sort(),
      );
      for (const what of [`${some()}.jpg`, `${some()}/`, `#${idOf(i).slice(0, 3 + i)}`]) {
        t.deepEqual(found(search.what(what)), all.filter(whatMatcher(what)).map(name).sort(), what);
      }
    }
  };
  check();
  for (const it of naive.values()) {
    if (random() < 0.05) continue;
    search.remove(it.peer, it.path);
    naive.delete(`${it.peer} ${it.path}`);
  }
  check();
});

test('a lookup goes on over changes: what stays is found once, whatever comes and goes', (t) => {
  const random = seeded(11);
  const path = (n: number): string => `share/${n.toString().padStart(6, '0')}.txt`;
  for (const every of [7, 100, 1000]) {
    const search = new Search();
    for (let i = 0; i < 12_000; i += 2) search.put(offer(PEERS[0], path(i)));
    // Multiples of ten stay; of all others many come or go at a time, so that blocks are cut and joined.
    const seen: string[] = [];
    let isAdding = false;
    for (const hit of search.words(['txt'])) {
      if (hit) seen.push(hit.path);
      if (seen.length % every !== 0) continue;
      isAdding = !isAdding;
      for (let j = 0; j < (isAdding ? 10 : 60) * every; j++) {
        const i = Math.floor(random() * 12_000);
        if (i % 10 === 0) continue;
        if (isAdding) search.put(offer(PEERS[0], path(i)));
        else search.remove(PEERS[0], path(i));
      }
    }
    t.is(new Set(seen).size, seen.length);
    t.deepEqual(seen, [...seen].sort());
    for (let i = 0; i < 12_000; i += 10) t.true(seen.includes(path(i)), path(i));
  }
});

test('a search that finds nothing rests between its steps, and one that begins with what is there does not wait', (t) => {
  const search = new Search();
  // Each has every piece of the word, none has the word.
  for (let i = 0; i < 5000; i++) search.put(offer(PEERS[0], `s/${i}/needl eedle`));
  const hits = [...search.words(['needle'])];
  t.true(hits.every((hit) => hit === undefined));
  t.true(hits.length >= (5000 * 8) / 2048 - 1, `${hits.length} rests`);
  t.truthy(search.words(['eedle']).next().value);
});

test('paths as long as they may be fill no filter but that of their own neighbours', (t) => {
  const random = seeded(5);
  const search = new Search();
  const long = (): string => {
    let out = '';
    while (out.length < 4000) out += `${random().toString(36).slice(2)}/`;
    return `hostile/${out}x`;
  };
  for (let i = 0; i < 200; i++) search.put(offer(PEERS[0], long()));
  for (let i = 0; i < 20_000; i++) search.put(offer(PEERS[1], `honest/${i}.txt`));
  // Rests tell of the work: a block that is passed over costs one step, a path that is looked at 8 and more.
  const rests = [...search.words(['honest/777.txt'])].filter((hit) => !hit).length;
  t.true(rests <= 20, `${rests} rests of 2,048 steps`);
  t.is(found(search.words(['honest/777.txt'])).length, 1);
});

test('bounds of patterns and words are those of every other search', (t) => {
  const search = new Search();
  const usage = { instanceOf: HearsayError, code: 'usage' };
  t.throws(() => search.pattern('*'.padEnd(PATTERN_MAX + 1, 'a')), usage);
  t.throws(() => search.what('*'.padEnd(PATTERN_MAX + 1, 'a')), usage);
  t.throws(() => search.words(Array(WORDS_MAX + 1).fill('a')), usage);
});

test('what is sorted can be gone through while it changes, and takes little room when most is gone', (t) => {
  const random = seeded(13);
  const sorted = new Sorted<number, number>(
    (a, b) => a - b,
    (a) => a,
  );
  for (let i = 0; i < 20_000; i++) sorted.set(i);
  const seen: number[] = [];
  for (const n of sorted.from(100)) {
    seen.push(n);
    // Hundreds stay.
    for (let j = 0; j < 3; j++) {
      const other = Math.floor(random() * 20_000);
      if (other % 100 !== 0) sorted.delete(other);
      if (random() < 0.1) sorted.set(Math.floor(random() * 20_000));
    }
  }
  t.deepEqual(
    seen,
    [...new Set(seen)].sort((a, b) => a - b),
  );
  for (let i = 100; i < 20_000; i += 100) t.true(seen.includes(i), `${i}`);
  for (let i = 0; i < 20_000; i++) if (i % 100 !== 0) sorted.delete(i);
  t.is(sorted.size, 200);
  t.is(sorted.block(6), undefined);
});

test('what is sorted keeps its order and its size under any changes', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(1200)), { maxLength: 4000, size: 'max' }),
      fc.nat(1200),
      (changes, key) => {
        const sorted = new Sorted<number, number>(
          (a, b) => a - b,
          (a) => a,
        );
        const naive = new Set<number>();
        for (const [isIn, n] of changes) {
          if (isIn) {
            t.is(sorted.set(n), naive.has(n));
            naive.add(n);
          } else t.is(sorted.delete(n) !== undefined, naive.delete(n));
        }
        const all = [...naive].sort((a, b) => a - b);
        t.is(sorted.size, all.length);
        t.deepEqual([...sorted], all);
        t.deepEqual(
          [...sorted.from(key)],
          all.filter((n) => n >= key),
        );
        t.is(sorted.get(key), naive.has(key) ? key : undefined);
        // No chain of nearly empty blocks stays behind.
        let blocks = 0;
        while (sorted.block(blocks)) blocks++;
        t.true(blocks <= 1 + all.length / 64, `${blocks} blocks for ${all.length}`);
      },
    ),
    { numRuns: 60 },
  );
});
