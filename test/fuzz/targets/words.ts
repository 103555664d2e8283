/** What people and the network write as text: names, paths, patterns, addresses, ids. */
import { posix, win32 } from 'node:path';
import { formatEndpoint, isAddress } from '../../../lib/endpoint.js';
import { asHearsayError } from '../../../lib/errors.js';
import { idFitsKey, isPeerId, peerId } from '../../../lib/ids.js';
import { PATH_MAX, SEGMENT_MAX } from '../../../lib/limits.js';
import { isSafePath, pathFault, printable } from '../../../lib/names.js';
import { isOnLink } from '../../../lib/net/interfaces.js';
import { parseEndpoint, plainHost } from '../../../lib/net/transport.js';
import type { PeerOffer } from '../../../lib/offer.js';
import { parseGroup, parseHostPort } from '../../../lib/share/address.js';
import { fixedPart as fixedFolders, resolveTargets, type Wanted } from '../../../lib/share/destination.js';
import { collisions, diskPathFault } from '../../../lib/share/place-names.js';
import { compile, fixedPart, isPattern } from '../../../lib/shelf/glob.js';
import { matchesWords, patternMatcher, resolveWhat, rows, whatMatcher } from '../../../lib/shelf/query.js';
import { ID, KEY } from '../../unit/wire-messages.js';
import type { Chance } from '../chance.js';
import { anyText, piece, spoilText } from '../mutate.js';
import { expected, holds, type Target, target } from '../target.js';

/** Ways to say a place above or beside the folder that is meant, or one that some platform takes otherwise. */
export const TRAVERSALS: readonly string[] = [
  '..',
  '../x',
  'a/../b',
  'a/../../b',
  'a/..',
  './a',
  'a/./b',
  'a/.',
  '.',
  '',
  '/',
  '/etc/passwd',
  '//host/share',
  'a//b',
  'a/',
  '/a',
  '\\',
  '..\\x',
  'a\\..\\..\\b',
  '\\\\host\\share\\x',
  '\\\\?\\C:\\x',
  '\\\\.\\pipe\\x',
  'C:',
  'C:\\x',
  'C:/x',
  'C:x',
  'a/C:/x',
  'c:..\\x',
  'a\0b',
  '\0',
  'a/\0',
  'a\0/../b',
  '..\0',
  '.. /x',
  '.../x',
  '..../x',
  '.. ',
  '..\u200b/x',
  '\u2025/x',
  '\uff0e\uff0e/x',
  '\u2024\u2024/x',
  'a\u2044..\u2044b',
  'a\u2215b',
  'a\uff0fb',
  '..%2fx',
  '%2e%2e/x',
  '..%c0%afx',
  '..;/x',
  '~',
  '~/x',
  '~root/x',
  '$HOME/x',
  '%USERPROFILE%\\x',
  'file:///etc/passwd',
  'con',
  'CON.txt',
  'con /x',
  'nul',
  'aux.',
  'com1',
  'COM¹',
  'lpt9.x',
  'conin$',
  'prn:',
  'a:stream',
  'a::$DATA',
  'a.',
  'a ',
  'a./b',
  'a /b',
  '.hearsay-x.part',
  '.HEARSAY-x',
  '.hear\u200csay-x.part',
  'HEARSA~1.PAR',
  'heab12~1.par',
  '\ud800',
  'a/\udfff/b',
  '\u202egnp.exe',
  'x\nX',
  'x\u001b]0;title\u0007',
  '-rf',
  '--help',
  '*',
  '?',
  '<',
  '|',
  '"',
  'a'.repeat(256),
  'é'.repeat(128),
  `${'a/'.repeat(129)}a`,
  `${`${'a'.repeat(255)}/`.repeat(17)}a`,
];

const PLATFORMS = ['linux', 'darwin', 'win32'] as const;

function anyPath(chance: Chance): string {
  const start = chance.is(0.4)
    ? chance.one(TRAVERSALS)
    : chance.one(['share/a/b.txt', 'photos/2024/ä.jpg', 'x', 'a/b/c/d']);
  return chance.is(0.7) ? spoilText(start, chance) : chance.is(0.5) ? anyText(chance) : start;
}

/** No name that passes leads out of its folder, by the rules of any platform. */
const paths = target<string>({
  name: 'paths',
  weight: 4,
  make: anyPath,
  run(path, reach) {
    const fault = pathFault(path);
    reach.note('path', fault === undefined ? 'ok' : 'refused');
    holds(isSafePath(path) === (fault === undefined), 'two opinions on one path');
    for (const platform of PLATFORMS) {
      const bad = diskPathFault(path, platform);
      reach.note(`path on ${platform}`, bad === undefined ? 'ok' : 'refused');
      if (fault !== undefined) holds(bad !== undefined, `${platform} takes a path that the wire refuses`);
      if (bad !== undefined) continue;
      holds(Buffer.byteLength(path) <= PATH_MAX, 'a path too long');
      for (const segment of path.split('/')) {
        holds(segment !== '' && segment !== '.' && segment !== '..', 'a segment that is none');
        holds(Buffer.byteLength(segment) <= SEGMENT_MAX && !segment.includes('\0'), 'a segment too long or with NUL');
      }
      const by = platform === 'win32' ? win32 : posix;
      const root = platform === 'win32' ? 'D:\\in\\box' : '/in/box';
      for (const landed of [by.join(root, path), by.resolve(root, path), by.join(root, ...path.split('/'))]) {
        holds(landed.startsWith(root + by.sep), `${platform}: ${landed} is not below ${root}`);
      }
      const deep = by.relative(root, by.resolve(root, path)).split(by.sep);
      holds(deep.length === path.split('/').length, `${platform}: another number of folders`);
    }
  },
});

const controls = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;

const printed = target<string>({
  name: 'printable',
  make: (chance) => anyText(chance, 20),
  run(text, reach) {
    const out = printable(text);
    holds(!controls.test(out) && out.isWellFormed(), 'something unprintable was left');
    reach.note('printable', out === text ? 'unchanged' : 'escaped');
  },
});

const FOLDINGS = [
  { case: true, form: true, ignorable: true },
  { case: true, form: false, ignorable: false },
  { case: false, form: true, ignorable: false },
];

/** Paths that one disk takes for one are found, and nothing else fails. */
const same = target<string[]>({
  name: 'collisions',
  make: (chance) => Array.from({ length: chance.below(8) }, () => spoilText('Ab/é.txt', chance)),
  run(all, reach) {
    for (const folding of FOLDINGS) {
      const failed = collisions(all, folding);
      reach.note('collisions', failed.size > 0 ? 'some' : 'none');
      const left = all.filter((path) => !failed.has(path));
      holds(collisions(left, folding).size === 0, 'what is left collides still');
    }
    holds(
      collisions(all, { case: false, form: false, ignorable: false }).size === 0,
      'a disk that tells all apart has none',
    );
  },
});

/** The slow and obvious way, for short ones: the fast one must agree. */
function slowMatch(pattern: string, path: string): boolean {
  const source = pattern
    .replace(/(^|\/)(?:\*\*+\/)+/g, '$1\u{10ffff}')
    .replace(/\*{2,}/g, '\u{10fffe}')
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replaceAll('\u{10fffe}', '.*')
    .replaceAll('\u{10ffff}', '(?:.*/)?');
  return new RegExp(`^${source}$`, 's').test(path);
}

const globs = target<{ pattern: string; path: string }>({
  name: 'patterns',
  weight: 2,
  make: (chance) => {
    const letters = ['a', 'b', '/', '*', '**', '/**/', '**/', '.'];
    const draw = (from: string[], most: number) =>
      Array.from({ length: chance.below(most) }, () => chance.one(from)).join('');
    const long = chance.is(0.02) ? chance.one(['*a', '**/', 'a*', '*']).repeat(chance.below(600)) : '';
    return chance.is(0.2)
      ? { pattern: anyText(chance), path: anyPath(chance) }
      : { pattern: draw(letters, 8) + long, path: draw(['a', 'b', '/', '.', 'ab'], 10) };
  },
  run({ pattern, path }, reach) {
    const matches = reach.try('pattern', () => compile(pattern), 'usage');
    if (!matches) return;
    const is = matches(path);
    holds(matches(path) === is, 'a second look sees something else');
    reach.note('pattern match', is ? 'yes' : 'no');
    if (pattern.length <= 24 && path.length <= 24) holds(is === slowMatch(pattern, path), `another opinion: ${!is}`);
    if (is && isPattern(pattern)) holds(path.startsWith(fixedPart(pattern)), 'the fixed part is no prefix');
  },
});

const OFFERS = ['a/b.txt', 'a/b/c', 'photos/x.jpg', 'Photos/X.JPG', 'x:y', 'solo', 'é/ß'].map(
  (path, i): PeerOffer => ({
    path,
    kind: i === 1 ? 'folder' : 'file',
    size: i === 1 ? 0 : i,
    mtime: i,
    id: i % 3 === 0 ? null : (i % 2 === 0 ? 'ab' : 'cd').repeat(32),
    version: i + 1,
    peer: ID,
  }),
);

const asked = target<{ what: string; path: string }>({
  name: 'what and words',
  weight: 2,
  make: (chance) => ({
    what: chance.is(0.5)
      ? spoilText(chance.one([...OFFERS.map((o) => o.path), '#ab', '#cdcd', 'peer:solo', 'a/', '**']), chance)
      : anyText(chance),
    path: anyPath(chance),
  }),
  run({ what, path }, reach) {
    const offers = isSafePath(path) ? [...OFFERS, { ...OFFERS[0], path, version: 9 }] : OFFERS;
    const found = reach.try(
      'WHAT',
      () => resolveWhat(offers, what, [{ id: ID, name: 'peer' }]),
      'not-found',
      'ambiguous',
      'usage',
    );
    const fits = reach.try('WHAT of a find', () => whatMatcher(what), 'usage');
    // A source tells at least what the asker will take.
    if (found && fits) for (const offer of found.offers) holds(fits(offer), `${offer.path} is meant, yet not told`);
    const listed = reach.try('ls PATTERN', () => patternMatcher(what), 'usage');
    for (const offer of offers) listed?.(offer.path);
    const words = what.split(/\s+/).filter((word) => word !== '');
    reach.try('find WORD', () => matchesWords(path, words), 'usage');
    rows(offers, () => what);
  },
});

const places = target<{ paths: string[]; fixed: string; kind: 'file' | 'folder' | 'absent'; how: number }>({
  name: 'destinations',
  make: (chance) => ({
    paths: Array.from({ length: chance.between(1, 4) }, () => anyPath(chance)),
    fixed: anyPath(chance),
    kind: chance.one(['file', 'folder', 'absent']),
    how: chance.below(3),
  }),
  run({ paths: all, fixed, kind, how }, reach) {
    const safe = all.filter((path) => isSafePath(path));
    if (safe.length === 0) return;
    const naming =
      how === 0
        ? { kind: 'file' as const }
        : how === 1
          ? { kind: 'folder' as const, folder: fixed }
          : { kind: 'pattern' as const, fixed: fixedFolders(fixed) };
    const wanted = safe.map((path): Wanted => ({ path, id: null, folder: false, naming }));
    const dest = { path: '/in/box', kind, asFolder: kind === 'folder' };
    const targets = reach.try('DEST', () => resolveTargets(wanted, dest), 'conflict', 'in-the-way');
    for (const { root, relative } of targets ?? []) {
      holds(posix.resolve(root, relative).startsWith('/in/'), `${relative} is not below ${root}`);
      holds(isSafePath(relative), `${relative} may not land`);
    }
  },
});

const ADDRESSES = [
  '10.0.0.1',
  '10.0.0.1:47748',
  'host',
  'host.local:1',
  '[::1]:80',
  '::1',
  'fe80::1%eth0',
  '[fe80::1%eth0]:65535',
  '239.255.47.48:47748',
  '::ffff:1.2.3.4',
];
const CARD = { name: 'eth0', family: 6 as const, address: 'fe80::1', prefix: 64, internal: false, zone: 'eth0' };

const addresses = target<string>({
  name: 'addresses',
  weight: 2,
  make: (chance) => (chance.is(0.8) ? spoilText(chance.one(ADDRESSES), chance) : anyText(chance)),
  run(text, reach) {
    const host = reach.try('HOST:PORT', () => parseHostPort(text, 1), 'usage');
    if (host) {
      holds(host.port >= 1 && host.port <= 65_535, `the port ${host.port}`);
      const again = parseHostPort(formatEndpoint(host), 2);
      holds(again.host === host.host && again.port === host.port, 'another after it was written');
    }
    const group = reach.try('group', () => parseGroup(text), 'usage');
    if (group) holds(group.port >= 1 && group.port <= 65_535, `the port ${group.port}`);
    const endpoint = parseEndpoint(text);
    reach.note('ip:port', endpoint ? 'ok' : 'refused');
    if (endpoint) holds(endpoint.port >= 1 && endpoint.port <= 65_535, `the port ${endpoint.port}`);
    reach.note('address told', isAddress(text) ? 'ok' : 'refused');
    if (isAddress(text))
      holds(endpoint !== undefined && /[:.]/.test(endpoint.host), 'an address that cannot be dialled');
    plainHost(text);
    for (const family of [4, 6] as const) {
      reach.note(
        'on link',
        isOnLink({ ...CARD, family, address: family === 4 ? '10.0.0.9' : 'fe80::1' }, text) ? 'yes' : 'no',
      );
    }
  },
});

const ids = target<{ text: string; key: Uint8Array; born: number }>({
  name: 'ids',
  make: (chance) => ({
    text: chance.is(0.8) ? spoilText(ID, chance) : chance.is(0.5) ? ID.toLowerCase() : piece(chance),
    key: chance.is(0.8) ? chance.bytes(32) : chance.is(0.5) ? KEY : chance.bytes(chance.below(40)),
    born: Math.abs(chance.int()) % 2 ** 47,
  }),
  run({ text, key, born }, reach) {
    reach.note('peer id', isPeerId(text) ? 'ok' : 'refused');
    if (isPeerId(text)) holds(text.length === 26 && text === text.toUpperCase(), 'an id in another form');
    reach.note('id of key', idFitsKey(text, key) ? 'fits' : 'refused');
    if (key.length !== 32) return;
    const id = peerId(key, born);
    holds(isPeerId(id) && idFitsKey(id, key), 'an id that does not fit its own key');
  },
});

/** What is thrown, whatever it is, becomes one of ours. */
const errors = target<{ code: string; message: string }>({
  name: 'errors',
  make: (chance) => ({
    code: chance.is(0.5) ? chance.one(['ENOSPC', 'EACCES', '__proto__', 'toString']) : anyText(chance, 3),
    message: anyText(chance),
  }),
  run({ code, message }, reach) {
    for (const thrown of [
      { code, message },
      Object.assign(new Error(message), { code }),
      message,
      undefined,
      null,
      1,
    ]) {
      reach.note('error', expected(asHearsayError(thrown)));
    }
  },
});

export const WORDS: Target[] = [paths, printed, same, globs, asked, places, addresses, ids, errors];
