import test from 'ava';
import fc from 'fast-check';
import { Context } from '../../lib/gossip/context.js';
import type { Effect, Settings } from '../../lib/gossip/events.js';
import { Reports } from '../../lib/gossip/reports.js';
import type { Offer } from '../../lib/offer.js';
import { contentOf } from '../../lib/shelf/contents.js';
import { LiveIndex } from '../../lib/shelf/live-index.js';
import { Shelf } from '../../lib/shelf/shelf.js';
import { Stage } from '../../lib/shelf/stage.js';
import { applyWhole, departure, difference } from '../../lib/shelf/staging.js';
import type { Head } from '../../lib/wire/head.js';

const WRITER = '01ARZ3NDEKTSV4RRFFQ69G5FAV';
const PROOF = { head: new Uint8Array(1), sig: new Uint8Array(64) };
const WHOLE = new Uint8Array(32).fill(255);
const PAGE = 1000;

const id = (n: number) => n.toString(16).padStart(64, '0');
const file = (path: string, version: number, size = 1): Offer => ({
  path,
  kind: 'file',
  size,
  mtime: 1,
  id: id(version),
  version,
});

function writerOf(count: number): Shelf {
  const shelf = new Shelf(WRITER, 3);
  for (let i = 0; i < count; i++) shelf.put(file(`folder ${i % 70}/ä${i}`, ++shelf.version));
  return shelf;
}

function headOf(shelf: Shelf): Head {
  const { epoch, version, files, bytes, count, floor } = shelf;
  const root = Uint8Array.from(shelf.tree.root());
  const who = { id: WRITER, key: new Uint8Array(32), name: '', port: 1, flags: 0, beat: 0, echo: new Uint8Array(0) };
  return { ...who, epoch, version, files, bytes, count, floor, root };
}

/** Comparing thousands one by one takes long. */
const text = (offers: Iterable<Offer> | undefined): string => JSON.stringify([...(offers ?? [])]);

/** Puts an answer on a stage page by page, and works until all is done. @returns how many steps it took */
function fill(stage: Stage, offers: readonly Offer[], replaced: Uint8Array, expected: number): number {
  for (let at = 0; at < offers.length; at += PAGE) stage.page(offers.slice(at, at + PAGE), replaced, expected);
  let steps = 1;
  while (!stage.work()) steps++;
  return steps;
}

test('a large answer is put together page by page, and counts when it is what was signed', (t) => {
  const writer = writerOf(20_000);
  const stage = new Stage(WRITER, undefined, 0);
  const steps = fill(stage, writer.snapshot(), WHOLE, writer.count);
  t.true(stage.isLarge);
  t.is(stage.offers.length, 0);
  t.true(steps > 1, `${steps} steps`);
  const applied = stage.apply(undefined, headOf(writer), PROOF);
  t.true(text(applied?.shelf.snapshot()) === text(writer.snapshot()));
  t.is(applied?.shelf.version, 20_000);
  t.is(applied?.shelf.epoch, 3);
  t.is([...applied!.changes].length, 20_000);
  t.is(stage.apply(undefined, { ...headOf(writer), count: 19_999 }, PROOF), undefined);
  t.is(stage.apply(undefined, { ...headOf(writer), version: 19_999 }, PROOF), undefined);
});

test('so is what follows on a version, and what replaces some buckets; what was known stays as it is until then', (t) => {
  const writer = writerOf(9000);
  const known = applyWhole(undefined, WRITER, writer.snapshot(), headOf(writer), PROOF)!.shelf;
  const before = known.snapshot();
  for (let i = 0; i < 6000; i++) writer.put(file(`folder ${i % 70}/ä${i}`, ++writer.version, 2));
  writer.put({ path: 'folder 0/ä8960', kind: 'removed', size: 0, mtime: 0, id: null, version: ++writer.version });
  const head = headOf(writer);

  const delta = new Stage(WRITER, known, 9000);
  fill(delta, writer.since(9000)!, new Uint8Array(0), 0);
  t.true(delta.isLarge);
  t.true(text(known.snapshot()) === text(before));
  const applied = delta.apply(known, head, PROOF);
  t.true(text(applied?.shelf.snapshot()) === text(writer.snapshot()));
  t.is([...applied!.changes].filter(({ after }) => !after).length, 1);

  const some = Uint8Array.from({ length: 32 }, (_, i) => (i < 28 ? 255 : 0));
  const rest = new Shelf(WRITER, 3, applied!.shelf);
  // Of the buckets that are not replaced all is known.
  const buckets = Array.from({ length: 224 }, (_, i) => i);
  const part = new Stage(WRITER, rest, 0);
  fill(part, writer.snapshot(buckets), some, 0);
  t.true(part.isLarge);
  const again = part.apply(known, head, PROOF);
  t.true(text(again?.shelf.snapshot()) === text(writer.snapshot()));
  t.deepEqual(
    again?.shelf.since(14_990)?.filter(({ kind }) => kind !== 'removed'),
    writer.since(14_990)?.filter(({ kind }) => kind !== 'removed'),
  );
  t.is(again?.shelf.floor, head.version);
});

test('a whole shelf of more than a page is put together as it comes; what goes into one that is there, only where it is much', (t) => {
  const writer = writerOf(1001);
  const known = writerOf(10);
  const whole = new Stage(WRITER, undefined, 0);
  whole.page(writer.snapshot().slice(0, 1000), WHOLE, 1001);
  t.false(whole.isLarge);
  whole.page(writer.snapshot().slice(1000), WHOLE, 1001);
  t.true(whole.isLarge);
  const delta = new Stage(WRITER, known, 10);
  delta.page(writer.since(10) ?? [], new Uint8Array(0), 1001);
  t.false(delta.isLarge);
});

test('room for names is made once it is known how long they are, and not again and again', (t) => {
  const shelf = new Shelf(WRITER, 1);
  shelf.reserve(30_000);
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 30_000; i++) {
    shelf.put(file(`folder/${'a long name, as many have '.repeat(2)}${i}`, ++shelf.version));
    if (i % 100 === 0) buffers.add(shelf.rows().names.buffer);
  }
  t.true(buffers.size <= 2, `${buffers.size} buffers`);
  t.is([...shelf.offers()].at(-1)?.path, `folder/${'a long name, as many have '.repeat(2)}29999`);
});

test('a stage refuses versions that do not rise, and what follows on nothing that is known', (t) => {
  const writer = writerOf(5000);
  const swapped = writer.snapshot();
  [swapped[4990], swapped[4991]] = [swapped[4991], swapped[4990]];
  const stage = new Stage(WRITER, undefined, 0);
  fill(stage, swapped, WHOLE, 5000);
  t.is(stage.apply(undefined, headOf(writer), PROOF), undefined);
  const loose = new Stage(WRITER, undefined, 7);
  fill(loose, writer.snapshot(), new Uint8Array(0), 5000);
  t.true(loose.isLarge);
  t.is(loose.apply(undefined, headOf(writer), PROOF), undefined);
});

test('a copy of a shelf may be changed, and a list of what was there stays', (t) => {
  const shelf = writerOf(300);
  const copy = shelf.copy();
  const offers = shelf.offers();
  const first = offers.next().value;
  shelf.try();
  shelf.put({ path: 'folder 1/ä1', kind: 'removed', size: 0, mtime: 0, id: null, version: 400 });
  for (let i = 0; i < 500; i++) shelf.put(file(`new ${i}`, 401 + i));
  copy.put(file('copied', 500));
  t.is([first, ...offers].length, 300);
  t.is(copy.count, 301);
  t.is(shelf.get('copied'), undefined);
  t.is(copy.get('folder 1/ä1')?.version, 2);
  shelf.undo();
  t.deepEqual(shelf.snapshot(), writerOf(300).snapshot());
  t.is([...shelf.byId(contentOf(id(2)))][0]?.path, 'folder 1/ä1');
  t.deepEqual([...shelf.byId(contentOf(id(450)))], []);
});

test('contents are found by id, also a million times the same and such as are chosen to collide', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(4), fc.boolean()), { maxLength: 60 }), (steps) => {
      const shelf = new Shelf(WRITER, 1);
      for (const [path, content, stays] of steps) {
        const kind = stays ? 'file' : 'removed';
        shelf.put({ ...file(`p${path}`, ++shelf.version), kind, id: stays ? id(content) : null });
        shelf.trim();
      }
      for (let content = 0; content < 5; content++) {
        const expected = shelf.snapshot().filter((offer) => offer.id === id(content));
        const found = [...shelf.byId(contentOf(id(content)))].sort((a, b) => a.version - b.version);
        t.deepEqual(found, expected);
      }
    }),
    { numRuns: 50 },
  );
  // All begin alike, so that only a hash of them tells them apart.
  const shelf = new Shelf(WRITER, 1);
  for (let i = 0; i < 20_000; i++) shelf.put(file(`p${i}`, i + 1));
  for (const version of [1, 10_000, 20_000]) t.is([...shelf.byId(contentOf(id(version)))].length, 1);
});

test('showing and hiding a shelf counts it once, whatever was put in meanwhile', (t) => {
  const index = new LiveIndex();
  const [one, other] = [writerOf(10), writerOf(20)];
  index.show(one);
  one.put(file('more', 100));
  t.is(index.size, 10);
  index.show(one);
  t.is(index.size, 11);
  index.show(other);
  index.show(one, true);
  t.is(index.size, 31);
  t.is(index.load, 31);
  index.hide(WRITER);
  t.is(index.size, 11);
  index.hide(WRITER, true);
  index.hide(WRITER, true);
  t.is(index.size, 0);
  t.is(index.load, 0);
});

test('much that changed is told little by little, in its order, and at once where the shelf is about to change', (t) => {
  const settings: Settings = {
    id: 'me',
    key: new Uint8Array(32),
    name: '',
    port: 1,
    epoch: 1,
    passive: false,
    tracker: false,
  };
  const context = new Context(
    settings,
    { sign: () => new Uint8Array(64), verify: () => true },
    () => 0.5,
    () => new Uint8Array(16),
  );
  const reports = new Reports(context);
  const take = (): Effect[] => {
    const { effects } = context;
    context.effects = [];
    return effects;
  };
  const changesIn = (effects: Effect[]) => effects.filter(({ kind }) => kind === 'change').length;
  const [large, larger] = [writerOf(12_000), writerOf(12_500)];
  reports.add(WRITER, departure(large));
  reports.add('x', [{ before: undefined, after: { ...file('little', 1), peer: 'x' } }]);
  const first = take();
  t.is(changesIn(first), 2000);
  t.true(first.some((effect) => effect.kind === 'timer' && effect.timer.kind === 'report'));
  const told: Effect[] = [];
  while (changesIn(told) < 10_001) {
    reports.due();
    const effects = take();
    t.true(changesIn(effects) > 0 && changesIn(effects) <= 2001);
    for (const effect of effects) if (effect.kind === 'change') told.push(effect);
  }
  const last = told.at(-1);
  t.true(last?.kind === 'change' && last.change === 'added' && last.offer.path === 'little');
  reports.due();
  t.deepEqual(take(), []);

  reports.add(WRITER, difference(large, larger), { fragile: WRITER });
  t.is(changesIn(take()), 0, 'nothing of the first 2000 is new');
  reports.settle('another');
  t.is(take().length, 0);
  reports.settle(WRITER);
  t.is(changesIn(take()), 500);

  // Who comes and goes faster than that is told of: only what was begun is told to its end.
  const shelf = writerOf(5000);
  reports.due();
  for (let i = 0; i < 100; i++) {
    reports.add(WRITER, difference(undefined, shelf), { arrival: shelf });
    reports.went(WRITER, shelf, departure(shelf));
  }
  let tellings = changesIn(take());
  for (let i = 0; i < 20; i++) {
    reports.due();
    tellings += changesIn(take());
  }
  t.is(tellings, 2 * 5000, 'one arrival that was begun, and its going');
});
