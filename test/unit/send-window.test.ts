/** How much a source sends over a link before it is acknowledged: a link in virtual time takes blocks one after another. */
import test from 'ava';
import { seeded } from '../../lib/clock.js';
import { BLOCK, UNACKED_MAX } from '../../lib/limits.js';
import { Download, type DownloadEvent } from '../../lib/transfer/download.js';
import { SMALL_WEIGHT, Upload } from '../../lib/transfer/upload.js';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/**
 * Sends a file's blocks over a link, and asks for a small one at some time.
 * @param block how long a block is on the wire, ms
 * @param round trip, ms
 * @returns blocks under way at the end and the most there were lately; how many ms each small one took; ms that the wire stood still lately
 */
function drive(block: number, round: number, until: number, smallAt: readonly number[] = []) {
  const upload = new Upload();
  let asked = 0;
  /** What is on its way: when its acknowledgement is here. */
  const acks: { at: number; number: number; index: number }[] = [];
  let wire = 0;
  let idle = 0;
  let sent = 0;
  let most = 0;
  const took: number[] = [];
  const due = [...smallAt];
  for (let now = 0; now < until; now++) {
    // The receiver asks for more than there is room for.
    for (; asked < sent + 2 * UNACKED_MAX; asked++) upload.request(1, [asked]);
    if (due[0] === now) {
      upload.request(2 + took.length, [0], SMALL_WEIGHT);
      due.shift();
    }
    while (acks.length > 0 && acks[0].at <= now) {
      const { number, index } = acks.shift()!;
      upload.acked(number, [index], now);
      if (number > 1) took.push(now - smallAt[took.length]);
    }
    for (let item = upload.next(now); item; item = upload.next(now)) {
      if (now > until / 2) idle += Math.max(0, now - wire);
      sent++;
      wire = Math.max(wire, now) + (item.number === 1 ? block : 0);
      acks.push({ at: wire + round, ...item });
    }
    if (now > until / 2) most = Math.max(most, upload.inFlight);
  }
  return { most, took, idle };
}

test('a slow link has little under way, is never idle, and a small file passes what waits', (t) => {
  // 100 Mbit/s.
  const { most, took, idle } = drive(21, 1, 4000, [2003, 2511, 3100]);
  t.true(most <= 5, `${most} blocks`);
  t.is(idle, 0);
  t.is(took.length, 3);
  t.true(Math.max(...took) < 110, `${took} ms`);
});

test('a fast link and a long way have as much under way as they take', (t) => {
  const fast = drive(1, 1, 1500);
  t.true(fast.most > 30, `${fast.most} blocks`);
  t.is(fast.idle, 0);
  const far = drive(4, 100, 4000);
  t.true(far.most >= 26, `${far.most} blocks fill the way`);
  t.is(far.idle, 0);
});

/** Sends some blocks over a link that takes 200 ms for each, three at a time. */
function known(upload: Upload): void {
  const sent = [upload.next(0), upload.next(0), upload.next(0)];
  for (let now = 200; sent.length > 0; now += 200) {
    upload.acked(1, [sent.shift()?.index ?? -1], now);
    if (now < 600) sent.push(upload.next(now));
  }
}

test('until blocks were seen to wait nothing is held back, and small files never are', (t) => {
  const upload = new Upload();
  upload.request(1, range(200));
  for (let i = 0; i < UNACKED_MAX; i++) t.not(upload.next(0), undefined);
  t.is(upload.next(0), undefined);

  const slow = new Upload();
  slow.request(1, range(200));
  known(slow);
  const now = 1000;
  let sent = 0;
  while (slow.next(now)) sent++;
  t.is(sent, 2, 'one on its way and one behind it');
  t.deepEqual(slow.peek(), { number: 1, index: 7 }, 'what comes next can be read ahead all the same');
  for (const number of [2, 3]) slow.request(number, range(256), SMALL_WEIGHT);
  let small = 0;
  for (let item = slow.next(now); item; item = slow.next(now)) if (item.number > 1) small++;
  t.is(small, (UNACKED_MAX - sent) / SMALL_WEIGHT, 'small files go until the bound of all');
});

test('what is asked for again does not wait for the acknowledgement of what was lost', (t) => {
  const upload = new Upload();
  upload.request(1, range(200));
  known(upload);
  const now = 1000;
  const lost = [upload.next(now), upload.next(now)].map((item) => item?.index);
  t.is(upload.next(now), undefined, 'the window is full');
  upload.request(1, [lost[0] ?? -1]);
  t.not(upload.next(now), undefined);
  t.is(upload.inFlight, 2);
  // What comes late all the same is counted once.
  t.is(upload.acked(1, [lost[1] ?? -1], now), 1);
  let sent = 1;
  while (upload.next(now)) sent++;
  t.is(sent, 2, 'and the window is what it was');
});

test('one source far away is asked for as much as the way takes after a few round trips', (t) => {
  // 64 MiB at 1 Gbit/s over 100 ms of round trip: 0.64 s where all is asked for at once.
  const [size, block, way] = [64 << 20, 2.1, 50];
  const download = new Download(size, seeded(1));
  const upload = new Upload();
  const queue: { at: number; act(): void }[] = [];
  const after = (at: number, act: () => void) => {
    const place = queue.findLastIndex((one) => one.at <= at) + 1;
    queue.splice(place, 0, { at, act });
  };
  let [now, wire, done] = [0, 0, 0];
  const send = () => {
    for (let item = upload.next(now); item; item = upload.next(now)) {
      wire = Math.max(wire, now) + block;
      const { index } = item;
      after(wire + way, () => handle({ kind: 'block', peer: 'far', block: index, bytes: BLOCK }));
    }
  };
  const handle = (event: DownloadEvent) => {
    for (const effect of download.handle(event, now)) {
      if (effect.kind === 'request') {
        const blocks = range(effect.count).map((i) => effect.block + i);
        after(now + way, () => {
          upload.request(1, blocks);
          send();
        });
      } else if (effect.kind === 'ack') {
        after(now + way, () => {
          upload.acked(1, [effect.block], now);
          send();
        });
      } else if (effect.kind === 'check') {
        after(now, () => handle({ kind: 'checked', chunk: effect.chunk, ok: true }));
      } else if (effect.kind === 'complete') done = now;
    }
  };
  handle({ kind: 'source', peer: 'far', have: undefined });
  for (let next = queue.shift(); next && done === 0; next = queue.shift()) {
    now = next.at;
    next.act();
  }
  t.true(done > 0 && done < 1000, `${done} ms`);
});
