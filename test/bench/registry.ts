/**
 * The registry's core without sockets: what an offer costs in memory, and how quickly lookups are answered.
 *
 *   npm run bench -- registry [--peers 10000] [--offers 100] [--lookups 300] [--json]
 *
 * Each lookup takes the first page of its answer, up to 2,000 offers, as the driver does. Paths are made from a seed, after
 * those of music, photographs, documents and sources: some contents are with several peers, some are not hashed yet.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seeded } from '../../lib/clock.js';
import { OFFERS_PER_PAGE } from '../../lib/limits.js';
import type { PeerOffer } from '../../lib/offer.js';
import { LOOKUP, type Registrant } from '../../lib/tracker/events.js';
import { Registry } from '../../lib/tracker/registry.js';

const BEGIN = 1_700_000_000_000;
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const HEAD_BYTES = 220;

const random = seeded(4);
const below = (n: number): number => Math.floor(random() * n);
const any = <T>(all: readonly T[]): T => all[below(all.length)];

const ONSETS =
  'b br bl c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr ph qu r s sh sl sn sp st str t th tr v w wh y z'.split(
    ' ',
  );
const NUCLEI = 'a e i o u ai ea ee ie oa ou oo y'.split(' ');
const CODAS = ['', '', '', ...'b ck d ft g l ll m n nd ng nt p r rd rk rm rn rt s ss st t th x'.split(' ')];
const word = (): string => Array.from({ length: 1 + below(3) }, () => any(ONSETS) + any(NUCLEI) + any(CODAS)).join('');
const WORDS = Array.from({ length: 20_000 }, word);
/** Some words are far more common than others. */
const someWord = (): string => WORDS[Math.floor(WORDS.length * random() ** 2)];
const title = (words: number): string =>
  Array.from({ length: words }, () => {
    const one = someWord();
    return one[0].toUpperCase() + one.slice(1);
  }).join(' ');

function idOf(n: number, length: number): string {
  let out = '';
  for (let rest = n; out.length < length; rest = Math.floor(rest / 32)) out = CROCKFORD[rest % 32] + out;
  return out;
}

const hex = (length: number): string => Array.from({ length }, () => below(16).toString(16)).join('');

function registrant(n: number): Registrant {
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => below(256));
  const rest = { key: bytes(32), instance: bytes(8), head: bytes(HEAD_BYTES), sig: bytes(64) };
  return { id: `01HARZ3NDE${idOf(n, 16)}`, name: `${any(WORDS)}-${n}`, epoch: 1, version: 100, ...rest };
}

/** A string of its own, as it comes from the wire: not a rope of the pieces that it was made of. */
const own = (text: string): string => Buffer.from(text).toString();

/** Paths of one peer: some folders with some files in each. */
function* paths(peer: number): Generator<string> {
  for (;;) {
    const share = any(['Music', 'Photos', 'Documents', 'src', 'Videos', `${any(WORDS)} ${peer}`]);
    if (share === 'Music') {
      const album = `${share}/${title(2)}/${1970 + below(55)} - ${title(2)}`;
      for (let i = 1; i <= 12; i++)
        yield `${album}/${i.toString().padStart(2, '0')} ${title(3)}.${any(['mp3', 'flac'])}`;
    } else if (share === 'Photos') {
      const day = `${share}/${2005 + below(20)}/${2005 + below(20)}-${10 + below(3)}-${10 + below(18)} ${title(1)}`;
      const first = below(9000);
      for (let i = 0; i < 20; i++) yield `${day}/IMG_${(first + i).toString().padStart(4, '0')}.JPG`;
    } else if (share === 'src') {
      const project = `${share}/${any(WORDS)}`;
      for (const at of ['package.json', 'README.md', 'lib/index.ts', `lib/${any(WORDS)}.ts`]) yield `${project}/${at}`;
    } else
      for (let i = 0; i < 5; i++) yield `${share}/${title(1)}/${title(3)} ${below(100)}.${any(['pdf', 'odt', 'mkv'])}`;
  }
}

/** Contents that several have. */
const common = Array.from({ length: 20_000 }, () => hex(64));

function offersOf(peer: string, n: number, count: number): PeerOffer[] {
  const out = new Map<string, PeerOffer>();
  for (const path of paths(n)) {
    if (out.size === count) break;
    const content = random() < 0.1 ? null : own(random() < 0.2 ? any(common) : hex(64));
    const rest = { size: below(2 ** 30), mtime: BEGIN - below(1e11), version: out.size + 1 };
    out.set(path, { path: own(path), kind: 'file', id: content, peer, ...rest });
  }
  return [...out.values()];
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes in use, of the heap and beside it, after all that is not needed is gone. */
function used(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

interface Timed {
  what: string;
  count: number;
  /** Offers and peers in an answer, on average. */
  found: number;
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  most: number;
}

function timed(what: string, count: number, act: () => number): Timed {
  const times: number[] = [];
  let found = 0;
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    found += act();
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  const at = (part: number): number => times[Math.min(times.length - 1, Math.floor(times.length * part))];
  const sum = times.reduce((a, b) => a + b, 0);
  return {
    what,
    count,
    found: found / count,
    perSecond: (count * 1000) / sum,
    p50: at(0.5),
    p99: at(0.99),
    most: at(1),
  };
}

function main(): void {
  const number = { type: 'string' } as const;
  const options = { peers: number, offers: number, lookups: number, json: { type: 'boolean' } } as const;
  const { values } = parseArgs({ options });
  const [peers, each, lookups] = [values.peers ?? 10_000, values.offers ?? 100, values.lookups ?? 300].map(Number);
  if (!(peers >= 1 && each >= 1 && lookups >= 1 && peers * each <= 4_000_000)) {
    throw new Error('--peers, --offers and --lookups from 1; peers × offers to 4,000,000');
  }

  const before = used();
  const all = Array.from({ length: peers }, (_, n) => {
    const peer = registrant(n);
    return { peer, offers: offersOf(peer.id, n, each) };
  });
  const given = used();
  const registry = new Registry({ id: registrant(999_999).id, perMinute: peers, shares: false }, random);
  let link = 0;
  const registering = timed('a peer registers, with its offers', peers, () => {
    const { peer, offers } = all[link++];
    const host = `10.${(link >> 16) & 255}.${(link >> 8) & 255}.${link & 255}`;
    registry.handle({ kind: 'register', link, number: 1, peer, claimed: [], host, port: 47_748 }, BEGIN);
    const address = `${host}:47748`;
    registry.handle({ kind: 'dialled-back', link, address, reached: true }, BEGIN);
    const changes = offers.map((after) => ({ before: undefined, after }));
    registry.handle({ kind: 'offers', peer: peer.id, changes }, BEGIN);
    return offers.length;
  });
  const kept = used();
  const { counts } = registry;

  /** Takes the first page of an answer. @returns how much is in it */
  const page = (kind: number, text: string): number => {
    const found = registry.lookup(kind, text);
    if ('code' in found) return 0;
    let count = 0;
    for (const { offers, have, peers } of found) {
      count += offers.length + have.length + peers.length;
      if (count >= OFFERS_PER_PAGE) break;
    }
    return count;
  };
  const offer = (): PeerOffer => any(any(all).offers);
  const hashed = (): PeerOffer => {
    for (;;) {
      const one = offer();
      if (one.id !== null) return one;
    }
  };
  const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
  const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);
  const wordsOf = (path: string): string[] => path.split(/[^\p{L}\d]+/u).filter((one) => one.length > 3);
  const kinds: [string, () => number][] = [
    ['exact path', () => page(LOOKUP.what, offer().path)],
    ['path that is not there', () => page(LOOKUP.what, `${offer().path}x`)],
    ['folder', () => page(LOOKUP.what, folderOf(offer().path))],
    ['large folder', () => page(LOOKUP.what, 'Photos/')],
    ['file name', () => page(LOOKUP.what, nameOf(offer().path))],
    ['file name that is not there', () => page(LOOKUP.what, `x${nameOf(offer().path)}`)],
    ['content id', () => page(LOOKUP.holders, hashed().id ?? '')],
    ['content id that is not there', () => page(LOOKUP.holders, hex(64))],
    ['beginning of a content id', () => page(LOOKUP.what, `#${hashed().id?.slice(0, 8)}`)],
    ['pattern in a folder', () => page(LOOKUP.pattern, `${folderOf(offer().path)}*.JPG`)],
    ['pattern everywhere', () => page(LOOKUP.pattern, `**/*${any(wordsOf(nameOf(offer().path)))}*`)],
    ['the same, of a word in many folders only', () => page(LOOKUP.pattern, '**/*Photos*')],
    ['pattern of one extension', () => page(LOOKUP.pattern, '**/*.flac')],
    ['pattern that fits nothing', () => page(LOOKUP.pattern, `**/*${any(WORDS)}*.xyz`)],
    ['one word', () => page(LOOKUP.words, any(WORDS))],
    ['a common word', () => page(LOOKUP.words, 'photos')],
    ['two words of a path', () => page(LOOKUP.words, wordsOf(offer().path).slice(-2).join(' '))],
    ['two words of no path', () => page(LOOKUP.words, `${any(WORDS)} ${any(WORDS)}`)],
    ['number of a photograph', () => page(LOOKUP.words, `img_${below(10_000).toString().padStart(4, '0')}`)],
    ['word that is not there', () => page(LOOKUP.words, `${any(WORDS)}qx`)],
    ['everything, first page', () => page(LOOKUP.all, '')],
    ['peer by id', () => page(LOOKUP.peer, any(all).peer.id)],
    ['peer by name', () => page(LOOKUP.peer, any(all).peer.name)],
  ];
  const rows = kinds.map(([what, act]) => timed(what, lookups, act));
  const mixed = timed('all kinds in turn', lookups * kinds.length, () => any(kinds)[1]());
  const renewing = timed('a lease is renewed', 10 * peers, () => {
    registry.handle({ kind: 'heard', link: 1 + below(peers) }, BEGIN + 1);
    return 1;
  });
  let gone = 0;
  const leaving = timed('a peer leaves', Math.min(1000, peers), () => {
    registry.handle({ kind: 'left', link: ++gone }, BEGIN + 2);
    return 1;
  });

  const offers = counts.offers;
  const report = {
    peers: counts.peers,
    offers,
    bytesPerOffer: Math.round((kept - before) / offers),
    ofThatOffersThemselves: Math.round((given - before) / offers),
    megabytes: Math.round((kept - before) / 1e6),
    lookups: [...rows, mixed],
    changes: [registering, renewing, leaving],
  };
  if (values.json) console.log(JSON.stringify(report));
  else print(report);
}

function print(report: { lookups: Timed[]; changes: Timed[] } & Record<string, unknown>): void {
  const { peers, offers, megabytes, bytesPerOffer, ofThatOffersThemselves } = report;
  console.log(`${peers} peers, ${offers} offers: ${megabytes} MB, ${bytesPerOffer} bytes an offer`);
  console.log(`(of that ${ofThatOffersThemselves} the offers themselves, which gossip holds as well)`);
  console.log('');
  console.log('| what | found | a second | p50 ms | p99 ms | most ms |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const { what, found, perSecond, p50, p99, most } of [...report.lookups, ...report.changes]) {
    const ms = [p50, p99, most].map((one) => one.toFixed(3)).join(' | ');
    console.log(`| ${what} | ${found.toFixed(found < 10 ? 1 : 0)} | ${Math.round(perSecond)} | ${ms} |`);
  }
}

main();
