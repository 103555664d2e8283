/**
 * What has to hold, as functions that throw an error that says what does not, when, and from which seed.
 * Called by tests, and by the invariants that scenarios name.
 */
import type { PeerOffer } from '../../lib/offer.js';
import type { Shelf } from '../../lib/shelf/shelf.js';
import { type Head, readHead } from '../../lib/wire/head.js';
import type { Host } from './host.js';
import type { Sent, World } from './world.js';

function fail(world: World, what: string): never {
  throw new Error(`seed ${world.seed}, at ${Math.round(world.now - world.begin)} ms: ${what}`);
}

/** What a host says of itself, read once. */
const heads = new WeakMap<Uint8Array, Head>();
/** Shelves of which it was seen that they hold what their writer shares. */
const right = new WeakSet<Shelf>();

function headOf(host: Host): Head {
  const { head: packed } = host.gossip.head();
  const known = heads.get(packed);
  if (known) return known;
  const head = readHead(packed);
  heads.set(packed, head);
  return head;
}

/** The same as `differs` where peers share shelves. */
function differsInShelf(host: Host, other: Host, shelf: Shelf | undefined): string | undefined {
  const { epoch, version } = headOf(other);
  if (!shelf) return `${host.name} shows nothing of ${other.name}`;
  if (shelf.epoch !== epoch || shelf.version !== version) {
    return `${host.name} has ${other.name} at ${shelf.epoch}.${shelf.version}, which is at ${epoch}.${version}`;
  }
  if (right.has(shelf)) return undefined;
  const what = differsInOffers(host, other, shelf.offers());
  if (!what) right.add(shelf);
  return what;
}

/** What one host lacks or has too much of another's share; undefined where nothing. */
export function differs(host: Host, other: Host): string | undefined {
  const info = host.peer(other.id);
  if (!info) return `${host.name} does not know ${other.name}`;
  const what = differsInOffers(host, other, host.gossip.index.of(other.id));
  if (what) return what;
  if (info.files !== other.share.size) return `${host.name} has an old head of ${other.name}`;
  return undefined;
}

function differsInOffers(host: Host, other: Host, offers: Iterable<PeerOffer>): string | undefined {
  let count = 0;
  for (const offer of offers) {
    count++;
    const wanted = other.share.get(offer.path);
    if (!wanted) return `${host.name} still has ${offer.path} of ${other.name}`;
    const same = wanted.id === offer.id && wanted.size === offer.size && wanted.mtime === offer.mtime;
    if (!same || wanted.kind !== offer.kind) return `${host.name} has ${offer.path} of ${other.name} as it was`;
  }
  if (count !== other.share.size) return `${host.name} has ${count} of ${other.share.size} offers of ${other.name}`;
  return undefined;
}

/** The first thing in which hosts do not agree with what is shared, if there is one. */
export function disagreement(hosts: readonly Host[]): string | undefined {
  if (hosts.length === 0) return undefined;
  if (hosts[0].world.shelving) {
    const what = roughDisagreement(hosts);
    if (what) return what;
  }
  for (const host of hosts) {
    const shelves = host.world.shelving && new Map([...host.gossip.index.shelves()].map((each) => [each.writer, each]));
    for (const other of hosts) {
      if (other.passive || (host.passive && !host.follow)) continue;
      const isShared = shelves !== undefined && host !== other;
      const what = isShared ? differsInShelf(host, other, shelves.get(other.id)) : differs(host, other);
      if (what) return what;
    }
    const here = new Set(hosts.filter(({ passive }) => !passive).map(({ id }) => id));
    for (const { id, name } of host.gossip.peers()) if (!here.has(id)) return `${host.name} lists ${name}`;
  }
  return undefined;
}

/** What can be seen without looking at every pair. */
function roughDisagreement(hosts: readonly Host[]): string | undefined {
  let offers = 0;
  let listed = 0;
  for (const host of hosts) {
    if (host.passive) continue;
    listed++;
    offers += host.share.size;
  }
  for (const host of hosts) {
    const { size } = host.gossip.index;
    if (!host.passive && size !== offers) return `${host.name} has ${size} of ${offers} offers`;
    const known = host.came - host.left + (host.passive ? 0 : 1);
    if (known !== listed) return `${host.name} knows ${known} of ${listed} peers`;
  }
  return undefined;
}

/** Every host knows every other and all that it shares, and nobody and nothing else. */
export function assertConverged(hosts: readonly Host[]): void {
  const what = disagreement(hosts);
  if (what) fail(hosts[0].world, what);
}

/** Runs until all hosts agree. @returns how long it took */
export function assertConvergesWithin(hosts: readonly Host[], most: number): number {
  const [{ world }] = hosts;
  const took = world.runUntil(() => disagreement(hosts) === undefined, most);
  return took ?? fail(world, `not within ${most} ms: ${disagreement(hosts)}`);
}

/** What a host told of changes, played back, is what its index holds: nothing was lost and nothing told that is not so. */
export function assertNothingLost(host: Host): void {
  const told = new Map<string, string>();
  for (const { change, offer, before } of host.changes) {
    const key = `${offer.peer} ${offer.path}`;
    if (change === 'added' && told.has(key)) fail(host.world, `${host.name} told twice of ${offer.path}`);
    if (change !== 'added' && !told.has(key)) fail(host.world, `${host.name} told ${change} of unknown ${offer.path}`);
    if (change !== 'added' && !before) fail(host.world, `${change} without what was before`);
    if (change === 'removed') told.delete(key);
    else told.set(key, `${offer.kind} ${offer.size} ${offer.mtime} ${offer.id}`);
  }
  let count = 0;
  for (const offer of host.gossip.index) {
    count++;
    const was = told.get(`${offer.peer} ${offer.path}`);
    if (was !== `${offer.kind} ${offer.size} ${offer.mtime} ${offer.id}`) {
      fail(host.world, `${host.name} did not tell of ${offer.path}`);
    }
  }
  if (count !== told.size) fail(host.world, `${host.name} told of ${told.size} offers and holds ${count}`);
}

/** What one change cost is the same however much is shared, but for what numbers of more digits take. */
export function assertBytesIndependent(world: World, few: readonly Sent[], many: readonly Sent[]): void {
  const sizes = (all: readonly Sent[]): string => all.map(({ message }) => message.type).join('');
  if (sizes(few) !== sizes(many)) fail(world, `one change was ${sizes(few)} with few offers, ${sizes(many)} with many`);
  for (const [i, { bytes }] of few.entries()) {
    // Version, count, files and bytes in the head: a few bytes more each.
    const more = many[i].bytes - bytes;
    if (Math.abs(more) > 24) fail(world, `a change of ${bytes} bytes took ${many[i].bytes} with more shared`);
  }
}
