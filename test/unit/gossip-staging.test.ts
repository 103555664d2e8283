import test from 'ava';
import fc from 'fast-check';
import { TOMBSTONES_MAX } from '../../lib/limits.js';
import type { Kind, Offer } from '../../lib/offer.js';
import { Shelf } from '../../lib/shelf/shelf.js';
import { applyBuckets, applyDelta, applyWhole } from '../../lib/shelf/staging.js';
import type { Head } from '../../lib/wire/head.js';

const WRITER = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const PROOF = { head: new Uint8Array(1), sig: new Uint8Array(64) };

type Step = [path: number, kind: Kind, size: number];

/** A writer that does these steps, and what its head said after each. */
function history(steps: Step[], epoch = 1): { offers: Offer[]; heads: Head[]; shelf: Shelf } {
  const shelf = new Shelf(WRITER, epoch);
  const offers: Offer[] = [];
  const heads = [headOf(shelf)];
  for (const [path, kind, size] of steps) {
    const offer = { path: `p${path}`, kind, size, mtime: 0, id: null, version: shelf.version + 1 };
    shelf.put(offer);
    shelf.version++;
    offers.push(offer);
    heads.push(headOf(shelf));
  }
  return { offers, heads, shelf };
}

function headOf(shelf: Shelf): Head {
  const { epoch, version, files, bytes, count, floor } = shelf;
  const root = Uint8Array.from(shelf.tree.root());
  const who = { id: WRITER, key: new Uint8Array(32), name: '', port: 1, flags: 0, beat: 0, echo: new Uint8Array(0) };
  return { ...who, epoch, version, files, bytes, count, floor, root };
}

function stateOf(shelf: Shelf): unknown {
  const live = [...shelf.offers()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const graves = [...shelf.graves()].map(({ path, version }) => `${path} ${version}`);
  const root = Buffer.from(shelf.tree.root()).toString('hex');
  return { live, graves, root, count: shelf.count, files: shelf.files, bytes: shelf.bytes };
}

const steps = fc.array(
  fc.tuple(fc.nat(12), fc.constantFrom<Kind>('file', 'executable', 'removed', 'removed'), fc.nat(5)),
  { minLength: 1, maxLength: 40 },
);

test('merging is commutative, associative and idempotent: any order, any number of times, one result', (t) => {
  fc.assert(
    fc.property(
      steps.chain((all) => fc.tuple(fc.constant(all), fc.array(fc.nat(all.length - 1), { maxLength: 80 }))),
      ([all, extra]) => {
        const { offers, shelf } = history(all);
        // Some twice and in any order, then all of them backwards.
        const order = [...extra.map((i) => offers[i]), ...offers.toReversed(), ...extra.map((i) => offers[i])];
        const other = new Shelf(WRITER, 1);
        for (const offer of order) other.put(offer);
        t.deepEqual(live(stateOf(other)), live(stateOf(shelf)));
      },
    ),
  );
});

/** Without the order of tombstones, which is that of arrival while putting. */
function live(state: unknown): unknown {
  const { graves, ...rest } = state as { graves: string[] };
  return { ...rest, graves: [...graves].sort() };
}

test('deltas that are lost, doubled and reordered lead to a signed state or are left out', (t) => {
  fc.assert(
    fc.property(steps, fc.array(fc.tuple(fc.nat(40), fc.nat(6)), { maxLength: 40 }), (all, told) => {
      const { offers, heads, shelf: writer } = history(all);
      let shelf: Shelf | undefined;
      for (const [at, length] of told) {
        const from = at % offers.length;
        const to = Math.min(offers.length, from + length);
        const current = latest(offers.slice(from, to));
        const known: number = shelf?.version ?? 0;
        const before = shelf && stateOf(shelf);
        const applied = applyDelta(shelf, WRITER, from, current, heads[to], PROOF);
        if (applied) shelf = applied.shelf;
        else t.deepEqual(shelf && stateOf(shelf), before);
        // It counts exactly when it joins and is newer.
        t.is(applied !== undefined, before ? from <= known && to > known : from === 0);
        if (shelf) t.deepEqual(shelf.tree.root(), Buffer.from(heads[shelf.version].root));
      }
      const rest = latest(offers.slice(shelf?.version ?? 0));
      if (shelf?.version === offers.length) return;
      const applied = applyDelta(shelf, WRITER, shelf?.version ?? 0, rest, heads.at(-1)!, PROOF);
      t.deepEqual(live(stateOf(applied!.shelf)), live(stateOf(writer)));
      t.deepEqual(applied!.shelf.since(0), writer.since(0));
    }),
  );
});

/** A log without what was superseded in it. */
function latest(offers: Offer[]): Offer[] {
  return offers.filter((offer, i) => !offers.slice(i + 1).some(({ path }) => path === offer.path));
}

test('what does not fit its head leaves no trace, also where buckets are replaced', (t) => {
  fc.assert(
    fc.property(steps, steps, fc.uint8Array({ minLength: 32, maxLength: 32 }), (first, lie, replaced) => {
      const { heads, shelf } = history(first);
      const before = stateOf(shelf);
      const since = shelf.since(0);
      const head = { ...heads.at(-1)!, version: shelf.version + lie.length, root: new Uint8Array(32) };
      const offers = lie.map(([path, kind, size], i) => {
        return { path: `p${path}`, kind, size, mtime: 9, id: null, version: first.length + i + 1 };
      });
      t.is(applyDelta(shelf, WRITER, shelf.version, offers, head, PROOF), undefined);
      t.is(applyBuckets(shelf, replaced, offers, head, PROOF), undefined);
      t.is(applyWhole(shelf, WRITER, offers, head, PROOF), undefined);
      t.deepEqual(stateOf(shelf), before);
      t.deepEqual(shelf.since(0), since);
    }),
  );
});

test('replacing the buckets that differ gives the same as everything anew', (t) => {
  fc.assert(
    fc.property(steps, steps, (known, more) => {
      const reader = history(known).shelf;
      const writer = history([...known, ...more]).shelf;
      const [mine, theirs] = [reader.tree.hashes(), writer.tree.hashes()];
      const replaced = new Uint8Array(32);
      const buckets: number[] = [];
      for (let i = 0; i < 256; i++) {
        const [a, b] = [mine, theirs].map((all) => Buffer.from(all.subarray(i * 16, i * 16 + 16)).toString('hex'));
        if (a === b) continue;
        replaced[i >> 3] |= 1 << (i & 7);
        buckets.push(i);
      }
      const applied = applyBuckets(reader, replaced, writer.snapshot(buckets), headOf(writer), PROOF);
      t.truthy(applied);
      t.deepEqual(applied!.shelf.snapshot(), writer.snapshot());
      t.is(applied!.shelf.floor, writer.version);
      t.deepEqual(applied!.shelf.since(writer.version), []);
      const whole = applyWhole(undefined, WRITER, writer.snapshot(), headOf(writer), PROOF);
      t.deepEqual(whole!.shelf.snapshot(), writer.snapshot());
    }),
  );
});

test('another epoch is staged from nothing, and only what differs is a change', (t) => {
  const one = history([
    [1, 'file', 1],
    [2, 'file', 2],
    [3, 'file', 3],
  ]);
  const shelf = applyWhole(undefined, WRITER, one.offers, one.heads[3], PROOF)!.shelf;
  const two = history(
    [
      [2, 'file', 2],
      [3, 'file', 4],
      [4, 'file', 4],
    ],
    2,
  );
  t.is(applyDelta(shelf, WRITER, 1, two.offers.slice(1), two.heads[3], PROOF), undefined);
  const applied = applyDelta(shelf, WRITER, 0, two.offers, two.heads[3], PROOF);
  const told = [...applied!.changes].map(({ before, after }) => `${before?.path} ${before?.size} ${after?.size}`);
  t.deepEqual(told.sort(), ['p1 1 undefined', 'p2 2 2', 'p3 3 4', 'undefined undefined 4']);
  t.is(shelf.count, 3);
  t.is(applied!.shelf.epoch, 2);
});

test('versions that do not rise, or lie beyond the head, are refused', (t) => {
  const { offers, heads } = history([
    [1, 'file', 1],
    [2, 'file', 2],
  ]);
  t.is(applyDelta(undefined, WRITER, 0, offers.toReversed(), heads[2], PROOF), undefined);
  t.is(applyDelta(undefined, WRITER, 0, offers, heads[1], PROOF), undefined);
  t.is(applyDelta(undefined, WRITER, 1, offers.slice(1), heads[2], PROOF), undefined);
  t.truthy(applyDelta(undefined, WRITER, 0, offers, heads[2], PROOF));
});

test('tombstones are bounded: the oldest go, and the floor says so', (t) => {
  const shelf = new Shelf(WRITER, 1);
  const base = { size: 0, mtime: 0, id: null };
  for (let i = 0; i < TOMBSTONES_MAX + 5; i++) {
    shelf.put({ ...base, path: `p${i}`, kind: 'removed', version: ++shelf.version });
  }
  shelf.trim();
  t.is([...shelf.graves()].length, TOMBSTONES_MAX);
  t.is(shelf.floor, 5);
  t.is(shelf.since(5)!.length, TOMBSTONES_MAX);
  t.is(shelf.since(5, 10), undefined);
  t.deepEqual(
    shelf.since(shelf.version - 1)!.map(({ path }) => path),
    [`p${TOMBSTONES_MAX + 4}`],
  );
});

test('a file that changes again and again does not make the log grow', (t) => {
  const shelf = new Shelf(WRITER, 1);
  for (let i = 0; i < 10_000; i++) {
    shelf.put({ path: 'growing', kind: 'file', size: i, mtime: i, id: null, version: ++shelf.version });
    shelf.trim();
  }
  t.true(shelf.rows().length < 100);
  t.is(shelf.since(0)!.length, 1);
  t.is(shelf.bytes, 9999);
});
