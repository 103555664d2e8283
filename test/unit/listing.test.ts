import test from 'ava';
import fc from 'fast-check';
import type { ListQuery } from '../../lib/api.js';
import { listing } from '../../lib/drive/listing.js';
import { FOUND_MAX } from '../../lib/limits.js';
import type { Kind, PeerOffer } from '../../lib/offer.js';
import { folded } from '../../lib/shelf/folded.js';
import { meanings, patternMatcher, rows, whatMatcher, wordMatcher } from '../../lib/shelf/query.js';
import { scan, wantedMeaning, wantedPattern, wantedWords } from '../../lib/shelf/scan.js';
import { Shelf } from '../../lib/shelf/shelf.js';

const ID = 'ab'.repeat(32);
const nameOf = (id: string) => ({ id, name: `the ${id}` });

function shelfOf(writer: string, paths: readonly string[], more: Partial<PeerOffer> = {}): Shelf {
  const shelf = new Shelf(writer, 1);
  for (const path of paths) {
    const version = ++shelf.version;
    shelf.put({ path, kind: 'file', size: 1, mtime: version, id: ID, ...more, version });
  }
  return shelf;
}

function listedOf(shelves: readonly Shelf[], told: readonly PeerOffer[] = []) {
  return { shelves: () => shelves.map((shelf) => ({ peer: shelf.writer, rows: shelf.rows() })), told: () => told };
}

/** All of a listing, and how often others had a turn. */
function all(
  shelves: readonly Shelf[],
  query: ListQuery,
  { told = [], from, most }: { told?: readonly PeerOffer[]; from?: Set<string>; most?: number } = {},
) {
  const files = [];
  let more = 0;
  let rests = 0;
  for (const part of listing(listedOf(shelves, told), query, from, nameOf, most)) {
    if (!part) rests++;
    else {
      for (const file of part.files) files.push(file);
      more += part.more;
    }
  }
  return { files, more, rests };
}

const found = (shelves: readonly Shelf[], words: string[], most?: number) =>
  all(shelves, { words }, most === undefined ? {} : { most }).files.map(({ path }) => path);

// Few letters, so that much is alike, and such as have several forms.
const LETTERS = ['a', 'B', 'é', 'e\u0301', 'ß', 'Σ', 'ς', 'Ж', 'ﬁ', '℀', '日', '.', ' ', '1', '😀'];
const segment = fc.array(fc.constantFrom(...LETTERS), { minLength: 1, maxLength: 5 }).map((all) => all.join(''));
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((all) => all.join('/'));
const pattern = fc
  .array(fc.constantFrom(...LETTERS, '/', '/', '*', '*', '**', '**/'), { minLength: 1, maxLength: 8 })
  .map((all) => all.join(''));
const word = fc.array(fc.constantFrom(...LETTERS, 'A', 's', 'S', '/'), { maxLength: 3 }).map((all) => all.join(''));

function scanned(shelf: Shelf, wanted: ReturnType<typeof wantedPattern>): string[] {
  const of = shelf.rows();
  const steps = scan(of, wanted, false);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done) return [...step.value].map((row) => of.path(row)).sort();
  }
}

test('looking through rows finds what the matchers let through', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(path, { maxLength: 30 }),
      pattern,
      fc.array(word, { maxLength: 3 }),
      (paths, glob, words) => {
        const shelf = shelfOf('A', paths);
        t.deepEqual(scanned(shelf, wantedPattern(glob)), paths.filter(patternMatcher(glob)).sort());
        t.deepEqual(scanned(shelf, wantedWords(words)), paths.filter(wordMatcher(words)).sort());
        const offers = [...shelf.offers()];
        for (const what of [glob, paths[0] ?? 'a', `${paths[1]}/`, '#ab', '#aba', '#b', `P:${paths[2]}`]) {
          const matches = whatMatcher(what);
          const union = new Set(
            meanings(what).flatMap((one) => scanned(shelf, wantedMeaning(one)).filter((p) => one.fits(shelf.get(p)!))),
          );
          t.deepEqual(
            [...union].sort(),
            offers
              .filter(matches)
              .map((o) => o.path)
              .sort(),
            what,
          );
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('a listing is what was listed offer by offer: by path, those of one content together', (t) => {
  const one = fc.record({
    path: fc.constantFrom('a', 'a/b', 'a/b.txt', 'a/b/c', 'a-b', 'A', 'é/x', 'z'),
    id: fc.constantFrom(null, ID, 'cd'.repeat(32)),
    kind: fc.constantFrom<Kind>('file', 'executable', 'folder'),
  });
  fc.assert(
    fc.property(
      fc.array(fc.array(one, { maxLength: 8 }), { maxLength: 4 }),
      fc.array(one, { maxLength: 5 }),
      (peers, more) => {
        const shelves = peers.map((offers, n) => {
          const shelf = new Shelf(`P${n}`, 1);
          for (const o of offers)
            shelf.put({ ...o, id: o.kind === 'folder' ? null : o.id, size: 1, mtime: n, version: ++shelf.version });
          return shelf;
        });
        const told = more.map((o, n) => ({ ...o, peer: `T${n}`, size: 1, mtime: 9, version: 1 }));
        const offers = [...shelves.flatMap((shelf) => [...shelf.offers()]), ...told];
        const expected = rows(offers, (peer) => nameOf(peer).name);
        t.deepEqual(all(shelves, {}, { told }).files, expected);
        const from = new Set(['P0', 'T1']);
        t.deepEqual(
          all(shelves, {}, { told, from }).files,
          rows(
            offers.filter((o) => from.has(o.peer)),
            (p) => nameOf(p).name,
          ),
        );
      },
    ),
    { numRuns: 40 },
  );
});

test('find: words in any order, without case and accents; the best first', (t) => {
  const paths = [
    'music/venus/bjork.txt',
    'music/Björk/Vénus as a Boy.flac',
    'music/Björk - Venus.flac',
    'music/bjorkvenusian remix.flac',
    'music/bjork venus.flac',
    'deep/er/still/bjork venus.flac',
    'music/bjork.flac',
  ];
  // Both words in the name before one in a folder; whole words before parts of words; of as good ones the shorter path.
  const expected = [
    'music/bjork venus.flac',
    'music/Björk - Venus.flac',
    'deep/er/still/bjork venus.flac',
    'music/bjorkvenusian remix.flac',
    'music/venus/bjork.txt',
    'music/Björk/Vénus as a Boy.flac',
  ];
  for (const words of [
    ['venus', 'BJÖRK'],
    ['Bjork', 'VÉNUS'],
    ['bjork', 'venus', 'venus'],
  ]) {
    t.deepEqual(found([shelfOf('A', paths), shelfOf('B', paths.toReversed())], words), expected);
  }
  t.deepEqual(found([shelfOf('A', ['STRASSE', 'ΟΔΟΣ', 'ﬁle'])], ['straße']), ['STRASSE']);
  t.deepEqual(found([shelfOf('A', ['STRASSE', 'ΟΔΟΣ2', 'ﬁle'])], ['οδός']), ['ΟΔΟΣ2']);
  t.deepEqual(found([shelfOf('A', ['STRASSE', 'ΟΔΟΣ', 'ﬁle'])], ['FILE']), ['ﬁle']);
  t.is(folded('Ærøskøbing Ǆ'), folded('ÆRØSKØBING ǆ'));
});

test(`find gives the best hits and says how many others there are; ${FOUND_MAX} unless said otherwise`, (t) => {
  const paths = Array.from({ length: 100 }, (_, i) => `cat/${'x'.repeat(100 - i)} ${i % 2 ? 'cat' : 'concatenated'}`);
  const few = all([shelfOf('A', paths)], { words: ['cat'] }, { most: 10 });
  t.is(few.more, 90);
  t.deepEqual(
    few.files.map(({ path }) => path),
    paths
      .filter((path) => path.endsWith(' cat'))
      .toReversed()
      .slice(0, 10),
  );
  const many = Array.from({ length: FOUND_MAX + 5 }, (_, i) => `cat ${i}`);
  const { files, more } = all([shelfOf('A', many)], { words: ['cat'] });
  t.is(files.length, FOUND_MAX);
  t.is(more, 5);
});

test('others have their turns while much is looked through and sorted', (t) => {
  for (const folders of [1, 3000]) {
    const paths = Array.from({ length: 20_000 }, (_, i) => `f${i % folders}/${(i * 7919) % 20_000}`);
    const { files, rests } = all([shelfOf('A', paths)], {});
    // Comparing thousands one by one takes long.
    t.true(files.map((file) => file.path).join('\n') === paths.sort().join('\n'));
    t.true(rests > (folders === 1 ? 8 : 4), `${rests}`);
  }
});

test('the first are told when little of what follows was looked at', (t) => {
  const paths = Array.from({ length: 20_000 }, (_, i) => `f${i % 3000}/${(i * 7919) % 20_000}`);
  const shelves = [shelfOf('A', paths.slice(0, 10_000)), shelfOf('B', paths.slice(10_000))];
  let read = 0;
  const listed = {
    shelves: () =>
      shelves.map((shelf) => {
        const rows = shelf.rows();
        const { name } = rows;
        rows.name = (row) => {
          read++;
          return name.call(rows, row);
        };
        return { peer: shelf.writer, rows };
      }),
    told: () => [],
  };
  let seen = 0;
  let readAtFirst = 0;
  for (const some of listing(listed, {}, undefined, nameOf)) {
    seen += some?.files.length ?? 0;
    if (seen > 0 && readAtFirst === 0) readAtFirst = read;
  }
  t.is(seen, 20_000);
  t.true(readAtFirst < 2000, `${readAtFirst} names were read`);
});

test('what changes while it is listed is not in it', (t) => {
  const shelf = shelfOf(
    'A',
    Array.from({ length: 1000 }, (_, i) => `p${1000 + i}`),
  );
  const seen: string[] = [];
  for (const part of listing(listedOf([shelf]), {}, undefined, nameOf)) {
    for (const file of part?.files ?? []) seen.push(file.path);
    if (seen.length !== 256) continue;
    for (const path of ['p1999', 'p1000'])
      shelf.put({ path, kind: 'removed', size: 0, mtime: 0, id: null, version: ++shelf.version });
    for (let i = 0; i < 3000; i++)
      shelf.put({ path: `q${i}`, kind: 'file', size: 0, mtime: 0, id: null, version: ++shelf.version });
    shelf.rebuild();
  }
  t.is(seen.length, 1000);
  t.is(seen.at(-1), 'p1999');
});
