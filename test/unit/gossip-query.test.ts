import test from 'ava';
import fc from 'fast-check';
import { PATTERN_MAX } from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import { compile, fixedPart } from '../../lib/shelf/glob.js';
import {
  candidates,
  contents,
  matchesPattern,
  matchesWhat,
  matchesWords,
  matchingPeers,
  onePeer,
  resolveWhat,
  rows,
} from '../../lib/shelf/query.js';

const ANN = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAA', name: 'ann' };
const BOB = { id: '01ARZ3NDEKTSV4RRFFQ69G5FBB', name: 'bob' };
const BOB2 = { id: '01BRZ3NDEKTSV4RRFFQ69G5FCC', name: 'bob' };
const PEERS = [ANN, BOB, BOB2];
const idOf = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);

function offer(peer: { id: string }, path: string, content: number | null, more: Partial<PeerOffer> = {}): PeerOffer {
  const id = content === null ? null : idOf(content);
  return { peer: peer.id, path, kind: 'file', size: 5, mtime: 7, id, version: 1, ...more };
}

const folder = (peer: { id: string }, path: string): PeerOffer => offer(peer, path, null, { kind: 'folder', size: 0 });

const ALL = [
  offer(ANN, 'lib/a.txt', 1),
  offer(BOB, 'lib/a.txt', 1),
  offer(ANN, 'lib/sub/b.txt', 2),
  offer(BOB, 'lib/sub/deep/c.jpg', 3),
  folder(ANN, 'lib/empty'),
  offer(ANN, 'music/a.txt', 4),
  offer(BOB, 'both.txt', 5),
  offer(BOB2, 'both.txt', 6),
  offer(BOB, 'new.txt', null),
  offer(ANN, 'we:ird/x', 7),
];

const found = (what: string): string => {
  const { kind, fixed, offers } = resolveWhat(ALL, what, PEERS);
  return `${kind} "${fixed}" ${offers.map(({ path, peer }) => `${path}@${peer.slice(-2)}`).join(' ')}`;
};

test('WHAT is read in the order of the contract', (t) => {
  t.is(found('lib/a.txt'), 'file "lib/" lib/a.txt@AA lib/a.txt@BB');
  t.is(found('lib/sub/'), 'folder "lib/" lib/sub/b.txt@AA lib/sub/deep/c.jpg@BB');
  t.is(found('lib/'), 'folder "" lib/a.txt@AA lib/a.txt@BB lib/empty@AA lib/sub/b.txt@AA lib/sub/deep/c.jpg@BB');
  t.is(found('lib/empty/'), 'folder "lib/" lib/empty@AA');
  t.is(found('lib/empty'), 'folder "lib/" lib/empty@AA');
  t.is(found(`#${idOf(2)}`), 'id "lib/sub/" lib/sub/b.txt@AA');
  t.is(found('#0303'), 'id "lib/sub/deep/" lib/sub/deep/c.jpg@BB');
  t.is(found('lib/*'), 'pattern "lib/" lib/a.txt@AA lib/a.txt@BB lib/empty@AA');
  t.is(found('lib/sub/**'), 'pattern "lib/sub/" lib/sub/b.txt@AA lib/sub/deep/c.jpg@BB');
  t.is(found('**/c.jpg'), 'pattern "" lib/sub/deep/c.jpg@BB');
  t.is(found('c.jpg'), 'name "lib/sub/deep/" lib/sub/deep/c.jpg@BB');
  t.is(found('new.txt'), 'file "" new.txt@BB');
});

test('PEER: before a path is that peer’s, but a path with a colon comes first', (t) => {
  t.is(found('ann:lib/a.txt'), 'file "lib/" lib/a.txt@AA');
  t.is(found(`${BOB.id}:both.txt`), 'file "" both.txt@BB');
  t.is(found('01b:both.txt'), 'file "" both.txt@CC');
  t.is(found('ann:lib/*'), 'pattern "lib/" lib/a.txt@AA lib/empty@AA');
  t.is(found('we:ird/x'), 'file "we:ird/" we:ird/x@AA');
  t.is(found('ann:we:ird/'), 'folder "" we:ird/x@AA');
  t.throws(() => found('bob:both.txt'), { code: 'ambiguous', message: /01ARZ[\s\S]*01BRZ/ });
  t.throws(() => found('ann:both.txt'), { code: 'not-found' });
});

test('what means several contents is ambiguous, and each is named', (t) => {
  const thrown = t.throws(() => found('both.txt'), { code: 'ambiguous' });
  t.regex(thrown!.message, /#050505050505 .*5 bytes {2}from bob/);
  t.regex(thrown!.message, /#060606060606 /);
  t.throws(() => found('a.txt'), { code: 'ambiguous', message: /#0101.*lib\/a\.txt.*from ann, bob[\s\S]*#0404/ });
  t.throws(() => found('#0'), { code: 'ambiguous' });
  t.throws(() => found('b*.txt'), { code: 'ambiguous' });
  t.is(candidates(ALL, 'both.txt', PEERS).offers.length, 2);
  const unhashed = [offer(ANN, 'x', null), offer(BOB, 'x', null)];
  t.throws(() => resolveWhat(unhashed, 'x', PEERS), { code: 'ambiguous', message: /01ARZ3NDEKTSV4RRFFQ69G5FAA:x/ });
  t.is(contents(unhashed).length, 2);
});

test('what means nothing is not found, and a folder without its slash is pointed out', (t) => {
  t.throws(() => found('nothing'), { code: 'not-found' });
  t.throws(() => found(''), { code: 'not-found' });
  t.throws(() => found('#zz'), { code: 'not-found' });
  t.throws(() => found('lib/sub'), { code: 'not-found', message: /write "lib\/sub\/"/ });
});

test('text from the network is made safe in messages', (t) => {
  const all = [offer(ANN, 'x\u001b[31m', 1), offer(BOB, 'x\u001b[31m', 2)];
  const thrown = t.throws(() => resolveWhat(all, 'x\u001b[31m', [{ ...ANN, name: 'a\u0007' }]), { code: 'ambiguous' });
  t.false(['\u0007', '\u001b'].some((control) => thrown!.message.includes(control)));
});

test('a source answers with everything that may be meant', (t) => {
  const fits = (what: string): string[] => ALL.filter((o) => matchesWhat(o, what)).map(({ path }) => path);
  t.deepEqual(fits('ann:lib/sub/'), ['lib/sub/b.txt'].concat('lib/sub/deep/c.jpg'));
  t.deepEqual(fits('a.txt'), ['lib/a.txt', 'lib/a.txt', 'music/a.txt']);
  t.deepEqual(fits('we:ird/x'), ['we:ird/x']);
  t.deepEqual(fits(''), []);
  for (const what of ['lib/', '#01', '**', 'ann:lib/a.txt', '01b:both.txt', 'c.jpg', 'lib/*']) {
    const all = new Set(fits(what));
    for (const { path } of candidates(ALL, what, PEERS).offers) t.true(all.has(path), `${what} ${path}`);
  }
});

test('peers are named by name, id or the beginning of an id', (t) => {
  t.deepEqual(onePeer('ann', PEERS), ANN);
  t.deepEqual(onePeer(BOB.id.toLowerCase(), PEERS), BOB);
  t.deepEqual(onePeer('01B', PEERS), BOB2);
  t.is(onePeer('carol', PEERS), undefined);
  t.is(onePeer('', PEERS), undefined);
  t.throws(() => onePeer('bob', PEERS), { code: 'ambiguous', message: /01ARZ[\s\S]*01BRZ/ });
  t.is(matchingPeers('01', PEERS).length, 3);
});

test('only stars are special in a pattern', (t) => {
  const match = (pattern: string, path: string): boolean => compile(pattern)(path);
  t.true(match('*.txt', 'a.txt'));
  t.true(match('*.txt', '.txt'));
  t.false(match('*.txt', 'sub/a.txt'));
  t.true(match('**.txt', 'sub/a.txt'));
  t.true(match('lib/**/x', 'lib/x'));
  t.true(match('lib/**/x', 'lib/a/b/x'));
  t.false(match('lib/**/x', 'lib/ax'));
  t.false(match('lib/**/x', 'libx'));
  t.true(match('**/**/x', 'x'));
  t.true(match('**/*', 'a'));
  t.true(match('**/*/c', 'a/b/c'));
  t.false(match('**/*/c', 'c'));
  t.false(match('lib/**', 'lib'));
  t.true(match('a***b', 'a/x/b'));
  for (const literal of ['[a]*', '{a,b}*', '!a*', '-a*', 'a?*', '\\*', '(a|b)*', '+(a)*', '.*', '^*$']) {
    t.true(match(literal, literal.replaceAll('*', 'zz')), literal);
    t.false(match(literal, 'a'), literal);
  }
  t.is(fixedPart('lib/su*/x'), 'lib/');
  t.is(fixedPart('*'), '');
  t.throws(() => compile('*'.repeat(PATTERN_MAX + 1)), { code: 'usage' });
});

/** The same rules as a regular expression, whose cost nobody bounds. */
function asRegExp(pattern: string): RegExp {
  const any = '[\\s\\S]*';
  const source = pattern
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/(^|\/)(?:\*\*+\/)+|\*\*+|\*/g, (stars, slash) =>
      stars.endsWith('/') ? `${slash}(?:${any}/)?` : stars.length > 1 ? any : '[^/]*',
    );
  return new RegExp(`^${source}$`);
}

test('the matcher agrees with a regular expression, also over many words of states', (t) => {
  const text = (max: number): fc.Arbitrary<string> =>
    fc
      .array(fc.constantFrom('a', 'b', '/', 'ab/', '*', '**', '**/', '/**/', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), {
        minLength: 1,
        maxLength: max,
      })
      .map((parts) => parts.join('').replace(/^\/+/, '').replace(/\/+/g, '/'));
  fc.assert(
    fc.property(text(9), text(9), (pattern, other) => {
      // A path that is likely to fit: each star stands for something.
      const path = (other.length % 2 ? pattern : other).replace(/\*+\/?/g, () => (other.length % 3 ? 'ab/b' : ''));
      const clean = path.replace(/\/+/g, '/').replace(/^\/|\/$/g, '');
      if (clean === '') return;
      const expected = asRegExp(pattern).test(clean);
      t.is(compile(pattern)(clean), expected, `${pattern} on ${clean}`);
      // The same where the pattern has more parts than a number has bits.
      const long = 'z'.repeat(40);
      t.is(compile(`*${long}/${pattern}`)(`${long}/${clean}`), expected, `long ${pattern} on ${clean}`);
    }),
    { numRuns: 3000 },
  );
});

test('no pattern is dear', (t) => {
  const matches = compile('*a'.repeat(PATTERN_MAX / 2));
  const begin = process.hrtime.bigint();
  t.false(matches(`${'a'.repeat(4000)}b`));
  // An exponential or cubic matcher would take hours; this one some milliseconds.
  t.true(process.hrtime.bigint() - begin < 5_000_000_000n);
});

test('ls takes a pattern, a path, or a folder with all that is below it', (t) => {
  t.true(matchesPattern('lib/a.txt', 'lib'));
  t.true(matchesPattern('lib/a.txt', 'lib/'));
  t.true(matchesPattern('lib/a.txt', 'lib/a.txt'));
  t.true(matchesPattern('lib/a.txt', '*/a.*'));
  t.false(matchesPattern('library/a.txt', 'lib'));
  t.false(matchesPattern('lib/a.txt', 'a.txt'));
});

test('words are found whatever their case and accents', (t) => {
  t.true(matchesWords('Música/CAFÉ del mar.mp3', ['cafe', 'musica']));
  t.true(matchesWords('Mu\u0301sica.mp3', ['MÚSICA']));
  t.false(matchesWords('lib/a.txt', ['lib', 'b.txt']));
  t.true(matchesWords('anything', []));
});

test('rows: one for each content of a path, without folders, sorted', (t) => {
  const names = new Map(PEERS.map(({ id, name }) => [id, name]));
  const all = rows([...ALL, offer(ANN, 'new.txt', null, { mtime: 9 })], (id) => names.get(id) ?? '?');
  t.deepEqual(
    all.map(({ path, id, peers }) => `${path} ${id?.slice(0, 2) ?? '-'} ${peers.map(({ name }) => name).join('+')}`),
    [
      'both.txt 05 bob',
      'both.txt 06 bob',
      'lib/a.txt 01 ann+bob',
      'lib/sub/b.txt 02 ann',
      'lib/sub/deep/c.jpg 03 bob',
      'music/a.txt 04 ann',
      'new.txt - ann',
      'new.txt - bob',
      'we:ird/x 07 ann',
    ],
  );
});
